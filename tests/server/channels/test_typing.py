"""Typing: start, repetition, stop, expiry."""

from chat.server.channels.typing import EXPIRY, TypingTracker


def test_repeated_start_is_no_change_but_extends_the_expiry() -> None:
    book = TypingTracker()
    assert book.start("alice", 0.0)
    assert not book.start("alice", EXPIRY - 1)
    assert not book.expire(EXPIRY)
    assert book.names(5) == ("alice",)
    assert book.expire(EXPIRY - 1 + EXPIRY)
    assert not book


def test_stop_is_a_change_only_if_the_user_was_typing() -> None:
    book = TypingTracker()
    book.start("alice", 0.0)
    assert not book.stop("bob")
    assert book.stop("alice")


def test_version_grows_with_each_visible_change() -> None:
    book = TypingTracker()
    seen = [book.version]
    book.start("alice", 0.0)
    seen.append(book.version)
    book.start("alice", 1.0)
    seen.append(book.version)
    book.expire(100.0)
    seen.append(book.version)
    assert seen == [0, 1, 1, 2]


def test_names_are_bounded_and_in_start_order() -> None:
    book = TypingTracker()
    for name in ("carol", "alice", "bob"):
        book.start(name, 0.0)
    assert book.names(2) == ("carol", "alice")
