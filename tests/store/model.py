"""A simple model of the rules of logs and accounts, to which the store is compared.

`Model` predicts the result of each operation; `fold` computes the items of a log from its events.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from chat.errors import ErrorCode
from chat.protocol.items import Event, Item
from chat.store.accounts import (
    ADMIN,
    MEMBER,
    AccountOperation,
    AddBan,
    ChangeAccount,
    LiftBan,
    RevokeDevice,
    SignIn,
)
from chat.store.operations import (
    Append,
    ChannelOperation,
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

DONE = "nothing", None
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


@dataclass
class ModelAccount:
    """An account in the model."""

    devices: dict[int, bytes]
    role: str = MEMBER
    is_disabled: bool = False
    is_banned: bool = False
    revoked: set[int] = field(default_factory=set)


class Model:
    """All channels, cids and accounts.

    Args:
        accounts: the accounts at the beginning, by name.
        invitations: the uses that each invitation has left, by its code.
    """

    def __init__(self, accounts: dict[str, ModelAccount], invitations: dict[str, int]) -> None:
        self.logs: dict[str, Log] = {}
        self.cids: dict[tuple[str, str], tuple[str, str, int | None, int]] = {}
        self.accounts = accounts
        self.invitations = invitations
        self.acts: list[str] = []
        """The expected acts in the audit log."""

    def standing(self, user: User) -> ErrorCode | None:
        """Return why the session of `user` may do nothing, or None."""
        account = self.accounts[user.name]
        if account.is_banned:
            return ErrorCode.BANNED
        if account.is_disabled:
            return ErrorCode.DISABLED
        return ErrorCode.REVOKED if user.device in account.revoked else None

    def apply(self, operation: Operation[Any]) -> Prediction:
        if isinstance(operation, SignIn):
            return self._sign_in(operation)
        actor = None
        if isinstance(operation, ChannelOperation):
            actor = operation.user
        elif isinstance(operation, AccountOperation):
            actor = operation.actor
        if actor is not None and (refused := self.standing(actor)):
            return refused
        if isinstance(operation, AccountOperation):
            return self._administrate(operation)
        return self._apply(operation)

    def _sign_in(self, operation: SignIn) -> Prediction:
        account = self.accounts.get(operation.name)
        if account is not None:
            assert account.devices, "tokens of the model's sign-ins are right"
            return self.standing(User(0, operation.name)) or DONE
        assert operation.invitation is not None
        if not self.invitations[operation.invitation]:
            return ErrorCode.INVITATION_INVALID
        self.invitations[operation.invitation] -= 1
        self.accounts[operation.name] = ModelAccount({0: operation.claim_hash})
        self.acts += ["created", "invitation_used"]
        return DONE

    def _administrate(self, operation: AccountOperation[Any]) -> Prediction:
        actor = operation.actor
        if isinstance(operation, RevokeDevice):
            return self._revoke(operation)
        if actor is not None and self.accounts[actor.name].role != ADMIN:
            return ErrorCode.FORBIDDEN
        assert isinstance(operation, ChangeAccount | AddBan | LiftBan)
        assert operation.name is not None
        account = self.accounts[operation.name]
        if isinstance(operation, LiftBan):
            if not account.is_banned:
                return ErrorCode.NO_SUCH_BAN
            account.is_banned = False
            self.acts.append("unbanned")
            return DONE
        if isinstance(operation, ChangeAccount):
            return self._change(operation, account)
        if self._is_last_admin(operation.name):
            return ErrorCode.LAST_ADMIN
        if actor is not None and actor.name == operation.name:
            return ErrorCode.NEEDS_FORCE
        self.acts += [] if account.is_banned else ["banned"]
        account.is_banned = True
        return DONE

    def _revoke(self, operation: RevokeDevice) -> Prediction:
        account = self.accounts[operation.user]
        if operation.actor is not None and operation.actor.name != operation.user:
            return ErrorCode.FORBIDDEN
        if operation.device not in account.devices:
            return ErrorCode.NO_SUCH_DEVICE
        if operation.device not in account.revoked:
            account.revoked.add(operation.device)
            self.acts.append("device_revoked")
        return DONE

    def _change(self, operation: ChangeAccount, account: ModelAccount) -> Prediction:
        role, disabled = operation.role, operation.disabled
        is_demotion = role not in (None, ADMIN) and account.role == ADMIN
        if self._is_last_admin(operation.name) and (is_demotion or disabled):
            return ErrorCode.LAST_ADMIN
        if role is not None and role != account.role:
            account.role = role
            self.acts.append("role")
        if disabled is not None and disabled != account.is_disabled:
            account.is_disabled = disabled
            self.acts.append("disabled" if disabled else "enabled")
        return DONE

    def _is_last_admin(self, name: str) -> bool:
        active = [
            each
            for each, account in self.accounts.items()
            if account.role == ADMIN and not account.is_disabled and not account.is_banned
        ]
        return active == [name]

    def _apply(self, operation: Operation[Any]) -> Prediction:
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
