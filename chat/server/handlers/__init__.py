"""Command handlers: each handles one command and returns its answer."""
