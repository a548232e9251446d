"""Slash commands: each handler runs one command against a conversation, or refuses it."""
