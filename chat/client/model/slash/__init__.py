"""Slash commands: their table and their parser."""
