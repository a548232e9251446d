"""Send a command in the background, read pages, and show what failed."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, TypeVar

from chat.client.model.slash.parser import Invocation
from chat.client.platform.local_time import local_time
from chat.client.presenter.conversation import Conversation
from chat.client.presenter.view import AddRows, Choice, Refused, sentence
from chat.client.sync.core import answer
from chat.errors import ChatError
from chat.text import check_name, fold

if TYPE_CHECKING:
    from chat.protocol.commands import AnsweredBy


__all__ = ["day", "minute", "named_user", "read_pages", "request", "run_reported", "when_known"]


T = TypeVar("T")
C = TypeVar("C")
_PAGES_MAX = 50


def run_reported(conversation: Conversation, work: Coroutine[None, None, None]) -> None:
    """Run a coroutine in the background; show the user a `ChatError` that it raises."""

    async def reported() -> None:
        with conversation.telling():
            await work

    conversation.view.run_in_background(reported())


async def read_pages(
    conversation: Conversation,
    add: AddRows,
    page_after: Callable[[C | None], AnsweredBy[T]],
    take: Callable[[T], C | None],
) -> None:
    """Read pages until `take`, which gets each and returns the next cursor, returns None.

    If reading fails, `add` shows the reason as the last row: an open list is not left empty.
    """
    cursor: C | None = None
    try:
        for _ in range(_PAGES_MAX):
            cursor = take(await answer(conversation.core.ask(page_after(cursor))))
            if cursor is None:
                return
    except ChatError as exc:
        add([Choice("", sentence(str(exc)))])


def request(conversation: Conversation, command: AnsweredBy[object], done: str) -> None:
    """Send a command, and show `done` if it succeeds."""

    async def work() -> None:
        await answer(conversation.core.ask(command))
        conversation.view.say(done)

    run_reported(conversation, work())


def when_known(conversation: Conversation, name: str, then: Callable[[], None]) -> None:
    """Call `then`, which asks the user, unless the server knows no user of that name.

    The server is asked only about names that the client has not seen; its error is shown.
    """
    from chat.protocol.commands import AccountCommand

    if fold(name) in map(fold, conversation.state.names):
        then()
        return

    async def work() -> None:
        await answer(conversation.core.ask(AccountCommand(name=name)))
        then()

    run_reported(conversation, work())


def named_user(asked: Invocation) -> str:
    """Return the named user; a first `@` is optional."""
    word = asked.get("name").removeprefix("@")
    try:
        return check_name(word)
    except ValueError as exc:
        raise Refused(f"“{word}” {exc}") from None


def day(ts: int) -> str:
    """Return the day of a timestamp as text."""
    return f"{local_time(ts):%d %b %Y}"


def minute(ts: int) -> str:
    """Return the day and minute of a timestamp as text."""
    return f"{local_time(ts):%d %b %Y %H:%M}"
