"""Operator commands that work on the data folder, some of them beside a running server."""
