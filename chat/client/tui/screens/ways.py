"""The ways through channels and messages that keys take, and a channel's own way in its list."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from textual.screen import Screen

from chat.client.presenter import catching_up, preferring
from chat.client.presenter.conversation import Conversation
from chat.client.presenter.seats import Seats
from chat.client.tui.screens.thread import ThreadSide
from chat.client.tui.timeline import Timeline
from chat.client.tui.widgets.composer import Composer

__all__ = ["Ways"]


class Ways:
    """Finds what is called `name` in the conversations on `screen`, and goes there."""

    def __init__(self, screen: Screen[Any], seats: Seats) -> None:
        self._screen = screen
        self._seats = seats
        self._by_name: dict[str, Callable[[], None]] = {
            "back": partial(seats.go_along, -1),
            "forward": partial(seats.go_along, 1),
            "last": seats.go_to_last,
            "first_unread": lambda: catching_up.show_unread(self._conversation),
            "inbox": seats.show_inbox,
            "search": lambda: catching_up.search(self._conversation),
            "up": partial(self._move, -1),
            "down": partial(self._move, 1),
            "peek": self._peek,
            "mention_before": partial(self._mention, -1),
            "mention_after": partial(self._mention, 1),
            "thread": self._thread,
        }

    def find(self, name: str) -> None:
        """Go where `name` leads."""
        self._by_name[name]()

    @property
    def _conversation(self) -> Conversation:
        return self._seats.front.conversation

    def _peek(self) -> None:
        if channel := self._conversation.desk.current:
            catching_up.peek(self._conversation, channel)

    def _move(self, step: int) -> None:
        if info := self._conversation.desk.info:
            with self._conversation.telling():
                preferring.move(self._conversation, info, step)

    def _thread(self) -> None:
        """Go between the open thread and its channel; open that of the chosen message."""
        side, timeline = self._screen.query_one(ThreadSide), self._screen.query_one(Timeline)
        chosen = timeline.cursor
        if side.display:
            beyond = not side.has_focus_within
            self._screen.set_focus(side.composer if beyond else self._screen.query_one(Composer))
        elif chosen is not None and chosen.seq is not None:
            self._conversation.threads.show(chosen.channel, chosen.seq)
        else:
            self._conversation.view.say("No thread is open. With t on a message its thread opens.")

    def _mention(self, step: int) -> None:
        """Go to the nearest mention here, then to those that are loaded of other channels."""
        seq = self._screen.query_one(Timeline).mention(step)
        if seq is not None:
            self._conversation.view.choose(seq)
        else:
            self._seats.go_to_mention(step)
