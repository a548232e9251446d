"""The content of a screen: a core's updates, applied as documented."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from chat.client.config.settings import ClientSettings
from chat.client.model.fold import erased
from chat.client.model.membership import Invitation
from chat.client.model.state import (
    ChannelChanged,
    ChannelInfo,
    ChannelRemoved,
    ChannelsChanged,
    ConnectionChanged,
    Delivery,
    IgnoredChanged,
    InvitationsChanged,
    Link,
    MembersChanged,
    MembershipEnded,
    Message,
    Notice,
    NotificationDue,
    ThreadChanged,
    TimelineChanged,
    TypingChanged,
    Update,
    listing_order,
)
from chat.client.network.backoff import Backoff
from chat.client.sync.core import Core
from chat.client.sync.publisher import WAITING_MAX
from tests.serving import PATIENCE


class Timeline:
    """The lines of one channel, merged by seq and cid."""

    def __init__(self) -> None:
        self._numbered: dict[int, Message] = {}
        self._others: dict[str, Message] = {}
        """Lines without a seq by cid, in order of arrival."""
        self._seqs: dict[str, int] = {}
        """The seq of a line by its cid."""
        self.replies: dict[int, Message] = {}
        """Replies that are only in their threads."""
        self.gaps: tuple[int, ...] = ()
        self.is_complete = False
        self.resets = 0

    @property
    def lines(self) -> list[Message]:
        """All lines, in screen order."""
        return [*(self._numbered[seq] for seq in sorted(self._numbered)), *self._others.values()]

    def apply(self, update: TimelineChanged) -> None:
        if update.reset:
            self._numbered.clear()
            self._others.clear()
            self._seqs.clear()
            self.replies.clear()
            self.resets += 1
        for cid in update.removed:
            self._drop(cid)
        for new in update.upserts:
            cid = new.cid or f"{new.seq} without"
            self._others.pop(cid, None)
            if new.seq is not None:
                self._numbered[new.seq] = new
                self._seqs[cid] = new.seq
            else:
                self._drop(cid)
                self._others[new.cid or f"{len(self._others)} without"] = new
        self.replies |= {line.seq or 0: line for line in update.replies}
        for lines in (self._numbered, self.replies):
            for seq, line in lines.items():
                if seq <= update.expired and line.kind == "message":
                    lines[seq] = erased(line, line.rev)
        self.gaps = self.gaps if update.gap_before is None else update.gap_before
        self.is_complete = self.is_complete if update.complete is None else update.complete

    def _drop(self, cid: str) -> None:
        self._others.pop(cid, None)
        self._numbered.pop(self._seqs.pop(cid, 0), None)


class Screen:
    """A core and its published state."""

    def __init__(
        self, settings: ClientSettings, backoff: Backoff, *, updates_max: int = WAITING_MAX
    ) -> None:
        self._woken = threading.Event()
        self.core = Core(settings, wake=self._woken.set, backoff=backoff, updates_max=updates_max)
        self.connection = ConnectionChanged(Link.CONNECTING)
        self.history: list[ConnectionChanged] = []
        self.channels: dict[str, ChannelInfo] = {}
        """The listed channels, in their order."""
        self.whole_lists = 0
        """Number of complete lists."""
        self.timelines: dict[str, Timeline] = {}
        self.thread = Timeline()
        self.thread_root = 0
        self.has_no_thread = False
        self.members: dict[str, MembersChanged] = {}
        self.typing: dict[str, tuple[str, ...]] = {}
        self.invitations: tuple[Invitation, ...] = ()
        self.new_invitations: list[Invitation] = []
        self.ignored: tuple[str, ...] = ()
        self.ended: list[MembershipEnded] = []
        self.called: list[NotificationDue] = []
        self.notices: list[Notice] = []

    def catch_up(self) -> None:
        for update in self.core.drain():
            self._apply(update)

    def wait(self, condition: Callable[[], bool], what: str = "") -> None:
        """Take updates until `condition` holds."""
        deadline = time.monotonic() + PATIENCE
        while True:
            self._woken.clear()
            self.catch_up()
            if condition():
                return
            assert time.monotonic() < deadline, f"{what or condition}: {self}"
            self._woken.wait(0.05)

    def stop(self) -> None:
        """Disconnect and flush."""
        self.core.stop(PATIENCE)

    def wait_online(self) -> None:
        self.wait(lambda: self.connection.link is Link.ONLINE, "online")

    def open(self, channel: str = "#general") -> None:
        """Open a channel, and wait until it is joined."""
        self.core.open_channel(channel)
        self.wait_online()
        self.wait(
            lambda: channel in self.members and self.members[channel].total > 0,
            f"following {channel}",
        )

    def wait_texts(self, *texts: str, channel: str = "#general") -> None:
        """Wait until these are the texts of the messages shown, all of them confirmed."""
        self.wait(
            lambda: self.texts(channel) == list(texts) and not self.pending(channel),
            f"{texts}, got {self.texts(channel)}",
        )

    def wait_thread(self, *texts: str) -> None:
        """Wait until these are the texts of the thread that is open."""
        self.wait(
            lambda: [line.text for line in self.thread.lines] == list(texts),
            f"thread {texts}, got {[line.text for line in self.thread.lines]}",
        )

    def texts(self, channel: str = "#general") -> list[str]:
        return [line.text for line in self.lines(channel) if line.kind == "message"]

    def pending(self, channel: str = "#general") -> list[str]:
        return [m.text for m in self.lines(channel) if m.delivery is not Delivery.SENT]

    def lines(self, channel: str = "#general") -> list[Message]:
        timeline = self.timelines.get(channel)
        return timeline.lines if timeline else []

    def _list(self, update: ChannelsChanged | ChannelChanged | ChannelRemoved) -> None:
        match update:
            case ChannelsChanged():
                self.channels = {info.name: info for info in update.channels}
                self.whole_lists += 1
            case ChannelChanged():
                self.channels[update.info.name] = update.info
            case ChannelRemoved():
                self.channels.pop(update.channel, None)
        listed = self.channels.values()
        ordered = sorted(listed, key=lambda info: listing_order(info.name, info.pinned))
        self.channels = {info.name: info for info in ordered}

    def _apply(self, update: Update) -> None:
        match update:
            case ConnectionChanged():
                self.connection = update
                self.history.append(update)
            case ChannelsChanged() | ChannelChanged() | ChannelRemoved():
                self._list(update)
            case TimelineChanged():
                self.timelines.setdefault(update.channel, Timeline()).apply(update)
            case ThreadChanged():
                self.thread_root, self.has_no_thread = update.root, update.is_missing
                self.thread.apply(update.change)
            case MembersChanged():
                self.members[update.channel] = update
            case TypingChanged():
                self.typing[update.channel] = update.names
            case _:
                self._apply_to_person(update)

    def _apply_to_person(self, update: Update) -> None:
        match update:
            case InvitationsChanged():
                self.invitations = update.invitations
                self.new_invitations += [update.new] if update.new is not None else []
            case IgnoredChanged():
                self.ignored = update.names
            case MembershipEnded():
                self.ended.append(update)
            case NotificationDue():
                self.called.append(update)
            case Notice():
                self.notices.append(update)

    def __repr__(self) -> str:
        return f"{self.connection} {list(self.channels.values())} {self.notices}"
