"""The client: follows logs, keeps what was typed, and shows both in a terminal."""
