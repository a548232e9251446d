"""The client's settings, flags, paths, and log file."""
