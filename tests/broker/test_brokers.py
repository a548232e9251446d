"""Both brokers: messages arrive, and a broker that is down delays nobody."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager

import pytest

from chat.broker.memory import MemoryBroker, MemoryHub
from chat.broker.port import Broker, Receiver
from tests.broker.nats_server import NatsServer
from tests.serving import PATIENCE, free_port

pytest.importorskip("nats", reason="nats-py is not installed (the extra `nats`)")

from chat.broker.nats import NatsBroker

Make = Callable[[], Broker]


@pytest.fixture
def nats_server() -> Iterator[NatsServer]:
    with NatsServer() as server:
        yield server


@pytest.fixture(params=["memory", "nats"])
def make(request: pytest.FixtureRequest) -> Make:
    """Create brokers that are connected with each other."""
    if request.param == "memory":
        hub = MemoryHub()
        return lambda: MemoryBroker(hub)
    server: NatsServer = request.getfixturevalue("nats_server")
    return lambda: NatsBroker([server.url])


class Inbox:
    """What a broker has reported."""

    def __init__(self) -> None:
        self.messages: list[tuple[str, bytes]] = []
        self.gaps = 0
        self.states: list[bool] = []
        self.receiver = Receiver(self._message, self._gap, self.states.append)

    def _message(self, subject: str, content: bytes) -> None:
        self.messages.append((subject, content))

    def _gap(self) -> None:
        self.gaps += 1


@asynccontextmanager
async def started(broker: Broker, *subjects: str) -> AsyncIterator[Inbox]:
    """Start a broker, wait until it is up, and subscribe; close it at the end."""
    inbox = Inbox()
    broker.start(inbox.receiver)
    try:
        await until(lambda: broker.is_up)
        await broker.subscribe(subjects)
        yield inbox
    finally:
        await broker.close()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not condition():
            await asyncio.sleep(0.01)


async def test_messages_reach_all_subscribers_and_nobody_else(make: Make) -> None:
    one, two, three = make(), make(), make()
    async with (
        started(one, "a") as first,
        started(two, "a", "b") as second,
        started(three) as third,
    ):
        one.publish("a", b"1")
        two.publish("b", b"2")
        three.publish("c", b"3")
        await until(lambda: len(second.messages) == 2)
        await until(lambda: len(first.messages) == 1)
        assert sorted(second.messages) == [("a", b"1"), ("b", b"2")]
        assert first.messages == [("a", b"1")]
        assert third.messages == []


async def test_no_message_is_missed_after_subscribe_returns(make: Make) -> None:
    one, two = make(), make()
    async with started(one) as inbox, started(two):
        for number in range(50):
            subject = f"s{number}"
            await one.subscribe([subject])
            two.publish(subject, b"x")
        await until(lambda: len(inbox.messages) == 50)


async def test_unsubscribed_subjects_are_silent(make: Make) -> None:
    one, two = make(), make()
    async with started(one, "a", "b") as inbox, started(two, "b"):
        one.unsubscribe(["a"])
        one.publish("a", b"old")  # by the same connection, so in this order
        one.publish("b", b"new")
        await until(lambda: bool(inbox.messages))
        assert inbox.messages == [("b", b"new")]


async def test_large_messages_up_to_the_maximum_arrive(make: Make) -> None:
    broker = make()
    async with started(broker, "a") as inbox:
        content = b"x" * broker.message_max
        broker.publish("a", content)
        await until(lambda: bool(inbox.messages))
        assert inbox.messages == [("a", content)]


async def test_broker_that_is_down_at_the_start_is_used_once_it_is_up() -> None:
    server = NatsServer()
    broker, inbox = NatsBroker([server.url]), Inbox()
    broker.start(inbox.receiver)
    try:
        await broker.subscribe(["a"])
        broker.publish("a", b"lost")
        assert not broker.is_up
        with server:
            await until(lambda: broker.is_up)
            assert inbox.gaps == 1
            broker.publish("a", b"1")
            await until(lambda: bool(inbox.messages))
            assert inbox.messages == [("a", b"1")]
    finally:
        await broker.close()


@pytest.mark.parametrize("fault", ["killed", "stopped"])
async def test_subscriptions_and_a_gap_follow_a_lost_connection(
    nats_server: NatsServer, fault: str
) -> None:
    broker = NatsBroker([nats_server.url])
    async with started(broker, "a", "b") as inbox:
        if fault == "killed":
            nats_server.kill()
        else:
            nats_server.pause()
        await until(lambda: not broker.is_up)
        assert inbox.states == [True, False]
        broker.publish("a", b"lost")
        await broker.subscribe(["c"])
        broker.unsubscribe(["b"])
        if fault == "killed":
            nats_server.start()
        else:
            nats_server.resume()
        await until(lambda: broker.is_up)
        assert inbox.gaps == 2
        for subject in ("a", "b", "c"):
            broker.publish(subject, subject.encode())
        await until(lambda: len(inbox.messages) == 2)
        assert sorted(inbox.messages) == [("a", b"a"), ("c", b"c")]


async def test_stopped_broker_delays_no_publisher(nats_server: NatsServer) -> None:
    broker = NatsBroker([nats_server.url])
    async with started(broker):
        nats_server.pause()
        loop = asyncio.get_running_loop()
        slowest = 0.0
        for _ in range(300):  # more than the sockets and the queue hold
            before = loop.time()
            broker.publish("a", b"x" * 262_144)
            await asyncio.sleep(0)
            slowest = max(slowest, loop.time() - before)
        assert broker.dropped > 0
        assert slowest < 1.0
        await until(lambda: not broker.is_up)


async def test_receiver_that_is_too_slow_is_told_of_the_gap(nats_server: NatsServer) -> None:
    slow, fast = NatsBroker([nats_server.url], pending_max=10), NatsBroker([nats_server.url])
    async with started(slow, "a") as inbox, started(fast):
        for number in range(1_000):  # arrive in one read
            fast.publish("a", str(number).encode())
        await until(lambda: inbox.gaps > 1)


async def test_failing_receiver_ends_nothing(make: Make) -> None:
    broker, inbox = make(), Inbox()

    def message(subject: str, content: bytes) -> None:
        inbox.messages.append((subject, content))
        if content == b"bad":
            raise ValueError("bad")

    broker.start(Receiver(message, lambda: None, lambda _: None))
    try:
        await until(lambda: broker.is_up)
        await broker.subscribe(["a"])
        for content in (b"bad", b"good"):
            broker.publish("a", content)
        await until(lambda: len(inbox.messages) == 2)
    finally:
        await broker.close()


async def test_wrong_password_is_logged_and_retried(caplog: pytest.LogCaptureFixture) -> None:
    with NatsServer("--user", "chat", "--pass", "secret") as server:
        wrong = NatsBroker([server.url], {"user": "chat", "password": "guess"})
        wrong.start(Inbox().receiver)
        try:
            await until(lambda: "no connection to the broker" in caplog.text)
            assert "guess" not in caplog.text
            right = NatsBroker([server.url], {"user": "chat", "password": "secret"})
            async with started(right, "a") as inbox:
                right.publish("a", b"1")
                await until(lambda: inbox.messages == [("a", b"1")])
            assert not wrong.is_up
        finally:
            await wrong.close()


async def test_unreachable_broker_can_be_closed_at_once() -> None:
    broker = NatsBroker([f"nats://127.0.0.1:{free_port()}"])
    broker.start(Inbox().receiver)
    async with asyncio.timeout(5.0):
        await broker.close()
