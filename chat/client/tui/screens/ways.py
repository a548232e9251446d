"""The ways through channels and messages that keys take: back and forward, unread, mentions."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from textual.screen import Screen

from chat.client.tui.conversation import Conversation
from chat.client.tui.timeline import Timeline

__all__ = ["Ways"]


class Ways:
    """Finds what is called `name` in the conversation on `screen`, and goes there."""

    def __init__(self, screen: Screen[Any], conversation: Conversation) -> None:
        self._screen = screen
        self._conversation = conversation
        self._by_name: dict[str, Callable[[], None]] = {
            "back": partial(conversation.go_along, -1),
            "forward": partial(conversation.go_along, 1),
            "last": conversation.go_to_last,
            "first_unread": conversation.catching_up.show_unread,
            "inbox": conversation.catching_up.show_inbox,
            "peek": self._peek,
            "mention_before": partial(self._mention, -1),
            "mention_after": partial(self._mention, 1),
        }

    def find(self, name: str) -> None:
        """Go where `name` leads."""
        self._by_name[name]()

    def go_to(self, number: int) -> None:
        """Show the channel that is listed at a place, counted from 1."""
        names = list(self._conversation.desk.channels)
        if number <= len(names):
            self._conversation.open_channel(names[number - 1])

    def _peek(self) -> None:
        if channel := self._conversation.desk.current:
            self._conversation.catching_up.peek(channel)

    def _mention(self, step: int) -> None:
        """Go to the nearest mention here, then to those that are loaded of other channels."""
        conversation = self._conversation
        seq = self._screen.query_one(Timeline).mention(step)
        if seq is not None:
            conversation.view.choose(seq)
        elif found := conversation.desk.mention_elsewhere(step):
            conversation.catching_up.jump(*found)
        else:
            conversation.view.say("No further mention of you is loaded.")
