"""The client: follows logs, sends the outbox, and shows both in a terminal."""
