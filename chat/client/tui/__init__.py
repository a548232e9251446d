"""The client's screens: all that knows Textual.

What they show, and what becomes of a key, is decided in `chat.client.presenter`.
"""
