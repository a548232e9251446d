"""Screens: the main screen and the dialogs over it."""

NARROW = [(0, "-narrow"), (101, "-wide")]
"""Classes by width: in up to 100 columns, a dialog covers the full width."""
