"""Errors of asking a server: no connection, or no answer in time."""

from __future__ import annotations

from chat.errors import ChatError

__all__ = ["Offline", "Unanswered"]


class Offline(ChatError):
    """There is no connection to ask through."""


class Unanswered(ChatError):
    """No answer in time on a connection that is open; it may be late, or lost."""
