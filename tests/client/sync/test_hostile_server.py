"""A server that violates the protocol: the client stays bounded and reports it."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from chat.client.config.settings import ClientSettings
from chat.client.model.log_view import EMPTY_PAGE_PAUSE, PAGE_PAUSE
from chat.client.model.state import Link
from chat.client.network.backoff import Backoff
from chat.protocol.commands import Command, Hello, History, Join
from chat.protocol.frames import Bye, Heads, Ok, Page, Tick
from chat.protocol.items import Event, Item
from chat.protocol.values import Wire
from tests.client.fake_server import FakeServer
from tests.client.screen import Screen
from tests.serving import PATIENCE

Open = Callable[..., Screen]

BAD_FRAMES = {
    "bye in NaN seconds": b'{"type":"bye","reason":"","reconnect":NaN}',
    "bye in infinite seconds": b'{"type":"bye","reason":"","reconnect":1e400}',
    "bye before now": b'{"type":"bye","reason":"","reconnect":-1}',
    "a channel without a name": b'{"type":"heads","heads":{"":1}}',
    "a year beyond calendars": b'{"type":"event","channel":"#general","seq":1,"mid":"m",'
    b'"ts":253402300800000,"author":"bob","kind":"message","text":"x"}',
    "4,300 digits": b'{"type":"read","channel":"#general","version":1,"seq":0,"mentions":0,'
    b'"unread":' + b"9" * 4_300 + b"}",
}


def told_plainly(screen: Screen) -> bool:
    """Whether a one-line notice says that the server violates the protocol."""
    assert not [n for n in screen.notices if "internal error" in n.text]
    assert not [n for n in screen.notices if "\n" in n.text]
    return any("violates the protocol" in n.text for n in screen.notices)


@pytest.mark.parametrize("frame", BAD_FRAMES.values(), ids=BAD_FRAMES)
def test_an_invalid_frame_is_reported_in_one_line_and_the_client_reconnects(
    open_client: Open, fake: FakeServer, frame: bytes
) -> None:
    screen = open_client(fake.url)
    screen.open()
    fake.tell(frame)
    screen.wait(lambda: told_plainly(screen))
    screen.wait(lambda: fake.count(Hello) == 2)
    screen.wait_online()
    fake.say("bob", "still here")
    screen.core.open_channel("#general")
    screen.wait_texts("still here")


@pytest.mark.parametrize("more", [("server-2",), ("server-1",)])
def test_two_server_ids_are_an_error_that_is_retried(
    open_client: Open, fake: FakeServer, more: tuple[str, ...]
) -> None:
    fake.more_ids = more
    screen = open_client(fake.url)
    screen.wait(lambda: screen.connection.link is Link.WAITING)
    assert "sends an invalid id" in screen.connection.detail
    assert not fake.commands
    fake.more_ids = ()
    screen.wait_online()


def test_an_answer_of_another_type_violates_the_protocol(
    open_client: Open, fake: FakeServer
) -> None:
    answers: dict[type[Command], Wire] = {Join: Ok()}
    fake.intercept = lambda command: answers.pop(type(command), None)
    screen = open_client(fake.url)
    screen.core.open_channel("#general")
    screen.wait(lambda: told_plainly(screen))
    screen.open()


def test_bye_without_a_window_causes_no_tight_reconnect_loop(
    fake: FakeServer, tmp_path: Path
) -> None:
    screen = Screen(
        ClientSettings(name="alice", url=fake.url, data=tmp_path / "data"),
        Backoff(0.1, 30.0, lambda low, high: high),
    )
    screen.core.start()
    try:
        end = time.monotonic() + 2.0
        while time.monotonic() < end:
            screen.wait_online()
            fake.tell(Bye(reason="again", reconnect=0.0))
            fake.end(1001)
            screen.wait(lambda: screen.connection.link is not Link.ONLINE)
        assert fake.count(Hello) <= 6  # after 0.1, 0.2, 0.4, 0.8, 1.6 s
    finally:
        screen.stop()


@pytest.mark.parametrize("complete", [True, False])
def test_empty_pages_cause_no_tight_request_loop(
    open_client: Open, fake: FakeServer, complete: bool
) -> None:
    fake.say("bob", "one")
    screen = open_client(fake.url)
    screen.open()
    log = fake.logs["#general"]

    def same_page(command: Command) -> Wire | None:
        if not isinstance(command, History):
            return None
        page = log.page_after(0, 10)
        return Page(**{**dict(page), "complete": complete})

    fake.intercept = same_page
    before, began = fake.count(History), time.monotonic()
    while time.monotonic() < began + 1.5:
        fake.tell(Heads(heads={"#general": 1_000}))
        time.sleep(0.01)
    screen.wait(lambda: fake.count(History) > before)
    asked, took = fake.count(History) - before, time.monotonic() - began
    assert asked <= 2 + took / (EMPTY_PAGE_PAUSE if complete else PAGE_PAUSE)
    fake.intercept = lambda _: None
    fake.say("bob", "two")
    screen.wait_texts("one", "two")
    assert told_plainly(screen) != complete


def test_an_endless_log_causes_no_tight_request_loop(open_client: Open, fake: FakeServer) -> None:
    fake.say("bob", "one")
    screen = open_client(fake.url)
    screen.open()
    log = fake.logs["#general"]
    first = log.item(1)

    def one_more(command: Command) -> Wire | None:
        if not isinstance(command, History) or command.after is None:
            return None
        seq = command.after + 1
        item = Item(**{**dict(first), "seq": seq, "rev": seq})
        page = {**dict(log.page_after(0)), "items": (item,), "complete": False, "head": 2**50}
        return Page(**page)

    fake.intercept = one_more
    fake.tell(Heads(heads={"#general": 1_000}))
    screen.wait(lambda: fake.count(History) > 1)
    before, began = fake.count(History), time.monotonic()
    time.sleep(1)
    asked, took = fake.count(History) - before, time.monotonic() - began
    assert asked <= 2 + took / PAGE_PAUSE


def test_only_the_newest_ticks_are_kept(open_client: Open, fake: FakeServer) -> None:
    screen = open_client(fake.url)
    screen.open("#general")
    screen.core.ask(Join(channel="#counter")).result(PATIENCE)
    screen.open("#counter")
    for number in range(5_000):
        fake.tell(Tick(channel="#counter", text=str(number)))
    screen.wait(lambda: bool(screen.lines("#counter")) and last_text(screen) == "4999")
    assert len(screen.lines("#counter")) == 1_000
    for _ in range(5):
        fake.tell(Tick(channel="#counter", text="x" * 900_000))
    fake.tell(Tick(channel="#counter", text="end"))
    screen.wait(lambda: last_text(screen) == "end")
    assert sum(len(line.text) for line in screen.lines("#counter")) <= 1_000_000


def last_text(screen: Screen) -> str:
    return screen.lines("#counter")[-1].text


def test_reactions_arriving_one_by_one_stay_bounded(open_client: Open, fake: FakeServer) -> None:
    screen = open_client(fake.url)
    screen.open()
    fake.say("bob", "popular")
    fields = {"channel": "#general", "author": "eve", "kind": "react", "ts": 1, "target": 1}
    for number in range(2_000):
        fake.tell(Event(seq=number + 2, mid=f"m{number}", emoji=f"e{number}", **fields))  # type: ignore[arg-type]
    fake.tell(
        Event(
            seq=2_002, mid="m", ts=1, channel="#general", author="bob", kind="message", text="end"
        )
    )
    screen.wait_texts("popular", "end")
    assert len(screen.lines()[0].reactions) == 1_000


def test_a_flood_of_pings_ends_the_connection(open_client: Open, fake: FakeServer) -> None:
    screen = open_client(fake.url)
    screen.open()
    fake.ping(5_000)
    screen.wait(lambda: fake.count(Hello) == 2)
    screen.wait_online()
