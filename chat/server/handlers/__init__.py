"""What each command does. A handler answers through its `Reply`, exactly once."""
