"""Presence: combined from all sessions of a user."""

import pytest

from chat.protocol.values import Status
from chat.server.channels.presence import PresenceTracker, combined


@pytest.mark.parametrize(
    ("statuses", "seen"),
    [
        ([], "offline"),
        (["online"], "online"),
        (["away", "away"], "away"),
        (["away", "online"], "online"),
        (["online", "busy", "away"], "busy"),
    ],
)
def test_presence_combines_all_sessions(statuses: list[Status], seen: str) -> None:
    assert combined(statuses) == seen


def test_only_visible_presence_changes_are_reported() -> None:
    book = PresenceTracker()
    assert book.set("alice", 1, "online") == "online"
    assert book.set("alice", 2, "online") is None
    assert book.set("alice", 1, "away") is None
    assert book.drop("alice", 2) == "away"
    assert book.drop("alice", 1) == "offline"
    assert book.of("alice") == "offline"


def test_dropping_an_unknown_session_reports_no_change() -> None:
    assert PresenceTracker().drop("alice", 1) is None
