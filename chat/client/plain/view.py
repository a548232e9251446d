"""Plain mode's view of one server: which lines it prints for each update."""

from __future__ import annotations

import asyncio
import webbrowser
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from itertools import groupby, islice

from chat.client.model.describe import describe, folded_ignored, people
from chat.client.model.slash.commands import Command, available
from chat.client.model.slash.parser import is_command
from chat.client.model.state import (
    ChannelChanged,
    ChannelInfo,
    ChannelRemoved,
    ChannelsChanged,
    ConnectionChanged,
    Delivery,
    InvitationsChanged,
    Link,
    Message,
    TimelineChanged,
    Update,
    is_for,
)
from chat.client.plain.terminal import Lines
from chat.client.platform import desktop
from chat.client.platform.desktop import can_open
from chat.client.platform.local_time import local_time, moment
from chat.client.presenter.composer.draft import Aim
from chat.client.presenter.conversation import Conversation
from chat.client.presenter.log import Log, Splices
from chat.client.presenter.navigation import Location, PaneKey
from chat.client.presenter.search import SearchSession
from chat.client.presenter.state import ConversationState, kinds_of, why_not_connected, why_refused
from chat.client.presenter.view import AddRows, Choice, Pane, Question, Refused, Severity
from chat.client.presenter.workspace import Workspace
from chat.client.sync.core import Core
from chat.client.sync.inbox import Unread
from chat.links import is_web_link
from chat.text import channel_title, printable, printable_line

__all__ = ["Announcer", "PlainView", "is_waiting"]


_BACKLOG = 5
_AT_ONCE = 20
_NAMED_MAX = 5
"""Maximum number of people named in a change of reactions."""
_HELP = (
    "Every message has a number, printed before it. Use the number to reply to a message, edit, "
    "react, pin or delete it, for example /reply 42 agreed. Without a number, a command takes the "
    "latest message; /edit and /delete take your own last one.",
    "/bare prints the latest messages with their numbers. /search finds older ones.",
    "Tab completes commands and names. Ctrl+D on an empty line quits. The commands:",
)
_REFUSED_COMMANDS = ("theme", "unread")
"""Commands of the screens that plain mode refuses."""


def _describe(line: Message) -> str:
    return describe(line, moment)


