"""A simple model of the rules of a log, to which the store is compared.

`Model` predicts the result of each operation; `fold` computes the items of a log from its events.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from chat.errors import ErrorCode
from chat.protocol.items import Event, Item
from chat.store.operations import (
    Append,
    EditMessage,
    JoinChannel,
    LeaveChannel,
    MarkRead,
    Operation,
    PinMessage,
    Prefer,
    Preference,
    ReactToMessage,
    SendMessage,
    SetTopic,
    User,
)
from chat.text import mentioned_names

Prediction = ErrorCode | tuple[str, int | None]
"""A refusal, or (`new`, `repeated`, `nothing`) and the seq of the event."""


@dataclass
class Sketch:
    """An event in the model."""

    kind: str
    author: str
    target: int | None = None
    is_erased: bool = False
    is_pinned: bool = False


@dataclass
class Log:
    """A channel in the model."""

    events: list[Sketch] = field(default_factory=list)
    roles: dict[str, str] = field(default_factory=dict)
    markers: dict[str, int] = field(default_factory=dict)
    preferences: dict[str, Preference] = field(default_factory=dict)
    reactions: set[tuple[int, str, str]] = field(default_factory=set)

    def add(self, kind: str, author: User, target: int | None = None) -> Prediction:
        self.events.append(Sketch(kind, author.name, target))
        return "new", len(self.events)

    def message(self, seq: int | None) -> Sketch | None:
        if seq is None or not 0 < seq <= len(self.events):
            return None
        found = self.events[seq - 1]
        return found if found.kind == "message" and not found.is_erased else None


class Model:
    """All channels and cids."""

    def __init__(self) -> None:
        self.logs: dict[str, Log] = {}
        self.cids: dict[tuple[str, str], tuple[str, str, int | None, int]] = {}

    def apply(self, operation: Operation[Any]) -> Prediction:
        if isinstance(operation, Append):
            return self._append(operation)
        assert isinstance(operation, JoinChannel | LeaveChannel | MarkRead | Prefer)
        name = operation.user.name
        if isinstance(operation, JoinChannel):
            return self._join(operation)
        log = self.logs.get(operation.channel)
        if log is None:
            return ErrorCode.NO_SUCH_CHANNEL
        if name not in log.roles:
            return ErrorCode.NOT_A_MEMBER
        if isinstance(operation, LeaveChannel):
            del log.roles[name]
            return log.add("leave", operation.user)
        if isinstance(operation, Prefer):
            before = log.preferences[name]
            log.preferences[name] = Preference(
                before.pinned if operation.pinned is None else operation.pinned,
                before.muted if operation.muted is None else operation.muted,
                before.level if operation.level is None else operation.level,
            )
            return "nothing", None
        if operation.seq > len(log.events):
            return ErrorCode.INVALID
        log.markers[name] = max(log.markers[name], operation.seq)
        return "nothing", log.markers[name]

    def _join(self, operation: JoinChannel) -> Prediction:
        is_new = operation.channel not in self.logs
        log = self.logs.setdefault(operation.channel, Log())
        name = operation.user.name
        if name in log.roles:
            return "nothing", None
        log.roles[name] = "owner" if is_new else "member"
        done = log.add("join", operation.user)
        log.markers[name] = len(log.events)
        log.preferences[name] = Preference(0, False, "mentions")
        return done

    def _append(self, operation: Append) -> Prediction:
        key = (operation.user.name, operation.cid or "")
        if operation.cid is not None and key in self.cids:
            *meaning, seq = self.cids[key]
            same = meaning == [operation.channel, operation.kind, operation.target]
            return ("repeated", seq) if same else ErrorCode.CID_REUSED
        log = self.logs.get(operation.channel)
        if log is None:
            return ErrorCode.NO_SUCH_CHANNEL
        if operation.user.name not in log.roles:
            return ErrorCode.NOT_A_MEMBER
        done = self._carry_out(log, operation)
        if isinstance(done, tuple) and done[0] == "new" and operation.cid is not None:
            assert done[1] is not None
            meaning_of = (operation.channel, operation.kind, operation.target)
            self.cids[key] = (*meaning_of, done[1])
        return done

    def _carry_out(self, log: Log, operation: Append) -> Prediction:
        user, target = operation.user, operation.target
        if isinstance(operation, SendMessage):
            reply_to = operation.reply_to
            if reply_to is not None and (
                reply_to > len(log.events) or log.events[reply_to - 1].kind != "message"
            ):
                return ErrorCode.NO_SUCH_MESSAGE
            return log.add("message", user)
        if isinstance(operation, SetTopic):
            return log.add("topic", user)
        message = log.message(target)
        if message is None or target is None:
            return ErrorCode.NO_SUCH_MESSAGE
        if isinstance(operation, ReactToMessage):
            return self._react(log, operation)
        if isinstance(operation, PinMessage):
            if operation.remove != message.is_pinned:
                return "nothing", None
            message.is_pinned = not operation.remove
            return log.add("pin", user, target)
        is_mine = message.author == user.name
        is_edit = isinstance(operation, EditMessage)
        if not is_mine and (is_edit or log.roles[user.name] != "owner"):
            return ErrorCode.FORBIDDEN
        if not is_edit:
            message.is_erased = True
        return log.add(operation.kind, user, target)

    def _react(self, log: Log, operation: ReactToMessage) -> Prediction:
        reaction = (operation.seq, operation.user.name, operation.emoji)
        if operation.remove == (reaction not in log.reactions):
            return "nothing", None
        log.reactions ^= {reaction}
        return log.add("react", operation.user, operation.seq)


def fold(events: list[Event]) -> list[Item]:
    """Return the items of a log after `events`, as a client computes them."""
    items: list[dict[str, Any]] = []
    for event in events:
        fields = event.model_dump(exclude={"type", "channel"})
        items.append(
            {**fields, "rev": event.seq, "edited": False, "pinned": False, "reactions": {}}
        )
        if event.kind in _FOLDS:
            assert event.target is not None
            target = items[event.target - 1]
            about = [item for item in items[:-1] if item["target"] == event.target]
            target["rev"] = event.seq
            _FOLDS[event.kind](event, target, about)
    for item in items:
        item["reactions"] = {emoji: tuple(names) for emoji, names in item["reactions"].items()}
    return [Item(**item) for item in items]


def _fold_edit(event: Event, target: dict[str, Any], about: list[dict[str, Any]]) -> None:
    target.update(text=event.text, mentions=event.mentions, edited=True)
    for item in about:
        if item["kind"] == "edit":
            item.update(text=None, mentions=(), erased=True)


def _fold_delete(_event: Event, target: dict[str, Any], about: list[dict[str, Any]]) -> None:
    target.update(text=None, mentions=(), reactions={}, pinned=False, erased=True)
    for item in about:
        if item["kind"] != "pin":
            item.update(text=None, mentions=(), emoji=None, erased=True)


def _fold_react(event: Event, target: dict[str, Any], _about: list[dict[str, Any]]) -> None:
    names = target["reactions"].setdefault(event.emoji, [])
    if event.remove:
        names.remove(event.author)
    else:
        names.append(event.author)
    if not names:
        del target["reactions"][event.emoji]


def _fold_pin(event: Event, target: dict[str, Any], _about: list[dict[str, Any]]) -> None:
    target["pinned"] = not event.remove


_FOLDS = {"edit": _fold_edit, "delete": _fold_delete, "react": _fold_react, "pin": _fold_pin}


def unread(items: list[Item], user: User, marker: int) -> tuple[int, int]:
    """Return the numbers of messages and mentions above a marker."""
    above = [
        item
        for item in items
        if item.seq > marker
        and item.kind == "message"
        and item.author != user.name
        and not item.erased
    ]
    return len(above), sum(user.name in item.mentions for item in above)


def mentioned(text: str, members: list[str]) -> tuple[str, ...]:
    """Return the members mentioned in a text."""
    by_key = {name.lower(): name for name in members}
    return tuple(by_key[name] for name in mentioned_names(text) if name in by_key)
