"""The Textual interface.

What they show, and what becomes of a key, is decided in `chat.client.presenter`.
"""
