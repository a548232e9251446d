"""Readiness: the database can be used, and the server is not draining."""

from __future__ import annotations

from chat.server.monitoring.health import Health
from tests.serving import ChatServer


class Database:
    """Reports `fault` like a store."""

    fault: str | None = None

    def healthy(self) -> str | None:
        return self.fault


def test_a_server_is_unready_for_each_reason_at_once() -> None:
    database = Database()
    health = Health(database)
    assert health.unready() == []
    database.fault = "database or disk is full"
    assert health.unready() == ["the database cannot be used: database or disk is full"]
    health.is_draining = True
    assert health.unready() == [
        "the server is stopping",
        "the database cannot be used: database or disk is full",
    ]
    database.fault = None
    assert health.unready() == ["the server is stopping"]


def test_readyz_answers_one_line(shared: ChatServer) -> None:
    assert shared.get("/readyz") == (200, "ready\n")
