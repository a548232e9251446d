"""The terminal: driver, input parser, output widths, key queue, mouse events, and tuning."""
