"""Errors of asking a server: no connection, or no answer in time."""

from __future__ import annotations

from chat.errors import ChatError

__all__ = ["Offline", "Unanswered"]


class Offline(ChatError):
    """There is no connection."""


class Unanswered(ChatError):
    """The connection is open, but no answer arrived in time."""
