"""The `View` port: how a conversation controls its interface."""

from __future__ import annotations

import re
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from chat.client.model.slash.commands import Command
from chat.client.model.state import ConnectionChanged, Update
from chat.client.presenter.log import Log, Splices
from chat.client.presenter.navigation import Location, PaneKey
from chat.client.presenter.search import SearchSession
from chat.client.presenter.state import ConversationState
from chat.client.sync.inbox import Unread
from chat.durations import duration_text, parse_duration
from chat.errors import ChatError

__all__ = [
    "DURATIONS",
    "AddRows",
    "Choice",
    "Pane",
    "Question",
    "Refused",
    "Severity",
    "View",
    "WorkspacePort",
    "sentence",
    "severity_of",
]


@dataclass(frozen=True, slots=True)
class Choice:
    """One row of a list. A row with an empty key is information and cannot be chosen.

    `kinds` are those of the channel that the row names, see `kinds_of`.
    """

    key: str
    label: str
    note: str = ""
    kinds: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Question:
    """A question before an act of moderation; the user may still change reason and duration.

    Args:
        title: the act: `Ban mallory from #tea?`
        effect: what it means, in a sentence.
        reason: the reason given so far.
        duration: as typed, such as `7d`, empty for no end; None: the act has no duration.
    """

    title: str
    effect: str
    reason: str = ""
    duration: str | None = None

    @property
    def details(self) -> str:
        """The reason and the duration, as text."""
        reason = f"Reason: {self.reason}" if self.reason else "No reason"
        if self.duration is None:
            return reason
        length = duration_text(parse_duration(self.duration)) if self.duration else "until lifted"
        return f"Duration: {length}. {reason}"


DURATIONS = ("10m", "1h", "1d", "7d", "30d", "")
"""Durations to offer for a ban or a mute; the empty one has no end."""
AddRows = Callable[[Iterable[Choice]], None]
"""Adds rows to an open list."""


Pane = Literal["members", "sidebar"]
Severity = Literal["information", "warning", "error"]


class Refused(ChatError):
    """A request that cannot be done; the message says why and what to do instead."""


