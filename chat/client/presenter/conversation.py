"""A conversation: turns actions into requests, and updates into what the view shows.

It decides which channel is shown and when a message counts as read. Its `View` draws.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Literal

from chat.client.model.describe import ending
from chat.client.model.membership import Invitation
from chat.client.model.sign_in import Credential, SignInWay
from chat.client.model.slash import parser
from chat.client.model.slash.parser import Invocation
from chat.client.model.state import (
    LAST_CHANNEL,
    SERVER_NAME,
    ChannelChanged,
    ChannelRemoved,
    ChannelsChanged,
    ConnectionChanged,
    DeviceAdded,
    InvitationsChanged,
    MembershipEnded,
    Notice,
    NotificationDue,
    ThreadChanged,
    TimelineChanged,
    Update,
)
from chat.client.platform.local_time import moment
from chat.client.presenter.acts import why_silent
from chat.client.presenter.composer.draft import Aim, DraftStore, check_length
from chat.client.presenter.composer.drafts import Drafts
from chat.client.presenter.composer.name_lookup import NameLookup
from chat.client.presenter.navigation import Location, PaneKey
from chat.client.presenter.notifier import Notifier
from chat.client.presenter.search import SearchSession
from chat.client.presenter.state import ConversationState, title_of, why_refused
from chat.client.presenter.thread import ThreadController
from chat.client.presenter.view import Refused, View, WorkspacePort, sentence, severity_of
from chat.client.sync.core import Core, answer
from chat.errors import ChatError
from chat.text import GENERAL, channel_names, is_blank

if TYPE_CHECKING:
    from chat.protocol.commands import AnsweredBy, Create
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
    "show_unread_on_arrival",
]


class ReadTracker:
    """Moves the read markers of the shown channel and of the open thread."""

    def __init__(self, core: Core) -> None:
        self.is_watched = True
        """Whether the terminal has the focus."""
        self.is_peeking = False
        """Whether the channel is shown without moving its marker; ends when another opens."""
        self._core = core
        self._held: Counter[str] = Counter()
        self._seen: tuple[str, int] | None = None
        self._thread_seen: tuple[PaneKey, int] | None = None

    def opened(self) -> None:
        """Reset: another channel was opened."""
        self._seen, self._thread_seen, self.is_peeking = None, None, False

    def seen(self, channel: str, seq: int) -> None:
        """Mark the shown messages as read, up to `seq`, if the terminal has the focus."""
        if not self._held[channel]:
            self._seen = (channel, seq)
            self._mark()

    def thread_seen(self, key: PaneKey, seq: int) -> None:
        """Mark the shown replies of the open thread as read, up to `seq`, with the focus."""
        self._thread_seen = (key, seq)
        self._mark_thread()

    def watched(self, is_watched: bool) -> None:
        """Set whether the terminal has the focus; gaining it marks the shown messages."""
        self.is_watched = is_watched
        self._mark()
        self._mark_thread()

    def peek(self, is_peeking: bool) -> None:
        """Start or stop peeking; stopping marks the shown messages."""
        self.is_peeking = is_peeking
        self._mark()
        self._mark_thread()

    @contextmanager
    def held(self, channel: str) -> Iterator[None]:
        """Do not mark a channel while the view scrolls to another place in it.

        Calls nest: marking resumes after the last one ends.
        """
        self._held[channel] += 1
        try:
            yield
        finally:
            self._held[channel] -= 1

    def _mark_thread(self) -> None:
        if self._thread_seen and self.is_watched and not self.is_peeking:
            key, seq = self._thread_seen
            if key.thread is not None:
                self._core.mark_thread(key.channel, key.thread, seq)

    def _mark(self) -> None:
        if self._seen and self.is_watched and not self.is_peeking:
            self._core.mark(*self._seen)


def jump(conversation: Conversation, channel: str, seq: int) -> None:
    """Open a channel and scroll to one of its messages."""
    conversation.view.run_in_background(_jump(conversation, channel, seq))


async def _jump(here: Conversation, channel: str, seq: int) -> None:
    with here.reading.held(channel), here.telling():
        here.open_channel(channel)
        is_loaded = await answer(here.core.reach(channel, seq))
        here.take_in()
        if channel != here.state.current or (is_loaded and here.view.choose(seq)):
            pass
        elif await answer(here.core.thread_with(channel, seq)) is not None:
            here.threads.show(channel, seq)
        else:
            here.view.say(
                "This message is not on this computer and cannot be loaded now.", "warning"
            )
    _mark_shown(here, channel)


def _mark_shown(here: Conversation, channel: str) -> None:
    """Mark the messages that show after a jump; marking was held during it."""
    seq = here.view.showing()
    if seq is not None and channel == here.state.current:
        here.reading.seen(channel, seq)


def show_unread(conversation: Conversation) -> None:
    """Scroll to the first message that was unread when the channel was opened."""
    conversation.view.run_in_background(_show_unread(conversation))


async def _show_unread(here: Conversation) -> None:
    channel, first = here.state.current, here.view.unread_from()
    with here.reading.held(channel or ""), here.telling():
        if channel and first is not None:
            await answer(here.core.reach(channel, first))
            here.take_in()
        here.view.show_unread()
    _mark_shown(here, channel or "")


def show_unread_on_arrival(conversation: Conversation, channel: str) -> None:
    """Scroll the channel that was just opened to its first unread message.

    Nothing is marked as read on the way: messages that were never on screen stay unread.
    """
    hold = ExitStack()
    hold.enter_context(conversation.reading.held(channel))
    conversation.view.run_in_background(_show_unread_on_arrival(conversation, channel, hold))


async def _show_unread_on_arrival(here: Conversation, channel: str, hold: ExitStack) -> None:
    with hold, here.telling():
        if (first := here.view.unread_from()) is not None:
            await answer(here.core.reach(channel, first))
            here.take_in()
        if channel == here.state.current:
            with suppress(Refused):  # the unread messages are the user's own
                here.view.show_unread()
    _mark_shown(here, channel)


def search(conversation: Conversation, typed: str = "") -> None:
    """Search and show the results; without a query, show the former results or the field."""
    conversation.view.run_in_background(_search(conversation, typed))


async def _search(here: Conversation, typed: str) -> None:
    with here.telling(f"/search {typed}"):
        if typed:
            await here.finding.begin(typed, here.state.user)
        here.view.list_found(here.finding, here.state)


def mark(conversation: Conversation, channel: str) -> None:
    """Mark everything in a channel and its followed threads as read."""
    info = conversation.state.channels.get(channel)
    if info is not None and info.head:
        conversation.core.mark(channel, info.head)
        for thread in info.threads:
            conversation.core.mark_thread(channel, thread.root, info.head)


def mark_all(conversation: Conversation) -> None:
    """Mark everything in all channels as read."""
    for info in conversation.state.channels.values():
        if info.unread or info.mentions or info.threads:
            mark(conversation, info.name)


def peek(conversation: Conversation, channel: str) -> None:
    """Open a channel without marking it as read; in the shown channel, toggle peeking."""
    reading = conversation.reading
    if channel == conversation.state.current:
        reading.peek(not reading.is_peeking)
    else:
        with reading.held(channel):
            conversation.open_channel(channel)
            reading.peek(True)
    conversation.view.redraw()


_MOMENT = 0.05
"""Seconds after the end of a mute at which the view is redrawn."""
Typing = Literal["both", "show", "tell", "off"]
"""The uses of typing indicators: show those of others, send one's own."""


