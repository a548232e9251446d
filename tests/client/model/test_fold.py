"""Reactions of a line: emoji that look the same are merged, also from older servers."""

from __future__ import annotations

from time import thread_time

from chat.client.model.describe import describe
from chat.client.model.fold import PendingChange, fold, merge_reactions, message_of
from chat.client.model.state import Message, Reaction, TimelineChanged
from chat.client.plain.view import Announcer
from chat.client.presenter.log import Log
from chat.client.storage.codec import line_from, line_json
from chat.protocol.items import Event, Item

HEART, PLAIN_HEART = "❤️", "❤"


def item(**reactions: tuple[str, ...]) -> Item:
    return Item(
        seq=1, mid="m", ts=1, author="bob", kind="message", text="x", rev=9, reactions=reactions
    )


def react(seq: int, author: str, emoji: str, remove: bool = False) -> PendingChange:
    return PendingChange(seq, author, "react", emoji=emoji, remove=remove)


def test_reactions_that_look_the_same_are_merged() -> None:
    line = message_of(
        "#a", item(**{PLAIN_HEART: ("bob", "eve"), "👍": ("bob",), HEART: ("eve", "al")})
    )
    assert line.reactions == (Reaction(PLAIN_HEART, ("bob", "eve", "al")), Reaction("👍", ("bob",)))


def test_a_reaction_event_joins_the_reaction_that_looks_the_same() -> None:
    line = message_of("#a", item(**{PLAIN_HEART: ("bob",)}))
    line = fold(line, react(10, "eve", HEART), "me")
    assert line.reactions == (Reaction(PLAIN_HEART, ("bob", "eve")),)
    line = fold(line, react(11, "eve", HEART), "me")
    line = fold(line, react(12, "bob", HEART, remove=True), "me")
    line = fold(line, react(13, "eve", PLAIN_HEART, remove=True), "me")
    assert line.reactions == ()


def test_a_reaction_that_looks_different_stays_separate() -> None:
    line = message_of("#a", item(**{PLAIN_HEART: ("bob",)}))
    line = fold(line, react(10, "eve", "👍"), "me")
    assert line.reactions == (Reaction(PLAIN_HEART, ("bob",)), Reaction("👍", ("eve",)))


def test_stored_reactions_that_look_the_same_are_merged() -> None:
    kept = Message(
        "#a", 1, None, "bob", 1, reactions=(Reaction(HEART, ("a",)), Reaction(PLAIN_HEART, ("b",)))
    )
    assert line_from(line_json(kept)).reactions == (Reaction(HEART, ("a", "b")),)


def test_applying_thousands_of_reactions_takes_linear_time() -> None:
    many = [(f"e{number}\u0301", ("bob",)) for number in range(20_000)]
    start = thread_time()
    assert len(merge_reactions(many, {})) == 20_000
    assert thread_time() - start < 1


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


def test_reaction_counts_follow_added_and_removed_reactions() -> None:
    message = crowded(*NAMES)
    assert message.reactions == (Reaction("+1", NAMES, 1_184), Reaction("heart", ("bob",)))
    message = reacted(message, "zoe")
    assert (message.reactions[0].names, message.reactions[0].count) == (NAMES, 1_205)
    message = reacted(message, "me")
    assert (message.reactions[0].names, message.reactions[0].count) == ((*NAMES, "me"), 1_206)
    message = reacted(message, "me", remove=True)
    message = reacted(message, "zoe", remove=True)
    message = reacted(message, "user3", remove=True)
    assert (message.reactions[0].names, message.reactions[0].count) == (
        (*NAMES[:3], *NAMES[4:]),
        1_203,
    )


def test_reaction_counts_are_dropped_when_all_people_are_named() -> None:
    message = crowded("user0", count=3)
    for name in ("x", "user0"):
        message = reacted(message, name, remove=True)
    assert (message.reactions[0].names, message.reactions[0].count) == ((), 1)
    message = reacted(message, "y", remove=True)
    assert message.reactions == (Reaction("heart", ("bob",)),)


def test_only_the_first_names_and_the_users_own_are_kept_for_many_reactions() -> None:
    message = crowded("user0", count=1)
    for number in range(1, 100):
        message = reacted(message, f"user{number}")
    message = reacted(message, "me")
    assert (message.reactions[0].names, message.reactions[0].count) == ((*NAMES, "me"), 101)
    assert line_from(line_json(message)) == message


def test_a_line_stored_by_an_older_client_keeps_all_names() -> None:
    message = message_of(
        "#general",
        Item(
            seq=1, mid="m", ts=0, author="a", kind="message", rev=1, text="", reactions={"x": NAMES}
        ),
    )
    assert '"reaction_counts"' not in line_json(message)
    assert line_from(line_json(message)).reactions == (Reaction("x", NAMES),)


def test_reactions_list_names_and_the_number_of_others() -> None:
    message = crowded("bob", "carol")
    assert describe(message, str).endswith("(+1 bob, carol and 1,202 others; heart bob)")
    announcer, log = Announcer(), Log()
    first = TimelineChanged("#general", upserts=(message,), reset=True)
    announcer.announce(log.apply(first))
    change = TimelineChanged("#general", upserts=(reacted(message, "zoe"),))
    assert announcer.announce(log.apply(change)) == [
        "Reactions to message 1 in #general: +1 bob, carol, zoe and 1,202 others; heart bob."
    ]
