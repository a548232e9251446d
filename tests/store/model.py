"""A simple model of the rules of logs and accounts, to which the store is compared.

`Model` predicts the result of each operation; `fold` computes the items of a log from its events.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from chat.errors import ErrorCode
from chat.protocol.items import Event, Item
from chat.rights import (
    ARCHIVED,
    DEFAULT,
    MEMBER,
    MODERATOR,
    OWNER,
    ChannelSettings,
    Right,
    outranks,
    rights_of,
    standing_of,
)
from chat.store.accounts import (
    ADMIN,
    AccountOperation,
    AddBan,
    ChangeAccount,
    LiftBan,
    RevokeDevice,
    SignIn,
)
from chat.store.channels import (
    BanFromChannel,
    ChangeSettings,
    CreateChannel,
    DeclineInvitation,
    DeleteChannel,
    FollowThread,
    IgnoreUser,
    InviteToChannel,
    Kick,
    LiftChannelBan,
    MarkThread,
    Moderate,
    MuteMember,
    SetChannelRole,
    UnmuteMember,
    WithdrawInvitation,
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
from chat.store.read.unread import NEWEST_MAX
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
    reply_to: int | None = None
    thread: int | None = None
    user: str | None = None
    role: str | None = None
    by: str | None = None
    remove: bool = False
    is_erased: bool = False
    is_pinned: bool = False


@dataclass
class Log:
    """A channel in the model."""

    id: int
    settings: ChannelSettings = DEFAULT
    events: list[Sketch] = field(default_factory=list)
    roles: dict[str, str] = field(default_factory=dict)
    """Roles by member, in the order in which they joined."""
    mutes: dict[str, str] = field(default_factory=dict)
    """Reasons by user."""
    bans: dict[str, str] = field(default_factory=dict)
    invitations: dict[str, tuple[str, bool]] = field(default_factory=dict)
    """The inviter, and whether the invitation is silent, by user."""
    markers: dict[str, int] = field(default_factory=dict)
    joined: dict[str, int] = field(default_factory=dict)
    """The seq of the join of each member."""
    followers: dict[tuple[str, int], tuple[int, bool]] = field(default_factory=dict)
    """The read marker, and whether the user follows the thread, by user and root."""
    preferences: dict[str, Preference] = field(default_factory=dict)
    reactions: set[tuple[int, str, str]] = field(default_factory=set)

    def add(self, kind: str, author: str, target: int | None = None, **details: Any) -> Prediction:
        self.events.append(Sketch(kind, author, target, **details))
        return "new", len(self.events)

    def root(self, seq: int) -> int | None:
        """Return the root of the thread of a message, which may be deleted."""
        if not 0 < seq <= len(self.events) or self.events[seq - 1].kind != "message":
            return None
        return self.events[seq - 1].thread or seq

    def mentioned(self, text: str, author: str, reply_to: int | None) -> tuple[str, ...]:
        """Return the members whom a text mentions, and the author that it answers."""
        named = mentioned(text, [*self.roles])
        parent = self.events[reply_to - 1].author if reply_to is not None else author
        return named if parent == author or parent not in self.roles else (*named, parent)

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
        """The existing channels by name."""
        self.every: list[tuple[str, Log]] = []
        """All channels with their names, including deleted ones, in the order of creation."""
        self.ignores: set[tuple[str, str]] = set()
        """Pairs of a user and somebody whom they ignore."""
        self.uninvited: list[tuple[str, str]] = []
        """Invitations that ended: user and channel."""
        self.cids: dict[tuple[str, str], tuple[int, str, int | None, int]] = {}
        self._jobs: list[str] = []
        """Users who were stopped while they owned channels."""
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
        if isinstance(operation, ChannelOperation | IgnoreUser):
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
        if not account.is_banned:
            account.is_banned = True
            self.acts.append("banned")
            self._stopped(operation.name)
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
            if disabled:
                self._stopped(operation.name)
        return DONE

    def _is_last_admin(self, name: str) -> bool:
        active = [
            each
            for each, account in self.accounts.items()
            if account.role == ADMIN and not account.is_disabled and not account.is_banned
        ]
        return active == [name]

    # Ownership

    def _stopped(self, name: str) -> None:
        if any(log.roles.get(name) == OWNER for log in self.logs.values()):
            self._jobs.append(name)

    def run_jobs(self) -> None:
        """Pass on what users own who were stopped, as the server does after each commit."""
        jobs, self._jobs = self._jobs, []
        for name in jobs:
            for _channel, log in self.every:
                if log.roles.get(name) == OWNER and self._is_stopped(name):
                    self._pass_on(log, name, to_stopped=False)

    def _is_stopped(self, name: str) -> bool:
        return self.accounts[name].is_disabled or self.accounts[name].is_banned

    def _pass_on(self, log: Log, former: str, *, to_stopped: bool = True) -> None:
        others = [name for name in log.roles if name != former]
        others.sort(key=lambda name: (self._is_stopped(name), log.roles[name] != MODERATOR))
        if not others or (self._is_stopped(others[0]) and not to_stopped):
            return
        if former in log.roles:
            log.roles[former] = MODERATOR
        log.roles[others[0]] = OWNER
        log.add("role", others[0], user=others[0], role=OWNER)

    # Channels

    def _apply(self, operation: Operation[Any]) -> Prediction:
        if isinstance(operation, IgnoreUser):
            return self._ignore(operation)
        assert isinstance(operation, ChannelOperation)
        name = operation.user.name
        if isinstance(operation, JoinChannel):
            return self._join(name, operation.channel)
        if isinstance(operation, CreateChannel):
            return self._create(name, operation.channel, is_private=operation.private)
        if isinstance(operation, Append):
            return self._append(operation)
        log = self.logs.get(operation.channel)
        if isinstance(operation, DeclineInvitation):
            if log is not None and log.invitations.get(name, ("", True))[1] is False:
                self._uninvite(log, operation.channel, name)
            return DONE
        if refused := self._entered(log, name):
            return refused
        assert log is not None
        if isinstance(operation, LeaveChannel):
            self._end(log, operation.channel, name)
            return DONE
        if isinstance(operation, MarkRead | Prefer | MarkThread | FollowThread):
            return self._set(log, operation)
        return self._govern(log, operation)

    def _entered(self, log: Log | None, name: str) -> ErrorCode | None:
        if log is None or (name not in log.roles and log.settings.private):
            return ErrorCode.NO_SUCH_CHANNEL
        return None if name in log.roles else ErrorCode.NOT_A_MEMBER

    def _lacks(self, log: Log, name: str, right: Right) -> ErrorCode | None:
        """Return why a member does not have a right."""
        standing = standing_of(log.roles[name], is_muted=name in log.mutes)
        if right in rights_of(standing, log.settings):
            return None
        if log.settings.archived and right not in ARCHIVED:
            return ErrorCode.ARCHIVED
        return ErrorCode.MUTED if standing == "muted" else ErrorCode.FORBIDDEN

    def _ignore(self, operation: IgnoreUser) -> Prediction:
        name, pair = operation.user.name, (operation.user.name, operation.name)
        if name == operation.name:
            return ErrorCode.FORBIDDEN
        changed = (pair in self.ignores) == operation.remove
        self.ignores ^= {pair} if changed else set()
        return ("changed" if changed else "nothing"), None

    def _set(
        self, log: Log, operation: MarkRead | Prefer | MarkThread | FollowThread
    ) -> Prediction:
        name = operation.user.name
        if isinstance(operation, MarkThread | FollowThread):
            return self._set_thread(log, operation)
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

    def _set_thread(self, log: Log, operation: MarkThread | FollowThread) -> Prediction:
        root, name = log.root(operation.thread), operation.user.name
        if isinstance(operation, MarkThread) and operation.seq > len(log.events):
            return ErrorCode.INVALID
        if root is None:
            return ErrorCode.NO_SUCH_MESSAGE
        marker, following = log.followers.get((name, root), (0, False))
        if isinstance(operation, MarkThread):
            moved = following and marker < operation.seq
            marker = max(marker, operation.seq)
        else:
            moved = following == operation.remove
            marker, following = len(log.events), not operation.remove
        if moved or (isinstance(operation, FollowThread) and (name, root) not in log.followers):
            log.followers[name, root] = marker, following
        return ("following" if following else "not following"), int(moved)

    def _join(self, name: str, channel: str) -> Prediction:
        log = self.logs.get(channel)
        if log is not None and name in log.roles:
            return DONE
        is_invited = log is not None and log.invitations.get(name, ("", True))[1] is False
        if log is None or (log.settings.private and (name in log.bans or not is_invited)):
            return self._create(name, channel)
        if name in log.bans:
            return ErrorCode.BANNED
        self._enter(log, name, MEMBER if log.roles else OWNER)
        self._uninvite(log, channel, name)
        return DONE

    def _create(self, name: str, channel: str, *, is_private: bool = False) -> Prediction:
        if channel in self.logs:
            return ErrorCode.NAME_UNAVAILABLE
        log = Log(len(self.every), DEFAULT._replace(private=is_private))
        self.logs[channel] = log
        self.every.append((channel, log))
        self._enter(log, name, OWNER)
        return DONE

    def _enter(self, log: Log, name: str, role: str) -> None:
        log.roles[name] = role
        log.add("join", name)
        log.markers[name] = log.joined[name] = len(log.events)
        log.preferences[name] = Preference(0, False, "mentions")

    def _uninvite(self, log: Log, channel: str, name: str) -> None:
        _by, is_silent = log.invitations.pop(name, ("", True))
        if not is_silent:
            self.uninvited.append((name, channel))

    def _end(self, log: Log, channel: str, name: str, by: str | None = None) -> Prediction:
        """End a membership; return the prediction for the `leave` event."""
        was_owner = log.roles.pop(name) == OWNER
        done = log.add("leave", name, by=by)
        if was_owner:
            self._pass_on(log, name)
        if log.settings.private and not log.roles:
            self._delete(log, channel, name)
        return done

    def _delete(self, log: Log, channel: str, by: str) -> None:
        log.add("deleted", by)
        for name in sorted(log.invitations, key=list(self.accounts).index):
            self._uninvite(log, channel, name)
        log.roles.clear()
        del self.logs[channel]

    # Moderation

    def _govern(self, log: Log, operation: Operation[Any]) -> Prediction:
        if isinstance(operation, ChangeSettings):
            return self._change_settings(log, operation)
        if isinstance(operation, DeleteChannel):
            refused = self._lacks(log, operation.user.name, "settings")
            if refused is None:
                self._delete(log, operation.channel, operation.user.name)
            return refused or DONE
        if isinstance(operation, InviteToChannel | WithdrawInvitation):
            return self._change_invitation(log, operation)
        assert isinstance(operation, Moderate)
        user, name = operation.user.name, operation.name
        right: Right = "roles" if isinstance(operation, SetChannelRole) else "moderate"
        if refused := self._lacks(log, user, right):
            return refused
        if user == name or not outranks(log.roles[user], log.roles.get(name)):
            return ErrorCode.FORBIDDEN
        return self._moderate(log, operation)

    def _change_settings(self, log: Log, operation: ChangeSettings) -> Prediction:
        if refused := self._lacks(log, operation.user.name, "settings"):
            return refused
        after = operation.applied_to(log.settings)
        if log.settings.private and not after.private:
            return ErrorCode.FORBIDDEN
        if after == log.settings:
            return "nothing", None
        log.settings = after
        return log.add("settings", operation.user.name)

    def _change_invitation(
        self, log: Log, operation: InviteToChannel | WithdrawInvitation
    ) -> Prediction:
        user, name = operation.user.name, operation.name
        if refused := self._lacks(log, user, "invite"):
            return refused
        by, was_silent = log.invitations.get(name, (None, True))
        if isinstance(operation, WithdrawInvitation):
            if by == user or (by is not None and self._lacks(log, user, "moderate") is None):
                self._uninvite(log, operation.channel, name)
            return DONE
        is_silent = (name, user) in self.ignores or name in log.bans
        if name in log.roles or (by is not None and (is_silent or not was_silent)):
            return "nothing", None
        log.invitations[name] = user, is_silent
        return ("nothing" if is_silent else "reached"), None

    def _moderate(self, log: Log, operation: Moderate) -> Prediction:
        user, name = operation.user.name, operation.name
        is_member, nothing = name in log.roles, ("nothing", None)
        match operation:
            case Kick():
                return self._end(log, operation.channel, name, user) if is_member else nothing
            case BanFromChannel(reason=reason):
                if log.bans.get(name) == reason:
                    return nothing
                log.bans[name] = reason
                self._uninvite(log, operation.channel, name)
                if is_member:
                    return self._end(log, operation.channel, name, user)
                return log.add("ban", user, user=name)
            case LiftChannelBan():
                if log.bans.pop(name, None) is None:
                    return nothing
                return log.add("ban", user, user=name, remove=True)
            case UnmuteMember():
                if log.mutes.pop(name, None) is None:
                    return nothing
                return log.add("mute", user, user=name, remove=True)
        return self._change_member(log, operation) if is_member else ErrorCode.NO_SUCH_USER

    def _change_member(self, log: Log, operation: Moderate) -> Prediction:
        user, name = operation.user.name, operation.name
        if isinstance(operation, MuteMember):
            if log.mutes.get(name) == operation.reason:
                return "nothing", None
            log.mutes[name] = operation.reason
            return log.add("mute", user, user=name)
        assert isinstance(operation, SetChannelRole)
        if operation.role == log.roles[name]:
            return "nothing", None
        if operation.role == OWNER:
            if self._is_stopped(name):
                return ErrorCode.FORBIDDEN
            log.roles[user] = MODERATOR
        log.roles[name] = operation.role
        return log.add("role", user, user=name, role=operation.role)

    # Messages

    def expire(self, event: Event) -> None:
        """Apply an `expire` event, whose place follows from the clock."""
        log = self.logs[event.channel]
        assert event.up_to is not None
        log.reactions = {each for each in log.reactions if each[0] > event.up_to}
        for old in log.events[: event.up_to]:
            old.is_erased, old.is_pinned = True, False
        log.add("expire", event.author)

    def _append(self, operation: Append) -> Prediction:
        log, user = self.logs.get(operation.channel), operation.user.name
        refused = self._entered(log, user)
        key = (user, operation.cid or "")
        if operation.cid is not None and key in self.cids:
            *meaning, seq = self.cids[key]
            same = log is not None and meaning == [log.id, operation.kind, operation.target]
            is_hidden = refused is ErrorCode.NO_SUCH_CHANNEL
            return ("repeated", seq) if same and not is_hidden else ErrorCode.CID_REUSED
        if refused:
            return refused
        assert log is not None
        done = self._carry_out(log, operation)
        if isinstance(done, tuple) and done[0] == "new" and operation.cid is not None:
            assert done[1] is not None
            meaning_of = (log.id, operation.kind, operation.target)
            self.cids[key] = (*meaning_of, done[1])
        return done

    def _carry_out(self, log: Log, operation: Append) -> Prediction:
        user, target = operation.user.name, operation.target
        if refused := self._lacks(log, user, _RIGHTS[operation.kind]):
            return refused
        if isinstance(operation, SendMessage):
            reply_to = operation.reply_to
            if reply_to is not None and (
                reply_to > len(log.events) or log.events[reply_to - 1].kind != "message"
            ):
                return ErrorCode.NO_SUCH_MESSAGE
            if operation.thread_only and reply_to is None:
                return ErrorCode.INVALID
            return self._send(log, user, operation)
        if isinstance(operation, SetTopic):
            return log.add("topic", user)
        message = log.message(target)
        if message is None:
            return ErrorCode.NO_SUCH_MESSAGE
        if isinstance(operation, ReactToMessage):
            return self._react(log, operation)
        return self._change_message(log, message, operation)

    def _send(self, log: Log, user: str, operation: SendMessage) -> Prediction:
        reply_to, root = operation.reply_to, None
        named = log.mentioned(operation.text, user, reply_to)
        if reply_to is not None:
            root = log.root(reply_to)
        done = log.add("message", user, reply_to=reply_to, thread=root)
        if root is not None:
            marker, _following = log.followers.get((user, root), (len(log.events), True))
            log.followers[user, root] = marker, True
            self._follow(log, root, len(log.events), (log.events[root - 1].author, *named))
        return done

    def _follow(self, log: Log, root: int, seq: int, people: Collection[str]) -> None:
        for name in people:
            log.followers.setdefault((name, root), (seq - 1, True))

    def _change_message(self, log: Log, message: Sketch, operation: Append) -> Prediction:
        user, target = operation.user.name, operation.target
        if isinstance(operation, PinMessage):
            if operation.remove != message.is_pinned:
                return "nothing", None
            message.is_pinned = not operation.remove
            return log.add("pin", user, target, remove=operation.remove)
        is_edit = isinstance(operation, EditMessage)
        if message.author != user:
            if is_edit:
                return ErrorCode.FORBIDDEN
            if refused := self._lacks(log, user, "moderate"):
                return refused
            if not outranks(log.roles[user], log.roles.get(message.author)):
                return ErrorCode.FORBIDDEN
        if isinstance(operation, EditMessage) and message.thread is not None:
            named = log.mentioned(operation.text, user, message.reply_to)
            self._follow(log, message.thread, operation.seq, named)
        if not is_edit:
            message.is_erased = True
        return log.add(operation.kind, user, target)

    def _react(self, log: Log, operation: ReactToMessage) -> Prediction:
        reaction = (operation.seq, operation.user.name, operation.emoji)
        if operation.remove == (reaction not in log.reactions):
            return "nothing", None
        log.reactions ^= {reaction}
        return log.add("react", operation.user.name, operation.seq, remove=operation.remove)


_RIGHTS: dict[str, Right] = {
    "message": "send",
    "edit": "send",
    "react": "send",
    "delete": "leave",
    "pin": "pin",
    "topic": "topic",
}


def fold(events: list[Event]) -> list[Item]:
    """Return the items of a log after `events`, as a client computes them."""
    items: list[dict[str, Any]] = []
    for event in events:
        fields = event.model_dump(exclude={"type", "channel"})
        items.append(
            {**fields, "rev": event.seq, "edited": False, "pinned": False, "reactions": {}}
        )
        if event.kind == "expire":
            _fold_expire(event, items)
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


def _fold_expire(event: Event, items: list[dict[str, Any]]) -> None:
    for item in items[: event.up_to]:
        if item["kind"] == "message" and not item.get("erased"):
            about = [each for each in items if each.get("target") == item["seq"]]
            _fold_delete(event, item, about)
        elif item["kind"] == "topic":
            item.update(topic=None, erased=True)
        item.update(reason=None)


_FOLDS = {"edit": _fold_edit, "delete": _fold_delete, "react": _fold_react, "pin": _fold_pin}


def unread(items: list[Item], user: User, marker: int, ignored: Collection[str]) -> tuple[int, int]:
    """Return the numbers of messages and mentions above a marker."""
    above = [
        item
        for item in items
        if item.seq > marker
        and item.kind == "message"
        and item.author not in (user.name, *ignored)
        and not item.erased
        and not item.thread_only
    ]
    return len(above), sum(user.name in item.mentions for item in above)


def listed_threads(
    items: list[Item], user: User, log: Log, ignored: Collection[str]
) -> list[tuple[int, int, int, int]]:
    """Return root, marker, unread replies and mentions of the listed followed threads."""
    found = []
    for (name, root), (marker, following) in log.followers.items():
        above = [
            item
            for item in items
            if item.thread == root
            and item.thread_only
            and item.seq > max(marker, log.joined[user.name])
            and item.author not in (user.name, *ignored)
            and not item.erased
        ]
        if name == user.name and following:
            mentions = sum(user.name in item.mentions for item in above)
            found.append((root, marker, len(above), mentions))
    newest = sorted(found, reverse=True)
    unread = [each for each in newest if each[2]]
    return unread + [each for each in newest[:NEWEST_MAX] if each not in unread]


def mentioned(text: str, members: list[str]) -> tuple[str, ...]:
    """Return the members mentioned in a text."""
    by_key = {name.lower(): name for name in members}
    return tuple(by_key[name] for name in mentioned_names(text) if name in by_key)
