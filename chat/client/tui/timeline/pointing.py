"""What a click on a part of a line asks for."""

from __future__ import annotations

from rich.style import Style
from textual.message import Message as Posted

from chat.client.state import Message
from chat.client.tui.timeline.messages import ActionRequested, LinkClicked, ReactionClicked

__all__ = ["asked_by"]


def asked_by(style: Style, message: Message | None) -> Posted | None:
    """Return what something of this style in the line of `message` leads to: a link, an action."""
    url = style.meta.get("url")
    if isinstance(url, str):
        return LinkClicked(url)
    emoji = style.meta.get("emoji")
    if message is not None and isinstance(emoji, str):
        return ReactionClicked(emoji, message)
    action = style.meta.get("action")
    if message is not None and isinstance(action, str):
        return ActionRequested(action, message)
    if message is not None and "thread" in style.meta:
        return ActionRequested("thread", message)
    return None
