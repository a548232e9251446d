"""Client state as pure values and functions, without I/O, screens, or clocks."""
