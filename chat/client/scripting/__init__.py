"""The client for scripts: `send`, `tail`, and `export`."""
