"""Everything the server knows, as plainly as it can be said, and whom it tells what happens.

Written from the design, not from the server; `rules` says what each command does to it. Ids, clocks
and epochs, which only the server can know, stand in frames as `UNKNOWN` or 0. Presence and typing
are told later, and as a whole: see `Chat.presence_of` and `Log.typing`.
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

__all__ = ["Chat", "Present", "Refused", "Told", "key_of", "refusal"]

Told = dict[int, list[ServerFrame]]
"""What each session must get, by the session's number."""
RANKED = ("busy", "online", "away")


@dataclass
class Present:
    """A signed-in session."""

    user: str
    status: str = "online"
    following: set[str] = field(default_factory=set)
    """Channels whose events it gets, by key."""
    entered: set[str] = field(default_factory=set)
    """Channels that are in its list, by key."""
    hears_echo: bool = False
    device: str = ""
    """The token with which it signed in; see `Proof`."""


class Chat:
    """Everything the server knows.

    Args:
        limits: those in force.
        window: missed events beyond which a position is not continued.
    """

    def __init__(self, limits: Limits, window: int) -> None:
        self.limits = limits
        self.window = window
        self.users: dict[str, str] = {}
        self.logs: dict[str, Log] = {"#general": Log("#general")}
        self.sent: dict[tuple[str, str], tuple[str, str, int | None, int]] = {}
        self.sessions: dict[int, Present] = {}
        self.told: Told = {}
        """What the command that is being carried out tells."""
        self.accounts = Accounts()
        self.ended: dict[int, ErrorCode] = {}
        """Sessions that the command ends, and why."""
        self.device_tokens: dict[int, str] = {}
        """The token of each device that the server has told of, by the server's number."""
        self.invitation_numbers: dict[int, int] = {}
        """The place of each invitation in `accounts.invitations`, by the server's number."""

    # Sessions

    def hello(
        self,
        number: int,
        name: str,
        positions: Mapping[str, ResumeFrom],
        *,
        is_known: bool,
        proof: Proof,
    ) -> Told:
        """Sign in: `is_known` says whether the client has a token of that name already."""
        self.told = defaultdict(list)
        is_new, entries = name.lower() not in self.users, len(self.accounts.audit)
        try:
            invitation = self.accounts.sign_in(name, proof)
        except Refused as refused:
            self.told[number].append(refusal(refused.code, None))
            return self.told
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
        self.told[number].append(welcome)
        for channel, position in positions.items():
            log = self.logs[key_of(channel)]
            if user in log.hidden:
                continue
            if user in log.roles:
                self.follow(number, log, position)
            else:
                self.told[number].append(refusal(ErrorCode.NOT_A_MEMBER, None))
        return self.told

    def gone(self, number: int) -> None:
        """Note that a session ended."""
        user = self.sessions.pop(number).user
        if not self.sessions_of(user):
            for log in self.logs.values():
                self.stop_typing(log, user)

    def restarted(self) -> None:
        """Note that the server lost everything but its logs."""
        for number in list(self.sessions):
            self.gone(number)

    def sessions_of(self, user: str) -> list[int]:
        """Return the sessions of a person."""
        return [number for number, present in self.sessions.items() if present.user == user]

    def presence_of(self, user: str) -> str:
        """Return how others see a person: busy if any session says so, away if all do."""
        said = {self.sessions[number].status for number in self.sessions_of(user)}
        return next((status for status in RANKED if status in said), "offline")

    # Administration

    def account_info(self, account: Account) -> AccountInfo:
        """Return the frame's form of an account."""
        return AccountInfo(
            name=account.name,
            role=account.role,
            created=0,
            disabled=account.is_disabled,
            banned=account.ban is not None,
        )

    def notify(self, account: Account, device: Device | None = None) -> None:
        """Tell the sessions of a person what has changed."""
        frame = AccountFrame(account=self.account_info(account), device=device)
        for number in self.sessions_of(account.name):
            self.told[number].append(frame)

    def end(self, user: str, code: ErrorCode, device: str | None = None) -> None:
        """End the sessions of a person, or of one device."""
        for number in self.sessions_of(user):
            if device in (None, self.sessions[number].device):
                self.told[number].append(refusal(code, None))
                self.ended[number] = code

    # What rules are made of

    def seat(self, number: int, channel: str) -> tuple[str, Log]:
        """Return who asks, and the channel they are in; outsiders hear of no direct channel."""
        user = self.sessions[number].user
        log = self.logs.get(key_of(channel))
        if log is None or (log.is_direct and user not in log.roles):
            raise Refused(ErrorCode.NO_SUCH_CHANNEL)
        if user not in log.roles:
            raise Refused(ErrorCode.NOT_A_MEMBER)
        return user, log

    def is_repeated(self, number: int, command: Any, target: int | None) -> bool:
        """Answer a command whose cid was used for the same before, whatever one may do now."""
        sent = self.sent.get((self.sessions[number].user, command.cid or ""))
        if command.cid is None or sent is None:
            return False
        *meaning, seq = sent
        if meaning != [key_of(command.channel), command.type, target]:
            raise Refused(ErrorCode.CID_REUSED)
        ok = Ok(id=command.id, cid=command.cid, seq=seq, mid=UNKNOWN, ts=0, duplicate=True)
        self.told[number].append(ok)
        return True

    def append(self, log: Log, user: str, kind: str, **fields: Any) -> Entry:
        """Append an event, and tell it to all who follow."""
        entry = log.add(user, kind, **fields)
        event = entry.event(log.name)
        for number, present in self.sessions.items():
            if key_of(log.name) in present.following:
                self.told[number].append(event)
        return entry

    def done(self, number: int, command: Any, entry: Entry) -> None:
        """Answer what was appended; from now on its cid means that."""
        if entry.cid is not None:
            meaning = key_of(command.channel), command.type, entry.target
            self.sent[entry.author, entry.cid] = (*meaning, entry.seq)
        ok = Ok(id=command.id, seq=entry.seq, mid=UNKNOWN, ts=0, cid=entry.cid)
        self.told[number].append(ok)

    def ok(self, number: int, command: commands.BaseCommand) -> None:
        """Answer that a command is done."""
        self.told[number].append(Ok(id=command.id))

    def enter(self, log: Log, user: str, role: str) -> None:
        """Make a member, who has read everything up to now."""
        entry = self.append(log, user, "join")
        log.roles[user], log.read[user] = role, entry.seq

    def check_may_open(self, user: str, channel: str) -> None:
        """Refuse to open a direct channel among others."""
        if user.lower() not in channel[1:].lower().split(","):
            raise Refused(ErrorCode.NO_SUCH_CHANNEL)

    def open(self, user: str, channel: str) -> Log:
        """Open a direct channel, which nobody has read anything of, and only `user` has listed."""
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
        """Have the devices of `people` follow that have not listed the channel."""
        for number, present in self.sessions.items():
            if present.user in people and key_of(log.name) not in present.entered:
                self.follow(number, log)

    def follow(
        self, number: int, log: Log, position: ResumeFrom | None = None, id: str | None = None
    ) -> None:
        """Tell a member's session the channel, from its position on if that leads somewhere."""
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
        self.told[number].append(joined)

    def after(self, log: Log, after: int, limit: int) -> tuple[list[Entry], bool]:
        """Return the events after a position, and whether these are all."""
        entries = log.entries[after : after + limit]
        return entries, after + len(entries) >= log.head

    def members(self, log: Log) -> tuple[Member, ...]:
        """Return who is in a channel, by name."""
        return tuple(
            Member(name=name, role=log.roles[name], presence=self.presence_of(name))
            for name in sorted(log.roles, key=str.lower)
        )

    def counts(self, log: Log, user: str) -> dict[str, Any]:
        """Return how far a member has read, and what is left."""
        unread, mentions = (min(count, self.limits.unread) for count in log.unread(user))
        return {"read": log.read[user], "unread": unread, "mentions": mentions}

    def seat_of(self, log: Log, user: str) -> dict[str, Any]:
        """Return how far a member has read, what is left, and how they want the channel."""
        return self.counts(log, user) | log.preferences.get(user, {})

    def stop_typing(self, log: Log, user: str) -> None:
        """Note that somebody does not type any more."""
        if user in log.typing:
            log.typing.remove(user)


def key_of(channel: str) -> str:
    """Return what a channel's name means, however it is spelled."""
    folded = channel.lower()
    if not folded.startswith("@"):
        return folded
    return "@" + ",".join(sorted(set(folded[1:].split(","))))


def refusal(code: ErrorCode, id: str | None) -> ErrorFrame:
    """Return the frame that refuses a command."""
    return ErrorFrame(id=id, code=code.value, message=UNKNOWN, retryable=False)