class Announcer:
    """Turns log changes into lines to print.

    Args:
        title: returns the displayed name of a channel.
        is_folded: whether a message is by an ignored user: such messages are only counted.
    """

    def __init__(
        self,
        title: Callable[[str], str] = str,
        is_folded: Callable[[Message], bool] = lambda _: False,
    ) -> None:
        self._title = title
        self._is_folded = is_folded
        self.answered = 0
        """Number of the user's messages that were confirmed or refused."""
        self.refusals: list[str] = []
        """Lines of the latest change that report refused messages."""
        self.replies: list[Message] = []
        """Printed replies that are only in their threads, to be marked as read."""
        self._last: dict[str, int] = {}
        self._last_reply: dict[str, int] = {}
        self._folding: set[str] = set()
        """Channels whose last printed line stands for messages of ignored users."""
        self._changing: dict[tuple[str, int], Message] = {}
        """Printed states of messages whose edit by the user is unconfirmed."""

    def newest(self, log: Log, wanted: int = 0) -> list[str]:
        """Return the newest messages, with their numbers: `wanted` of them, within bounds."""
        newest = list(islice(log.newest(), max(_BACKLOG, min(wanted, _AT_ONCE))))
        return [
            _entry(run[0]) if not self._is_folded(run[0]) else _folded(run)
            for run in self._runs(newest[::-1])
        ]

    def _runs(self, lines: Iterable[Message]) -> Iterator[list[Message]]:
        """Yield each line alone, and consecutive messages of ignored users together."""
        for is_folded, run in groupby(lines, self._is_folded):
            if is_folded:
                yield list(run)
            else:
                yield from ([line] for line in run)

    def last(self, channel: str) -> int:
        """Return the last printed number of a channel."""
        return self._last.get(channel, 0)

    def announce(self, done: Splices, only_for: str | None = None) -> list[str]:
        """Return the lines for a change; with `only_for`, only messages for that user.

        Messages that are left out count as printed.
        """
        change, channel = done.change, done.change.channel
        replies = self._new_replies(change)
        newest, last = done.log.last_seq, self._last.get(channel)
        said, changes = self._refused(done), self._changes(done)
        self.answered += sum(_is_answered(line, done) for line in change.upserts)
        if change.reset and (last is None or (newest is not None and newest < last)):
            if newest is not None:  # else the log was not printed yet
                self._last[channel] = newest
            return said
        last = last or 0
        self._last[channel] = max(last, newest or 0)
        if only_for is None:
            said += changes
        new = [line for line in change.upserts if _is_new(line, done, last)]
        self.replies += replies
        printed = [line for line in (*new, *replies) if _is_printed(line, only_for)]
        if only_for is not None:
            printed = [line for line in printed if not self._is_folded(line)]
        return said + self._new_lines(channel, printed)

    def _new_replies(self, change: TimelineChanged) -> list[Message]:
        """Return the replies to print: unread ones in followed threads, each once."""
        last = self._last_reply.get(change.channel, 0)
        seqs = [line.seq or 0 for line in change.replies]
        self._last_reply[change.channel] = max([last, *seqs])
        return [
            line
            for line in change.replies
            if line.seq in change.waiting and (line.seq or 0) > last and not change.reset
        ]

    def _new_lines(self, channel: str, new: list[Message]) -> list[str]:
        """Return the text of new lines; many are abridged to their number and the last ones."""
        place = printable_line(self._title(channel))
        said = _passages(place, [line for line in new if line.is_passage])
        lines = [line for line in new if not line.is_passage]
        if len(lines) > _AT_ONCE:
            said.append(f"{len(lines) - _AT_ONCE} lines in {place} are not shown.")
        for run in self._runs(lines[-_AT_ONCE:]):
            if not self._is_folded(run[0]):
                self._folding.discard(channel)
                said.append(_numbered(place, run[0]))
            elif channel not in self._folding:
                self._folding.add(channel)
                said.append(f"{_folded(run)} in {place}. Use /show {run[0].seq} to read it.")
        return said

    def _refused(self, done: Splices) -> list[str]:
        """Return the lines for messages that the server refused in this change."""
        said: list[str] = []
        self.refusals = []
        for line in done.change.upserts:
            if not _has_become(Delivery.FAILED, line, done):
                continue
            said.append(
                f"Not sent in {self._title(line.channel)}: {printable_line(line.text)[:60]}. "
                f"{printable_line(line.reason)}. "
                "Use /retry to resend it, /discard to discard it."
            )
            if _is_answered(line, done) or self.last(line.channel):  # not in an earlier change
                self.refusals.append(said[-1])
        return said

    def _changes(self, done: Splices) -> list[str]:
        """Return the lines for changes of printed messages."""
        said: list[str] = []
        for line in done.change.upserts:
            if line.seq is None:
                continue
            key = (line.channel, line.seq)
            old = self._changing.pop(key, None) or done.former(line)
            if old is None or old.seq is None or self._is_folded(line):
                continue
            if line.delivery is Delivery.PENDING:
                self._changing[key] = old  # printed when the server confirms it
            elif line.rev > old.rev:
                said += _changed(printable_line(self._title(line.channel)), line, old)
        return said


def is_waiting(done: Splices) -> bool:
    """Whether a change added a message of the user that waits to be sent."""
    return any(
        line.seq is None and _has_become(Delivery.PENDING, line, done)
        for line in done.change.upserts
    )


def _has_become(delivery: Delivery, line: Message, done: Splices) -> bool:
    former = done.former(line)
    return line.delivery is delivery and (former is None or former.delivery is not delivery)


def _is_answered(line: Message, done: Splices) -> bool:
    """Whether a waiting message was confirmed or refused."""
    former = done.former(line)
    is_known = former is not None and former.seq is None and former.delivery is Delivery.PENDING
    return is_known and (line.seq is not None or line.delivery is Delivery.FAILED)


