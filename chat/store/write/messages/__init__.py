"""Rules of messages: append, edit, react, pin, follow threads, and erase texts."""
