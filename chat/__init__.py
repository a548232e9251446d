"""A chat for terminals: durable, gapless, safe, fast. Start reading at `chat/README.md`."""

__version__ = "0.1.0"
