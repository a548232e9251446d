"""Brokers carry short messages between the servers of one database; none of them stores any."""
