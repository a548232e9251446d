"""Typing: names appear once, stop, and expire by themselves."""

from chat.server.channels.typing import EXPIRY, TypingTracker


def test_a_start_is_news_once_and_its_repetition_prolongs_it() -> None:
    book = TypingTracker()
    assert book.start("alice", 0.0)
    assert not book.start("alice", EXPIRY - 1)
    assert not book.expire(EXPIRY)
    assert book.names(5) == ("alice",)
    assert book.expire(EXPIRY - 1 + EXPIRY)
    assert not book


def test_a_stop_is_news_only_for_who_typed() -> None:
    book = TypingTracker()
    book.start("alice", 0.0)
    assert not book.stop("bob")
    assert book.stop("alice")


def test_the_version_grows_with_each_change_others_can_see() -> None:
    book = TypingTracker()
    seen = [book.version]
    book.start("alice", 0.0)
    seen.append(book.version)
    book.start("alice", 1.0)
    seen.append(book.version)
    book.expire(100.0)
    seen.append(book.version)
    assert seen == [0, 1, 1, 2]


def test_names_are_bounded_in_the_order_they_began() -> None:
    book = TypingTracker()
    for name in ("carol", "alice", "bob"):
        book.start(name, 0.0)
    assert book.names(2) == ("carol", "alice")
