"""What is said when something needs a connection and there is none."""

from __future__ import annotations

from chat.errors import ChatError

__all__ = ["Offline"]


class Offline(ChatError):
    """There is no connection to ask through."""
