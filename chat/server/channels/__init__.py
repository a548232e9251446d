"""The live side of channels: followers, replay, presence, typing, and the built-in channels."""