def _is_new(line: Message, done: Splices, last: int) -> bool:
    """Whether a line is to be printed: not the user's own, typed in this client."""
    if line.seq is None:
        return line.kind == "tick"
    former = done.former(line)
    return line.seq > last and (former is None or former.seq is not None)


def _is_printed(line: Message, only_for: str | None) -> bool:
    return only_for is None or is_for(line, only_for)


def _folded(run: list[Message]) -> str:
    return f"{run[0].seq}. {folded_ignored(run)}"


def _entry(line: Message) -> str:
    """Return a message with its number, without its channel."""
    number = "Not sent yet" if line.seq is None else str(line.seq)
    return f"{number}. {_describe(line)}"


def _numbered(place: str, line: Message) -> str:
    """Return a new line with its number, which `/reply` and other commands take."""
    text = _said(place, line)
    return text if line.seq is None else f"{line.seq}. {text}"


def _said(place: str, line: Message) -> str:
    if line.kind == "tick":
        return f"{place}: {_describe(line)}"
    text = _describe(line)
    author = printable_line(line.author)
    if text.startswith(f"{author}:"):
        return f"{author} in {place}{text.removeprefix(author)}"
    return f"In {place}, {text}"


def _passages(place: str, lines: list[Message]) -> list[str]:
    said = []
    for kind, verb in (("join", "joined"), ("leave", "left")):
        names = list(dict.fromkeys(line.author for line in lines if line.kind == kind))
        if names:
            some = ", ".join(map(printable_line, names[:3]))
            more = f" and {len(names) - 3} more" if len(names) > 3 else ""
            said.append(f"{some}{more} {verb} {place}.")
    return said


def _changed(place: str, line: Message, old: Message) -> list[str]:
    """Return the lines for the change of a message that was printed as `old`."""
    if line.kind != "message":
        return []
    if line.deleted and not old.deleted:
        return [f"Message {line.seq} in {place} was deleted."]
    if line.text != old.text:
        return [f"Message {line.seq} was edited. {_said(place, line)}"]
    if line.pinned != old.pinned:
        state = "pinned" if line.pinned else "no longer pinned"
        return [f"Message {line.seq} in {place} is {state}."]
    if line.reactions != old.reactions:
        marks = "; ".join(
            f"{printable_line(each.emoji)} {people(each.names[:_NAMED_MAX], each.count)}"
            for each in line.reactions
        )
        return [f"Reactions to message {line.seq} in {place}: {marks or 'none'}."]
    return []


def _notes(info: ChannelInfo | None) -> tuple[str, ...]:
    """Return what is particular about a channel."""
    return kinds_of(info) if info is not None else ()


