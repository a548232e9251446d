"""The client without a screen: `send`, `tail` and `export`, for scripts and pipes."""
