"""The broker: carries committed events between servers. One server needs only memory."""
