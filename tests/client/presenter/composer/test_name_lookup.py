"""Unknown names are requested while the user types, each prefix once."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from concurrent.futures import Future
from typing import Any

import pytest

from chat.client.model.state import ChannelInfo, ChannelsChanged, MembersChanged
from chat.client.presenter.composer.completion import Sources, complete
from chat.client.presenter.composer.name_lookup import NameLookup
from chat.client.presenter.state import ConversationState
from chat.errors import CommandError, ErrorCode
from chat.protocol.commands import AnsweredBy, Channels, Who
from chat.protocol.frames import ChannelList, ChannelListing, Member, Members
from tests.client.presenter.fakes import FakeCore

PAGE = 100


class Server(FakeCore):
    """Answers like a server: a page of names after the cursor."""

    people = sorted(["user0010", *(f"user{number}" for number in range(1, 1_200))])
    rooms = tuple(f"#room{number:03}" for number in range(300))
    refuses = False

    def ask(self, command: AnsweredBy[Any]) -> Future[Any]:
        if isinstance(command, Who):
            return self._answered(self._who(command.channel, command.cursor))
        assert isinstance(command, Channels)
        return self._answered(self._channels(command.cursor))

    def _who(self, channel: str, cursor: str | None) -> Members:
        names, last = self._page(self.people, cursor)
        members = tuple(Member(name=each, role="member", presence="online") for each in names)
        return Members(channel=channel, members=members, cursor=last)

    def _channels(self, cursor: str | None) -> ChannelList:
        names, last = self._page(self.rooms, cursor)
        listed = tuple(ChannelListing(channel=each, topic="", members=1) for each in names)
        return ChannelList(channels=listed, cursor=last)

    def _page(self, names: Sequence[str], cursor: str | None) -> tuple[list[str], str | None]:
        after = [name for name in names if name > (cursor or "")]
        return after[:PAGE], after[PAGE - 1] if len(after) > PAGE else None

    def _answered(self, frame: Any) -> Future[Any]:
        future = Future[Any]()
        if self.refuses:
            future.set_exception(CommandError(ErrorCode.UNAVAILABLE, "later"))
        else:
            future.set_result(frame)
        return future


class Bench:
    """A lookup in a channel with 1,200 members, of whom one page is loaded."""

    def __init__(self) -> None:
        self.state = ConversationState("me")
        self.server = Server()
        self.tasks: list[asyncio.Task[None]] = []
        self.lookup = NameLookup(self.state, self.server, self._run)
        self.answers = 0
        loaded = tuple((name, "member", "online") for name in Server.people[:PAGE])
        self.state.apply(ChannelsChanged((ChannelInfo("#general"), ChannelInfo("#team"))))
        self.state.current = "#team"
        self.state.apply(MembersChanged("#team", loaded, len(Server.people)))

    def _run(self, work: Coroutine[None, None, None]) -> None:
        self.tasks.append(asyncio.create_task(work))

    def _then(self) -> None:
        self.answers += 1

    async def ask(self, line: str) -> bool:
        """Request names, and wait for the answer; return whether a request was made."""
        is_asked = self.lookup.ask(line, self._then)
        await asyncio.gather(*self.tasks)
        return is_asked


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("hello @user1199", "user1199"),
        ("@USER119", "user1190"),
        ("/msg user1199", "user1199"),
        ("see #room299", "#room299"),
        ("/join #room29", "#room290"),
        ("/join room29", "#room290"),
    ],
)
async def test_names_that_are_not_loaded_are_found(line: str, found: str) -> None:
    bench = Bench()
    assert await bench.ask(line)
    assert bench.answers == 1
    assert found in (*bench.state.names, *bench.state.channel_names)


async def test_the_name_itself_comes_before_longer_and_similar_ones() -> None:
    bench = Bench()
    await bench.ask("@user1")
    found = complete("@user1", Sources(names=bench.state.names))
    assert found is not None
    inserts = [each.insert for each in found.candidates]
    assert inserts[0] == "@user1 "
    assert all(insert.startswith("@user1") for insert in inserts[:20])


async def test_each_prefix_is_requested_once() -> None:
    bench = Bench()
    assert await bench.ask("@user1")  # more matches than a page holds
    assert not await bench.ask("@user1")
    assert await bench.ask("@user119")
    assert not await bench.ask("@user1199")  # a match would be on that page


@pytest.mark.parametrize("line", ["hello", "@", "/away ", ":tad", "/topic x", ""])
async def test_an_empty_prefix_requests_nothing(line: str) -> None:
    assert not await Bench().ask(line)


async def test_nothing_is_requested_if_all_members_are_known() -> None:
    bench = Bench()
    bench.state.apply(MembersChanged("#team", (("bob", "member", "online"),), 1))
    assert not await bench.ask("@x")
    bench.state.current = "@bob,me"
    assert not await bench.ask("@x")


async def test_a_failed_lookup_is_not_repeated_at_once() -> None:
    bench = Bench()
    bench.server.refuses = True
    assert await bench.ask("@user119")
    assert bench.answers == 1
    assert not await bench.ask("@user119")