class PlainView:
    """The `View` of one server's conversation in plain mode.

    While another server is shown, each line begins with this server's title.

    Args:
        lines: prints lines and reads input.
        beside: runs a coroutine as a background task.
        end: ends the program.
    """

    def __init__(
        self,
        server_key: int,
        workspace: Workspace,
        core: Core,
        lines: Lines,
        beside: Callable[[Coroutine[None, None, None]], None],
        end: Callable[[], None],
    ) -> None:
        self.refusal = ""
        """Why the server refused the user; empty if it did not."""
        self._server_key = server_key
        self._workspace = workspace
        self._core = core
        self._lines = lines
        self._beside = beside
        self._end = end
        self._announcer = Announcer(self._title, lambda line: self._state.is_folded(line))
        self._opened: set[str] = set()
        self._printed_link: tuple[Link, str] | None = None
        self._aside: str | None = ""
        self._is_peeking = False
        self._printed_aim: tuple[Aim, int | None] = (Aim.MESSAGE, None)
        self._printed_silence: dict[str, str] = {}
        """The printed reason why the user may not write, by channel."""
        self._printed_invitations: set[str] = set()
        self._thread_draft = ""
        """The open thread's draft, left unchanged: plain mode replies with `/reply`."""
        self._thread_head = 0
        """The channel's last number when the thread was opened."""

    def take_update(self, update: Update) -> None:
        """Print an update of the core."""
        match update:
            case ConnectionChanged():
                self._say(self._link(update))
            case ChannelsChanged():
                self._opened &= {info.name for info in update.channels}
                for info in update.channels:
                    self._follow(info)
            case ChannelChanged():
                self._follow(update.info)
            case ChannelRemoved():
                self._opened.discard(update.channel)
            case InvitationsChanged():
                self._say(self._invitations(update))

    def mark_printed_as_read(self) -> None:
        """Mark the printed messages of the current channel as read."""
        if current := self._state.current:
            self._conversation.reading.seen(current, self._announcer.last(current))
            replies, self._announcer.replies = self._announcer.replies, []
            for line in replies:
                if line.channel != current:
                    self._announcer.replies.append(line)
                elif line.thread is not None and line.seq is not None:
                    self._core.mark_thread(current, line.thread, line.seq)

    def _invitations(self, update: InvitationsChanged) -> list[str]:
        """Return the lines for open invitations that were not printed yet."""
        unknown = [
            each
            for each in update.invitations
            if each != update.new and each.channel not in self._printed_invitations
        ]
        self._printed_invitations = {each.channel for each in update.invitations}
        return [
            f"{printable_line(each.by)} invited you to {printable_line(each.channel)}. Use /accept "
            f"{each.channel} or /decline {each.channel}."
            for each in unknown
        ]

    @property
    def _conversation(self) -> Conversation:
        server = self._workspace.at(self._server_key)
        assert server is not None
        return server.conversation

    def _title(self, channel: str) -> str:
        return channel_title(channel, self._state.user)

    @property
    def _state(self) -> ConversationState:
        return self._conversation.state

    def _head(self, channel: str) -> int:
        # Messages may arrive, and be printed, before the channel's new head does.
        info = self._state.channels.get(channel)
        return max(info.head if info is not None else 0, self._announcer.last(channel))

    def _say(self, lines: Iterable[str]) -> None:
        self._lines.say(f"{self._lead}{line}" for line in lines)

    def _refuse(self, lines: Iterable[str]) -> None:
        self._lines.refuse(f"{self._lead}{line}" for line in lines)

    @property
    def _lead(self) -> str:
        """The prefix of lines while another server is shown."""
        server = "" if self._aside is None else self._workspace.title_beside(self._server_key)
        return f"{printable_line(server)}: " if server else ""

    def _follow(self, info: ChannelInfo) -> None:
        """Open a listed channel in the core: plain mode prints all channels."""
        if info.name not in self._opened:
            self._opened.add(info.name)
            self._core.open_channel(info.name)

    def _printed_for(self, channel: str) -> str | None:
        """Return the user whom lines must mention to be printed: for muted, hidden channels."""
        info = self._state.channels.get(channel)
        is_shown = self._aside is None and channel == self._state.current
        return self._state.user if info is not None and info.muted and not is_shown else None

    @property
    def answered(self) -> int:
        """Number of the user's messages that the server confirmed or refused."""
        return self._announcer.answered

    @property
    def is_online(self) -> bool:
        """Whether the server is connected."""
        return self._printed_link is not None and self._printed_link[0] is Link.ONLINE

    def _link(self, state: ConnectionChanged) -> list[str]:
        known = (state.link, state.detail)
        if known == self._printed_link or state.link is Link.CONNECTING:
            return []
        self._printed_link = known
        self.refusal = state.detail if state.link in (Link.REFUSED, Link.STOPPED) else ""
        match state.link:
            case Link.ONLINE:
                return [f"Connected to {printable_line(state.server)} as {state.user}."]
            case Link.WAITING:
                return [f"{why_not_connected(state)} Retrying automatically."]
        if state.ways:
            return []  # `ask_sign_in` follows
        return [why_not_connected(state)]

    # The View port

    def composed(self, key: PaneKey) -> str:
        """Return the typed text, or the draft of a thread."""
        if key.thread is not None:
            return self._thread_draft
        return self._lines.text if self._aside is None else self._aside

    def compose_with(self, key: PaneKey, text: str) -> None:
        """Replace the typed text."""
        if key.thread is not None:
            self._thread_draft = text
        elif self._aside is None:
            self._lines.prompt = printable_line(self._title(key.channel))
            self._lines.load(text)
        else:
            self._aside = text

    def give_back(self, key: PaneKey, text: str) -> None:
        """Put a refused message before the typed text; commands are not restored."""
        if not is_command(text):
            self.compose_with(key, " ".join(filter(None, (text, self.composed(key)))))

    def show(self, key: PaneKey, log: Log, user: str, read: int) -> None:
        """Print the channel's title and newest messages, or the thread's heading."""
        channel = key.channel
        if key.thread is not None:
            self._thread_head = self._head(channel)
            self._say(
                [f"Thread of message {key.thread} in {printable_line(self._title(channel))}:"]
            )
            return
        if self._aside is not None:
            return
        info = self._state.channels.get(channel)
        name = self._title(channel)
        topic = f" Topic: {printable_line(info.topic)}" if info and info.topic else ""
        unread = f" {info.unread} unread." if info and info.unread else ""
        server = printable_line(self._workspace.title_beside(self._server_key))
        there = f"{printable_line(name)} on {server}" if server else printable_line(name)
        newest = self._announcer.newest(log, info.unread if info else 0)
        notes = ", ".join(_notes(info))
        there += f" ({notes})" if notes else ""
        self._say([f"You are in {there}.{unread}{topic}", *newest])
        self._tell_silence()

    def update(self, key: PaneKey, done: Splices) -> bool:
        """Print a change; no log stays on the screen."""
        if key.thread is None:
            self._tell_lines(done)
        else:  # the thread as of its opening; later replies are printed as they arrive
            self._say(
                f"{line.seq}. {_describe(line)}"
                for line in done.change.upserts
                if line.seq is not None
                and line.seq <= self._thread_head
                and line.seq not in done.before
            )
        return False

    def _tell_lines(self, done: Splices) -> None:
        channel = done.change.channel
        is_new = not self._announcer.last(channel)
        said = self._announcer.announce(done, self._printed_for(channel))
        if is_new:
            said += self._unread_elsewhere(channel)
        if is_new and not said and self._aside is None and channel == self._state.current:
            said = self._announcer.newest(done.log)
        if is_waiting(done) and not self.is_online:
            said.append("Offline: saved on this computer, sent after reconnecting.")
        refusals = self._announcer.refusals
        self._refuse(line for line in said if line in refusals)
        self._say(line for line in said if line not in refusals)

    def _unread_elsewhere(self, channel: str) -> list[str]:
        """Return the line for the unread messages of a channel that was just loaded."""
        info = self._state.channels.get(channel)
        is_shown = self._aside is None and channel == self._state.current
        if info is None or is_shown or not info.unread or self._printed_for(channel):
            return []
        name = printable_line(self._title(channel))
        return [f"{info.unread} unread in {name}. Use /inbox to list unread messages."]

    def close_thread(self) -> None:
        """Do nothing: printed lines stay."""

    def step_back(self) -> None:
        """Hide this conversation."""
        self._aside = self._lines.text

    def come_forward(self) -> None:
        """Show this conversation; without a channel, print the server's title."""
        self._aside = None
        if not self._state.current and (server := self._workspace.title_beside(self._server_key)):
            self._say([f"You are on {printable_line(server)}. You have not joined a channel yet."])

    def choose(self, seq: int) -> bool:
        """Print a message again, if it is loaded."""
        message = self._state.log(self._state.current or "").line(seq)
        if message is not None:
            self._say([f"{message.author}: {printable_line(message.text)}"])
        return message is not None

    def showing(self) -> int | None:
        """Return None: `mark_printed_as_read` marks messages."""
        return None

    def shows_newest(self, key: PaneKey) -> bool:
        """Return True: every line is printed as it arrives."""
        return True

    def show_newest(self, key: PaneKey) -> None:
        """Do nothing: every line is printed as it arrives."""

    def unread_from(self) -> int | None:
        """Return None: new messages are printed as they arrive."""
        return None

    def show_unread(self) -> None:
        """Refuse: unread messages are already printed."""
        raise Refused(
            "Plain mode marks messages as read when it prints them, so this channel has no unread "
            "messages."
        )

    def list_unread(self, found: Mapping[Location, Unread]) -> None:
        """Print the unread messages."""
        for location, unread in found.items():
            name = printable_line(self._workspace.name_of(location))
            self._say(
                f"{each.message.seq}. {each.message.author} in {name}: "
                f"{printable_line(each.message.text)}"
                for each in unread.waiting
            )
        switch = "/server NAME, then " if self._workspace.title_beside(self._server_key) else ""
        self._say(
            [
                f"Use {switch}/join CHANNEL or /msg NAME to open a conversation, /mark all to mark "
                "everything as read."
            ]
        )

    def list_found(self, finding: SearchSession, state: ConversationState) -> None:
        """Print search results, newest last."""
        if not finding.query:
            raise Refused("Usage: /search WORDS")
        self._say(
            f"{hit.seq}. {hit.author} in {printable_line(channel_title(hit.channel, state.user))}, "
            f"{local_time(hit.ts):%d %b %Y %H:%M}: "
            f"{printable_line(hit.snippet)}"
            for hit in reversed(finding.hits)
        )
        where = " on this computer (offline)" if finding.is_local else ""
        more = "" if finding.is_complete else " There are more: add words or before:DAY."
        self._say([f"{len(finding.hits)} found{where}.{more}"])

    def redraw(self) -> None:
        """Print changes of peeking, of the draft's aim, and of whether the user may write."""
        if self._aside is None:
            self._tell_aim()
            self._tell_silence()
        is_peeking = self._conversation.reading.is_peeking
        if is_peeking != self._is_peeking:
            self._is_peeking = is_peeking
            self._say(["Peek is on: messages here stay unread." if is_peeking else "Peek is off."])

    def _tell_silence(self) -> None:
        channel, reason = self._state.current, self._conversation.why_silent
        before = self._printed_silence.get(channel or "", "")
        if channel is None or reason == before:
            return
        self._printed_silence[channel] = reason
        self._say([reason or f"You can write in {printable_line(self._title(channel))} again."])

    def _tell_aim(self) -> None:
        draft = self._conversation.drafts.here
        aim = (draft.aim, draft.message.seq if draft.message else None)
        if aim == self._printed_aim:
            return
        self._printed_aim = aim
        cancel = "Ctrl+U then Enter cancels."
        if draft.aim is Aim.EDIT:
            self._say([f"Editing message {aim[1]}: Enter saves it, {cancel}"])
        elif draft.aim is Aim.REPLY:
            self._say([f"Replying to message {aim[1]}: Enter sends it, {cancel}"])

    def run_in_background(self, work: Coroutine[None, None, None]) -> None:
        """Run a coroutine as a background task."""
        self._beside(work)

    def list_rows(
        self, title: str, then: Callable[[str], None], command: str, on_enter: str = ""
    ) -> AddRows:
        """Print a list, and the command that chooses a row."""
        self._say([f"{title}. {command}:"])

        def add(rows: Iterable[Choice]) -> None:
            self._say(
                ", ".join(map(printable_line, filter(None, (row.label, row.note)))) for row in rows
            )

        return add

    def set_theme(self, name: str) -> None:
        """Refuse: plain mode has no colors."""
        raise Refused("Plain mode has no themes; it uses the terminal's colors.")

    def toggle(self, pane: Pane) -> None:
        """Print the channels or the members."""
        state = self._state
        if pane == "sidebar":
            self._say(
                ", ".join(
                    (
                        printable_line(self._workspace.name_of(location)),
                        f"{info.unread} unread",
                        *([f"{info.unread_replies} in threads"] if info.unread_replies else []),
                        *_notes(info),
                    )
                )
                for location, info in self._workspace.entries()
            )
        elif state.current in state.members:
            members, info = state.members[state.current], state.info
            has_roles = info is not None and not info.direct and state.connection.has_rooms
            self._say(
                ", ".join(
                    (
                        printable_line(name),
                        presence,
                        *([role] if has_roles and role != "member" else []),
                        *(["muted"] if name in members.muted else []),
                    )
                )
                for name, role, presence in members.members
            )

    def show_bare(self) -> None:
        """Print the latest messages of the current channel, the user's own included."""
        latest = self._announcer.newest(self._state.log(self._state.current or ""), _AT_ONCE)
        self._say(latest or ["There are no messages here yet."])

    def copy(self, text: str) -> None:
        """Copy a text to the clipboard, if there is a terminal."""
        text = printable(text)  # a program that it is pasted into could execute control characters
        if not self._lines.copy(text):
            raise Refused("Cannot copy: the output is not a terminal with a clipboard.")
        self._beside(_in_thread(desktop.copy_to_clipboard, text))
        self._say(["Copied."])

    def open_links(self, urls: Sequence[str]) -> None:
        """Open a link in the browser; print it without a desktop, or if there are several."""
        match urls:
            case []:
                self._say(["This message has no link."])
            case [url] if is_web_link(url) and can_open():
                self._beside(_in_thread(webbrowser.open, url))
                self._say([f"Opening {printable_line(url)}"])
            case _:
                self._say(map(printable_line, urls))

    def show_help(self, command: Command | None = None) -> None:
        """Print how to name a message, and all commands; or the help of one command."""
        if command is not None:
            self._say([command.help_line(is_plain=True)])
            return
        self._say(_HELP)
        commands = available(is_admin=self._state.is_admin, rights=self._state.rights)
        self._say(
            f"{each.usage}: {each.help_in_plain or each.help}"
            for each in commands
            if each.name not in _REFUSED_COMMANDS
        )

    def quit(self) -> None:
        """End the program."""
        self._end()

    def ask_sign_in(self, refused: ConnectionChanged) -> None:
        """Print why the sign-in was refused, and which commands help."""
        if way := self._conversation.wrong_way:
            self._conversation.sign_in(way)
        else:
            self._say([f"Not connected. {why_refused(refused)}"])

    def ask_secret(
        self, question: str, then: Callable[[str], None], *, is_hidden: bool = True
    ) -> None:
        """Ask for a text below the other lines; an empty answer cancels."""
        if not self._lines.ask(f"{self._lead}{question}", then, is_hidden=is_hidden):
            raise Refused("Cannot ask for a secret: the input is not a terminal.")

    def show_code(self, title: str, code: str, notes: Sequence[str]) -> Callable[[], None]:
        """Print a code."""
        self._say([f"{title}: {printable_line(code)}", *notes])
        return lambda: None

    def confirm(self, question: str, what: str, then: Callable[[], None]) -> None:
        """Ask in a terminal; piped input is not asked."""

        def answered(text: str) -> None:
            if text.strip().lower() in ("y", "yes"):
                then()
            else:
                self._say(["Cancelled."])

        line = f"{self._lead}{question} {printable_line(what)} (y or n)"
        if not self._lines.ask(line, answered, is_hidden=False):
            then()

    def ask(self, question: Question, then: Callable[[str, str], None]) -> None:
        """Ask in a terminal, with the reason and duration that were typed."""
        self.confirm(
            f"{question.title} {question.effect}",
            f"{question.details}.",
            lambda: then(question.reason, question.duration or ""),
        )

    def sent_to_thread(self, channel: str, seq: int) -> None:
        """Print where the reply is, because it is not in the channel."""
        self._say(
            [f"Replied to message {seq} in its thread only. /reply --channel also sends it here."]
        )

    def begin_command(self, text: str) -> None:
        """Do nothing: rows of printed lists cannot be chosen."""

    def turned_back(self, channel: str, reason: str) -> None:
        """Print why a join was refused, and stop reading piped input."""
        self._say([reason])
        self._lines.stop(f"{self._title(channel)}: {reason}; your text was not sent")

    def say(self, text: str, severity: Severity = "information") -> None:
        """Print a message."""
        (self._say if severity == "information" else self._refuse)([text])


async def _in_thread(act: Callable[[str], object], text: str) -> None:
    await asyncio.to_thread(act, text)
