"""A session: commands without an answer, and delays that the server requests."""

from __future__ import annotations

import asyncio

from chat.client.network.backoff import Backoff
from chat.client.network.connection import open_connection
from chat.client.network.errors import Unanswered
from chat.client.network.session import Session
from chat.errors import CommandError, ErrorCode
from chat.protocol.commands import Channels, Command, Hello, Search, Who
from chat.protocol.frames import Members, Ok, ServerFrame
from chat.protocol.values import Wire
from tests.client.fake_server import FakeServer


async def test_a_command_without_an_answer_fails_alone(fake: FakeServer) -> None:
    fake.members["#general"] = {"me"}

    def hold_searches(command: Command) -> Wire | None:
        return fake.SILENCE if isinstance(command, Search | Channels) else None

    fake.intercept = hold_searches
    taken: list[ServerFrame] = []
    session = Session(await open_connection(fake.url), timeout=5.0)
    await session.sign_in(Hello(v=1, name="me", token="t" * 43))
    running = asyncio.create_task(session.run(taken.append))
    try:
        asked = session.ask(Search(query="x")), session.ask(Channels())
        for each in await asyncio.gather(*asked, return_exceptions=True):
            assert isinstance(each, Unanswered)
            assert "has not answered within" in str(each)
        assert isinstance(await session.ask(Who(channel="#general")), Members)
        late = Ok(id="1")
        fake.tell(late)
        assert isinstance(await session.ask(Who(channel="#general")), Members)
        assert late in taken
        assert not session.is_over
        assert fake.connections == 1
    finally:
        running.cancel()
        await session.close()


def test_a_server_cannot_delay_a_message_by_more_than_a_minute() -> None:
    def pause(retry_after: float | None) -> float:
        error = CommandError(ErrorCode.UNAVAILABLE, "busy", retry_after=retry_after)
        return Backoff(1.0, chance=lambda low, high: high).after(error)

    assert [pause(None), pause(7.0), pause(1e9), pause(-5.0)] == [1.0, 7.0, 60.0, 1.0]
