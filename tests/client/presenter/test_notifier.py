"""Notifications of messages that are not visible, unless do not disturb is on."""

from __future__ import annotations

import pytest

from chat.client.model.notifications import SPACING, Notification
from chat.client.model.state import NotificationDue
from chat.client.presenter.commands.table import HANDLERS
from chat.client.presenter.conversation import Conversation
from chat.client.presenter.navigation import PaneKey
from chat.client.presenter.notifier import Notifier
from tests.client.presenter.fakes import FakeCore, FakeView, FakeWorkspace, info

OPS = NotificationDue("#ops", "bob", "it burns")


class Bench:
    """A conversation in `#general`, with a clock that the test sets."""

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
            server_key=1,
            workspace=FakeWorkspace(),
            notifier=self.notifier,
            commands=HANDLERS,
        )
        self.core.go_online(info("#general"), info("#ops"))
        self.take_in()
        self.conversation.open_channel("#general")

    def take_in(self) -> None:
        self.conversation.take_in()

    def hear(self, *calls: NotificationDue) -> list[Notification]:
        """Publish notifications of the core; return all that were shown so far."""
        self.core.tell(*calls)
        self.take_in()
        return [done[1] for done in self.view.done if done[0] == "notify"]

    def run(self, text: str) -> None:
        self.conversation.drafts.submit(text, PaneKey("#general"))

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
    bench = Bench()
    bench.run(asked)
    next_start = Notifier(bench.view, bench.core, clock=lambda: 0.0, now=lambda: 1e9 + later)
    next_start.resume(bench.conversation.view.redraw)
    assert next_start.is_quiet is is_quiet
    bench.close()


@pytest.mark.parametrize(("kept", "most"), [("{end} 1800", 1_800), ("{end}", 86_400)])
def test_a_wrong_clock_does_not_prolong_do_not_disturb(kept: str, most: int) -> None:
    bench = Bench()
    in_decades = int(1e9) + 10**9
    bench.core.save_pref("quiet-until", kept.format(end=in_decades))
    passed = 0.0
    calling = Notifier(bench.view, bench.core, clock=lambda: passed, now=lambda: 1e9)
    calling.resume(bench.conversation.view.redraw)
    assert calling.note
    passed = most + 1.0
    assert not calling.is_quiet
    bench.close()


def test_do_not_disturb_of_another_client_on_the_file_is_obeyed_and_shown() -> None:
    bench = Bench()
    bench.notifier.resume(bench.conversation.view.redraw)
    other = Notifier(bench.view, bench.core, clock=lambda: bench.now, now=lambda: 1e9 + bench.now)
    other.be_quiet(30, lambda: None)
    assert bench.notifier.note.startswith("do not disturb until ")
    assert bench.hear(OPS) == []
    other.be_quiet(0, lambda: None)
    assert bench.notifier.note == ""
    assert len(bench.hear(OPS)) == 1
    bench.close()


def test_visible_messages_do_not_notify() -> None:
    bench = Bench()
    here = NotificationDue("#general", "bob", "hi @me")
    assert bench.hear(here) == []
    bench.conversation.reading.watched(False)
    assert bench.hear(here) == [Notification("bob in #general", "hi @me")]
    bench.close()


def test_a_reply_that_shows_in_the_open_thread_does_not_notify() -> None:
    bench = Bench()
    bench.conversation.threads.show("#general", 3)
    bench.view.scrolled_up = {PaneKey("#general")}
    reply = NotificationDue("#general", "bob", "hi @me", thread=3)
    assert bench.hear(reply) == []
    bench.view.scrolled_up |= {PaneKey("#general", 3)}
    assert bench.hear(reply) == [Notification("bob in #general", "hi @me")]
    bench.close()


@pytest.mark.parametrize("thread", [None, 4])
def test_an_open_thread_shows_no_other_message(thread: int | None) -> None:
    bench = Bench()
    bench.conversation.threads.show("#general", 3)
    bench.view.scrolled_up = {PaneKey("#general")}
    assert len(bench.hear(NotificationDue("#general", "bob", "hi @me", thread=thread))) == 1
    bench.close()


@pytest.mark.feature("around.calls")
def test_a_burst_rings_once_and_once_more() -> None:
    bench = Bench()
    assert bench.hear(OPS, OPS, OPS) == [Notification("bob in #ops", "it burns")]
    assert len(bench.view.beside) == 1
    bench.now += SPACING
    assert bench.hear(OPS)[1:] == [Notification("3 new in #ops", "bob: it burns")]
    bench.close()


def test_messages_seen_before_a_merged_notification_are_left_out() -> None:
    bench = Bench()
    bench.hear(OPS, NotificationDue("#general", "bob", "seen"), OPS)
    bench.conversation.reading.watched(False)
    bench.now += SPACING
    assert bench.hear(OPS)[1:] == [Notification("2 new in #ops", "bob: it burns")]
    bench.close()


@pytest.mark.parametrize("command", ["/dnd", "/dnd on", "/dnd 5", "/busy"])
def test_do_not_disturb_stops_notifications(command: str) -> None:
    bench = Bench()
    bench.run(command)
    assert bench.hear(OPS) == []
    bench.run("/back" if command == "/busy" else "/dnd off")
    assert bench.hear(OPS) == [Notification("bob in #ops", "it burns")]
    bench.close()


def test_some_minutes_end_by_themselves() -> None:
    bench = Bench()
    bench.run("/dnd 5")
    assert bench.notifier.note.startswith("do not disturb until ")
    bench.now += 4.9 * 60
    assert bench.hear(OPS) == []
    bench.now += 0.2 * 60
    assert bench.notifier.note == ""
    assert len(bench.hear(OPS)) == 1
    bench.close()


def test_dnd_toggles_and_rejects_invalid_values() -> None:
    bench = Bench()
    bench.run("/dnd")
    bench.run("/dnd")
    assert not bench.notifier.is_quiet
    said = [text for text, _ in bench.view.said]
    assert said == ["Notifications are off (do not disturb).", "Notifications are on."]
    for word in ("soon", "0", "9999"):
        bench.run(f"/dnd {word}")
        assert f"“{word}” is not valid" in bench.view.said[-1][0]
    bench.close()
