"""Every wait of a channel or of an unsent message ends: by an answer, a timer, or a reconnect."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from chat.client.config.settings import ClientSettings
from chat.client.model.preferences import PreferenceChange
from chat.client.storage.outbox import new_row
from chat.client.sync.local_state import LocalState
from chat.client.sync.sender import Sender
from chat.client.sync.tasks import Tasks
from chat.errors import ErrorCode
from chat.protocol.commands import Command, History, Join, Mark, Prefer, Send, SetStatus
from chat.protocol.frames import ErrorFrame, Ok, Removed
from chat.protocol.values import Limits, Wire
from tests.client.fake_log import FakeLog
from tests.client.fake_server import FakeServer
from tests.client.screen import Screen

Open = Callable[..., Screen]
PASSING = [ErrorCode.UNAVAILABLE, ErrorCode.RATE_LIMITED, ErrorCode.INTERNAL]


def error(code: ErrorCode, channel: str | None = None) -> ErrorFrame:
    after = 0.05 if code.retryable else None
    return ErrorFrame(
        code=code, message="not now", retryable=code.retryable, retry_after=after, channel=channel
    )


def refuse(fake: FakeServer, kind: type[Any], code: ErrorCode, times: int) -> list[Any]:
    """Refuse the next commands of a kind; return a list of all that arrive."""
    arrived: list[Any] = []

    def answer(command: Command) -> Wire | None:
        if not isinstance(command, kind):
            return None
        arrived.append(command)
        return error(code) if len(arrived) <= times else None

    fake.intercept = answer
    return arrived


@pytest.mark.parametrize("code", PASSING)
def test_a_channel_that_could_not_be_resumed_is_joined_later(
    open_client: Open, fake: FakeServer, code: ErrorCode
) -> None:
    screen = open_client(fake.url)
    screen.open()
    fake.say("bob", "first")
    screen.wait_texts("first")
    fake.not_resumed["#general"] = error(code, "#general")
    joins = fake.count(Join)
    fake.cut()
    screen.core.send("#general", "second")
    screen.wait_texts("first", "second")
    screen.wait(lambda: fake.count(Join) > joins, "join")
    assert not fake.not_resumed
    fake.say("bob", "third")
    screen.wait_texts("first", "second", "third")


def test_a_new_channel_that_the_server_could_not_follow_is_joined(
    open_client: Open, fake: FakeServer
) -> None:
    screen = open_client(fake.url)
    screen.open()
    fake.logs["@alice,bob"] = FakeLog("@alice,bob")
    fake.members["@alice,bob"] = {"alice"}
    fake.say("bob", "hello", "@alice,bob")
    fake.tell(error(ErrorCode.UNAVAILABLE, "@alice,bob"))
    screen.wait(lambda: "@alice,bob" in screen.channels, "listed")
    screen.core.open_channel("@alice,bob")
    screen.wait_texts("hello", channel="@alice,bob")


def test_a_channel_left_meanwhile_is_not_joined_later(open_client: Open, fake: FakeServer) -> None:
    screen = open_client(fake.url)
    screen.open()
    joins = refuse(fake, Join, ErrorCode.UNAVAILABLE, times=3)
    fake.tell(error(ErrorCode.UNAVAILABLE, "#tea"))
    fake.tell(Removed(channel="#tea", act="kick", by="bob"))
    fake.tell(error(ErrorCode.UNAVAILABLE, "#other"))
    screen.wait(lambda: len(joins) == 4, "joins, for longer than the first delay")
    assert {command.channel for command in joins} == {"#other"}


@pytest.mark.parametrize("code", PASSING)
def test_a_refused_join_is_repeated_and_the_lines_stay(
    open_client: Open, fake: FakeServer, code: ErrorCode
) -> None:
    screen = open_client(fake.url)
    screen.open()
    fake.logs["#tea"] = FakeLog("#tea")
    fake.members["#tea"] = {"alice"}
    fake.say("bob", "tea?", "#tea")
    joins = refuse(fake, Join, code, times=3)
    fake.cut()
    screen.wait(lambda: len(joins) == 4, "joins")
    screen.core.open_channel("#tea")
    screen.wait_texts("tea?", channel="#tea")


@pytest.mark.parametrize("code", PASSING)
def test_a_gap_that_cannot_be_read_is_read_later(
    open_client: Open, fake: FakeServer, code: ErrorCode
) -> None:
    screen = open_client(fake.url)
    screen.open()
    fake.say("bob", "1")
    screen.wait_texts("1")
    resets = screen.timelines["#general"].resets
    fake.sends_events = False
    fake.say("bob", "2")
    fake.sends_events = True
    refuse(fake, History, code, times=2)
    fake.say("bob", "3")
    screen.wait_texts("1", "2", "3")
    fake.say("bob", "4")
    screen.wait_texts("1", "2", "3", "4")
    assert screen.timelines["#general"].resets == resets


@pytest.mark.parametrize("code", [ErrorCode.UNAVAILABLE, ErrorCode.RATE_LIMITED])
def test_markers_preferences_and_the_status_are_sent_again(
    open_client: Open, fake: FakeServer, code: ErrorCode
) -> None:
    screen = open_client(fake.url)
    screen.open()
    fake.say("bob", "1")
    screen.wait_texts("1")
    marks = refuse(fake, Mark, code, times=2)
    screen.core.mark("#general", 1)
    screen.wait(lambda: len(marks) == 3, "marks")
    wishes = refuse(fake, Prefer, code, times=2)
    screen.core.prefer("#general", PreferenceChange(muted=True))
    screen.wait(lambda: len(wishes) == 3, "preferences")
    states = refuse(fake, SetStatus, code, times=2)
    screen.core.status("away")
    screen.wait(lambda: len(states) == 3, "status")


def test_an_older_status_is_not_sent_again(open_client: Open, fake: FakeServer) -> None:
    screen = open_client(fake.url)
    screen.open()
    states = refuse(fake, SetStatus, ErrorCode.UNAVAILABLE, times=1)
    screen.core.status("away")
    screen.wait(lambda: len(states) == 1, "away")
    screen.core.status("online")
    screen.wait(lambda: len(states) == 2, "online")
    refused = refuse(fake, Mark, ErrorCode.UNAVAILABLE, times=4)
    fake.say("bob", "1")
    screen.wait_texts("1")
    screen.core.mark("#general", 1)
    screen.wait(lambda: len(refused) == 5, "longer than the delay of the status")
    assert [command.status for command in states] == ["away", "online"]


def test_channels_that_stay_unavailable_do_not_delay_others(
    open_client: Open, fake: FakeServer
) -> None:
    fake.limits = Limits(rate=1_000)
    broken = [f"#broken{number}" for number in range(8)]
    for name in (*broken, "#works"):
        fake.logs[name] = FakeLog(name)
        fake.members[name] = {"alice"}
        fake.say("bob", "hello", name)

    def answer(command: Command) -> Wire | None:
        is_broken = getattr(command, "channel", None) in broken
        return error(ErrorCode.UNAVAILABLE) if is_broken else None

    fake.intercept = answer
    screen = open_client(fake.url)
    screen.core.open_channel("#works")
    screen.wait_texts("hello", channel="#works")
    for name in broken:
        screen.core.prefer(name, PreferenceChange(muted=True))
    screen.wait(lambda: fake.count(Prefer) >= 2 * len(broken), "preferences")
    screen.core.mark("#works", 1)
    screen.wait(lambda: fake.count(Mark) == 1, "marker")


async def test_a_row_whose_session_ended_at_once_is_sent_by_the_next(tmp_path: Path) -> None:
    class Answering:
        def command_of(self, row: Any) -> Any:
            return row

        async def ask(self, row: Any) -> Ok:
            sent.append(row.cid)
            return Ok(seq=1)

        async def join_direct(self, _: str) -> None: ...

    sent: list[str] = []
    settings = ClientSettings(name="me", url="ws://127.0.0.1:1", data=tmp_path)
    local = LocalState(settings, put=lambda _: None, changed=lambda: None)
    tasks = Tasks(failed=lambda _: None)
    sender = Sender(local, tasks)
    session: Any = Answering()
    sender.begin(session, session, has_rooms=True)
    row = new_row({"type": "send", "channel": "#general", "text": "typed as the connection broke"})
    sender.write(row)
    sender.end()
    await tasks.cancel()
    assert sent == []
    sender.begin(session, session, has_rooms=True)
    while tasks.running:
        await asyncio.sleep(0)
    assert sent == [row.cid]
    local.account.close()


def test_a_message_stored_before_the_shown_page_is_not_shown_as_unsent(
    open_client: Open, fake: FakeServer, tmp_path: Path
) -> None:
    screen = open_client(fake.url)
    screen.open()

    def store_and_stop(command: Command) -> Wire | None:
        if isinstance(command, Send):
            fake.intercept = lambda _: fake.SILENCE
            fake.store("alice", command)
            return fake.SILENCE
        return None

    fake.intercept = store_and_stop
    fake.sends_events = False
    screen.core.send("#general", "stored")
    screen.wait(lambda: fake.logs["#general"].head == 1)
    screen.stop()
    fake.intercept = lambda _: None
    for number in range(150):
        fake.say("bob", f"later {number}")
    for file in tmp_path.rglob("cache.db*"):
        file.unlink()
    screen = open_client(fake.url)
    screen.core.open_channel("#general")
    screen.wait(lambda: "later 149" in screen.texts())
    screen.wait(lambda: not screen.pending(), "sent")
    assert "stored" not in screen.texts()  # it is above the loaded page
    assert fake.logs["#general"].head == 151