_SIGN_INS = {
    SignInWay.INVITATION: "an invitation",
    SignInWay.LINK: "a link code",
    SignInWay.PASSWORD: "a password",
}
_CREDENTIALS = {
    SignInWay.INVITATION: "Invitation code for {name}",
    SignInWay.LINK: "Link code for {name} (from /link on another device, or from your operator)",
    SignInWay.PASSWORD: "Password of {name}",
}
"""The question for each credential."""


Handler = Callable[["Conversation", Invocation], None]
"""Runs a slash command; raises a `ChatError` with a message for the user."""


class Conversation:
    """The user's channels, drafts and searches on one server; see the module's docstring."""

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
        self.lookup = NameLookup(self.state, core, view.run_in_background)
        self.finding = SearchSession(core)
        """The latest search."""
        tells_typing = typing in ("both", "tell")
        store = DraftStore(core, is_used=saves_drafts)
        self.drafts = Drafts(core, store, self.state, view, self.run, tells_typing=tells_typing)
        self.threads = ThreadController(core, self.state, view, self.drafts)
        self.close_link: Callable[[], None] = lambda: None
        """Closes the dialog with the last link code, which can be used only once."""
        self._tried: SignInWay | None = None
        """The credential that was sent last, unless it was asked for again."""
        self._asked: dict[str, tuple[str, str]] = {}
        """Channels being joined: the channel and the text of each request."""
        self._wanted: str | None = None
        """A joined channel that is not listed yet."""
        self._left_elsewhere = ""
        """The shown channel that was left on another device while text was typed in it."""
        self._mute_ends: int | None = None
        """When the mute in the current channel ends, in milliseconds since 1970."""
        self._mute_timer: asyncio.TimerHandle | None = None

    @property
    def server(self) -> str:
        """The server's own name, as last received; empty before the first connection."""
        return self.state.connection.server or self.core.pref(SERVER_NAME)

    # Updates from the core.

    def take_in(self) -> None:
        """Apply the core's updates to the state and show them."""
        updates = self.core.drain()
        for update in updates:
            self._apply(update)
        if updates:
            self.view.redraw()

    def _apply(self, update: Update) -> None:
        self.view.take_update(update)
        read = self.state.info.read if self.state.info else 0
        user = self.state.user
        self.state.apply(update)
        if isinstance(update, TimelineChanged):
            self._apply_lines(update)
        elif isinstance(update, ThreadChanged):
            self.threads.apply(update)
        elif isinstance(update, ChannelsChanged | ChannelChanged | ChannelRemoved):
            self._settle()
            self._redraw_after_mute()
            if self.state.info is not None and self.state.info.read < read:
                self._show_channel()  # a marker falls only if the log was replaced
        elif isinstance(update, ConnectionChanged):
            if self.state.user != user:
                self._show_channel()  # the user's own messages are those of the new name
            self._ask_sign_in()
        else:
            self._apply_to_person(update)

    def _apply_to_person(self, update: Update) -> None:
        if isinstance(update, NotificationDue):
            if self.status != "busy":
                self.notifier.take(update, partial(self._is_seen, update))
        elif isinstance(update, InvitationsChanged) and update.new is not None:
            self._tell_invitation(update.new)
        elif isinstance(update, MembershipEnded):
            if update.channel != self.state.current or not self._has_text():
                self.view.say(ending(update, moment), "warning")
        elif isinstance(update, DeviceAdded):
            self.close_link()
        elif isinstance(update, Notice):
            self.view.say(update.text, severity_of(update.severity))

    def _tell_invitation(self, invitation: Invitation) -> None:
        if not self.state.ignores(invitation.by):
            kind = "the private channel " if invitation.private else ""
            channel = invitation.channel
            self.view.say(
                f"{invitation.by} invited you to {kind}{channel}. Use /accept {channel} or "
                f"/decline {channel}."
            )

    def _apply_lines(self, change: TimelineChanged) -> None:
        log = self.state.log(change.channel)
        if not self.view.update(PaneKey(change.channel), log.apply(change)):
            log.trim()

    def rename(self, name: str) -> None:
        """Sign in with another name if the present one is taken; without a name, ask for one."""
        if name or SignInWay.NAME not in self.state.connection.ways:
            self.workspace.rename(self._server_key, name)
        else:
            self._ask_sign_in()

    def choose_sign_in(self) -> None:
        """Ask how to sign in, after the server has refused the sign-in."""
        if self.state.is_online:
            raise Refused("You are signed in.")
        if not self.state.connection.ways:
            raise Refused("The server does not ask you to sign in. Use /reconnect to retry.")
        self._ask_sign_in()

    def _ask_sign_in(self) -> None:
        if self.state.connection.ways:
            self.view.ask_sign_in(self.state.connection)

    def sign_in(self, way: SignInWay, secret: str = "") -> None:
        """Sign in with a credential after the server has refused the sign-in.

        Without a `secret`, it is asked for.
        """
        connection = self.state.connection
        if way not in connection.ways:
            if self.state.is_online:
                raise Refused("You are signed in.")
            why = f" {why_refused(connection)}" if connection.ways else " Use /reconnect to retry."
            raise Refused(f"You cannot use {_SIGN_INS[way]} here.{why}")
        question = _CREDENTIALS[way].format(name=self.state.user)
        if way is self.wrong_way:
            question = f"{connection.reason[:1].upper()}{connection.reason[1:]}. {question}"
        self._tried = None

        def answered(secret: str) -> None:
            if way is not SignInWay.PASSWORD:
                secret = secret.strip()
            credential = Credential(way, secret)
            self.view.run_in_background(self._sign_in(credential))

        if secret:
            answered(secret)
        else:
            self.view.ask_secret(question, answered, is_hidden=way is SignInWay.PASSWORD)

    @property
    def wrong_way(self) -> SignInWay | None:
        """The credential that the server has just refused, to be asked for again."""
        return self._tried if self._tried in self.state.connection.ways[:1] else None

    async def _sign_in(self, credential: Credential) -> None:
        self._tried = credential.way
        self.drafts.drop_codes()
        with self.telling():
            await answer(self.core.sign_in(self.state.user, credential))

    def _is_seen(self, due: NotificationDue) -> bool:
        """Whether the message is visible in the timeline or the open thread, with the focus."""
        is_shown = due.channel == self.state.current and not due.thread_only
        places = [PaneKey(due.channel)] if is_shown else []
        thread = self.state.thread
        if thread and (thread.channel, thread.root) == (due.channel, due.thread):
            places.append(PaneKey(due.channel, due.thread))
        return self.reading.is_watched and any(map(self.view.shows_newest, places))

    def _redraw_after_mute(self) -> None:
        """Redraw when the user's mute in the current channel ends by itself."""
        mute = self.state.info.mute if self.state.info is not None else None
        until = mute.until if mute is not None else None
        if until == self._mute_ends:
            return
        self._mute_ends = until
        if self._mute_timer is not None:
            self._mute_timer.cancel()
        if until is not None and (left := until - self.state.now) > 0:
            loop = asyncio.get_running_loop()
            self._mute_timer = loop.call_later(left / 1000 + _MOMENT, self.view.redraw)

    def _settle(self) -> None:
        """Open a listed channel if the shown one is no longer listed."""
        known = self.state.channels
        if self.state.info is not None and self.state.info.is_member:
            self._left_elsewhere = ""
        if self._wanted in known and self._wanted == self.drafts.channel:
            self.open_channel(self._wanted)
        elif self.state.current not in known and known and not self.drafts.is_joining:
            if self.state.current is not None and self._has_text():
                self._stay(self.state.current)
                return
            candidates = (self.state.previous, self.core.pref(LAST_CHANNEL), GENERAL, *known)
            self.open_channel(next(name for name in candidates if name in known))
        elif self.state.current is not None and not known:
            self._put_away()
            self.state.current = None
            self.drafts.open_channel("")

    def _has_text(self) -> bool:
        """Whether a composer of the current channel contains text."""
        return not all(is_blank(self.view.composed(key)) for key in self.drafts.open)

    def _stay(self, channel: str) -> None:
        """Keep showing a channel that was left on another device while text is written in it.

        The text would go to another channel otherwise. The saved draft keeps the channel listed.
        """
        self.drafts.keep_open()
        if channel != self._left_elsewhere:
            self._left_elsewhere = channel
            self.core.open_channel(channel)
            if channel in self.state.ended:  # the reason is shown above the composer
                self.view.say(f"Your text for {channel} is kept.", "warning")
                return
            self.view.say(
                f"You are no longer in {channel}. Your text is kept; join again to send it.",
                "warning",
            )

    # Opening channels.

    def open_channel(self, channel: str) -> None:
        """Show a channel and its draft."""
        self._wanted = None
        if self.drafts.is_joining and channel == self.drafts.channel:
            self._enter()
        elif self.drafts.is_joining or channel != self.state.current:
            self._move_to(channel)
            self._show()

    def _enter(self) -> None:
        """Show the joined channel, whose draft is open already; then send the held texts."""
        self.state.move_to(self.drafts.channel)
        self.core.save_pref(LAST_CHANNEL, self.drafts.channel)
        self._show_channel()
        for text in self.drafts.release():
            self.drafts.submit(
                text, PaneKey(self.drafts.channel)
            )  # one may be a command that opens another channel

    def _move_to(self, channel: str) -> None:
        self._put_away()
        self.state.move_to(channel)
        self.drafts.load(channel)
        self.core.save_pref(LAST_CHANNEL, channel)

    def _show(self) -> None:
        """Show the current channel, if there is one, and its draft."""
        self.drafts.open_channel(self.state.current or "")
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
        """Hide this conversation; another server is shown."""
        self._put_away()
        self.view.step_back()
        self.state.trim()

    def come_forward(self, channel: str, *, is_watched: bool) -> None:
        """Show this conversation, with `channel` (empty: the channel shown last)."""
        if channel and channel != self.state.current:
            self._move_to(channel)
        self.view.come_forward()
        self._show()
        self.reading.watched(is_watched)
        self._ask_sign_in()

    def close(self) -> None:
        """Save the drafts before the program ends, with the texts of unanswered joins."""
        for channel in list(self._asked):
            self._turn_back(channel)
        self._put_away()
        if self._mute_timer is not None:
            self._mute_timer.cancel()

    def _put_away(self) -> None:
        self.threads.close()
        self.drafts.put_away()

    # Requests of the user.

    def dismiss(self, key: PaneKey) -> None:
        """Cancel the reply or edit; without one, close the thread unless it has a draft."""
        draft = self.drafts.at(key)
        if draft.aim is not Aim.MESSAGE:
            self.drafts.cancel(key)
        elif key.thread is None or is_blank(draft.text):
            self.threads.close()

    def run(self, asked: Invocation) -> None:
        """Run a slash command.

        Raises:
            ChatError: the command failed; the message is for the user.
        """
        if asked.command.is_for_admins and not self._may_be_for_channel(asked):
            self.check_admin(asked)
        self._commands[asked.command.name](self, asked)

    def check_admin(self, asked: Invocation) -> None:
        """Refuse a command for the server, if the user is known to be no admin of it."""
        is_known = self.state.is_online and self.state.connection.has_accounts
        if is_known and not self.state.is_admin:
            flag = " --server" if self._may_be_for_channel(asked) else ""
            name = f"/{asked.command.name}{flag}"
            raise Refused(f"Only admins of this server can use {name}.")

    def _may_be_for_channel(self, asked: Invocation) -> bool:
        return asked.command.right is not None and self.state.connection.has_rooms

    def run_command(self, text: str) -> None:
        """Run a slash command chosen from a list or by a key; show an error if it fails."""
        with self.telling():
            self.run(parser.parse(text))

    def join(self, channel: str, first_words: str = "", *, create: Create | None = None) -> None:
        """Join a channel, show it, and send `first_words`; the composer moves there at once.

        With `create`, the channel is created instead.

        Raises:
            ChatError: `first_words` is too long.
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
        self.drafts.load(channel)
        self.drafts.open_channel(channel)
        self.view.redraw()
        self.view.run_in_background(self._join(channel, first_words, create))

    async def _join(self, channel: str, first_words: str, create: Create | None) -> None:
        from chat.protocol.commands import Join

        try:
            joined = await answer(self.core.ask(create or Join(channel=channel)))
        except ChatError as exc:
            self._turn_back(channel)
            self._settle()
            self.view.redraw()
            self.view.turned_back(channel, str(exc))
        else:
            self._asked.pop(channel, None)
            if channel == self.drafts.channel != joined.channel:  # the server spells it differently
                self.drafts.readdress(PaneKey(channel), PaneKey(joined.channel))
            self._say_there(joined.channel, first_words)
            self._arrive(joined.channel)

    def _say_there(self, channel: str, words: str) -> None:
        if words:
            self.core.send(channel, words)
        self.take_in()

    def _arrive(self, channel: str) -> None:
        """Show a joined channel, unless the user opened another one meanwhile."""
        if channel not in self.state.channels:
            self._wanted = channel
        elif channel == self.drafts.channel:
            self.open_channel(channel)
        else:
            info = self.state.channels[channel]
            waits = " Your text there is not sent yet." if info.has_draft else ""
            self.view.say(f"Joined {title_of(info)}.{waits}")

    def _turn_back(self, channel: str) -> None:
        """Return the text typed for a refused channel to the channel of the request."""
        asked_in, text = self._asked.pop(channel, (self.state.current or "", ""))
        written = self.drafts.withdraw(channel)
        if channel == self.drafts.channel:
            self.drafts.open_channel(self.state.current or "")
        self.drafts.put_first(written, PaneKey(asked_in))
        self.drafts.give_back(text, PaneKey(asked_in))

    def ask(self, command: AnsweredBy[object], text: str = "") -> None:
        """Send a command; if it fails, show the error and return `text` to the composer."""
        self.view.run_in_background(self._ask(self.core.ask(command), text))

    async def _ask(self, future: Future[object], text: str) -> None:
        with self.telling(text):
            await answer(future)

    @contextmanager
    def telling(self, text: str = "") -> Iterator[None]:
        """Show a `ChatError` raised inside, and return the command's text to the composer."""
        written_in = self.state.current or ""
        try:
            yield
        except ChatError as exc:
            self.view.say(sentence(str(exc)), "warning")
            self.drafts.give_back(text, PaneKey(written_in))

    @property
    def why_silent(self) -> str:
        """Why the user may not write in the current channel, as a sentence; empty if they may."""
        return why_silent(self.state, self.state.current or "")

    def set_status(self, status: Status) -> None:
        """Set the user's presence: online, away or busy."""
        self.status = status
        self.core.status(status)
        self.view.redraw()

    def write_to(self, name: str) -> None:
        """Open the direct channel with a user."""
        if name != self.state.user:
            self.run_command(f"/msg {name}")
