"""Random actions of users: at every step, the server's frames are compared with the model's.

The state that the client's own code derives from the frames is compared as well, with the state
that the model sends to a new session: state plus events is state.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from chat.protocol.commands import (
    AccountCommand,
    Archive,
    Ban,
    BaseCommand,
    ChangeChannel,
    Channels,
    Create,
    CreateInvitation,
    CreateLink,
    Decline,
    Delete,
    DeleteChannel,
    Edit,
    Follow,
    History,
    Ignore,
    Invite,
    Join,
    Kick,
    Leave,
    ListInvitations,
    Mark,
    MuteUser,
    Pin,
    Prefer,
    React,
    Revoke,
    Send,
    SetRole,
    SetStatus,
    SetTopic,
    Typing,
    Unban,
    Unignore,
    Uninvite,
    Unmute,
    Who,
)
from tests.model.burst import CHANGES, Burst, Change
from tests.model.rooms import FAR, PAST
from tests.model.scene import Scene
from tests.model.table import USUAL_SETTINGS
from tests.model.world import World

__all__ = ["ProtocolMachine"]

T = TypeVar("T")
PEOPLE = ["alice", "Bob", "carol", "dave"]
GUESTS = ["erin", "alice", "", "", ""]
"""Names that are claimed with invitations; "" is an invalid invitation."""
DEVICES_MAX = 6

# Mostly one channel and its first messages, so that actions meet.
PUBLIC = ["#ONE", "#Two", "#general", "#none", "#echo", "#DEN"]
DIRECT = ["@bob,ALICE", "@alice,Bob,carol", "@carol,dave", "@alice,nobody"]
channels = st.sampled_from(["#one"] * 9 + ["#den"] * 3 + ["@alice,Bob"] * 3 + PUBLIC + DIRECT)
rooms = st.sampled_from(["#one"] * 4 + ["#den"] * 4 + ["#general", "@alice,Bob", "#none"])
devices = st.integers(0, DEVICES_MAX - 1)
admins = st.integers(0, 2 * DEVICES_MAX)
"""A session, usually of an admin; see `Scene.pick_admin`."""
places = st.integers(0, 40)
cids = st.none() | st.sampled_from("xy")
reasons = st.sampled_from(["", "spam"])
ends = st.sampled_from([None, None, FAR, PAST])
texts = st.sampled_from(
    ["hello", "hi @alice", "@BOB, @carol: @bob!", "a\nb\t👋🏽", "@dave @nobody"]
)
emoji = st.sampled_from(["+1", "👍🏽", "heart"])


class ProtocolMachine(RuleBasedStateMachine):
    """Users, their devices, and the servers of `world`.

    No choice depends on the order in which the servers execute concurrent commands, so that
    Hypothesis can repeat an example.
    """

    def __init__(self, world: World) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.world = world
        self.scene = Scene(world)
        self.is_broken = False
        self.run(self.world.start())

    def teardown(self) -> None:
        """Compare all views with that of a new session, then end everything."""
        try:
            if not self.is_broken:
                self.run(self.scene.fetch_anew(self.scene.chat.accounts.admins()[0]))
        finally:
            for device in self.scene.devices:
                if device.is_online:
                    self.run(device.disconnect())
            self.run(self.world.stop())
            self.loop.close()

    def run(self, doing: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine in this machine's event loop."""
        try:
            return self.loop.run_until_complete(doing)
        except BaseException:
            self.is_broken = True
            raise

    # Connections

    @initialize(joiners=st.sampled_from([(0, 1), (0, 1, 3), (3, 1, 0)]))
    def begin(self, joiners: tuple[int, ...]) -> None:
        """Create three users (one with two devices), a channel, and a direct channel."""
        for name in ("alice", "Bob", "Bob", "carol"):
            self.run(self.scene.connect(self.scene.new_device(name), {}))
        for number in joiners:
            self.run(self.scene.step(number, Join(channel="#one")))
            self.run(self.scene.step(number, Send(channel="#one", text="hi @bob")))
        self.run(self.scene.step(0, Send(channel="@alice,Bob", text="psst")))
        self.run(self.scene.step(3, Create(channel="#den", private=True)))
        self.run(self.scene.step(3, Invite(channel="#den", name="Bob")))
        self.run(self.scene.step(1, Join(channel="#den")))
        self.run(self.scene.operator_makes_admin("alice"))

    @precondition(lambda self: len(self.scene.online) < DEVICES_MAX)
    @rule(name=st.sampled_from(PEOPLE), is_new=st.booleans(), remembers=st.booleans())
    def come(self, name: str, is_new: bool, remembers: bool) -> None:
        offline = [each for each in self.scene.devices if not each.is_online and each.name == name]
        device = self.scene.new_device(name) if is_new or not offline else offline[0]
        self.run(self.scene.connect(device, device.positions() if remembers else {}))

    @precondition(lambda self: len(self.scene.online) > 1)
    @rule(device=devices)
    def go(self, device: int) -> None:
        number = self.scene.pick(device)
        self.run(self.scene.disconnect(number))

    @rule()
    def restart(self) -> None:
        """Restart the server; the logs and their epochs are the same."""
        self.run(self.scene.restart())

    # Commands

    @rule(device=devices, channel=channels, remembers=st.booleans())
    def join(self, device: int, channel: str, remembers: bool) -> None:
        number = self.scene.pick(device)
        position = self.scene.devices[number].positions().get(self.scene.stored(channel))
        self.run(
            self.scene.step(number, Join(channel=channel, resume=position if remembers else None))
        )

    @rule(device=devices, channel=channels)
    def leave(self, device: int, channel: str) -> None:
        self.run(self.scene.step(self.scene.pick(device), Leave(channel=channel)))

    @rule(
        device=devices,
        channel=channels,
        text=texts,
        cid=cids,
        reply_to=st.none() | st.none() | places,
        thread_only=st.booleans(),
        me=st.booleans(),
        is_typed=st.booleans(),
    )
    def send(
        self, device: int, channel: str, reply_to: int | None, is_typed: bool, **fields: Any
    ) -> None:
        if is_typed:
            self.run(self.scene.step(self.scene.pick(device), Typing(channel=channel)))
        seq = None if reply_to is None else self.scene.aim(channel, reply_to)
        command = Send(channel=channel, reply_to=seq, **fields)
        self.run(self.scene.step(self.scene.pick(device), command))

    @rule(device=devices, channel=channels, seq=places, text=texts, cid=cids)
    def edit(self, device: int, channel: str, seq: int, **fields: Any) -> None:
        number = self.scene.pick(device)
        author = self.scene.user(number) if seq % 4 else None
        command = Edit(channel=channel, seq=self.scene.aim(channel, seq, author), **fields)
        self.run(self.scene.step(number, command))

    @rule(device=devices, channel=channels, seq=places, cid=cids)
    def delete(self, device: int, channel: str, seq: int, **fields: Any) -> None:
        command = Delete(channel=channel, seq=self.scene.aim(channel, seq), **fields)
        self.run(self.scene.step(self.scene.pick(device), command))

    @rule(device=devices, channel=channels, seq=places, emoji=emoji, remove=st.booleans(), cid=cids)
    def react(self, device: int, channel: str, seq: int, **fields: Any) -> None:
        command = React(channel=channel, seq=self.scene.aim(channel, seq), **fields)
        self.run(self.scene.step(self.scene.pick(device), command))

    @rule(device=devices, channel=channels, seq=places, remove=st.booleans(), cid=cids)
    def pin(self, device: int, channel: str, seq: int, **fields: Any) -> None:
        command = Pin(channel=channel, seq=self.scene.aim(channel, seq), **fields)
        self.run(self.scene.step(self.scene.pick(device), command))

    @rule(
        device=devices,
        channel=channels,
        anchor=st.sampled_from(["before", "after", "around", None]),
        seq=places,
        thread=st.none() | places,
        limit=st.integers(1, 20),
    )
    def history(
        self,
        device: int,
        channel: str,
        anchor: str | None,
        seq: int,
        thread: int | None,
        limit: int,
    ) -> None:
        where = {} if anchor is None else {anchor: self.scene.aim(channel, seq)}
        if thread is not None:
            where["thread"] = self.scene.aim(channel, thread)
        pins = anchor in ("before", None) and thread is None and limit % 2 == 0
        command = History(channel=channel, limit=limit, pins=pins, **where)  # type: ignore[arg-type]
        self.run(self.scene.step(self.scene.pick(device), command))

    @rule(device=devices, channel=channels, seq=places)
    def mark(self, device: int, channel: str, seq: int) -> None:
        self.run(
            self.scene.step(
                self.scene.pick(device), Mark(channel=channel, seq=self.scene.aim(channel, seq))
            )
        )

    @rule(
        device=devices,
        channel=channels,
        pinned=st.sampled_from([None, 0, 1, 2]),
        muted=st.sampled_from([None, False, True]),
        level=st.sampled_from([None, "all", "mentions", "none"]),
        hidden=st.sampled_from([None, None, None, False, True]),
    )
    def prefer(self, device: int, **fields: Any) -> None:
        self.run(self.scene.step(self.scene.pick(device), Prefer(**fields)))

    @rule(device=devices, channel=channels, state=st.sampled_from(["start", "start", "stop"]))
    def typing(self, device: int, **fields: Any) -> None:
        self.run(self.scene.step(self.scene.pick(device), Typing(**fields)))

    @rule(device=devices, status=st.sampled_from(["online", "away", "busy"]))
    def status(self, device: int, **fields: Any) -> None:
        self.run(self.scene.step(self.scene.pick(device), SetStatus(**fields)))

    @rule(device=devices, channel=channels, topic=st.sampled_from(["", "tea", "coffee"]))
    def topic(self, device: int, **fields: Any) -> None:
        self.run(self.scene.step(self.scene.pick(device), SetTopic(**fields)))

    @rule(device=devices, channel=channels)
    def look_around(self, device: int, channel: str) -> None:
        number = self.scene.pick(device)
        self.run(self.scene.step(number, Channels()))
        self.run(self.scene.step(number, Who(channel=channel)))

    # Rooms

    @rule(
        device=devices,
        channel=st.sampled_from(["#den", "#DEN", "#Two", "#one"]),
        private=st.booleans(),
        topic=st.sampled_from(["", "tea"]),
    )
    def create(self, device: int, **fields: Any) -> None:
        self.run(self.scene.step(self.scene.pick(device), Create(**fields)))

    @rule(device=devices, channel=rooms, name=st.sampled_from(PEOPLE), accepts=st.booleans())
    def invite_to_channel(self, device: int, channel: str, name: str, accepts: bool) -> None:
        """Invite a user, who perhaps joins."""
        inviter = self.scene.pick_member(channel, device)
        self.run(self.scene.step(inviter, Invite(channel=channel, name=name)))
        invited = self.scene.session_of(name)
        if accepts and invited is not None:
            self.run(self.scene.step(invited, Join(channel=channel)))

    @rule(
        device=devices,
        channel=rooms,
        name=st.sampled_from(PEOPLE),
        act=st.sampled_from([Unban, Unmute, Uninvite]),
    )
    def lift(self, device: int, channel: str, name: str, act: type[BaseCommand]) -> None:
        """Lift a ban or a mute, or withdraw an invitation."""
        command = act.model_validate({"channel": channel, "name": name})
        self.run(self.scene.step(self.scene.pick_moderator(channel, device), command))

    @rule(
        device=devices,
        channel=rooms,
        name=st.sampled_from(PEOPLE),
        act=st.sampled_from([Kick, Ban, MuteUser, MuteUser]),
        until=ends,
        reason=reasons,
        then_join=st.booleans(),
    )
    def moderate(
        self,
        device: int,
        channel: str,
        name: str,
        act: type[BaseCommand],
        until: int | None,
        reason: str,
        then_join: bool,
    ) -> None:
        """Act on a member, usually as a moderator; they try to write, and perhaps to join again."""
        name = self.scene.pick_member_name(channel, name)
        given = {"channel": channel, "name": name, "until": until, "reason": reason}
        fields: dict[str, Any] = {
            key: value for key, value in given.items() if key in act.model_fields
        }
        self.run(self.scene.step(self.scene.pick_moderator(channel, device), act(**fields)))
        concerned = self.scene.session_of(name)
        if concerned is not None:
            self.run(self.scene.step(concerned, Send(channel=channel, text="and now?")))
            if then_join:
                self.run(self.scene.step(concerned, Join(channel=channel)))

    @rule(
        device=devices,
        channel=rooms,
        name=st.sampled_from(PEOPLE),
        role=st.sampled_from(["owner", "moderator", "moderator", "member"]),
    )
    def role(self, device: int, channel: str, **fields: Any) -> None:
        command = SetRole(channel=channel, **fields)
        self.run(self.scene.step(self.scene.pick_moderator(channel, device), command))

    @rule(
        device=devices,
        channel=rooms,
        posting=st.sampled_from([None, "everyone", "moderators"]),
        invites=st.sampled_from([None, "members", "moderators"]),
        topic=st.sampled_from([None, "members", "moderators"]),
        pins=st.sampled_from([None, "members", "moderators"]),
        private=st.sampled_from([None, None, None, True, False]),
        retention=st.sampled_from([None, None, 0, 86_400]),
    )
    def settings(self, device: int, channel: str, **fields: Any) -> None:
        command = ChangeChannel(channel=channel, **fields)
        self.run(self.scene.step(self.scene.pick_moderator(channel, device), command))

    @rule(device=devices, channel=rooms, remove=st.sampled_from([False, True, True]))
    def archive(self, device: int, channel: str, remove: bool) -> None:
        command = Archive(channel=channel, remove=remove)
        self.run(self.scene.step(self.scene.pick_moderator(channel, device), command))

    @rule(device=devices, channel=st.sampled_from(["#den", "#den", "#one", "#general"]))
    def delete_channel(self, device: int, channel: str) -> None:
        command = DeleteChannel(channel=channel)
        self.run(self.scene.step(self.scene.pick_moderator(channel, device), command))

    @rule(
        device=devices,
        channel=st.sampled_from(["#one", "#one", "#den", "#general"]),
        name=st.sampled_from(PEOPLE),
        acts=st.lists(
            st.sampled_from([MuteUser, Unmute, Kick, Ban, Unban, Join, Send]),
            min_size=2,
            max_size=5,
        ),
        until=ends,
    )
    def discipline(
        self,
        device: int,
        channel: str,
        name: str,
        acts: list[type[BaseCommand]],
        until: int | None,
    ) -> None:
        """Act on a member again and again, while they try to write and to join."""
        name = self.scene.pick_member_name(channel, name)
        for act in acts:
            number = self.scene.pick_moderator(channel, device)
            given = {"channel": channel, "name": name, "until": until, "text": "still here"}
            if act in (Join, Send):
                found = self.scene.session_of(name)
                number = number if found is None else found
            fields = {key: value for key, value in given.items() if key in act.model_fields}
            self.run(self.scene.step(number, act.model_validate(fields)))

    @rule()
    def expire(self) -> None:
        """Let all texts expire."""
        self.run(self.scene.expire())

    @rule(device=devices, channel=rooms)
    def decline(self, device: int, channel: str) -> None:
        self.run(self.scene.step(self.scene.pick(device), Decline(channel=channel)))

    @rule(device=devices, name=st.sampled_from(PEOPLE), ends=st.booleans())
    def ignore(self, device: int, name: str, ends: bool) -> None:
        command = Unignore(name=name) if ends else Ignore(name=name)
        self.run(self.scene.step(self.scene.pick(device), command))

    @rule(device=devices, channel=channels, thread=places, seq=places, act=st.integers(0, 2))
    def follow_thread(self, device: int, channel: str, thread: int, seq: int, act: int) -> None:
        """Follow a thread, follow it no longer, or mark it as read."""
        number, root = self.scene.pick(device), self.scene.aim(channel, thread)
        if act == 2:
            mark = Mark(channel=channel, thread=root, seq=self.scene.aim(channel, seq))
            self.run(self.scene.step(number, mark))
        else:
            follow = Follow(channel=channel, thread=root, remove=act == 1)
            self.run(self.scene.step(number, follow))

    # Administration

    @rule(
        device=admins,
        name=st.sampled_from(PEOPLE),
        act=st.sampled_from(["ban", "ban", "disable"]),
        reason=st.sampled_from(["", "spam"]),
        force=st.booleans(),
    )
    def stop(self, device: int, name: str, act: str, reason: str, force: bool) -> None:
        number = self.scene.pick_admin(device)
        command = (
            Ban(name=name, reason=reason, force=force)
            if act == "ban"
            else AccountCommand(name=name, disabled=True)
        )
        self.run(self.scene.step(number, command))

    @rule(device=admins, name=st.sampled_from(PEOPLE))
    def admit_again(self, device: int, name: str) -> None:
        """Lift a ban, or enable an account."""
        number = self.scene.pick_admin(device)
        self.run(self.scene.step(number, Unban(name=name)))
        self.run(self.scene.step(number, AccountCommand(name=name, disabled=False)))

    @rule(
        device=admins,
        name=st.sampled_from(PEOPLE),
        role=st.sampled_from(["admin", "admin", "member", "bot"]),
    )
    def change_role(self, device: int, name: str, role: str) -> None:
        command = AccountCommand(name=name, role=role)  # type: ignore[arg-type]
        self.run(self.scene.step(self.scene.pick_admin(device), command))

    @rule(
        device=admins,
        uses=st.integers(1, 2),
        role=st.sampled_from(["member", "member", "admin"]),
        channels=st.sampled_from([(), ("#ONE",)]),
        claims=st.lists(st.tuples(st.sampled_from(GUESTS), st.booleans()), min_size=2, max_size=3),
        is_revoked=st.booleans(),
    )
    def invite(
        self, device: int, claims: list[tuple[str, bool]], is_revoked: bool, **fields: Any
    ) -> None:
        """Create an invitation, and claim names with it; for some, the first answer is lost."""
        number, scene = self.scene.pick_admin(device), self.scene
        if "#one" not in scene.chat.logs:  # it would be created
            fields["channels"] = ()
        self.run(scene.step(number, CreateInvitation(**fields)))
        if scene.world.invitations:
            invitation = len(scene.world.invitations) - 1
            for name, is_repeated in claims:
                guest = name or f"guest{len(scene.devices)}"
                self.run(scene.claim(guest, invitation, is_repeated=is_repeated))
            if is_revoked and scene.devices[number].is_online:
                revoke = Revoke(invitation=scene.world.invitations[invitation][0])
                self.run(scene.step(number, revoke))
                self.run(scene.step(number, revoke))
                self.run(scene.claim("late", invitation, is_repeated=True))
        if scene.devices[number].is_online:
            self.run(scene.step(number, ListInvitations()))

    @precondition(lambda self: len(self.scene.online) < DEVICES_MAX)
    @rule(device=devices, wrong=st.sampled_from([0, 0, 1, 5]), is_revoked=st.booleans())
    def link(self, device: int, wrong: int, is_revoked: bool) -> None:
        """Sign in on another device with a link code, which works once; perhaps revoke it."""
        number, scene = self.scene.pick(device), self.scene
        self.run(scene.step(number, CreateLink()))
        for _ in range(wrong):
            self.run(scene.link(number, "00000-00000"))
        self.run(scene.link(number))
        linked = scene.devices[-1]
        self.run(scene.link(number))
        if is_revoked and linked.id:
            revoke = Revoke(device=linked.id)
            self.run(scene.step(number, revoke))
            self.run(scene.step(number, revoke))
            self.run(scene.connect(linked, {}))

    @rule(device=admins, victim=devices, before=st.integers(0, 8))
    def stop_at_once(self, device: int, victim: int, before: int) -> None:
        """Ban a user while they send messages."""
        scene, log = self.scene, self.scene.chat.logs.get("#one")
        number = scene.pick_admin(device)
        if self.world.is_cluster:  # there, a ban is felt within a second
            return
        if log is None or log.settings != USUAL_SETTINGS or log.mutes:
            return
        victims = [each for each in scene.online if scene.user(each) != scene.user(number)]
        victims = [each for each in victims if scene.user(each) in log.roles]
        # An ownership would pass on at any moment after the ban.
        victims = [each for each in victims if not scene.owns(each)]
        if victims and scene.is_admin(number) and scene.user(number) in log.roles:
            self.run(scene.stop_at_once(number, victims[victim % len(victims)], before))

    # Following

    @rule(device=devices, view=places)
    def read_on(self, device: int, view: int) -> None:
        """Read one page of what a view lacks at its end."""
        number = self.scene.pick(device)
        if views := self.scene.lacking(number):
            self.run(self.scene.read_after(number, views[view % len(views)]))

    @rule(device=devices, view=places)
    def scroll_back(self, device: int, view: int) -> None:
        """Read one page of what a view lacks at its start."""
        number = self.scene.pick(device)
        views = [each for each in self.scene.attached(number) if each.view.coverage.spans]
        if views:
            self.run(self.scene.read_before(number, views[view % len(views)]))

    @rule(device=devices, seq=places, view=places)
    def read_thread(self, device: int, seq: int, view: int) -> None:
        """Read a thread in a view, out of the log's order."""
        number = self.scene.pick(device)
        if views := self.scene.attached(number):
            self.run(self.scene.read_thread(number, views[view % len(views)], seq))

    @rule()
    def heartbeat(self) -> None:
        """Check that every session gets the heads of its own channels, and of no other."""
        self.run(self.scene.heartbeat())

    @rule(
        changes=st.lists(CHANGES, min_size=2, max_size=12),
        reader=devices,
        at=st.integers(0, 12),
        begins_anew=st.booleans(),
    )
    def talk_at_once(self, changes: list[Change], reader: int, at: int, begins_anew: bool) -> None:
        """Send from several devices without waiting, while another joins anew or reads back."""
        scene = self.scene
        log = scene.chat.logs.get("#one")
        members = [number for number in scene.online if log and scene.user(number) in log.roles]
        if log and members:
            burst = Burst(scene, log, members)
            self.run(burst.run(changes, reader, at, begins_anew=begins_anew))

    @rule()
    def everybody_agrees(self) -> None:
        """Check that every view equals the model when all frames have arrived."""
        self.run(self.scene.agree())

    @precondition(lambda self: len(self.scene.online) < DEVICES_MAX)
    @rule(name=st.sampled_from(PEOPLE[:2]))
    def fetch_anew(self, name: str) -> None:
        """Check that a new session gets the whole state."""
        self.run(self.scene.fetch_anew(name))
