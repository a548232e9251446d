"""Devices and the model side by side: both execute each step, and the frames are compared."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from typing import Any, cast

from websockets.exceptions import ConnectionClosed

from chat.client.model.channel import Channel
from chat.client.model.fold import message_of
from chat.errors import CloseCode, ErrorCode
from chat.protocol.commands import (
    AccountCommand,
    Ban,
    BaseCommand,
    Command,
    CreateInvitation,
    CreateLink,
    History,
    Join,
    Leave,
    ListDevices,
    Ping,
    ResumeFrom,
    Send,
)
from chat.protocol.frames import Heads, Ok, Page, ServerFrame
from chat.protocol.items import Event
from chat.store.accounts import ChangeAccount, ForceExpiry
from chat.text import fold
from tests.model.accounts import Proof
from tests.model.chat import GENERAL, Chat, Outgoing, key_of
from tests.model.log import LINES, Log
from tests.model.rules import USUAL, perform
from tests.model.world import CHOSEN, LIMITS, TUNING, WINDOW, Device, World, plain
from tests.serving import PATIENCE

__all__ = ["Scene"]

DAY_MS = 86_400_000
CLOSES = {
    ErrorCode.BANNED: CloseCode.BANNED,
    ErrorCode.DISABLED: CloseCode.DISABLED,
    ErrorCode.REVOKED: CloseCode.REVOKED,
}


class Scene:
    """The server of `world`, devices that are connected to it, and `chat`, the model.

    A device's number is its index in `devices`, and the number of its session in the model.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self.chat = Chat(LIMITS, WINDOW)
        self.devices: list[Device] = []
        self._commands = 0
        self._expiries = 0

    @property
    def online(self) -> list[int]:
        """The numbers of the devices that are connected."""
        return [number for number, device in enumerate(self.devices) if device.is_online]

    def pick(self, device: int) -> int:
        """Return one of the connected devices."""
        return self.online[device % len(self.online)]

    def is_admin(self, number: int) -> bool:
        """Whether a session is an admin's."""
        return self.chat.accounts.find(self.user(number)).role == "admin"

    def pick_admin(self, device: int) -> int:
        """Return a connected device, usually of an admin."""
        admins = [number for number in self.online if self.is_admin(number)]
        return admins[device % len(admins)] if admins and device % 4 else self.pick(device)

    def session_of(self, name: str) -> int | None:
        """Return a session of a user."""
        return next((number for number in self.online if self.user(number) == name), None)

    def owns(self, number: int) -> bool:
        """Whether a session's user owns a channel."""
        user = self.user(number)
        return any(log.roles.get(user) == "owner" for log in self.chat.logs.values())

    def pick_member(self, channel: str, device: int) -> int:
        """Return a session, usually of a member."""
        log = self.chat.logs.get(key_of(channel))
        members = [each for each in self.online if log and self.user(each) in log.roles]
        return members[device % len(members)] if members and device % 4 else self.pick(device)

    def pick_member_name(self, channel: str, name: str) -> str:
        """Return `name`, or somebody with the role of a member if that user has another one."""
        log = self.chat.logs.get(key_of(channel))
        members = [each for each, role in log.roles.items() if role == "member"] if log else []
        return name if name in members or not members else members[0]

    def pick_moderator(self, channel: str, device: int) -> int:
        """Return a session, usually of a moderator or owner."""
        log = self.chat.logs.get(key_of(channel))
        found = [
            each
            for each in self.online
            if log
            and self.user(each) in log.roles
            and self.chat.role_of(log, self.user(each)) != "member"
        ]
        return found[device % len(found)] if found and device % 4 else self.pick(device)

    def user(self, number: int) -> str:
        """Return the user of a session."""
        return self.chat.sessions[number].user

    def aim(self, channel: str, place: int, author: str | None = None) -> int:
        """Return the seq of a message, usually an existing one: the newest for `place` 0."""
        log = self.chat.logs.get(key_of(channel))
        entries = [entry for entry in log.entries if entry.kind == "message"] if log else []
        messages = [entry.seq for entry in entries if author in (None, entry.author)]
        return messages[-1 - place % len(messages)] if messages and place < 30 else place + 1

    def stored(self, channel: str) -> str:
        """Return a channel's name as the server stores it."""
        log = self.chat.logs.get(key_of(channel))
        return log.name if log else channel

    def log_of(self, view: Channel) -> Log:
        """Return the model's log of a view's channel."""
        return self.chat.logs[key_of(view.name)]

    def attached(self, number: int) -> list[Channel]:
        """Return the views that get live events."""
        following = self.chat.sessions[number].following
        views = self.devices[number].views
        return [view for key, view in views.items() if view.is_attached and key in following]

    def lacking(self, number: int) -> list[Channel]:
        """Return the views that have more history to read."""
        views = self.devices[number].views.values()
        return [
            view
            for view in views
            if view.is_attached and view.view.position < self.log_of(view).head
        ]

    def new_device(self, name: str, proof: Proof | None = None) -> Device:
        """Return a new device, which has only its user's token, or a `proof`."""
        self.devices.append(Device(self.world, name, len(self.devices), proof))
        return self.devices[-1]

    async def restart(self) -> None:
        """Restart the server; the devices reconnect and resume."""
        online = self.online
        await self.world.stop()
        self.chat.restarted()
        for number in online:
            await self.devices[number].disconnect()
        await self.world.start()
        for number in online:
            await self.connect(self.devices[number], self.devices[number].positions())

    async def connect(self, device: Device, positions: Mapping[str, ResumeFrom]) -> None:
        """Connect a device, and check all frames."""
        number = self.devices.index(device)
        expected = self.chat.hello(
            number,
            device.name,
            {channel: self.judged(channel, each) for channel, each in positions.items()},
            is_known=device.token is not None,
            proof=device.proof,
        )
        await device.connect(positions)
        await self.check(expected, by=number)
        if number not in self.chat.sessions:  # refused
            await device.disconnect()

    def judged(self, channel: str, position: ResumeFrom) -> ResumeFrom:
        """Return a position as the model takes it: one in a deleted channel is beyond the log."""
        is_current = self.world.epoch(key_of(channel)) == position.epoch
        return position if is_current else position.model_copy(update={"after": 10**9})

    async def disconnect(self, number: int) -> None:
        """Disconnect a device, and wait until the server knows."""
        await self.devices[number].disconnect()
        self.chat.gone(number)
        await self._until_gone()

    async def _until_gone(self) -> None:
        """Wait until the server has noticed all disconnected devices."""
        async with asyncio.timeout(PATIENCE):
            while len(self.world.sessions) != len(self.chat.sessions):
                await asyncio.sleep(0.001)
        await self.world.level()

    async def step(self, number: int, command: BaseCommand) -> ServerFrame:
        """Send a command, check the frames of all sessions, and return the answer."""
        command = self.named(command)
        user = self.user(number)
        before = dict(self.chat.logs)
        performed = command
        if isinstance(command, Join) and command.resume is not None:
            judged = self.judged(command.channel, command.resume)
            performed = command.model_copy(update={"resume": judged})
        expected = perform(self.chat, number, performed)
        known = len(self.world.invitations)
        await self.devices[number].online.post(cast("Command", command))
        is_async = isinstance(command, AccountCommand)
        has_jobs = isinstance(command, AccountCommand | Ban)  # which any server may run
        by = None if self.world.is_cluster and has_jobs else number
        answers = (await self.check(expected, by=by, is_ordered=not is_async))[number]
        if isinstance(command, AccountCommand | Ban):
            await self._until_no_jobs()
        for key in before.keys() - self.chat.logs.keys():
            self.world.deleted(key)
        if isinstance(command, Leave) and answers[-1].type == "ok":
            for device in self.devices:
                if device.is_online and fold(device.name) == fold(user):
                    device.views.pop(key_of(command.channel), None)
        if isinstance(command, CreateLink):
            self.chat.accounts.linked(user, self.world.link)
        elif isinstance(command, CreateInvitation) and len(self.world.invitations) > known:
            self.chat.invitation_numbers[self.world.invitations[-1][0]] = known
        return next(frame for frame in answers if getattr(frame, "id", None) == command.id)

    async def _until_no_jobs(self) -> None:
        """Wait until the server has passed on all ownerships."""
        while await self.world.read(lambda reader: reader.accounts.has_jobs()):
            await asyncio.sleep(0.001)

    def named(self, command: BaseCommand) -> BaseCommand:
        """Give a command an unused id."""
        self._commands += 1
        return command.model_copy(update={"id": f"n{self._commands}"})

    async def check(
        self, must: Outgoing, *, by: int | None = None, is_ordered: bool = True
    ) -> dict[int, list[ServerFrame]]:
        """Check that each session gets exactly the expected frames.

        Sessions on the server of `by`, the session that acted, get them in this order. On other
        servers, the order is that of each channel: what is no event arrives by another way.
        """
        found = {}
        for number in self.online:
            expected, device = must.get(number, []), self.devices[number]
            found[number] = await device.receive(len(expected))
            received, wanted = list(map(plain, found[number])), list(map(plain, expected))
            surplus, missing = _without(received, wanted), _without(wanted, received)
            odd = f"{device.name} ({number}): got {surplus}, and not {missing}"
            assert not surplus + missing, odd
            assert _by_channel(found[number]) == _by_channel(expected), device.name
            is_here = by is not None and self.devices[by].server == device.server
            if is_ordered and (is_here or not self.world.is_cluster):
                assert received == wanted, f"{device.name} ({number})"
        await self._end()
        await self.world.level()
        return found

    async def _end(self) -> None:
        """Check that the server closes the sessions that a command ended."""
        ended, self.chat.ended = self.chat.ended, {}
        for number, code in ended.items():
            device = self.devices[number]
            assert await device.online.close_code() == CLOSES[code]
            assert not await device.receive(0), f"{device.name} ({number}) got more frames"
            await device.disconnect()
            self.chat.gone(number)
        if ended:
            await self._until_gone()
        if not self.online:  # the next rule needs a connected device
            name = self.chat.accounts.admins()[0]
            await self.connect(self.new_device(name), {})

    async def operator_makes_admin(self, name: str) -> None:
        """Make a user an admin, as the operator."""
        self.chat.outgoing = {number: [] for number in self.online}
        self.chat.accounts.change_role(None, name, "admin")
        self.chat.notify(self.chat.accounts.find(name))
        await self.world.administer(ChangeAccount(None, name, role="admin"))
        await self.check(self.chat.outgoing)

    async def expire(self) -> None:
        """Let all texts expire, as the operator, a few days later than the last time."""
        self.chat.outgoing = {number: [] for number in self.online}
        self.chat.accounts.record("expiry_forced", None)
        for log in self.chat.logs.values():
            self.chat.expire(log)
        self._expiries += 1
        self.world.clock_offset = 3 * DAY_MS * self._expiries
        await self.world.administer(ForceExpiry(None, DAY_MS // 1_000))
        await self._until_no_jobs()
        self.world.clock_offset = 0
        await self.check(self.chat.outgoing)

    async def claim(self, name: str, invitation: int, *, is_repeated: bool) -> None:
        """Claim a name with an invitation; if `is_repeated`, the first answer is lost."""
        token = f"{CHOSEN}{len(self.devices)}".ljust(40, "-")
        device = self.new_device(name, Proof(token, invite=invitation))
        if is_repeated:
            await device.connect({})
            await device.disconnect()
        await self.connect(device, {})
        if device.is_online:
            await self.disconnect(len(self.devices) - 1)
            await self.connect(device, {})  # the repeated `hello` signs in
            await self.disconnect(len(self.devices) - 1)

    async def stop_at_once(self, number: int, victim: int, before: int) -> None:
        """Ban a user while they send; they get no frames after the answer to the ban."""
        admin, peer, chat = self.devices[number].online, self.devices[victim].online, self.chat
        sends = [self.named(Send(channel="#one", text=f"{n}")) for n in range(10)]
        for send in sends[:before]:
            await peer.post(cast("Command", send))
        ban = self.named(Ban(name=self.user(victim), reason="at once"))
        await admin.post(cast("Command", ban))
        for send in sends[before:]:
            with suppress(ConnectionClosed):
                await peer.post(cast("Command", send))
        await self.devices[number].answers({ban.id or ""})
        after = self.named(Send(channel="#one", text="after"))
        await admin.post(cast("Command", after))
        answer = (await self.devices[number].answers({after.id or ""}))[after.id or ""]
        assert isinstance(answer, Ok)
        assert answer.seq is not None
        stored = answer.seq - chat.logs["#one"].head - 1
        must: Outgoing = {each: [] for each in self.online}
        for each, command in [(victim, send) for send in sends[:stored]] + [(number, ban)]:
            for session, frames in perform(chat, each, command).items():
                must[session] += frames
        ended, chat.ended = chat.ended, {}
        for each in ended:
            assert await self.devices[each].online.close_code() == CloseCode.BANNED
            chat.gone(each)
        for session, frames in perform(chat, number, after).items():
            must[session] += frames
        late = {send.id for send in sends[stored:]}
        for each, expected in must.items():
            found = await self.devices[each].receive(0 if each in ended else len(expected))
            refused = [frame for frame in found if getattr(frame, "id", None) in late]
            assert {getattr(frame, "code", None) for frame in refused} <= {"banned"}
            found = [frame for frame in found if frame not in refused]
            assert _parted(found) == _parted(expected), self.devices[each].name
        for each in ended:
            await self.devices[each].disconnect()
        await self._until_gone()

    async def link(self, number: int, code: str | None = None) -> None:
        """Sign in on another device with a link code, and learn the device's number."""
        name = self.user(number)
        token = f"{CHOSEN}{len(self.devices)}".ljust(40, "-")
        device = self.new_device(name, Proof(token, link=code or self.world.link))
        await self.connect(device, {})
        if device.is_online:
            await self.learn_device(len(self.devices) - 1)

    async def learn_device(self, number: int) -> None:
        """Learn the server's number of a session's device."""
        await self.step(number, ListDevices())
        device = self.devices[number]
        self.chat.device_tokens[device.id] = device.proof.device

    async def heartbeat(self) -> None:
        """Run a heartbeat of all servers."""
        for session in self.world.sessions:
            session.heartbeat()
        must: Outgoing = {}
        for number in self.online:
            entered = self.chat.sessions[number].entered
            mine = [log for key, log in self.chat.logs.items() if key in entered]
            must[number] = [Heads(heads={log.name: log.head for log in mine})]
        await self.check(must)

    async def agree(self) -> None:
        """Read the missing history of all views, and compare them with the model."""
        for number in self.online:
            for view in self.lacking(number):
                while view.view.position < self.log_of(view).head:
                    await self.read_after(number, view)
        await self.quiet()
        for number in self.online:
            for view in self.attached(number):
                self.assert_agrees(number, view)
        await self.assert_accounts_agree()

    async def assert_accounts_agree(self) -> None:
        """Check accounts and the audit log: one entry for each act, without gaps."""
        accounts = self.chat.accounts
        assert not list(accounts.faults())
        stored = await self.world.read(
            lambda reader: reader.accounts.page(None, cursor=None, limit=100)[0]
        )
        assert {each.user.name: (each.role, each.disabled, each.banned) for each in stored} == {
            each.name: (each.role, each.is_disabled, each.ban is not None)
            for each in accounts.by_name.values()
        }
        page = await self.world.read(
            lambda reader: reader.accounts.audit(None, before=None, limit=10_000)
        )
        entries = page.entries[::-1]
        assert [entry.seq for entry in entries] == list(range(1, len(entries) + 1))
        assert [
            (entry.act, entry.actor and entry.actor.name, entry.user and entry.user.name)
            for entry in entries
            if entry.act != "settings"
        ] == accounts.audit

    async def fetch_anew(self, name: str) -> None:
        """Read everything on a new device, and compare all views with it."""
        await self.connect(self.new_device(name), {})
        number = len(self.devices) - 1
        if number not in self.chat.sessions:
            return
        for key, log in sorted(self.chat.logs.items()):
            if self.user(number) in log.roles:
                await self.step(number, Join(channel=key))
                for after in range(0, log.head + 1, LIMITS.page):
                    await self.step(number, History(channel=key, after=after))
        await self.agree()
        await self.disconnect(number)

    async def quiet(self) -> None:
        """Wait until presence and typing are sent, by a timer, and nothing is pending."""
        deadline = asyncio.get_running_loop().time() + PATIENCE
        while True:
            await asyncio.sleep(3 * TUNING.pulse)
            for number in self.online:
                await self.step(number, Ping())
            is_late = asyncio.get_running_loop().time() > deadline
            if is_late or all(map(self._shows_presence, self.online)):
                return

    def _shows_presence(self, number: int) -> bool:
        """Whether all views of a device show who is present and who is typing."""
        user = self.user(number)
        return all(
            view.typing == tuple(name for name in log.typing if name != user)
            and {name: presence for name, _role, presence in view.members().members}
            == {name: self.chat.presence_of(name) for name in log.roles}
            for view in self.attached(number)
            for log in [self.log_of(view)]
        )

    async def read_after(self, number: int, view: Channel) -> None:
        """Read newer history in a view."""
        position = view.view.position
        page = await self.step(number, History(channel=view.name, after=position))
        assert isinstance(page, Page)
        for entry in view.view.apply_after(page).entries:
            view.apply(entry)

    async def read_before(self, number: int, view: Channel) -> None:
        """Read older history in a view."""
        before = view.view.coverage.spans[-1][0]
        if before > 1:
            view.view.page_requested()
            page = await self.step(number, History(channel=view.name, before=before))
            assert isinstance(page, Page)
            view.view.apply_before(page, before)
            view.view.page_received()

    async def read_thread(self, number: int, view: Channel, place: int) -> None:
        """Read the newest page of a thread in a view."""
        view.view.page_requested()
        root = self.aim(view.name, place)
        page = await self.step(number, History(channel=view.name, thread=root))
        if isinstance(page, Page):
            view.view.apply_thread(page)
        view.view.page_received()

    def assert_agrees(self, number: int, view: Channel) -> None:
        """Check that a view equals the state that a new session would get."""
        log, user, known = self.log_of(view), self.user(number), view.view
        assert (known.position, known.needs_repair) == (log.head, False)
        roles = {name: self.chat.role_of(log, name) for name in log.roles}
        shown = {name: (role, presence) for name, role, presence in view.members().members}
        if log.name == GENERAL:  # its roles follow those of the accounts, without an event
            roles = {name: role for name, (role, _presence) in shown.items()}
        else:
            assert view.role == roles[user]
        assert view.topic == log.topic
        people = {name: (roles[name], self.chat.presence_of(name)) for name in log.roles}
        assert shown == people, f"{view.name}: {shown}, not {people}"
        assert view.member_total == len(log.roles)
        assert view.typing == tuple(name for name in log.typing if name != user)
        assert known.read == log.read[user]
        assert view.pins == set(log.pins)
        assert asdict(view.preference) == USUAL | log.preferences.get(user, {})
        counts = log.unread(user, self.chat.ignored[user])
        if (
            not self.chat.ignored[user]
            and fold(log.name) not in self.devices[number].capped
            and not known.needs_recount
        ):
            assert (known.unread, known.mentions) == counts
        for entry in log.entries:
            line = known.line(entry.seq)
            if line is not None:
                expected = message_of(log.name, entry.item())
                if entry.seq <= log.expired:  # seen live, `rev` is the event that erased it
                    line = replace(line, rev=expected.rev)
                assert replace(line, ts=0) == expected
            elif entry.kind in LINES and entry.kind != "expire":  # which is not shown
                assert known.coverage.around(entry.seq) is None


def _without(frames: Sequence[Any], others: Sequence[Any]) -> list[Any]:
    """Return the frames that are not among `others`."""
    left, found = list(others), []
    for each in frames:
        if each in left:
            left.remove(each)
        else:
            found.append(each)
    return found


def _by_channel(frames: Sequence[ServerFrame]) -> dict[str, list[Any]]:
    """Return the events of each channel, in order."""
    found: dict[str, list[Any]] = {}
    for frame in frames:
        if isinstance(frame, Event):
            found.setdefault(frame.channel, []).append(plain(frame))
    return found


def _parted(frames: Sequence[ServerFrame]) -> tuple[list[Any], list[Any]]:
    """Return the events, and all other frames: a commit's events precede its answers."""
    return (
        [plain(frame) for frame in frames if isinstance(frame, Event)],
        [plain(frame) for frame in frames if not isinstance(frame, Event)],
    )
