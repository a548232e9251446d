"""The `View` port: what a conversation asks of its interface."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from chat.client.model.state import Update
from chat.client.presenter.log import Log, Splices
from chat.client.presenter.navigation import Location, PaneKey
from chat.client.presenter.search import SearchSession
from chat.client.presenter.state import ConversationState
from chat.client.sync.inbox import Unread
from chat.errors import ChatError

__all__ = [
    "AddRows",
    "Choice",
    "Pane",
    "Refused",
    "Severity",
    "View",
    "WorkspacePort",
    "severity_of",
]


@dataclass(frozen=True, slots=True)
class Choice:
    """One row: what it stands for, how it is called, and what else is to be said of it.

    A row with an empty key only tells something: it cannot be chosen.
    """

    key: str
    label: str
    note: str = ""


AddRows = Callable[[Iterable[Choice]], None]
"""Adds rows to a list that is open already."""


Pane = Literal["members", "sidebar"]
Severity = Literal["information", "warning", "error"]


class Refused(ChatError):
    """What was asked for cannot be done; the message says why, and what can."""


class View(Protocol):
    """What a conversation asks of its interface: the screens, or the lines of plain mode."""

    def set_theme(self, name: str) -> None:
        """Change the colors; without a name, let the person choose."""

    def toggle(self, pane: Pane) -> None:
        """Show or hide a list at the side."""

    def show_bare(self) -> None:
        """Show plain text, for the terminal's own selection."""

    def copy(self, text: str) -> None:
        """Put a text into the clipboard."""

    def open_links(self, urls: Sequence[str]) -> None:
        """Open a link, as far as that can be done here; of several, let the person choose."""

    def tell(self, update: Update) -> None:
        """Take note of an update from the core, before the state of the screens has it."""

    def show_help(self) -> None:
        """Show all keys and commands."""

    def quit(self) -> None:
        """End the program."""

    def say(self, text: str, severity: Severity = "information") -> None:
        """Tell the person something, briefly."""

    def ask_name(self, taken: str) -> None:
        """Ask for another name in the place of one that is taken; `/name` takes the answer."""

    def turned_back(self, channel: str, reason: str) -> None:
        """Tell the person why a channel did not open; what was written for it was given back."""

    def composed(self, key: PaneKey) -> str:
        """Return the text in the composer: the channel's, or the open thread's."""

    def compose_with(self, key: PaneKey, text: str) -> None:
        """Put a text into the composer; what is typed there from now on is for `key`."""

    def give_back(self, key: PaneKey, text: str) -> None:
        """Put a refused text back, before text typed since; selected where there is none."""

    def show(self, key: PaneKey, log: Log, user: str, read: int) -> None:
        """Show another channel, where it was left, or a thread beside it.

        Args:
            key: the channel or the thread.
            log: its messages; `update` follows with each change of them.
            user: the reader.
            read: the channel's read marker.
        """

    def update(self, key: PaneKey, done: Splices) -> bool:
        """Follow a change of a channel's or a thread's log.

        Returns:
            Whether its lines stay on the screen; of other logs, old messages are forgotten.
        """

    def close_thread(self) -> None:
        """Show no thread any more."""

    def choose(self, seq: int) -> bool:
        """Show a message here, with the cursor on it; False: it is not there."""

    def step_back(self) -> None:
        """Let another conversation be shown; until `come_forward` what is composed lies aside."""

    def come_forward(self) -> None:
        """Show this conversation, for the first time or again; what it shows is told next."""

    def showing(self) -> int | None:
        """Return the highest number that shows now; None if nothing does."""

    def shows_newest(self, key: PaneKey) -> bool:
        """Whether new messages show, or are spoken, at once: in the channel or the open thread."""

    def unread_from(self) -> int | None:
        """Return the number from which on the channel was unread when it was opened."""

    def show_unread(self) -> None:
        """Show the first unread message of the current channel; `Refused` if there is none."""

    def list_unread(self, found: Mapping[Location, Unread]) -> None:
        """Show what waits in all channels, to go there, or to mark it as read."""

    def list_found(self, finding: SearchSession, state: ConversationState) -> None:
        """Show what was found, to go there, or where to write what to look for."""

    def redraw(self) -> None:
        """Show what lies on the state, and what the texts in the composers are for."""

    def run_beside(self, work: Coroutine[None, None, None]) -> None:
        """Run something that waits, beside everything else."""

    def list_rows(self, title: str, then: Callable[[str], None], command: str) -> AddRows:
        """Open a list to choose from; return what adds rows to it.

        `command` says how a row is chosen where there are only lines.
        """


class WorkspacePort(Protocol):
    """All servers one is on, seen from the conversation with one of them."""

    def came_to(self, location: Location) -> None:
        """Note where a conversation has gone."""

    def connect(self, url: str, name: str) -> None:
        """Go to a further server, now and in future; without a name: with that used here."""

    def rename(self, key: int, name: str) -> None:
        """Sign in with another name where the present one belongs to somebody else."""

    def disconnect(self, server: str) -> None:
        """Leave a server, now and in future; without one: that in front."""

    def show(self, server: str) -> None:
        """Bring a server to the front; without one: let the person choose."""

    def show_inbox(self) -> None:
        """List what waits everywhere."""

    def mark_all(self) -> None:
        """Mark everything everywhere as read."""


def severity_of(word: str) -> Severity:
    """Return the severity that `word` names; one that is not known here is mere information."""
    match word:
        case "warning" | "error":
            return word
        case _:
            return "information"
