"""The connection to a server: connect, sign in, reconnect. Knows no channels."""
