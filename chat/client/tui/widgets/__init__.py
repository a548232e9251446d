"""Widgets around the timeline: each knows what it is given; what happens goes up as messages."""
