"""Screens: the conversation, and what opens over it."""
