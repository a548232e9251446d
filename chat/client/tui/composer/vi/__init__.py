"""vi keys as pure functions of text, caret and key."""
