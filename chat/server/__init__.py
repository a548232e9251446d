"""The server: connections, fan-out, and command handlers."""
