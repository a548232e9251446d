"""The Textual interface.

`chat.client.presenter` decides what the widgets show and what an action does.
"""
