"""Which messages notify, with which text, and how often."""

from __future__ import annotations

import pytest

from chat.client.model.notifications import SPACING, Burst, Notification, NotificationRules
from chat.client.model.preferences import Preference
from chat.client.model.state import NotificationDue
from chat.protocol.items import Event
from tests.terminal.hostile import PAYLOADS
from tests.terminal.raw import plain

USUAL = NotificationRules(("mention", "direct", "keyword"), ("deploy", "C++"))
MUTED, ALL, NONE = Preference(muted=True), Preference(level="all"), Preference(level="none")
MUTED_ALL = Preference(muted=True, level="all")


def said(text: str, *mentions: str, author: str = "bob", **more: object) -> Event:
    fields = {"seq": 9, "mid": "m", "ts": 0, "author": author, "kind": "message", "text": text}
    return Event.model_validate(
        {"channel": "#ops", "mentions": mentions, **fields, **more}, strict=False
    )


@pytest.mark.parametrize(
    ("channel", "event", "wanted", "called"),
    [
        ("#ops", said("hi"), Preference(), False),
        ("#ops", said("hi @Me", "Me"), Preference(), True),
        ("#ops", said("hi @me", "me"), MUTED, True),
        ("#ops", said("hi @me", "me"), NONE, False),
        ("#ops", said("hi"), ALL, True),
        ("#ops", said("hi"), MUTED_ALL, False),
        ("#ops", said("Deploy it"), Preference(), True),
        ("#ops", said("deployed"), Preference(), False),
        ("#ops", said("in c++!"), Preference(), True),
        ("#ops", said("deploy"), MUTED, False),
        ("@bob,me", said("hi"), Preference(), True),
        ("@bob,me", said("hi"), MUTED, False),
        ("@bob,me", said("hi"), NONE, False),
        ("#ops", said("deploy", author="ME"), ALL, False),
        ("#ops", said("deploy", kind="edit", target=1), ALL, False),
    ],
)
def test_messages_notify_by_reason_and_channel_preference(
    channel: str, event: Event, wanted: Preference, called: bool
) -> None:
    assert USUAL.notifies(channel, event, "me", wanted) is called


@pytest.mark.parametrize(
    ("keyword", "text", "called"),
    [
        ("größe", "die GRÖSSE passt", True),
        ("größe", "gro\u0308ße", True),
        ("größe", "größenwahn", False),
        ("障害", "今日は障害対応です", True),
        ("장애", "장애가 났다", True),
        ("deploy", "本日deployする", True),
        ("deploy", "re_deploy", False),
    ],
)
def test_a_keyword_notifies_in_any_spelling(keyword: str, text: str, called: bool) -> None:
    rules = NotificationRules(("keyword",), (keyword,))
    assert rules.notifies("#ops", said(text), "me", Preference()) is called


def test_only_the_chosen_reasons_notify() -> None:
    few = NotificationRules(("mention",), ("deploy",))
    assert few.notifies("#ops", said("@me", "me"), "me", Preference())
    assert not few.notifies("#ops", said("deploy"), "me", Preference())
    assert not few.notifies("@bob,me", said("hi"), "me", Preference())
    none = NotificationRules((), ())
    assert not none.notifies("#ops", said("@me", "me"), "me", Preference())
    assert none.notifies("#ops", said("@me", "me"), "me", ALL)


class Listener:
    """A burst, and a clock."""

    def __init__(self) -> None:
        self.burst = Burst()
        self.now = 100.0
        self.seen: set[str] = set()

    def hear(self, *calls: tuple[str, str, str]) -> Notification | None:
        for call in calls:
            called = NotificationDue(*call, user="me")
            self.burst.add(called, lambda called=called: called.channel in self.seen)  # type: ignore[misc]
        return self.burst.take(self.now)


def test_a_burst_is_merged_into_one_notification() -> None:
    listener = Listener()
    assert listener.hear(("#ops", "bob", "one")) == Notification("bob in #ops", "one")
    assert listener.hear(("#ops", "bob", "two"), ("#ops", "eve", "three")) is None
    assert listener.burst.wait(listener.now + 1) == SPACING - 1
    listener.now += SPACING
    call = listener.hear(("@bob,me", "bob", "four"))
    assert call == Notification("3 new in #ops, @bob", "bob: four")
    assert listener.burst.wait(listener.now) is None


def test_a_notification_names_a_direct_channel_by_its_other_members() -> None:
    listener = Listener()
    assert listener.hear(("@bob,me", "bob", "hi")) == Notification("bob", "hi")
    listener.now += SPACING
    assert listener.hear(("@bob,eve,me", "bob", "hi")) == Notification("bob in @bob, eve", "hi")
    listener.now += SPACING
    mine = ("@bob,me", "me", "from my phone")
    assert listener.hear(mine, mine) == Notification("2 new in @bob", "me: from my phone")


def test_messages_seen_before_the_notification_are_left_out() -> None:
    listener = Listener()
    listener.hear(("#ops", "bob", "one"))
    listener.hear(("#ops", "bob", "two"), ("@bob,me", "bob", "psst"))
    listener.now += SPACING
    listener.seen = {"#ops"}
    assert listener.hear() == Notification("bob", "psst")


@pytest.mark.parametrize("payload", [payload for payload, _ in PAYLOADS])
def test_notification_texts_are_short_and_printable(payload: str) -> None:
    listener = Listener()
    call = listener.hear((f"#c{payload}", f"a{payload}", payload * 400))
    assert call is not None
    assert len(call.title) <= 80
    assert len(call.text) <= 160
    plain(f"{call.title}{call.text}".encode())
    assert "\n" not in call.title + call.text
