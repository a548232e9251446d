"""A core without network and disk, and a view without a screen, for tests."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from concurrent.futures import Future
from itertools import count
from typing import Any, TypeVar

from chat.client.config.settings import ClientSettings
from chat.client.model.notifications import Notification
from chat.client.model.preferences import PreferenceChange
from chat.client.model.sign_in import Credential
from chat.client.model.slash.commands import Command
from chat.client.model.state import (
    SERVER_NAME,
    ChannelInfo,
    ChannelsChanged,
    ConnectionChanged,
    Delivery,
    Link,
    MembersChanged,
    Message,
    TimelineChanged,
    Update,
)
from chat.client.presenter.log import Log, Splices
from chat.client.presenter.navigation import Location, PaneKey
from chat.client.presenter.search import SearchSession
from chat.client.presenter.state import ConversationState
from chat.client.presenter.view import AddRows, Choice, Pane, Question, Severity
from chat.client.sync.core import Core
from chat.client.sync.inbox import Unread
from chat.protocol.commands import AnsweredBy, BaseCommand, Search
from chat.protocol.frames import Joined, Results
from chat.protocol.values import Status, Wire
from chat.text import channel_names

__all__ = ["NOON", "FakeCore", "FakeView", "FakeWorkspace", "info", "said"]

T = TypeVar("T")
NOON = 1_780_000_000_000


def info(name: str, **fields: Any) -> ChannelInfo:
    """Return a channel; the others in a direct channel are all but `me`."""
    others = tuple(each for each in channel_names(name) if each != "me")
    return ChannelInfo(name, direct=others, **fields)


def said(seq: int | None, author: str, text: str, channel: str = "#general", **f: Any) -> Message:
    """Return a message; its time is a minute after that of the previous number."""
    cid = f.pop("cid", f"cid-{seq}")
    return Message(channel, seq, cid, author, NOON + (seq or 0) * 60_000, text=text, **f)


class FakeCore(Core):
    """The core, as seen by the screens.

    `calls` has (method, arguments) in order; for commands to the server, (type, command).
    """

    def __init__(
        self, settings: ClientSettings | None = None, wake: Callable[[], None] = lambda: None
    ) -> None:
        self.settings = settings
        self.calls: list[tuple[Any, ...]] = []
        self.drafts: dict[str, str] = {}
        self.prefs: dict[str, str] = {}
        self.pages: dict[str, tuple[Message, ...]] = {}
        self.futures: dict[str, Future[Any]] = {}
        """The latest requests, by method or command type; a test sets their results."""
        self.answers: list[tuple[BaseCommand, Wire]] = []
        """Answers that the server gives at once."""
        self.roots: dict[int, int] = {}
        """The roots of replies that are only in their threads."""
        self.unread: tuple[Unread, ...] = ()
        self.is_slow = False
        """Whether an opened channel waits for its page."""
        self.wake = wake
        self._waiting: list[Update] = []
        self._cids = count(1)

    # For the test.

    def tell(self, *updates: Update) -> None:
        """Publish an update; remember the server's name, as the core does."""
        for update in updates:
            if isinstance(update, ConnectionChanged) and update.link is Link.ONLINE:
                self.prefs[SERVER_NAME] = update.server
        self._waiting.extend(updates)
        self.wake()

    def go_online(self, *channels: ChannelInfo, user: str = "me") -> None:
        """Connect, with these channels."""
        self.tell(ConnectionChanged(Link.ONLINE, user=user, server="test", text_limit=8_000))
        self.tell(ChannelsChanged(channels))

    @property
    def has_updates(self) -> bool:
        """Whether `drain` would return anything."""
        return bool(self._waiting)

    def asked(self, method: str) -> list[tuple[Any, ...]]:
        """Return the arguments of all calls of `method`."""
        return [call[1:] for call in self.calls if call[0] == method]

    def _note(self, *call: Any) -> None:
        self.calls.append(call)

    # The port.

    def open(self) -> None:
        self._note("open")

    def start(self) -> None:
        self._note("start")

    def stop(self, timeout: float = 1.0) -> None:
        self._note("stop")

    def unsaved(self) -> list[str]:
        return []

    def unsent(self) -> int:
        return 0

    def drain(self) -> list[Update]:
        updates, self._waiting = self._waiting, []
        return updates

    def open_thread(self, channel: str, seq: int) -> None:
        self._note("open_thread", channel, seq)

    def load_thread(self) -> None:
        self._note("load_thread")

    def close_thread(self) -> None:
        self._note("close_thread")

    def send(
        self,
        channel: str,
        text: str,
        me: bool = False,
        reply_to: int | None = None,
        thread_only: bool = False,
    ) -> str:
        self._note("send", channel, text, me, reply_to, *(["thread_only"] if thread_only else []))
        cid = f"mine-{next(self._cids)}"
        pending = said(
            None, "me", text, channel, cid=cid, delivery=Delivery.PENDING, me=me, reply_to=reply_to
        )
        if not thread_only:
            self.tell(TimelineChanged(channel, upserts=(pending,)))
        return cid

    def edit(self, channel: str, seq: int, text: str) -> str:
        self._note("edit", channel, seq, text)
        return f"mine-{next(self._cids)}"

    def delete(self, channel: str, seq: int) -> str:
        self._note("delete", channel, seq)
        return f"mine-{next(self._cids)}"

    def react(self, channel: str, seq: int, emoji: str, remove: bool = False) -> str:
        self._note("react", channel, seq, emoji, remove)
        return f"mine-{next(self._cids)}"

    def pin(self, channel: str, seq: int, remove: bool = False) -> str:
        self._note("pin", channel, seq, remove)
        return f"mine-{next(self._cids)}"

    def retry(self, cid: str) -> None:
        self._note("retry", cid)

    def discard(self, cid: str) -> None:
        self._note("discard", cid)

    def ask(self, command: AnsweredBy[T]) -> Future[T]:
        assert isinstance(command, BaseCommand)
        future = self._ask(getattr(command, "type", ""), command)
        for known, frame in self.answers:
            if known == command:
                future.set_result(frame)
        return future

    def search_here(self, search: Search) -> Future[Results]:
        return self._ask("search_here", search)

    def near(self, channel: str, seq: int) -> Future[list[Message]]:
        return self._ask("near", channel, seq)

    def _ask(self, method: str, *arguments: Any) -> Future[Any]:
        self._note(method, *arguments)
        future = self.futures[method] = Future[Any]()
        return future

    def mark(self, channel: str, seq: int) -> None:
        self._note("mark", channel, seq)

    def mark_thread(self, channel: str, root: int, seq: int) -> None:
        self._note("mark_thread", channel, root, seq)

    def thread_with(self, channel: str, seq: int) -> Future[int | None]:
        future = Future[int | None]()
        future.set_result(self.roots.get(seq))
        return future

    def prefer(self, channel: str, wish: PreferenceChange) -> None:
        self._note("prefer", channel, wish)

    def status(self, status: Status) -> None:
        self._note("status", status)

    def load_before(self, channel: str) -> None:
        self._note("load_before", channel)

    def load_gap(self, channel: str, seq: int) -> None:
        self._note("load_gap", channel, seq)

    def reach(self, channel: str, seq: int) -> Future[bool]:
        self._note("reach", channel, seq)
        future = Future[bool]()
        future.set_result(any(line.seq == seq for line in self.pages.get(channel, ())))
        return future

    def inbox(self) -> Future[tuple[Unread, ...]]:
        future = Future[tuple[Unread, ...]]()
        future.set_result(self.unread)
        return future

    def sign_in(self, name: str, credential: Credential | None = None) -> Future[None]:
        return self._ask("sign_in", name, credential)

    def idle(self) -> Future[None]:
        return self.settled()

    def settled(self) -> Future[None]:
        future = Future[None]()
        future.set_result(None)
        return future

    def open_channel(self, channel: str) -> None:
        self._note("open_channel", channel)
        if self.is_slow:
            return
        page = self.pages.get(channel, ())
        self.tell(TimelineChanged(channel, upserts=page, reset=True, gap_before=(), complete=True))
        self.tell(MembersChanged(channel, (), 0))

    def save_draft(self, channel: str, text: str) -> None:
        self.drafts[channel] = text

    def draft(self, channel: str) -> str:
        return self.drafts.get(channel, "")

    def save_pref(self, key: str, value: str) -> None:
        self.prefs[key] = value

    def pref(self, key: str) -> str:
        return self.prefs.get(key, "")

    def reconnect_now(self) -> None:
        self._note("reconnect_now")

    def answer_join(self, channel: str) -> None:
        """Let the last `join` succeed."""
        joined = Joined(
            channel=channel,
            epoch="e",
            head=0,
            topic="",
            role="owner",
            read=0,
            unread=0,
            mentions=0,
            members=(),
            member_count=1,
            recovered=False,
            items=(),
            complete=True,
        )
        self.futures["join"].set_result(joined)


