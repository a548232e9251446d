"""The core: follows channels, sends the outbox, and publishes updates to the interface."""
