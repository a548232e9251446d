"""The signs beside names: of a channel (refused, half written, unread) and of a connection."""

from __future__ import annotations

from textual.content import Content

from chat.client.state import ChannelInfo, Link
from chat.text import is_direct

__all__ = ["LINKS", "badge"]

_MOST = 999
LINKS: dict[Link, tuple[str, str, str]] = {
    Link.CONNECTING: ("◌", "$text-warning", "connecting…"),
    Link.ONLINE: ("●", "$text-success", "online"),
    Link.WAITING: ("○", "$text-warning", "offline"),
    Link.REFUSED: ("×", "$text-error", "refused"),
    Link.STOPPED: ("○", "$foreground 50%", "stopped"),
}
"""The sign of a connection, its colour, and its state in a word."""


def badge(info: ChannelInfo) -> Content:
    """Return the signs of a channel; nothing if nothing happened in it."""
    parts: list[tuple[str, str]] = []
    if info.failed:
        parts.append(("✗", "bold $text-error"))
    if info.has_draft:
        parts.append(("✎", "$text-warning"))
    if info.mentions:
        parts.append((f"@{_count(info.mentions)}", "bold $text-accent"))
    elif info.unread and not info.muted:
        style = "bold $text-accent" if is_direct(info.name) else "$foreground 75%"
        parts.append((_count(info.unread), style))
    return Content(" ").join(Content.styled(text, style) for text, style in parts)


def _count(number: int) -> str:
    return str(number) if number <= _MOST else f"{_MOST}+"
