"""vi's keys as rules: text, caret and a key go in, text and caret come out. No screen, no I/O."""
