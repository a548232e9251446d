"""The linear mode, for screen readers and simple terminals: lines, one after the other."""