class View(Protocol):
    """The interface of a conversation: the Textual screens, or plain mode."""

    def set_theme(self, name: str) -> None:
        """Set the theme; without a name, open a picker."""

    def toggle(self, pane: Pane) -> None:
        """Show or hide a side list."""

    def show_bare(self) -> None:
        """Open copy mode: plain text for the terminal's own selection."""

    def copy(self, text: str) -> None:
        """Copy a text to the clipboard."""

    def open_links(self, urls: Sequence[str]) -> None:
        """Open a link in the browser; with several, open a picker."""

    def take_update(self, update: Update) -> None:
        """Receive an update from the core, before it is applied to the state."""

    def show_help(self, command: Command | None = None) -> None:
        """Show the help: keys and commands, or only one command."""

    def quit(self) -> None:
        """End the program."""

    def say(self, text: str, severity: Severity = "information") -> None:
        """Show a short message."""

    def ask_sign_in(self, refused: ConnectionChanged) -> None:
        """Ask what to do after a refused sign-in: `refused.ways` are possible.

        A wrong credential is asked for again: see `Conversation.wrong_way`.
        """

    def ask_secret(
        self, question: str, then: Callable[[str], None], *, is_hidden: bool = True
    ) -> None:
        """Ask for a text that is stored nowhere; a cancelled question is not answered.

        A password `is_hidden` while it is typed.
        """

    def show_code(self, title: str, code: str, notes: Sequence[str]) -> Callable[[], None]:
        """Show a code once; it is not kept. Return a function that closes the dialog."""

    def confirm(self, question: str, what: str, then: Callable[[], None]) -> None:
        """Ask before something that cannot be undone; `then` is called if the user agrees."""

    def ask(self, question: Question, then: Callable[[str, str], None]) -> None:
        """Ask before an act of moderation; `then` receives the reason and the duration."""

    def sent_to_thread(self, channel: str, seq: int) -> None:
        """Show a reply to `seq` that was written in the channel's composer and is in its thread."""

    def begin_command(self, text: str) -> None:
        """Put the beginning of a command into the composer, for the user to complete."""

    def turned_back(self, channel: str, reason: str) -> None:
        """Show why a join was refused; the text typed for the channel was returned."""

    def composed(self, key: PaneKey) -> str:
        """Return the text in the composer of the channel or the open thread."""

    def compose_with(self, key: PaneKey, text: str) -> None:
        """Put a text into the composer; further typing belongs to `key`."""

    def give_back(self, key: PaneKey, text: str) -> None:
        """Put a refused text before the composer's text; select it if the composer is empty."""

    def show(self, key: PaneKey, log: Log, user: str, read: int) -> None:
        """Show a channel at its last scroll position, or a thread beside it.

        Args:
            key: the channel or the thread.
            log: its messages; `update` is called with each change.
            user: the user's name.
            read: the channel's read marker.
        """

    def update(self, key: PaneKey, done: Splices) -> bool:
        """Show a change of a channel's or a thread's log.

        Returns:
            Whether the log is shown; other logs may be trimmed.
        """

    def close_thread(self) -> None:
        """Close the thread."""

    def choose(self, seq: int) -> bool:
        """Scroll to a message and select it; return False if it is not loaded."""

    def step_back(self) -> None:
        """Hide this conversation; until `come_forward`, the view keeps its composer's text."""

    def come_forward(self) -> None:
        """Show this conversation; a call of `show` follows."""

    def showing(self) -> int | None:
        """Return the highest visible message number, if any."""

    def shows_newest(self, key: PaneKey) -> bool:
        """Whether new messages of the channel or the open thread are visible at once."""

    def show_newest(self, key: PaneKey) -> None:
        """Scroll the channel or the open thread to its newest message."""

    def unread_from(self) -> int | None:
        """Return the first number that was unread when the channel was opened."""

    def show_unread(self) -> None:
        """Show the first unread message of the current channel; `Refused` if there is none."""

    def list_unread(self, found: Mapping[Location, Unread]) -> None:
        """Show the inbox: unread messages of all channels."""

    def list_found(self, finding: SearchSession, state: ConversationState) -> None:
        """Show search results, or an empty search field."""

    def redraw(self) -> None:
        """Redraw the conversation state and the drafts' aims."""

    def run_in_background(self, work: Coroutine[None, None, None]) -> None:
        """Run a coroutine as a background task."""

    def list_rows(
        self, title: str, then: Callable[[str], None], command: str, on_enter: str = ""
    ) -> AddRows:
        """Open a picker; return the function that adds rows to it.

        Args:
            title: the heading.
            then: receives the key of the selected row.
            command: the hint for plain mode, which prints the rows: the command to type.
            on_enter: the hint for the screens: the effect of selecting a row.
        """


class WorkspacePort(Protocol):
    """The workspace, as one of its conversations uses it."""

    def came_to(self, location: Location) -> None:
        """Record the channel that a conversation opened."""

    def connect(self, url: str, name: str) -> None:
        """Add a server, also for the next start; without a name, use the present one."""

    def rename(self, key: int, name: str) -> None:
        """Sign in with another name; the present one belongs to another user."""

    def disconnect(self, server: str) -> None:
        """Remove a server, also for the next start; without a name, the shown one."""

    def show(self, server: str) -> None:
        """Show a server; without a name, open a picker."""

    def show_inbox(self) -> None:
        """Show the inbox of all servers."""

    def mark_all(self) -> None:
        """Mark all channels of all servers as read."""


_NAMED = re.compile(r"(?!(?:this|that|there|it|seq|query|name) )[a-z][\w.-]* (?:is|has|uses) ")
"""The beginning of an error about a user, whose name keeps its case."""


def sentence(text: str) -> str:
    """Return the text of an error as a sentence; servers begin theirs in lower case."""
    if text[:1].islower() and not _NAMED.match(text):
        text = text[:1].upper() + text[1:]
    return f"{text}." if text[-1:].isalnum() or text.endswith("”") else text


def severity_of(word: str) -> Severity:
    """Return the severity that `word` names; unknown words are information."""
    match word:
        case "warning" | "error":
            return word
        case _:
            return "information"
