"""Operator commands for a database file: check, reindex, back up, restore."""
