"""The person is called for what they do not look at, unless they do not want to be disturbed."""

from __future__ import annotations

import pytest

from chat.client.model.notifications import SPACING, Notification
from chat.client.model.state import NotificationDue
from chat.client.presenter.commands import HANDLERS
from chat.client.presenter.conversation import Conversation
from chat.client.presenter.draft import DraftKey
from chat.client.presenter.notifier import Notifier
from tests.client.presenter.fakes import FakeCore, FakeSeats, FakeView, info

OPS = NotificationDue("#ops", "bob", "it burns")


class Desk:
    """A conversation in `#general`, with a clock that stands still."""

    def __init__(self) -> None:
        self.now = 0.0
        self.core, self.view = FakeCore(), FakeView()
        self.notifier = Notifier(
            self.view, self.core, clock=lambda: self.now, now=lambda: 1e9 + self.now
        )
        self.conversation = Conversation(
            self.core,
            self.view,
            "me",
            seat=1,
            seats=FakeSeats(),
            notifier=self.notifier,
            commands=HANDLERS,
        )
        self.core.go_online(info("#general"), info("#ops"))
        self.take_in()
        self.conversation.open_channel("#general")

    def take_in(self) -> None:
        self.conversation.take_in(self.core.drain())

    def hear(self, *calls: NotificationDue) -> list[Notification]:
        """Let the core tell of calls; return all that rang so far."""
        self.core.tell(*calls)
        self.take_in()
        return [done[1] for done in self.view.done if done[0] == "ring"]

    def run(self, text: str) -> None:
        self.conversation.drafts.submit(text, DraftKey("#general"))

    def close(self) -> None:
        for work in self.view.beside:
            work.close()


@pytest.mark.parametrize(
    ("asked", "later", "is_quiet"),
    [
        ("/dnd", 1e6, True),
        ("/dnd 30", 29 * 60, True),
        ("/dnd 30", 31 * 60, False),
        ("/dnd off", 0.0, False),
    ],
)
@pytest.mark.feature("around.calls")
def test_not_to_be_disturbed_outlives_the_program(asked: str, later: float, is_quiet: bool) -> None:
    desk = Desk()
    desk.run(asked)
    next_start = Notifier(desk.view, desk.core, clock=lambda: 0.0, now=lambda: 1e9 + later)
    next_start.resume(desk.conversation.view.redraw)
    assert next_start.is_quiet is is_quiet
    desk.close()


@pytest.mark.parametrize(("kept", "most"), [("{end} 1800", 1_800), ("{end}", 86_400)])
def test_a_clock_that_was_wrong_does_not_make_it_last(kept: str, most: int) -> None:
    desk = Desk()
    in_decades = int(1e9) + 10**9
    desk.core.save_pref("quiet-until", kept.format(end=in_decades))
    passed = 0.0
    calling = Notifier(desk.view, desk.core, clock=lambda: passed, now=lambda: 1e9)
    calling.resume(desk.conversation.view.redraw)
    assert calling.note
    passed = most + 1.0
    assert not calling.is_quiet
    desk.close()


def test_do_not_disturb_of_another_client_on_the_file_is_obeyed_and_shown() -> None:
    desk = Desk()
    desk.notifier.resume(desk.conversation.view.redraw)
    other = Notifier(desk.view, desk.core, clock=lambda: desk.now, now=lambda: 1e9 + desk.now)
    other.be_quiet(30, lambda: None)
    assert desk.notifier.note.startswith("do not disturb until ")
    assert desk.hear(OPS) == []
    other.be_quiet(0, lambda: None)
    assert desk.notifier.note == ""
    assert len(desk.hear(OPS)) == 1
    desk.close()


def test_not_for_the_channel_one_looks_at() -> None:
    desk = Desk()
    here = NotificationDue("#general", "bob", "hi @me")
    assert desk.hear(here) == []
    desk.conversation.reading.watched(False)
    assert desk.hear(here) == [Notification("bob in #general", "hi @me")]
    desk.close()


def test_a_reply_that_shows_in_the_open_thread_does_not_notify() -> None:
    desk = Desk()
    desk.conversation.threads.show("#general", 3)
    desk.view.scrolled_up = {DraftKey("#general")}
    reply = NotificationDue("#general", "bob", "hi @me", thread=3)
    assert desk.hear(reply) == []
    desk.view.scrolled_up |= {DraftKey("#general", 3)}
    assert desk.hear(reply) == [Notification("bob in #general", "hi @me")]
    desk.close()


@pytest.mark.parametrize("thread", [None, 4])
def test_an_open_thread_shows_no_other_message(thread: int | None) -> None:
    desk = Desk()
    desk.conversation.threads.show("#general", 3)
    desk.view.scrolled_up = {DraftKey("#general")}
    assert len(desk.hear(NotificationDue("#general", "bob", "hi @me", thread=thread))) == 1
    desk.close()


@pytest.mark.feature("around.calls")
def test_a_burst_rings_once_and_once_more() -> None:
    desk = Desk()
    assert desk.hear(OPS, OPS, OPS) == [Notification("bob in #ops", "it burns")]
    assert len(desk.view.beside) == 1
    desk.now += SPACING
    assert desk.hear(OPS)[1:] == [Notification("3 new in #ops", "bob: it burns")]
    desk.close()


def test_what_was_seen_as_it_came_is_not_told_later() -> None:
    desk = Desk()
    desk.hear(OPS, NotificationDue("#general", "bob", "seen"), OPS)
    desk.conversation.reading.watched(False)
    desk.now += SPACING
    assert desk.hear(OPS)[1:] == [Notification("2 new in #ops", "bob: it burns")]
    desk.close()


@pytest.mark.parametrize("command", ["/dnd", "/dnd on", "/dnd 5", "/busy"])
def test_who_does_not_want_to_be_disturbed_is_not(command: str) -> None:
    desk = Desk()
    desk.run(command)
    assert desk.hear(OPS) == []
    desk.run("/back" if command == "/busy" else "/dnd off")
    assert desk.hear(OPS) == [Notification("bob in #ops", "it burns")]
    desk.close()


def test_some_minutes_end_by_themselves() -> None:
    desk = Desk()
    desk.run("/dnd 5")
    assert desk.notifier.note.startswith("do not disturb until ")
    desk.now += 4.9 * 60
    assert desk.hear(OPS) == []
    desk.now += 0.2 * 60
    assert desk.notifier.note == ""
    assert len(desk.hear(OPS)) == 1
    desk.close()


def test_again_is_off_and_nonsense_is_told() -> None:
    desk = Desk()
    desk.run("/dnd")
    desk.run("/dnd")
    assert not desk.notifier.is_quiet
    told = [text for text, _ in desk.view.said]
    assert told == ["Notifications are off (do not disturb)", "Notifications are on"]
    for word in ("soon", "0", "9999"):
        desk.run(f"/dnd {word}")
        assert f"“{word}” is not valid" in desk.view.said[-1][0]
    desk.close()
