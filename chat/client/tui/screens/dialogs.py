"""What opens over the conversation to be chosen from, filled for its purpose."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from textual.screen import Screen

from chat.client.emoji import OFTEN, all_names
from chat.client.presenter.choice import Choice
from chat.client.state import Message
from chat.client.tui.screens.confirm import Confirm
from chat.client.tui.screens.picker import Picker
from chat.text import check_name, fold

__all__ = [
    "ask",
    "confirm_deletion",
    "confirm_discard",
    "confirm_paste",
    "pick",
    "pick_emoji",
    "pick_link",
    "pick_name",
]


def pick(
    screen: Screen[Any],
    title: str,
    choices: list[Choice],
    then: Callable[[str], object],
    otherwise: Callable[[str], Choice | None] | None = None,
    hint: str = "Type a few letters",
) -> Picker:
    """Open a list; what is chosen goes to `then`, nothing if it is closed.

    `otherwise` says what is offered for what was written where nothing of the list fits. `hint`
    stands in the field while nothing is written there.
    """
    picker = Picker(title, choices, otherwise, hint)

    def chosen(key: str | None) -> None:
        if key is not None:
            then(key)

    screen.app.push_screen(picker, chosen)
    return picker


def pick_emoji(screen: Screen[Any], then: Callable[[str], object]) -> None:
    """Choose an emoji by its name; those that people react with most come first."""
    known = all_names()
    names = dict.fromkeys((*OFTEN, *(each for each in known if "skin_tone" not in each)))
    choices = [Choice(name, name, known[name]) for name in names]
    pick(screen, "React with", choices, lambda name: then(known[name]))


def pick_link(screen: Screen[Any], urls: Sequence[str], then: Callable[[str], object]) -> None:
    """Choose one of a message's links."""
    pick(screen, "Open which link?", [Choice(url, url) for url in urls], then)


def pick_name(screen: Screen[Any], taken: str, server: str, then: Callable[[str], object]) -> None:
    """Ask for another name in the place of one that is taken; `server` tells where, if needed."""

    def offer(written: str) -> Choice:
        try:
            check_name(written)
        except ValueError as exc:
            return Choice("", "A name", str(exc))
        if fold(written) == fold(taken):
            return Choice("", written, "is the name that is taken")
        return Choice(written, f"Sign in as {written}")

    where = f" on {server}" if server else ""
    title = f"{taken} is taken{where}. Another name:"
    pick(screen, title, [], then, offer, "Another name")


def confirm_deletion(screen: Screen[Any], message: Message, then: Callable[[], object]) -> None:
    """Ask before a message is deleted."""
    ask(screen, "Delete this message? It cannot be brought back.", message.text, then)


def confirm_discard(screen: Screen[Any], message: Message, then: Callable[[], object]) -> None:
    """Ask before a message that was not sent is thrown away."""
    ask(screen, "Discard this unsent message? It cannot be brought back.", message.text, then)


def confirm_paste(screen: Screen[Any], text: str, then: Callable[[], object]) -> None:
    """Ask before a lot of text goes into the composer."""
    lines = text.removesuffix("\n").count("\n") + 1
    size = (
        f"{lines:,} lines, {len(text):,} characters" if lines > 1 else f"{len(text):,} characters"
    )
    ask(screen, f"Paste {size}?", text, then)


def ask(screen: Screen[Any], question: str, what: str, then: Callable[[], object]) -> None:
    """Ask; `then` is called if the person agrees."""

    def answered(is_agreed: bool | None) -> None:
        if is_agreed:
            then()

    screen.app.push_screen(Confirm(question, what), answered)
