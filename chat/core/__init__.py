"""The rules of the chat: what is allowed, who is there, how fast. No I/O; clocks are passed in."""
