"""Widgets around the timeline; each shows what it is given and posts messages."""
