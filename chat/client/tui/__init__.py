"""The conversation, and its screens: all that knows Textual.

What `chat.client.plain` shares (`conversation`, `seats`, and what these import) knows none of it.
"""
