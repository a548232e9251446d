"""Plain mode: the conversation as lines, for screen readers and simple terminals."""
