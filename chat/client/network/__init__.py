"""The connection to a server: connecting, signing in, reconnecting. No knowledge of channels."""
