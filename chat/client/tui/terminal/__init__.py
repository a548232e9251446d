"""The terminal: driver, input parser, output widths, and the queue of keys."""
