"""The server: sockets, fan-out, and the commands' handlers."""
