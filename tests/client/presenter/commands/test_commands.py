"""Slash commands: their effects, and the reasons of refusals."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from chat.client.model.slash.commands import COMMANDS, Command, Kind
from chat.client.model.state import ConnectionChanged, Link, TimelineChanged
from chat.client.presenter.commands.table import HANDLERS
from chat.client.presenter.conversation import Conversation
from chat.client.presenter.navigation import PaneKey
from chat.client.presenter.notifier import Notifier
from chat.errors import ChatError
from chat.protocol.commands import Channels, History, Join, Leave, Prefer, SetTopic, Who
from chat.protocol.frames import ChannelList, ChannelListing, Member, Members, Page
from chat.protocol.items import Item
from tests.client.presenter.fakes import FakeCore, FakeView, FakeWorkspace, info, said


class Bench:
    """A conversation in `#general` with two messages, without a screen."""

    def __init__(self, *, joined: bool = True) -> None:
        self.core = FakeCore()
        self.view = FakeView()
        self.workspace = FakeWorkspace()
        self.conversation = Conversation(
            self.core,
            self.view,
            "me",
            server_key=1,
            workspace=self.workspace,
            notifier=Notifier(self.view, self.core),
            commands=HANDLERS,
        )
        if joined:
            channels = (info("#general", head=6), info("#tea"), info("@alice,me"))
            lines = (said(5, "alice", "tea?"), said(6, "me", "mine"))
            self.core.go_online(*channels)
            self.take_in()
            self.core.tell(TimelineChanged("#general", upserts=lines))
            self.take_in()
            self.core.calls.clear()

    def take_in(self) -> None:
        while self.core.has_updates:
            self.conversation.take_in()

    def run(self, text: str) -> None:
        """Submit a text from the current channel."""
        self.conversation.drafts.submit(text, PaneKey(self.conversation.state.current or ""))

    async def finish(self) -> None:
        """Run all pending background work."""
        while self.view.beside:
            await self.view.beside.pop(0)
        self.take_in()


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench()
    yield bench
    for work in bench.view.beside:
        work.close()


def test_every_command_has_a_handler_and_no_handler_is_left_over() -> None:
    assert set(HANDLERS) == {row.name for row in COMMANDS}


@pytest.mark.parametrize(
    ("text", "call"),
    [
        ("/me waves", ("send", "#general", "waves", True, None)),
        ("/hide @alice,me", ("prefer", Prefer(channel="@alice,me", hidden=True))),
        ("/topic green  tea", ("topic", SetTopic(channel="#general", topic="green tea"))),
        ("/topic -", ("topic", SetTopic(channel="#general", topic=""))),
        ("/edit better", ("edit", "#general", 6, "better")),
        ("/delete", ("delete", "#general", 6)),
        ("/delete 2", ("delete", "#general", 2)),
        ("/thread", ("open_thread", "#general", 6)),
        ("/thread 5", ("open_thread", "#general", 5)),
        ("/react :+1:", ("react", "#general", 6, "👍", False)),
        ("/react tea 3", ("react", "#general", 3, "🍵", False)),
        ("/unreact 👍 last", ("react", "#general", 6, "👍", True)),
        ("/unreact :old:", ("react", "#general", 6, ":old:", True)),
        ("/pin", ("pin", "#general", 6, False)),
        ("/pin 5", ("pin", "#general", 5, False)),
        ("/unpin 5", ("pin", "#general", 5, True)),
        ("/away", ("status", "away")),
        ("/busy", ("status", "busy")),
        ("/back", ("status", "online")),
        ("/status Away", ("status", "away")),
        ("/who", ("who", Who(channel="#general"))),
        ("/who tea", ("who", Who(channel="#tea"))),
        ("/channels", ("channels", Channels())),
        ("/leave #tea", ("leave", Leave(channel="#tea"))),
        ("/reconnect", ("reconnect_now",)),
        ("/msg bob,carol", ("join", Join(channel="@bob,carol,me"))),
    ],
)
async def test_a_command_asks_the_core(bench: Bench, text: str, call: tuple[Any, ...]) -> None:
    bench.run(text)
    for work in bench.view.beside:
        work.send(None)
    assert call in bench.core.calls
    assert bench.view.said == []


async def test_mark_names_the_marked_channel(bench: Bench) -> None:
    bench.run("/mark")
    assert bench.core.asked("mark") == [("#general", 6)]
    assert bench.view.said == [("#general marked as read.", "information")]


@pytest.mark.parametrize(
    ("text", "done"),
    [
        ("/copy", ("copy", "mine")),
        ("/copy 5", ("copy", "see https://example.org/tea. https://example.org")),
        ("/open 5", ("open_links", "https://example.org/tea", "https://example.org")),
        ("/open", ("open_links",)),
    ],
)
def test_a_message_is_copied_and_its_links_are_opened(
    bench: Bench, text: str, done: tuple[str, ...]
) -> None:
    line = said(5, "alice", "see https://example.org/tea. https://example.org", rev=9)
    bench.core.tell(TimelineChanged("#general", upserts=(line,)))
    bench.take_in()
    bench.run(text)
    assert bench.view.done[-1] == done


def test_a_deleted_message_is_not_copied(bench: Bench) -> None:
    bench.core.tell(
        TimelineChanged("#general", upserts=(said(5, "alice", "", deleted=True, rev=9),))
    )
    bench.take_in()
    bench.run("/copy 5")
    assert bench.view.said == [("Message 5 was deleted.", "warning")]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("/join two words", "not expected"),
        ("/join #n@me", "ASCII letters"),
        ("/leave @alice,me", "Cannot leave a direct"),
        ("/leave #nowhere", "not in #nowhere"),
        ("/msg b@b", "ASCII letters"),
        ("/msg me", "2 to 16"),
        ("/status gone", "online, away or busy"),
        ("/edit 3 x", "not loaded"),
        ("/edit 999 x", "no message 999 in #general: the newest is 6"),
        ("/edit 5 x", "by alice. You can edit only your own"),
        ("/help nonsense", "Unknown command /nonsense"),
        ("/discard", "No failed messages here"),
        ("/react :tdaa:", "Unknown emoji :tdaa:"),
    ],
)
def test_an_invalid_command_is_explained_and_returned(bench: Bench, text: str, says: str) -> None:
    bench.run(text)
    assert says in bench.view.said[0][0]
    assert bench.view.text == text


NUMBERED = [row for row in COMMANDS if any(each.kind is Kind.NUMBER for each in row.arguments)]


@pytest.mark.parametrize("number", ["4", "99"])
@pytest.mark.parametrize("command", NUMBERED, ids=lambda row: row.name)
def test_commands_reject_numbers_that_are_not_messages(
    bench: Bench, command: Command, number: str
) -> None:
    line = said(4, "bob", "", kind="join")
    bench.core.tell(TimelineChanged("#general", upserts=(line,)))
    bench.take_in()
    values = {"NUMBER": number, "EMOJI": ":+1:", "TEXT": "x", "ALSO": "--channel"}
    text = " ".join((f"/{command.name}", *(values[each.label] for each in command.arguments)))
    bench.run(text)
    ((shown, _),) = bench.view.said
    assert (
        shown
        == {
            "4": "Number 4 is not a message. It is a “join” event by bob.",
            "99": "There is no message 99 in #general: the newest is 6.",
        }[number]
    )
    assert bench.view.text == text
    assert {call[0] for call in bench.core.calls} <= {"save_draft", "draft"}


@pytest.mark.parametrize(
    ("text", "done"),
    [
        ("/help", ("show_help",)),
        ("/quit", ("quit",)),
        ("/members", ("toggle", "members")),
        ("/sidebar", ("toggle", "sidebar")),
        ("/theme light", ("set_theme", "light")),
        ("/theme", ("set_theme", "")),
    ],
)
def test_a_command_asks_the_screen(bench: Bench, text: str, done: tuple[Any, ...]) -> None:
    bench.run(text)
    assert done in bench.view.done


def test_a_direct_channel_without_topic_has_the_other_persons_name(bench: Bench) -> None:
    bench.conversation.open_channel("@alice,me")
    bench.run("/topic")
    assert bench.view.said[0][0] == "@alice has no topic. Use /topic TEXT to set one."


def test_topic_without_a_text_shows_the_topic(bench: Bench) -> None:
    bench.run("/topic")
    assert "no topic" in bench.view.said[0][0]
    assert not bench.core.asked("topic")


def test_help_for_one_command_is_shown(bench: Bench) -> None:
    bench.run("/help msg")
    assert ("show_help", "msg") in bench.view.done


def test_edit_without_a_text_opens_the_message(bench: Bench) -> None:
    bench.run("/edit")
    assert bench.view.text == "mine"


@pytest.mark.parametrize("text", ["/me waves", "/topic x", "/who", "/mark", "hello"])
def test_commands_without_a_channel_explain_how_to_join_one(text: str) -> None:
    bench = Bench(joined=False)
    bench.run(text)
    assert "/join #general" in bench.view.said[0][0]
    assert bench.view.text == text


def test_msg_is_refused_before_the_first_connection() -> None:
    bench = Bench(joined=False)
    bench.conversation.state.user = ""
    bench.conversation.state.apply(ConnectionChanged(Link.WAITING))
    bench.run("/msg bob hi")
    assert "before the first connection" in bench.view.said[0][0]


async def test_a_refused_command_is_explained_and_returned(bench: Bench) -> None:
    bench.run("/topic tea")
    bench.core.futures["topic"].set_exception(ChatError("no connection"))
    await bench.finish()
    assert bench.view.said == [("No connection.", "warning")]
    assert bench.view.text == "/topic tea"


async def test_lists_are_loaded_page_by_page(bench: Bench) -> None:
    def listing(name: str) -> ChannelListing:
        return ChannelListing(channel=name, topic="green", members=2)

    bench.core.answers.append((Channels(), ChannelList(channels=(listing("#a"),), cursor="next")))
    bench.core.answers.append((Channels(cursor="next"), ChannelList(channels=(listing("#b"),))))
    bench.run("/channels")
    await bench.finish()
    assert [row.key for row in bench.view.rows] == ["#a", "#b"]
    assert "green" in bench.view.rows[0].note


async def test_members_are_listed_with_role_and_presence(bench: Bench) -> None:
    people = (Member(name="zed", role="owner", presence="away"),)
    bench.core.answers.append(
        (Who(channel="#general"), Members(channel="#general", members=people))
    )
    bench.run("/who")
    await bench.finish()
    assert [(row.label, row.note) for row in bench.view.rows] == [("zed", "away · owner")]


async def test_pins_are_loaded_page_by_page_newest_first(bench: Bench) -> None:
    def page(*seqs: int, complete: bool) -> Page:
        items = tuple(
            Item(
                seq=seq,
                mid=f"m{seq}",
                author="bob",
                ts=1,
                kind="message",
                text=f"pin {seq}",
                rev=seq,
                pinned=True,
            )
            for seq in seqs
        )
        return Page(channel="#general", epoch="e", items=items, complete=complete, head=9)

    def asked(before: int | None) -> History:
        return History(channel="#general", pins=True, before=before, limit=1_000)

    bench.core.answers.append((asked(None), page(7, 9, complete=False)))
    bench.core.answers.append((asked(7), page(2, 7, complete=True)))
    bench.run("/pins")
    await bench.finish()
    assert [row.key for row in bench.view.rows] == ["9", "7", "2"]


@pytest.mark.parametrize("command", ["/join #tea", "/msg alice", "/msg alice psst"])
def test_a_message_arriving_right_before_a_channel_switch_is_shown(
    command: str,
) -> None:
    bench = Bench()
    late = TimelineChanged("#general", upserts=(said(7, "alice", "wait!"),))
    bench.core.tell(late)
    bench.run(command)
    assert late in bench.view.updates


async def test_a_message_arriving_during_a_lookup_is_shown() -> None:
    bench = Bench()
    bench.run("/unread")
    late = TimelineChanged("#general", upserts=(said(7, "alice", "wait!"),))
    bench.core.tell(late)
    await bench.finish()
    assert late in bench.view.updates
