"""A plain model of the server: its state, and the frames that each session gets.

It follows the design, not the server's code; `rules` has the effect of each command. Ids, clocks
and epochs, which only the server can know, are `UNKNOWN` or 0 in frames. Presence and typing are
compared later, as a whole: see `Chat.presence_of` and `Log.typing`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from chat.errors import ErrorCode
from chat.protocol import FEATURES, PROTOCOL_VERSION, commands
from chat.protocol.commands import ResumeFrom
from chat.protocol.frames import (
    Account as AccountFrame,
)
from chat.protocol.frames import (
    AccountInfo,
    ChannelInvitation,
    Device,
    ErrorFrame,
    Invited,
    Joined,
    Member,
    Membership,
    Mute,
    Ok,
    Removed,
    ServerFrame,
    ServerInfo,
    ThreadState,
    Welcome,
)
from chat.protocol.values import ChannelSettings, Limits
from chat.store.read.unread import NEWEST_MAX
from chat.store.write.messages.erasure import TEXTS
from chat.store.write.messages.expiry import LINES
from tests.model.accounts import Account, Accounts, Proof, Refused
from tests.model.log import UNKNOWN, Entry, Log
from tests.model.log import Mute as MuteOf
from tests.model.table import RIGHTS, may

__all__ = ["Chat", "Outgoing", "Present", "Refused", "key_of", "refusal"]

Outgoing = dict[int, list[ServerFrame]]
"""The expected frames of each session, by the session's number."""
GENERAL = "#general"
RANKED = ("busy", "online", "away")


@dataclass
class Present:
    """A signed-in session."""

    user: str
    status: str = "online"
    following: set[str] = field(default_factory=set)
    """Keys of the channels whose events it gets."""
    entered: set[str] = field(default_factory=set)
    """Keys of the channels that are in its list."""
    hears_echo: bool = False
    device: str = ""
    """The token that it signed in with; see `Proof`."""


