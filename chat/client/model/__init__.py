"""The client's knowledge as pure values and functions: no I/O, no screen, no clock."""