class FakeView:
    """A screen that only records calls; a test runs the pending work in `beside`."""

    def __init__(self) -> None:
        self.text = ""
        self.thread_text = ""
        self.shows: int | None = None
        self.scrolled_up: set[PaneKey] = set()
        """The timelines whose newest message is not visible."""
        self.updates: list[Update] = []
        self.said: list[tuple[str, str]] = []
        self.done: list[tuple[Any, ...]] = []
        self.rows: list[Choice] = []
        self.choose_row: Callable[[str], None] = lambda _: None
        """Selects a row of the last list."""
        self.beside: list[Coroutine[None, None, None]] = []
        self.secrets: list[str] = []
        """The answers to the next questions for secrets."""
        self.agrees = True
        """Whether the user answers yes to each question."""

    def composed(self, key: PaneKey) -> str:
        return self.text if key.thread is None else self.thread_text

    def compose_with(self, key: PaneKey, text: str) -> None:
        if key.thread is None:
            self.text = text
        else:
            self.thread_text = text

    def give_back(self, key: PaneKey, text: str) -> None:
        self.compose_with(key, "\n".join(filter(None, (text, self.composed(key)))))

    def show(self, key: PaneKey, log: Log, user: str, read: int) -> None:
        self.done.append(("show", str(key), user, read))

    def update(self, key: PaneKey, done: Splices) -> bool:
        self.done.append(("update", str(key)))
        return True

    def close_thread(self) -> None:
        self.done.append(("close_thread",))

    def take_update(self, update: Update) -> None:
        self.updates.append(update)

    def step_back(self) -> None:
        self.done.append(("step_back",))

    def come_forward(self) -> None:
        self.done.append(("come_forward",))

    def showing(self) -> int | None:
        return self.shows

    def shows_newest(self, key: PaneKey) -> bool:
        return key not in self.scrolled_up

    def show_newest(self, key: PaneKey) -> None:
        self.scrolled_up.discard(key)

    def unread_from(self) -> int | None:
        return 1

    def show_unread(self) -> None:
        self.done.append(("show_unread",))

    def choose(self, seq: int) -> bool:
        self.done.append(("choose", seq))
        return True

    def list_unread(self, found: Mapping[Location, Unread]) -> None:
        self.done.append(("list_unread", found))

    def list_found(self, finding: SearchSession, state: ConversationState) -> None:
        self.done.append(("list_found", finding))

    def redraw(self) -> None:
        pass

    def notify(self, notification: Notification) -> None:
        self.done.append(("notify", notification))

    def run_in_background(self, work: Coroutine[None, None, None]) -> None:
        self.beside.append(work)

    def list_rows(
        self, title: str, then: Callable[[str], None], command: str, on_enter: str = ""
    ) -> AddRows:
        self.done.append(("list_rows", title))
        self.choose_row = then
        return self.rows.extend

    def set_theme(self, name: str) -> None:
        self.done.append(("set_theme", name))

    def toggle(self, pane: Pane) -> None:
        self.done.append(("toggle", pane))

    def show_bare(self) -> None:
        self.done.append(("show_bare",))

    def copy(self, text: str) -> None:
        self.done.append(("copy", text))

    def open_links(self, urls: Sequence[str]) -> None:
        self.done.append(("open_links", *urls))

    def show_help(self, command: Command | None = None) -> None:
        self.done.append(("show_help", *([command.name] if command else [])))

    def quit(self) -> None:
        self.done.append(("quit",))

    def ask_sign_in(self, refused: ConnectionChanged) -> None:
        self.done.append(("ask_sign_in", refused.ways))

    def ask_secret(
        self, question: str, then: Callable[[str], None], *, is_hidden: bool = True
    ) -> None:
        self.done.append(("ask_secret", question, is_hidden))
        if self.secrets:
            then(self.secrets.pop(0))

    def show_code(self, title: str, code: str, notes: Sequence[str]) -> Callable[[], None]:
        self.done.append(("show_code", title, code, *notes))
        return lambda: self.done.append(("close_code", code))

    def confirm(self, question: str, what: str, then: Callable[[], None]) -> None:
        self.done.append(("confirm", question, what))
        if self.agrees:
            then()

    def ask(self, question: Question, then: Callable[[str, str], None]) -> None:
        self.done.append(("ask", question))
        if self.agrees:
            then(question.reason, question.duration or "")

    def sent_to_thread(self, channel: str, seq: int) -> None:
        self.done.append(("sent_to_thread", channel, seq))

    def begin_command(self, text: str) -> None:
        self.done.append(("begin_command", text))

    def turned_back(self, channel: str, reason: str) -> None:
        self.said.append((reason, "warning"))

    def say(self, text: str, severity: Severity = "information") -> None:
        self.said.append((text, severity))


class FakeWorkspace:
    """The only server; `calls` holds (method, arguments) in order."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []

    def came_to(self, location: Location) -> None:
        self.calls.append(("came_to", location))

    def connect(self, url: str, name: str) -> None:
        self.calls.append(("connect", url, name))

    def rename(self, key: int, name: str) -> None:
        self.calls.append(("rename", key, name))

    def disconnect(self, server: str) -> None:
        self.calls.append(("disconnect", server))

    def show(self, server: str) -> None:
        self.calls.append(("show", server))

    def show_inbox(self) -> None:
        self.calls.append(("show_inbox",))

    def mark_all(self) -> None:
        self.calls.append(("mark_all",))
