"""Reactions of many people: the first are named, and oneself; the others are counted."""

from __future__ import annotations

from chat.client.model.describe import describe
from chat.client.model.fold import fold, message_of
from chat.client.model.state import Message, TimelineChanged, counted_reactions
from chat.client.plain.view import Announcer
from chat.client.storage.codec import line_from, line_json
from chat.protocol.items import Event, Item

NAMES = tuple(f"user{number}" for number in range(20))


def crowded(*names: str, count: int = 1_204) -> Message:
    item = Item(
        seq=1,
        mid="m",
        ts=0,
        author="alice",
        kind="message",
        text="hi",
        rev=1_300,
        reactions={"+1": names, "heart": ("bob",)},
        reaction_counts={"+1": count},
    )
    return message_of("#general", item)


def reacted(message: Message, author: str, *, remove: bool = False, emoji: str = "+1") -> Message:
    event = Event(
        channel="#general",
        seq=message.rev + 1,
        mid="m",
        ts=0,
        author=author,
        kind="react",
        target=1,
        emoji=emoji,
        remove=remove,
    )
    return fold(message, event, "me")


def test_counts_follow_what_happens() -> None:
    message = crowded(*NAMES)
    assert counted_reactions(message) == [("+1", NAMES, 1_204), ("heart", ("bob",), 1)]
    message = reacted(message, "zoe")
    assert counted_reactions(message)[0] == ("+1", NAMES, 1_205)
    message = reacted(message, "me")
    assert counted_reactions(message)[0] == ("+1", (*NAMES, "me"), 1_206)
    message = reacted(message, "me", remove=True)
    message = reacted(message, "zoe", remove=True)
    message = reacted(message, "user3", remove=True)
    assert counted_reactions(message)[0] == ("+1", (*NAMES[:3], *NAMES[4:]), 1_203)


def test_counts_go_when_everybody_left_is_named() -> None:
    message = crowded("user0", count=3)
    for name in ("x", "user0"):
        message = reacted(message, name, remove=True)
    assert counted_reactions(message)[0] == ("+1", (), 1)
    message = reacted(message, "y", remove=True)
    assert counted_reactions(message) == [("heart", ("bob",), 1)]
    assert message.reaction_counts == ()


def test_of_a_crowd_that_reacts_only_the_first_and_oneself_are_kept_by_name() -> None:
    message = crowded("user0", count=1)
    for number in range(1, 100):
        message = reacted(message, f"user{number}")
    message = reacted(message, "me")
    assert counted_reactions(message)[0] == ("+1", (*NAMES, "me"), 101)
    assert line_from(line_json(message)) == message


def test_a_line_that_an_older_client_kept_has_all_names() -> None:
    message = message_of(
        "#general",
        Item(
            seq=1, mid="m", ts=0, author="a", kind="message", rev=1, text="", reactions={"x": NAMES}
        ),
    )
    assert '"reaction_counts"' not in line_json(message)
    assert counted_reactions(line_from(line_json(message))) == [("x", NAMES, 20)]


def test_who_reacted_is_told_with_the_number_of_the_others() -> None:
    message = crowded("bob", "carol")
    assert describe(message).endswith("(+1 bob, carol and 1,202 others; heart bob)")
    announcer = Announcer()
    announcer.announce(TimelineChanged("#general", upserts=(message,), reset=True))
    change = TimelineChanged("#general", upserts=(reacted(message, "zoe"),))
    assert announcer.announce(change) == [
        "Reactions to 1 in #general: +1 bob, carol, zoe and 1,202 others; heart bob."
    ]
