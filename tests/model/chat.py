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
    Device,
    ErrorFrame,
    Joined,
    Member,
    Membership,
    Ok,
    ServerFrame,
    ServerInfo,
    Welcome,
)
from chat.protocol.values import Limits
from tests.model.accounts import Account, Accounts, Proof, Refused
from tests.model.log import UNKNOWN, Entry, Log

__all__ = ["Chat", "Outgoing", "Present", "Refused", "key_of", "refusal"]

Outgoing = dict[int, list[ServerFrame]]
"""The expected frames of each session, by the session's number."""
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
        self.sent: dict[tuple[str, str], tuple[str, str, int | None, int]] = {}
        self.sessions: dict[int, Present] = {}
        self.outgoing: Outgoing = {}
        """The expected frames of the current command."""
        self.accounts = Accounts()
        self.ended: dict[int, ErrorCode] = {}
        """Sessions that the command ends, and the reason."""
        self.device_tokens: dict[int, str] = {}
        """The token of each device whose number the server has sent, by that number."""
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
                self.enter(self.logs[key], name, "member")
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
                    role=log.roles[user],
                    topic=log.topic,
                    **self.seat_of(log, user),
                )
                for _key, log in mine
            ),
            features=FEATURES,
            role=account.role,
        )
        self.outgoing[number].append(welcome)
        for channel, position in positions.items():
            log = self.logs[key_of(channel)]
            if user in log.hidden:
                continue
            if user in log.roles:
                self.follow(number, log, position)
            else:
                self.outgoing[number].append(refusal(ErrorCode.NOT_A_MEMBER, None))
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

    def seat(self, number: int, channel: str) -> tuple[str, Log]:
        """Return the user and the channel of a command; outsiders get no direct channel."""
        user = self.sessions[number].user
        log = self.logs.get(key_of(channel))
        if log is None or (log.is_direct and user not in log.roles):
            raise Refused(ErrorCode.NO_SUCH_CHANNEL)
        if user not in log.roles:
            raise Refused(ErrorCode.NOT_A_MEMBER)
        return user, log

    def is_repeated(self, number: int, command: Any, target: int | None) -> bool:
        """Answer a command whose cid was used for the same command; the rights are not checked."""
        sent = self.sent.get((self.sessions[number].user, command.cid or ""))
        if command.cid is None or sent is None:
            return False
        *meaning, seq = sent
        if meaning != [key_of(command.channel), command.type, target]:
            raise Refused(ErrorCode.CID_REUSED)
        ok = Ok(id=command.id, cid=command.cid, seq=seq, mid=UNKNOWN, ts=0, duplicate=True)
        self.outgoing[number].append(ok)
        return True

    def append(self, log: Log, user: str, kind: str, **fields: Any) -> Entry:
        """Append an event, and send it to all followers."""
        entry = log.add(user, kind, **fields)
        event = entry.event(log.name)
        for number, present in self.sessions.items():
            if key_of(log.name) in present.following:
                self.outgoing[number].append(event)
        return entry

    def done(self, number: int, command: Any, entry: Entry) -> None:
        """Answer an append, and record its cid."""
        if entry.cid is not None:
            meaning = key_of(command.channel), command.type, entry.target
            self.sent[entry.author, entry.cid] = (*meaning, entry.seq)
        ok = Ok(id=command.id, seq=entry.seq, mid=UNKNOWN, ts=0, cid=entry.cid)
        self.outgoing[number].append(ok)

    def ok(self, number: int, command: commands.BaseCommand) -> None:
        """Answer that a command is done."""
        self.outgoing[number].append(Ok(id=command.id))

    def enter(self, log: Log, user: str, role: str) -> None:
        """Add a member, who has read everything so far."""
        entry = self.append(log, user, "join")
        log.roles[user], log.read[user] = role, entry.seq

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
            log.roles[person], log.read[person] = "member", 0
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
            role=log.roles[user],
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
            Member(name=name, role=log.roles[name], presence=self.presence_of(name))
            for name in sorted(log.roles, key=str.lower)
        )

    def counts(self, log: Log, user: str) -> dict[str, Any]:
        """Return a member's read marker and unread counts."""
        unread, mentions = (min(count, self.limits.unread) for count in log.unread(user))
        return {"read": log.read[user], "unread": unread, "mentions": mentions}

    def seat_of(self, log: Log, user: str) -> dict[str, Any]:
        """Return a member's read marker, unread counts and preferences."""
        return self.counts(log, user) | log.preferences.get(user, {})

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
