"""A conversation: turns actions into requests, and updates into what the view shows.

It decides which channel is shown, and when a message counts as read. It draws nothing: its `View`
does.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Literal

from chat.client.model.slash import parser
from chat.client.model.slash.parser import Invocation
from chat.client.model.state import (
    LAST_CHANNEL,
    SERVER_NAME,
    ChannelChanged,
    ChannelRemoved,
    ChannelsChanged,
    ConnectionChanged,
    Notice,
    NotificationDue,
    ThreadChanged,
    TimelineChanged,
    Update,
)
from chat.client.presenter.composer.draft import Aim, DraftStore, check_length
from chat.client.presenter.composer.drafts import Drafts
from chat.client.presenter.composer.name_lookup import NameLookup
from chat.client.presenter.navigation import Location, PaneKey
from chat.client.presenter.notifier import Notifier
from chat.client.presenter.search import SearchSession
from chat.client.presenter.state import ConversationState, title_of
from chat.client.presenter.thread import ThreadController
from chat.client.presenter.view import View, WorkspacePort, severity_of
from chat.client.sync.core import Core, answer
from chat.errors import ChatError
from chat.text import GENERAL, channel_names, is_blank

if TYPE_CHECKING:
    from chat.protocol.commands import AnsweredBy
    from chat.protocol.values import Status

__all__ = [
    "Conversation",
    "Handler",
    "ReadTracker",
    "Typing",
    "jump",
    "mark",
    "mark_all",
    "peek",
    "search",
    "show_unread",
]


class ReadTracker:
    """The read marker of the channel that is shown; moved through `core`."""

    def __init__(self, core: Core) -> None:
        self.is_watched = True
        """Whether the person looks at this terminal."""
        self.is_peeking = False
        """Whether the channel is looked at without marking anything; ends when one leaves it."""
        self._core = core
        self._held: Counter[str] = Counter()
        self._seen: tuple[str, int] | None = None

    def opened(self) -> None:
        """Begin with another channel."""
        self._seen, self.is_peeking = None, False

    def seen(self, channel: str, seq: int) -> None:
        """Mark as read what shows, if somebody looks."""
        if not self._held[channel]:
            self._seen = (channel, seq)
            self._mark()

    def watched(self, is_watched: bool) -> None:
        """Say whether the person looks; what lies there is read once they do."""
        self.is_watched = is_watched
        self._mark()

    def peek(self, is_peeking: bool) -> None:
        """Only peek from now on, or read what shows."""
        self.is_peeking = is_peeking
        self._mark()

    @contextmanager
    def held(self, channel: str) -> Iterator[None]:
        """Mark nothing in a channel meanwhile: what shows is on its way to another place.

        Several may hold the same channel at once; the last one to end lets go of it.
        """
        self._held[channel] += 1
        try:
            yield
        finally:
            self._held[channel] -= 1

    def _mark(self) -> None:
        if self._seen and self.is_watched and not self.is_peeking:
            self._core.mark(*self._seen)


def jump(conversation: Conversation, channel: str, seq: int) -> None:
    """Show a message in the middle of its channel."""
    conversation.view.run_beside(_jump(conversation, channel, seq))


async def _jump(here: Conversation, channel: str, seq: int) -> None:
    with here.reading.held(channel), here.telling():
        here.open_channel(channel)
        is_there = await answer(here.core.reach(channel, seq))
        here.take_in(here.core.drain())
        if channel == here.state.current and not (is_there and here.view.choose(seq)):
            here.view.say(
                "This message is not on this computer and cannot be loaded now.", "warning"
            )
    _see(here, channel)


def _see(here: Conversation, channel: str) -> None:
    """Mark what shows at the end of a way: while it was held, that was not told."""
    seq = here.view.showing()
    if seq is not None and channel == here.state.current:
        here.seen(channel, seq)


def show_unread(conversation: Conversation) -> None:
    """Show the first message that was unread when one came here."""
    conversation.view.run_beside(_show_unread(conversation))


async def _show_unread(here: Conversation) -> None:
    channel, first = here.state.current, here.view.unread_from()
    with here.reading.held(channel or ""), here.telling():
        if channel and first is not None:
            await answer(here.core.reach(channel, first))
            here.take_in(here.core.drain())
        here.view.show_unread()
    _see(here, channel or "")


def search(conversation: Conversation, typed: str = "") -> None:
    """Show what a search finds; without words the one before, or where to write them."""
    conversation.view.run_beside(_search(conversation, typed))


async def _search(here: Conversation, typed: str) -> None:
    with here.telling(f"/search {typed}"):
        if typed:
            await here.finding.begin(typed, here.state.user)
        here.view.list_found(here.finding, here.state)


def mark(conversation: Conversation, channel: str) -> None:
    """Mark everything in a channel as read."""
    info = conversation.state.channels.get(channel)
    if info is not None and info.head:
        conversation.core.mark(channel, info.head)


def mark_all(conversation: Conversation) -> None:
    """Mark everything in all channels as read."""
    for info in conversation.state.channels.values():
        if info.unread or info.mentions:
            mark(conversation, info.name)


def peek(conversation: Conversation, channel: str) -> None:
    """Look at a channel without reading it; at the one that is shown: not any more."""
    reading = conversation.reading
    if channel == conversation.state.current:
        reading.peek(not reading.is_peeking)
    else:
        with reading.held(channel):
            conversation.open_channel(channel)
            reading.peek(True)
    conversation.view.redraw()


Typing = Literal["both", "show", "tell", "off"]
"""Whether it is shown who types, and told to others that one does."""


Handler = Callable[["Conversation", Invocation], None]
"""Does what a slash command says; raises a `ChatError` for a person if it cannot be done."""


class Conversation:
    """One person's side of all conversations; see the module's docstring."""

    def __init__(
        self,
        core: Core,
        view: View,
        user: str = "",
        *,
        server_key: int,
        workspace: WorkspacePort,
        notifier: Notifier,
        commands: Mapping[str, Handler],
        typing: Typing = "both",
        saves_drafts: bool = True,
    ) -> None:
        self.core = core
        self.view = view
        self.state = ConversationState(user, shows_typing=typing in ("both", "show"))
        self.status: Status = "online"
        self.reading = ReadTracker(core)
        self.workspace = workspace
        self.notifier = notifier
        self._commands = commands
        self._server_key = server_key
        self.lookup = NameLookup(self.state, core, view.run_beside)
        self.finding = SearchSession(core)
        """The latest search."""
        tells_typing = typing in ("both", "tell")
        store = DraftStore(core, is_used=saves_drafts)
        self.drafts = Drafts(core, store, self.state, view, self.run, tells_typing=tells_typing)
        self.threads = ThreadController(core, self.state, view, self.drafts)
        self._asked: dict[str, tuple[str, str]] = {}
        """Channels that the server has yet to open: where each was asked for, by which text."""
        self._wanted: str | None = None
        """A channel that is open, and not listed yet."""
        self._stayed = ""
        """The channel that was left elsewhere, and shown on for its text."""

    @property
    def server(self) -> str:
        """How the server calls itself, or did when it was last met; empty: it never was."""
        return self.state.connection.server or self.core.pref(SERVER_NAME)

    # What the core tells.

    def take_in(self, updates: Iterable[Update]) -> None:
        """Lay updates on the desk and show them."""
        for update in updates:
            self.view.tell(update)
            read = self.state.info.read if self.state.info else 0
            user = self.state.user
            self.state.apply(update)
            if isinstance(update, TimelineChanged):
                self._take_lines(update)
            elif isinstance(update, ThreadChanged):
                self.threads.take_in(update)
            elif isinstance(update, ChannelsChanged | ChannelChanged | ChannelRemoved):
                self._settle()
                if self.state.info is not None and self.state.info.read < read:
                    self._show_channel()  # the marker only falls where the log is another one
            elif isinstance(update, ConnectionChanged):
                if self.state.user != user:
                    self._show_channel()  # one's own messages are those of another name now
                self._ask_name()
            elif isinstance(update, NotificationDue) and self.status != "busy":
                self.notifier.take(update, partial(self._is_seen, update))
            elif isinstance(update, Notice):
                self.view.say(update.text, severity_of(update.severity))
        self.view.redraw()

    def _take_lines(self, change: TimelineChanged) -> None:
        log = self.state.log(change.channel)
        if not self.view.update(PaneKey(change.channel), log.apply(change)):
            log.trim()

    def rename(self, name: str) -> None:
        """Sign in with another name, if the present one is taken; without a name: ask for it."""
        if name or not self.state.connection.is_name_taken:
            self.workspace.rename(self._server_key, name)
        else:
            self._ask_name()

    def _ask_name(self) -> None:
        if self.state.connection.is_name_taken:
            self.view.ask_name(self.state.user)

    def _is_seen(self, due: NotificationDue) -> bool:
        """Whether the person sees the message, in the channel's timeline or in its open thread."""
        places = [PaneKey(due.channel)] if due.channel == self.state.current else []
        thread = self.state.thread
        if thread and (thread.channel, thread.root) == (due.channel, due.thread):
            places.append(PaneKey(due.channel, due.thread))
        return self.reading.is_watched and any(map(self.view.shows_newest, places))

    def _settle(self) -> None:
        """Show some channel if there is one, and none that one is not in."""
        known = self.state.channels
        if self.state.info is not None and self.state.info.is_member:
            self._stayed = ""
        if self._wanted in known and self._wanted == self.drafts.channel:
            self.open_channel(self._wanted)
        elif self.state.current not in known and known and not self.drafts.is_on_the_way:
            if self.state.current is not None and self._is_written():
                self._stay(self.state.current)
                return
            wishes = (self.state.previous, self.core.pref(LAST_CHANNEL), GENERAL, *known)
            self.open_channel(next(name for name in wishes if name in known))
        elif self.state.current is not None and not known:
            self._put_away()
            self.state.current = None
            self.drafts.lay_open("")

    def _is_written(self) -> bool:
        """Whether a composer of the current channel holds a text."""
        return not all(is_blank(self.view.composed(key)) for key in self.drafts.open)

    def _stay(self, channel: str) -> None:
        """Keep showing a channel that was left on another device while text is written in it.

        The text would go to another channel otherwise. The saved draft keeps the channel listed.
        """
        self.drafts.keep_open()
        if channel != self._stayed:
            self._stayed = channel
            self.core.open_channel(channel)
            self.view.say(
                f"You are no longer in {channel}. Your text is kept; join again to send it.",
                "warning",
            )

    # Where one is.

    def open_channel(self, channel: str) -> None:
        """Show a channel, with what was being written in it."""
        self._wanted = None
        if self.drafts.is_on_the_way and channel == self.drafts.channel:
            self._enter()
        elif self.drafts.is_on_the_way or channel != self.state.current:
            self._move_to(channel)
            self._show()

    def _enter(self) -> None:
        """Show the channel that the composer is for already; then send what was held."""
        self.state.move_to(self.drafts.channel)
        self.core.save_pref(LAST_CHANNEL, self.drafts.channel)
        self._show_channel()
        for text in self.drafts.release():
            self.drafts.submit(text, PaneKey(self.drafts.channel))  # one may lead further

    def _move_to(self, channel: str) -> None:
        self._put_away()
        self.state.move_to(channel)
        self.drafts.take_out(channel)
        self.core.save_pref(LAST_CHANNEL, channel)

    def _show(self) -> None:
        """Show the current channel, if there is one, and what is being written in it."""
        self.drafts.lay_open(self.state.current or "")
        self._show_channel()

    def _show_channel(self) -> None:
        self.reading.opened()
        if channel := self.state.current:
            self.workspace.came_to(Location(self._server_key, channel))
            read = self.state.info.read if self.state.info else 0
            self.view.show(PaneKey(channel), self.state.log(channel), self.state.user, read)
            self.state.trim(besides=channel)
            self.core.open_channel(channel)
        self.view.redraw()

    def step_back(self) -> None:
        """Let another conversation be shown."""
        self._put_away()
        self.view.step_back()
        self.state.trim()

    def come_forward(self, channel: str, *, is_watched: bool) -> None:
        """Be the one that is shown, with that channel (empty: the one that was shown last)."""
        if channel and channel != self.state.current:
            self._move_to(channel)
        self.view.come_forward()
        self._show()
        self.reading.watched(is_watched)
        self._ask_name()

    def close(self) -> None:
        """Keep what is typed, before the program ends; what is not on its way yet stays here."""
        for channel in list(self._asked):
            self._turn_back(channel)
        self._put_away()

    def _put_away(self) -> None:
        self.threads.close()
        self.drafts.put_away()

    def seen(self, channel: str, seq: int) -> None:
        """Mark as read what was on a screen that somebody looks at."""
        if channel == self.state.current:
            self.reading.seen(channel, seq)

    # What one asks for.

    def dismiss(self, key: PaneKey) -> None:
        """Give up a reply or a change; where there is none, close the thread, but for its text."""
        draft = self.drafts.at(key)
        if draft.aim is not Aim.MESSAGE:
            self.drafts.give_up(key)
        elif key.thread is None or is_blank(draft.text):
            self.threads.close()

    def run(self, asked: Invocation) -> None:
        """Do what a slash command says.

        Raises:
            ChatError: it cannot be done; the message is for a person.
        """
        self._commands[asked.command.name](self, asked)

    def run_command(self, text: str) -> None:
        """Run a slash command that was chosen, not written; tell the person if it fails."""
        with self.telling():
            self.run(parser.parse(text))

    def join(self, channel: str, first_words: str = "") -> None:
        """Join a channel, show it, and say something in it; what is written next is for there.

        Raises:
            ChatError: the first words are too long.
        """
        check_length(first_words, self.state.text_limit)
        known = self.state.channels.get(channel)
        if known is not None and known.is_member:
            self._say_there(channel, first_words)
            self.open_channel(channel)
            return
        names = ",".join(name for name in channel_names(channel) if name != self.state.user)
        text = f"/msg {names} {first_words}" if first_words else ""
        self._asked[channel] = (self.state.current or "", text)
        self._put_away()
        self.drafts.take_out(channel)
        self.drafts.lay_open(channel)
        self.view.redraw()
        self.view.run_beside(self._join(channel, first_words))

    async def _join(self, channel: str, first_words: str) -> None:
        from chat.protocol.commands import Join

        try:
            joined = await answer(self.core.ask(Join(channel=channel)))
        except ChatError as exc:
            self._turn_back(channel)
            self._settle()
            self.view.redraw()
            self.view.turned_back(channel, str(exc))
        else:
            self._asked.pop(channel, None)
            if channel == self.drafts.channel != joined.channel:  # it is spelled otherwise
                self.drafts.readdress(PaneKey(channel), PaneKey(joined.channel))
            self._say_there(joined.channel, first_words)
            self._arrive(joined.channel)

    def _say_there(self, channel: str, words: str) -> None:
        if words:
            self.core.send(channel, words)
        self.take_in(self.core.drain())

    def _arrive(self, channel: str) -> None:
        """Show a channel that one was let into, unless one went elsewhere meanwhile."""
        if channel not in self.state.channels:
            self._wanted = channel
        elif channel == self.drafts.channel:
            self.open_channel(channel)
        else:
            info = self.state.channels[channel]
            waits = " Your text there is not sent yet." if info.has_draft else ""
            self.view.say(f"Joined {title_of(info)}.{waits}")

    def _turn_back(self, channel: str) -> None:
        """Give what was written for a channel back to where one asked for it."""
        asked_in, text = self._asked.pop(channel, (self.state.current or "", ""))
        written = self.drafts.withdraw(channel)
        if channel == self.drafts.channel:
            self.drafts.lay_open(self.state.current or "")
        self.drafts.put_first(written, PaneKey(asked_in))
        self.drafts.give_back(text, PaneKey(asked_in))

    def ask(self, command: AnsweredBy[object], text: str = "") -> None:
        """Ask the server; tell the person if it fails, and give `text` back."""
        self.view.run_beside(self._ask(self.core.ask(command), text))

    async def _ask(self, future: Future[object], text: str) -> None:
        with self.telling(text):
            await answer(future)

    @contextmanager
    def telling(self, text: str = "") -> Iterator[None]:
        """Tell the person what fails within, and give back the text that asked for it."""
        written_in = self.state.current or ""
        try:
            yield
        except ChatError as exc:
            self.view.say(str(exc), "warning")
            self.drafts.give_back(text, PaneKey(written_in))

    def set_status(self, status: Status) -> None:
        """Say of oneself: online, away or busy."""
        self.status = status
        self.core.status(status)
        self.view.redraw()

    def write_to(self, name: str) -> None:
        """Open the direct channel with one person."""
        if name != self.state.user:
            self.run_command(f"/msg {name}")
