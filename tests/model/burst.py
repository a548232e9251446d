"""Concurrent commands in one channel: the server decides the order.

The order is read from the answers, and the model executes the commands in that order.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

from hypothesis import strategies as st

from chat.errors import ErrorCode
from chat.protocol.commands import (
    BaseCommand,
    Command,
    Delete,
    Edit,
    History,
    Join,
    Pin,
    React,
    Send,
)
from chat.protocol.frames import ErrorFrame, Joined, Ok, Page, ServerFrame
from chat.protocol.items import Event
from tests.model.chat import Outgoing
from tests.model.log import Log
from tests.model.rules import perform
from tests.model.world import plain

if TYPE_CHECKING:
    from tests.model.scene import Scene

__all__ = ["CHANGES", "Burst", "Change"]

Change = tuple[int, type[BaseCommand], int]
"""A choice of a member, a command, and a choice of its target."""
CHANGES: st.SearchStrategy[Change] = st.tuples(
    st.integers(0, 5),
    st.sampled_from([Send] * 4 + [Edit, Delete, React, Pin]),
    st.integers(0, 40),
)
_OVERTAKEN = (
    *(ErrorCode.NO_SUCH_MESSAGE, ErrorCode.FORBIDDEN, ErrorCode.LIMIT_REACHED),
    *(ErrorCode.MUTED, ErrorCode.ARCHIVED),
)


class Burst:
    """One burst; `members` are sessions of members of the channel of `log`."""

    def __init__(self, scene: Scene, log: Log, members: Sequence[int]) -> None:
        self.scene = scene
        self.log = log
        self.members = members
        self.sent: list[tuple[int, BaseCommand]] = []

    async def run(
        self, changes: Sequence[Change], reader: int, at: int, *, begins_anew: bool
    ) -> None:
        """Send all commands, and that of a reader after `at` others; compare with the model."""
        scene, reader = self.scene, self._member(reader)
        drawn = [self._change(self._member(number), kind, seq) for number, kind, seq in changes]
        drawn.insert(at, (reader, self._reading(reader, begins_anew)))
        self.sent = [(number, scene.named(command)) for number, command in drawn]
        for number, command in self.sent:
            await scene.devices[number].online.post(cast("Command", command))
        await self._compare()

    def _member(self, number: int) -> int:
        return self.members[number % len(self.members)]

    def _change(self, number: int, kind: type[BaseCommand], seq: int) -> tuple[int, BaseCommand]:
        fields: dict[str, Any] = {"channel": self.log.name}
        if kind is not Send:
            fields["seq"] = 1 + seq % self.log.head
        if kind is React:
            fields["emoji"] = "+1"
        elif kind in (Send, Edit):
            fields["text"] = "at once"
        return number, kind(**fields)

    def _reading(self, number: int, begins_anew: bool) -> BaseCommand:
        view = self.scene.devices[number].views.get(self.log.name.lower())
        if begins_anew or view is None or not view.view.coverage.spans:
            return Join(channel=self.log.name, resume=view.view.resume if view else None)
        view.view.page_requested()
        return History(channel=self.log.name, before=view.view.coverage.spans[-1][0] + 1)

    async def _compare(self) -> None:
        devices = self.scene.devices
        answers: dict[str, ServerFrame] = {}
        for number in {number for number, _command in self.sent}:
            ids = {command.id or "" for sender, command in self.sent if sender == number}
            answers |= await devices[number].answers(ids)
        await self.scene.world.level()
        replayed = self._replayed(answers)
        for number in self.scene.online:
            found = await devices[number].settled()
            self._compare_answers(found, replayed.get(number, []))
            self._compare_events(found, replayed.get(number, []))
        for number, command in self.sent:
            view = devices[number].views.get(self.log.name.lower())
            page = answers[command.id or ""]
            if isinstance(command, History) and isinstance(page, Page) and view and command.before:
                view.view.apply_before(page, command.before)
                view.view.page_received()

    def _replayed(self, answers: dict[str, ServerFrame]) -> Outgoing:
        """Return the model's frames for the commands, executed in the order of the answers."""
        order = sorted(self.sent, key=lambda sent: _place(answers[sent[1].id or ""]))
        replayed: Outgoing = {}
        for number, command in order:
            answer = answers[command.id or ""]
            if isinstance(answer, ErrorFrame):
                assert answer.code in _OVERTAKEN
            elif isinstance(answer, Ok) and answer.seq is None:
                assert isinstance(command, React | Pin)
            else:
                for each, frames in perform(self.scene.chat, number, command).items():
                    replayed.setdefault(each, []).extend(frames)
        return replayed

    def _compare_answers(self, found: list[ServerFrame], replayed: list[ServerFrame]) -> None:
        """Check that each command gets one answer, as expected, and that `ok` follows its event."""
        mine, expected = _answers(found), _answers(replayed)
        overtaken = [frame for frame in mine.values() if _place(frame) == _LAST]
        assert len(mine) == len(expected) + len(overtaken)
        for command_id, frame in expected.items():
            assert plain(mine[command_id]) == plain(frame)
        events = [frame.mid for frame in found if isinstance(frame, Event)]
        before: list[str] = []
        for frame in found:
            if isinstance(frame, Event):
                before.append(frame.mid)
            elif isinstance(frame, Ok) and frame.mid in events:
                assert frame.mid in before, "`ok` arrived before its event"

    def _compare_events(self, found: list[ServerFrame], replayed: list[ServerFrame]) -> None:
        """Check the order of the events; a session that subscribes gets none before its answer."""
        before, after = _events(found)
        expected_before, expected_after = _events(replayed)
        assert after == expected_after
        assert before == expected_before[: len(before)]
        if not any(isinstance(frame, Joined) for frame in found):
            assert len(before) == len(expected_before)


_LAST = float("inf")


def _place(answer: ServerFrame) -> float:
    """Return the position among the events at which a command was executed."""
    if isinstance(answer, Joined | Page):
        return answer.head + 0.5
    return _LAST if not isinstance(answer, Ok) or answer.seq is None else answer.seq


def _answers(frames: list[ServerFrame]) -> dict[str | None, ServerFrame]:
    """Return the frames that are not events, by the id of the command that they answer."""
    return {getattr(frame, "id", None): frame for frame in frames if not isinstance(frame, Event)}


def _events(frames: list[ServerFrame]) -> tuple[list[Any], list[Any]]:
    """Return the events before a `joined`, and those after it."""
    joined = next((n for n, frame in enumerate(frames) if isinstance(frame, Joined)), len(frames))
    parts = frames[:joined], frames[joined:]
    before, after = ([plain(each) for each in part if isinstance(each, Event)] for part in parts)
    return before, after
