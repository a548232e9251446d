"""What a slash command works with: the `Bench`, its screen, and the way to say no."""

from __future__ import annotations

from concurrent.futures import Future
from typing import TYPE_CHECKING, Literal, Protocol

from chat.client.state import Message
from chat.client.tui.calling import Calling
from chat.client.tui.catching_up import CatchingUp
from chat.client.tui.desk import Desk
from chat.client.tui.port import CorePort
from chat.client.tui.spots import Spot
from chat.errors import ChatError
from chat.protocol.frames import Ok
from chat.protocol.values import Status

if TYPE_CHECKING:
    from chat.client.tui.threads import Threads

__all__ = ["Bench", "Pane", "Refused", "Seats", "Severity", "View", "severity_of"]

Pane = Literal["members", "sidebar"]
Severity = Literal["information", "warning", "error"]


class Refused(ChatError):
    """What was asked for cannot be done; the message says why, and what can."""


class View(Protocol):
    """What a handler may ask of the screen itself."""

    def set_theme(self, name: str) -> None:
        """Change the colours; without a name, let the person choose."""

    def toggle(self, pane: Pane) -> None:
        """Show or hide a list at the side."""

    def show_bare(self) -> None:
        """Show the texts alone, for the terminal's own copying."""

    def show_help(self) -> None:
        """Show all keys and commands."""

    def quit(self) -> None:
        """End the program."""

    def say(self, text: str, severity: Severity = "information") -> None:
        """Tell the person something, briefly."""


class Seats(Protocol):
    """All servers one is on, seen from the conversation with one of them."""

    def came_to(self, spot: Spot) -> None:
        """Note where a conversation has gone."""

    def connect(self, url: str, name: str) -> None:
        """Go to a further server, now and in future; without a name: with that used here."""

    def disconnect(self, server: str) -> None:
        """Leave a server, now and in future; without one: that in front."""

    def show(self, server: str) -> None:
        """Bring a server to the front; without one: let the person choose."""

    def show_inbox(self) -> None:
        """List what waits everywhere."""

    def mark_all(self) -> None:
        """Mark everything everywhere as read."""


class Bench(Protocol):
    """What a handler works with."""

    @property
    def core(self) -> CorePort:
        """The core."""

    @property
    def desk(self) -> Desk:
        """What is known."""

    @property
    def view(self) -> View:
        """The screen."""

    @property
    def seats(self) -> Seats:
        """All servers."""

    @property
    def catching_up(self) -> CatchingUp:
        """What finds what one has missed."""

    @property
    def threads(self) -> Threads:
        """The thread beside the channel."""

    @property
    def calling(self) -> Calling:
        """What calls the person, or lets them be."""

    @property
    def text_limit(self) -> int:
        """Most characters of a message; 0 before the server told it."""

    def redraw(self) -> None:
        """Show what lies on the desk."""

    def open_channel(self, channel: str) -> None:
        """Show a channel one is a member of."""

    def join(self, channel: str, first_words: str = "") -> None:
        """Join a channel, show it, and say something in it."""

    def post(self, text: str, *, me: bool = False, reply_to: int | None = None) -> None:
        """Send a message to the current channel, as an answer if one was begun."""

    def begin_edit(self, message: Message) -> None:
        """Put one's own message into the composer, to change it."""

    def list_members(self, channel: str) -> None:
        """Show who is in a channel."""

    def list_channels(self) -> None:
        """Show all channels there are."""

    def set_status(self, status: Status) -> None:
        """Say of oneself: online, away or busy."""

    def follow(self, future: Future[Ok], text: str = "") -> None:
        """Tell the person if it fails, and give `text` back."""


def severity_of(word: str) -> Severity:
    """Return the severity that `word` names; one that is not known here is mere information."""
    match word:
        case "warning" | "error":
            return word
        case _:
            return "information"
