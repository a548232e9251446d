"""Synchronization: the core's thread, its engine, and the state shared with the server."""
