"""What each command does; a handler answers through its `Reply`, exactly once."""