class Chat:
    """The server's state.

    Args:
        limits: the limits in force.
        window: maximum number of missed events for which a position is continued.
    """

    def __init__(self, limits: Limits, window: int) -> None:
        self.limits = limits
        self.window = window
        self.users: dict[str, str] = {}
        self.logs: dict[str, Log] = {"#general": Log("#general")}
        self.sent: dict[tuple[str, str], tuple[Log, str, int | None, int]] = {}
        self.sessions: dict[int, Present] = {}
        self.outgoing: Outgoing = {}
        """The expected frames of the current command."""
        self.accounts = Accounts()
        self.ended: dict[int, ErrorCode] = {}
        """Sessions that the command ends, and the reason."""
        self.device_tokens: dict[int, str] = {}
        """The token of each device whose number the server has sent, by that number."""
        self.ignored: dict[str, set[str]] = defaultdict(set)
        """The users whom each user ignores."""
        self.invitations = 0
        """Number of invitations to channels so far."""
        self.invitation_numbers: dict[int, int] = {}
        """The index of each invitation in `accounts.invitations`, by the server's number."""

    # Sessions

    def hello(
        self,
        number: int,
        name: str,
        positions: Mapping[str, ResumeFrom],
        *,
        is_known: bool,
        proof: Proof,
    ) -> Outgoing:
        """Sign in; `is_known` is whether the client already has a token of that name."""
        self.outgoing = defaultdict(list)
        is_new, entries = name.lower() not in self.users, len(self.accounts.audit)
        try:
            invitation = self.accounts.sign_in(name, proof)
        except Refused as refused:
            self.outgoing[number].append(refusal(refused.code, None))
            return self.outgoing
        if is_new:
            self.users[name.lower()] = name
            channels = {"#general", *(invitation.channels if invitation else ())}
            for key in sorted(map(key_of, channels)):
                log = self.logs[key]
                is_owned = bool(log.roles) or log.name == GENERAL
                self.enter(log, name, "member" if is_owned else "owner")
        user = self.users[name.lower()]
        account = self.accounts.find(user)
        if not is_new and len(self.accounts.audit) > entries:
            self.notify(account, Device(id=0, label="", created=0))
        self.sessions[number] = Present(user, device=proof.device)
        mine = sorted(
            (key, log)
            for key, log in self.logs.items()
            if user in log.roles and user not in log.hidden
        )
        self.sessions[number].entered = {key for key, _log in mine}
        welcome = Welcome(
            v=PROTOCOL_VERSION,
            user=user,
            token=UNKNOWN if is_new and not is_known else None,
            session=UNKNOWN,
            server=ServerInfo(id=UNKNOWN, name="chat", version=UNKNOWN),
            limits=self.limits,
            heartbeat=0,
            channels=tuple(
                Membership(
                    channel=log.name,
                    epoch=UNKNOWN,
                    head=log.head,
                    role=self.role_of(log, user),
                    topic=log.topic,
                    **self.seat_of(log, user),
                )
                for _key, log in mine
            ),
            features=FEATURES,
            role=account.role,
            invited=tuple(
                self.invitation_to(log, user)
                for log in sorted(self.logs.values(), key=lambda log: -log.invited_at.get(user, 0))
                if not log.invited.get(user, ("", True))[1]
            ),
            ignored=self.names_ignored_by(user),
        )
        self.outgoing[number].append(welcome)
        for channel, position in positions.items():
            found = self.logs.get(key_of(channel))
            if found is not None and user in found.hidden:
                continue
            if found is not None and user in found.roles:
                self.follow(number, found, position)
            else:
                if found is not None and (removed := _removal(found, user, channel, position)):
                    self.outgoing[number].append(removed)
                is_hidden = found is None or found.is_private
                code = ErrorCode.NO_SUCH_CHANNEL if is_hidden else ErrorCode.NOT_A_MEMBER
                self.outgoing[number].append(refusal(code, None))
        return self.outgoing

    def gone(self, number: int) -> None:
        """Record that a session ended."""
        user = self.sessions.pop(number).user
        if not self.sessions_of(user):
            for log in self.logs.values():
                self.stop_typing(log, user)

    def restarted(self) -> None:
        """Record a restart: the server lost everything except its logs."""
        for number in list(self.sessions):
            self.gone(number)

    def sessions_of(self, user: str) -> list[int]:
        """Return the sessions of a user."""
        return [number for number, present in self.sessions.items() if present.user == user]

    def presence_of(self, user: str) -> str:
        """Return a user's presence: busy if any session is, away if all are."""
        said = {self.sessions[number].status for number in self.sessions_of(user)}
        return next((status for status in RANKED if status in said), "offline")

    # Administration

    def account_info(self, account: Account) -> AccountInfo:
        """Return an account as it is in frames."""
        return AccountInfo(
            name=account.name,
            role=account.role,
            created=0,
            disabled=account.is_disabled,
            banned=account.ban is not None,
        )

    def notify(self, account: Account, device: Device | None = None) -> None:
        """Send a change to all sessions of a user."""
        frame = AccountFrame(account=self.account_info(account), device=device)
        for number in self.sessions_of(account.name):
            self.outgoing[number].append(frame)

    def end(self, user: str, code: ErrorCode, device: str | None = None) -> None:
        """End the sessions of a user, or of one device."""
        for number in self.sessions_of(user):
            if device in (None, self.sessions[number].device):
                self.outgoing[number].append(refusal(code, None))
                self.ended[number] = code

    # Building blocks of the rules

    def seat(self, number: int, channel: str, right: str = "read") -> tuple[str, Log]:
        """Return the user, who must have a right, and the channel of a command."""
        user = self.sessions[number].user
        log = self.logs.get(key_of(channel))
        is_outside = log is None or user not in log.roles
        if log is None or (is_outside and (log.is_direct or log.is_private)):
            raise Refused(ErrorCode.NO_SUCH_CHANNEL)
        if is_outside:
            raise Refused(ErrorCode.NOT_A_MEMBER)
        self.check_may(log, user, right)
        return user, log

    def role_of(self, log: Log, user: str) -> str:
        """Return a member's role; `#general` belongs to the admins of the server."""
        if log.name != GENERAL:
            return log.roles[user]
        is_admin = self.accounts.find(user).role == "admin"
        return "owner" if is_admin else log.roles[user]

    def mute_of(self, log: Log, user: str) -> MuteOf | None:
        """Return the mute of a member that is in force."""
        return None if self.role_of(log, user) == "owner" else log.mutes.get(user)

    def may(self, log: Log, user: str, right: str) -> bool:
        """Whether a member has a right."""
        is_muted = self.mute_of(log, user) is not None
        role = self.role_of(log, user)
        return may(right, role, log.settings, is_muted=is_muted, is_direct=log.is_direct)

    def check_may(self, log: Log, user: str, right: str) -> None:
        """Raise `Refused` unless a member has a right."""
        if self.may(log, user, right):
            return
        if log.settings["archived"] and right not in ("roles", "settings"):
            raise Refused(ErrorCode.ARCHIVED)
        is_muted = self.mute_of(log, user) is not None
        raise Refused(ErrorCode.MUTED if is_muted else ErrorCode.FORBIDDEN)

    def is_repeated(self, number: int, command: Any, target: int | None) -> bool:
        """Answer a command whose cid was used for the same command; the rights are not checked."""
        user, log = self.sessions[number].user, self.logs.get(key_of(command.channel))
        sent = self.sent.get((user, command.cid or ""))
        if command.cid is None or sent is None:
            return False
        where, *meaning, seq = sent
        is_hidden = log is not None and log.is_private and user not in log.roles
        if where is not log or is_hidden or meaning != [command.type, target]:
            raise Refused(ErrorCode.CID_REUSED)
        ok = Ok(id=command.id, cid=command.cid, seq=seq, mid=UNKNOWN, ts=0, duplicate=True)
        self.outgoing[number].append(ok)
        return True

    def append(self, log: Log, author: str, kind: str, /, **fields: Any) -> Entry:
        """Append an event, and send it to all followers."""
        entry = log.add(author, kind, **fields)
        event = entry.event(log.name)
        for number, present in self.sessions.items():
            if key_of(log.name) in present.following and number not in self.ended:
                self.outgoing[number].append(event)
        return entry

    def done(self, number: int, command: Any, entry: Entry) -> None:
        """Answer an append, and record its cid."""
        if entry.cid is not None:
            log = self.logs[key_of(command.channel)]
            meaning = log, command.type, entry.target
            self.sent[entry.author, entry.cid] = (*meaning, entry.seq)
        ok = Ok(id=command.id, seq=entry.seq, mid=UNKNOWN, ts=0, cid=entry.cid)
        self.outgoing[number].append(ok)

    def ok(self, number: int, command: commands.BaseCommand) -> None:
        """Answer that a command is done."""
        self.outgoing[number].append(Ok(id=command.id))

    def enter(self, log: Log, user: str, role: str) -> None:
        """Add a member, who has read everything so far."""
        entry = self.append(log, user, "join")
        log.roles[user], log.read[user], log.since[user] = role, entry.seq, entry.seq

    def first_role(self, user: str) -> str:
        """Return the role of the first member of a channel."""
        return "member" if self.accounts.find(user).role == "bot" else "owner"

    def remove(self, log: Log, user: str, **details: Any) -> Entry:
        """End a membership; `details` say who else did it. The ownership passes on."""
        was_owner = log.roles[user] == "owner" and log.name != GENERAL
        entry = self.append(log, user, "leave", **details)
        del log.roles[user], log.read[user], log.since[user]
        log.preferences.pop(user, None)
        self.stop_typing(log, user)
        for number in self.sessions_of(user):
            self._drop(number, log)
            if details:
                shown: dict[str, Any] = {"channel": log.name, **details}
                self.outgoing[number].append(Removed(**shown))
        if was_owner:
            self.pass_on(log, user)
        if log.is_private and not log.roles:
            self.delete(log, user)
        return entry

    def expire(self, log: Log) -> None:
        """Let all texts of a channel expire, in steps like the server's."""
        lines = [each for each in log.entries[log.expired :] if each.target is None]
        while lines:
            last, count = lines[0], 0
            for line in lines[:LINES]:
                if count == TEXTS:
                    break
                last, count = line, count + line.has_text
            log.expire(last.seq)
            if count:
                self.append(log, last.author, "expire", up_to=last.seq)
            lines = [each for each in lines if each.seq > last.seq]

    def pass_on(self, log: Log, former: str, *, to_stopped: bool = True) -> None:
        """Make the longest-serving moderator or else member the owner; bots never own."""

        def order(name: str) -> tuple[bool, bool, int]:
            is_stopped = self.accounts.find(name).standing is not None
            return is_stopped, log.roles[name] != "moderator", log.since[name]

        heirs = [each for each in log.roles if each != former]
        heirs = [each for each in heirs if self.accounts.find(each).role != "bot"]
        heirs.sort(key=order)
        if not heirs or (not to_stopped and self.accounts.find(heirs[0]).standing is not None):
            return
        if former in log.roles:
            log.roles[former] = "moderator"
        log.roles[heirs[0]] = "owner"
        self.append(log, heirs[0], "role", user=heirs[0], role="owner")
        self.stop_typing(log, heirs[0])

    def pass_on_all(self, former: str) -> None:
        """Pass on all channels of somebody who was stopped, or became a bot."""
        for log in self.logs.values():
            if log.name != GENERAL and log.roles.get(former) == "owner":
                self.pass_on(log, former, to_stopped=False)

    def delete(self, log: Log, by: str) -> None:
        """Delete a channel."""
        self.append(log, by, "deleted")
        for number, present in self.sessions.items():
            if key_of(log.name) in present.entered:
                removed = Removed(channel=log.name, act="deleted", by=by)
                self.outgoing[number].append(removed)
                self._drop(number, log)
        for user in list(log.invited):
            self.uninvite(log, user)
        del self.logs[key_of(log.name)]

    def _drop(self, number: int, log: Log) -> None:
        self.sessions[number].following.discard(key_of(log.name))
        self.sessions[number].entered.discard(key_of(log.name))

    # Invitations to channels, and ignored users

    def invitation_to(self, log: Log, user: str) -> ChannelInvitation:
        """Return an open invitation as it is in frames."""
        by, _is_silent = log.invited[user]
        return ChannelInvitation(
            channel=log.name, by=by, ts=0, topic=log.topic, private=log.is_private
        )

    def uninvite(self, log: Log, user: str) -> None:
        """End an invitation, if there is one."""
        if user in log.invited:
            if not log.invited[user][1]:
                frame = Invited(invitation=self.invitation_to(log, user), remove=True)
                for number in self.sessions_of(user):
                    self.outgoing[number].append(frame)
            del log.invited[user]

    def names_ignored_by(self, user: str) -> tuple[str, ...]:
        """Return the users whom a user ignores."""
        return tuple(sorted(self.ignored[user], key=str.lower))

    def check_may_open(self, user: str, channel: str) -> None:
        """Refuse to open a direct channel of other users."""
        if user.lower() not in channel[1:].lower().split(","):
            raise Refused(ErrorCode.NO_SUCH_CHANNEL)

    def open(self, user: str, channel: str) -> Log:
        """Open a direct channel: unread by all, and listed by `user` only."""
        self.check_may_open(user, channel)
        names = sorted(set(channel[1:].lower().split(",")))
        if any(name not in self.users for name in names):
            raise Refused(ErrorCode.NO_SUCH_USER)
        people = [self.users[name] for name in names]
        log = self.logs[key_of(channel)] = Log("@" + ",".join(people))
        for person in people:
            log.roles[person], log.read[person], log.since[person] = "member", 0, 0
        log.hidden = {*people} - {user}
        return log

    def announce(self, log: Log, people: Collection[str]) -> None:
        """Let the sessions of `people` follow a channel that they have not listed."""
        for number, present in self.sessions.items():
            if present.user in people and key_of(log.name) not in present.entered:
                self.follow(number, log)

    def follow(
        self, number: int, log: Log, position: ResumeFrom | None = None, id: str | None = None
    ) -> None:
        """Send a member's session the channel, from its position on if that can be continued."""
        user, key = self.sessions[number].user, key_of(log.name)
        recovered = position is not None and 0 <= log.head - position.after <= self.window
        limit = min(100, self.limits.page)
        if position is not None and recovered:
            entries, complete = self.after(log, position.after, limit)
        else:
            entries, complete = log.lines[-limit:], True
        self.sessions[number].entered.add(key)
        following = self.sessions[number].following
        following.add(key) if complete else following.discard(key)
        members = self.members(log)
        joined = Joined(
            id=id,
            channel=log.name,
            epoch=UNKNOWN,
            head=log.head,
            topic=log.topic,
            role=self.role_of(log, user),
            rights=tuple(right for right in RIGHTS if self.may(log, user, right)),
            members=members,
            member_count=len(members),
            recovered=recovered,
            items=tuple(entry.item() for entry in entries),
            complete=complete,
            pins=log.pins,
            **self.seat_of(log, user),
        )
        self.outgoing[number].append(joined)

    def after(self, log: Log, after: int, limit: int) -> tuple[list[Entry], bool]:
        """Return the events after a position, and whether they are complete."""
        entries = log.entries[after : after + limit]
        return entries, after + len(entries) >= log.head

    def members(self, log: Log) -> tuple[Member, ...]:
        """Return the members of a channel, by name."""
        return tuple(
            Member(
                name=name,
                role=self.role_of(log, name),
                presence=self.presence_of(name),
                muted=self.mute_of(log, name) is not None,
            )
            for name in sorted(log.roles, key=str.lower)
        )

    def counts(self, log: Log, user: str) -> dict[str, Any]:
        """Return a member's read marker and unread counts."""
        unread, mentions = (
            min(count, self.limits.unread) for count in log.unread(user, self.ignored[user])
        )
        return {"read": log.read[user], "unread": unread, "mentions": mentions}

    def seat_of(self, log: Log, user: str) -> dict[str, Any]:
        """Return what `welcome` and `joined` say of a member."""
        mute = self.mute_of(log, user)
        return (
            self.counts(log, user)
            | log.preferences.get(user, {})
            | {
                "settings": ChannelSettings(**log.settings),
                "mute": mute and Mute(by=mute.by, until=mute.until, reason=mute.reason or None),
                "threads": tuple(self.threads(log, user)),
            }
        )

    def threads(self, log: Log, user: str) -> list[ThreadState]:
        """Return the listed followed threads: unread ones first, then the newest."""
        followed = [
            root
            for (name, root), marker in log.threads.items()
            if name == user and marker.is_following
        ]
        newest = [self.thread(log, user, root) for root in sorted(followed, reverse=True)]
        unread = [state for state in newest if state.unread]
        return unread + [state for state in newest[:NEWEST_MAX] if not state.unread]

    def thread(self, log: Log, user: str, root: int) -> ThreadState:
        """Return a thread as it is in frames."""
        counts = log.thread_counts(user, root, self.ignored[user])
        unread, mentions = (min(count, self.limits.unread) for count in counts)
        read = log.threads[user, root].read
        return ThreadState(thread=root, read=read, unread=unread, mentions=mentions)

    def stop_typing(self, log: Log, user: str) -> None:
        """Record that a user stopped typing."""
        if user in log.typing:
            log.typing.remove(user)


def key_of(channel: str) -> str:
    """Return the channel that a name denotes, in any spelling."""
    folded = channel.lower()
    if not folded.startswith("@"):
        return folded
    return "@" + ",".join(sorted(set(folded[1:].split(","))))


def refusal(code: ErrorCode, id: str | None) -> ErrorFrame:
    """Return the error frame of a command."""
    return ErrorFrame(id=id, code=code.value, message=UNKNOWN, retryable=False)


def _removal(log: Log, user: str, channel: str, position: ResumeFrom | None) -> Removed | None:
    """Return how somebody else ended the user's last membership after a position."""
    after = log.head if position is None else position.after
    leaves = [each for each in log.entries[after:] if (each.kind, each.author) == ("leave", user)]
    if not leaves or leaves[-1].act is None:
        return None
    last = leaves[-1]
    return Removed(
        channel=channel, act=last.act, by=last.by, until=last.until, reason=last.reason or None
    )
