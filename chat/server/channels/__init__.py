"""Live channels in memory: followers, replay, presence, typing, and the built-in channels."""
