"""What a person asks the server for while there is a connection, each with the answer it gets."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Literal, TypeVar

from chat.protocol.commands import (
    BaseCommand,
    Channels,
    History,
    Join,
    Leave,
    Prefer,
    ResumeFrom,
    Search,
    SetStatus,
    SetTopic,
    Typing,
    Who,
)
from chat.protocol.frames import ChannelList, Joined, Members, Ok, Page, Results, ServerFrame
from chat.protocol.values import Status, Wire

__all__ = ["Asking"]

_PINS_MAX = 1_000
_Answer = TypeVar("_Answer", bound=Wire)


class Asking:
    """Asks through one connection.

    Args:
        request: sends a command, and returns its answer; raises `CommandError` or `Offline`.
    """

    def __init__(self, request: Callable[[BaseCommand], Awaitable[ServerFrame]]) -> None:
        self._request = request

    async def join(self, channel: str, position: ResumeFrom | None) -> Joined:
        """Become a member, and follow the channel from a position."""
        return await self._ask(Join(channel=channel, resume=position), Joined)

    async def leave(self, channel: str) -> Ok:
        """End the membership."""
        return await self._ask(Leave(channel=channel), Ok)

    async def hide(self, channel: str) -> Ok:
        """Leave a direct channel out of the list until its next message."""
        return await self._ask(Prefer(channel=channel, hidden=True), Ok)

    async def topic(self, channel: str, text: str) -> Ok:
        """Set the topic."""
        return await self._ask(SetTopic(channel=channel, topic=text), Ok)

    async def who(self, channel: str, cursor: str | None) -> Members:
        """List members."""
        return await self._ask(Who(channel=channel, cursor=cursor), Members)

    async def pins(self, channel: str) -> Page:
        """List what is pinned."""
        page = await self._ask(History(channel=channel, pins=True, limit=_PINS_MAX), Page)
        while not page.complete and page.items:
            before = page.items[0].seq
            older = await self._ask(
                History(channel=channel, pins=True, before=before, limit=_PINS_MAX), Page
            )
            items = tuple(item for item in older.items if item.seq < before)
            complete = older.complete or not items or len(page.items) >= _PINS_MAX
            page = page.model_copy(update={"items": items + page.items, "complete": complete})
        return page

    async def channels(self, cursor: str | None) -> ChannelList:
        """List the public channels."""
        return await self._ask(Channels(cursor=cursor), ChannelList)

    async def search(self, search: Search) -> Results:
        """Find messages."""
        return await self._ask(search, Results)

    async def status(self, status: Status) -> None:
        """Say how one is."""
        await self._request(SetStatus(status=status))

    async def typing(self, channel: str, state: Literal["start", "stop"]) -> None:
        """Say that one types, or not any more."""
        await self._request(Typing(channel=channel, state=state))

    async def _ask(self, command: BaseCommand, kind: type[_Answer]) -> _Answer:
        answer = await self._request(command)
        assert isinstance(answer, kind)
        return answer
