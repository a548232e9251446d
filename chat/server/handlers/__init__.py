"""What each command does; a handler returns the answer."""
