"""vi keys as pure rules: text, caret, and key in; text and caret out."""
