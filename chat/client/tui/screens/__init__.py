"""Screens: the conversation, and what opens over it."""

NARROW = [(0, "-narrow"), (101, "-wide")]
"""Classes by width: up to 100 columns a dialog fills the width, so that no parts of words show."""
