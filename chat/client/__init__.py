"""The client: subscribes to channels, sends the outbox, and shows both in a terminal."""
