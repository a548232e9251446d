"""Reactions of a line: those that look the same are one, whatever an older server keeps."""

from __future__ import annotations

from time import thread_time

from chat.client.model.fold import Wanted, fold, merged, message_of
from chat.client.model.state import Message
from chat.client.storage.codec import line_from, line_json
from chat.protocol.items import Item

HEART, PLAIN_HEART = "❤️", "❤"


def item(**reactions: tuple[str, ...]) -> Item:
    return Item(
        seq=1, mid="m", ts=1, author="bob", kind="message", text="x", rev=9, reactions=reactions
    )


def react(seq: int, author: str, emoji: str, remove: bool = False) -> Wanted:
    return Wanted(seq, author, "react", emoji=emoji, remove=remove)


def test_reactions_that_look_the_same_are_one() -> None:
    line = message_of(
        "#a", item(**{PLAIN_HEART: ("bob", "eve"), "👍": ("bob",), HEART: ("eve", "al")})
    )
    assert line.reactions == ((PLAIN_HEART, ("bob", "eve", "al")), ("👍", ("bob",)))


def test_an_event_meets_what_looks_the_same() -> None:
    line = message_of("#a", item(**{PLAIN_HEART: ("bob",)}))
    line = fold(line, react(10, "eve", HEART), "me")
    assert line.reactions == ((PLAIN_HEART, ("bob", "eve")),)
    line = fold(line, react(11, "eve", HEART), "me")
    line = fold(line, react(12, "bob", HEART, remove=True), "me")
    line = fold(line, react(13, "eve", PLAIN_HEART, remove=True), "me")
    assert line.reactions == ()


def test_a_reaction_that_looks_different_is_another() -> None:
    line = message_of("#a", item(**{PLAIN_HEART: ("bob",)}))
    line = fold(line, react(10, "eve", "👍"), "me")
    assert line.reactions == ((PLAIN_HEART, ("bob",)), ("👍", ("eve",)))


def test_what_was_kept_on_disk_is_one_as_well() -> None:
    kept = Message("#a", 1, None, "bob", 1, reactions=((HEART, ("a",)), (PLAIN_HEART, ("b",))))
    assert line_from(line_json(kept)).reactions == ((HEART, ("a", "b")),)


def test_thousands_of_reactions_take_no_longer_than_their_number_asks() -> None:
    many = [(f"e{number}\u0301", ("bob",)) for number in range(20_000)]
    start = thread_time()
    assert len(merged(many)) == 20_000
    assert thread_time() - start < 1
