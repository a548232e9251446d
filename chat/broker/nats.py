"""NATS as the broker; importing it needs the extra `nats`.

The library's own reconnecting keeps old messages and sends them later. So a lost connection ends
its client here, and a new client connects and subscribes again.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Iterable, Mapping
from contextlib import suppress
from ssl import SSLContext
from typing import Any

from nats import errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from chat.broker.port import Receiver
from chat.text import printable_line

__all__ = ["NatsBroker"]

log = logging.getLogger(__name__)

PING_EVERY = 2.0
"""Seconds between two checks of the connection, and the time limit of each answer."""
CONNECT_TIMEOUT = 5.0
RETRY_FIRST, RETRY_LONGEST = 0.1, 2.0
"""Seconds between two attempts to connect; doubled each time."""
CLOSE_TIMEOUT = 1.0
QUEUE_MAX = 10_000
"""Messages that wait to be published; more are dropped."""
QUEUE_BYTES = 8 * 1_048_576
PENDING_MAX = 10_000
MESSAGE_MAX = 1_048_576
"""Bytes of a message, until the broker has stated its maximum: the default of NATS."""
_FAILURES = (OSError, errors.Error, TimeoutError)


class NatsBroker:
    """See `Broker`.

    Args:
        urls: addresses of NATS servers, `nats://host:port` or `tls://host:port`.
        credentials: options of the library that say what to show them.
        tls: how to check their certificates; None: the system's authorities.
        pending_max: received messages of a subject that wait for the event loop; more are dropped,
            and count as a gap.
    """

    def __init__(
        self,
        urls: list[str],
        credentials: Mapping[str, str] | None = None,
        tls: SSLContext | None = None,
        pending_max: int = PENDING_MAX,
    ) -> None:
        self._options: dict[str, Any] = {"servers": urls, **(credentials or {})}
        if tls is not None:
            self._options["tls"] = tls
        self._shown = ", ".join(urls)
        self._pending_max = pending_max
        self._receiver: Receiver | None = None
        self._client: Client | None = None
        """The connected client whose subscriptions are complete."""
        self._wanted: set[str] = set()
        """The subscribed subjects."""
        self._subscriptions: dict[str, Subscription] = {}
        """Those of the present client."""
        self._subscribing = asyncio.Lock()
        self._outgoing: deque[tuple[str, bytes | None]] = deque()
        """Messages to publish; None: unsubscribe from the subject."""
        self._outgoing_bytes = 0
        self._has_outgoing = asyncio.Event()
        self._running: asyncio.Task[None] | None = None
        self.dropped = 0
        """Number of messages that were not published, because too many were waiting."""

    @property
    def is_up(self) -> bool:
        """See `Broker`."""
        return self._client is not None

    @property
    def message_max(self) -> int:
        """See `Broker`."""
        return self._client.max_payload if self._client is not None else MESSAGE_MAX

    def start(self, receiver: Receiver) -> None:
        """See `Broker`."""
        self._receiver = receiver
        self._running = asyncio.get_running_loop().create_task(self._run())

    def publish(self, subject: str, content: bytes) -> None:
        """See `Broker`."""
        if self._client is None:
            return
        size = len(content)
        if len(self._outgoing) >= QUEUE_MAX or self._outgoing_bytes + size > QUEUE_BYTES:
            self.dropped += 1
            return
        self._outgoing_bytes += size
        self._outgoing.append((subject, content))
        self._has_outgoing.set()

    async def subscribe(self, subjects: Iterable[str]) -> None:
        """See `Broker`."""
        self._wanted.update(subjects)
        if (client := self._client) is not None:
            with suppress(*_FAILURES):  # a new client subscribes again
                await self._subscribe(client)

    def unsubscribe(self, subjects: Iterable[str]) -> None:
        """See `Broker`."""
        for subject in subjects:
            self._wanted.discard(subject)
            if self._client is not None:
                self._outgoing.append((subject, None))
        self._has_outgoing.set()

    async def close(self) -> None:
        """See `Broker`."""
        if (client := self._client) is not None:
            with suppress(*_FAILURES):
                async with asyncio.timeout(CLOSE_TIMEOUT):
                    await self._publish_waiting(client)
                    await client.flush(int(PING_EVERY))
        if self._running is not None:
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)
            await asyncio.sleep(0)  # closes an aborted connection

    # The connection

    async def _run(self) -> None:
        pause, is_reported = RETRY_FIRST, False
        while True:
            client, lost = Client(), asyncio.Event()
            try:
                await self._connect(client, lost)
                pause, is_reported = RETRY_FIRST, False
                reason = await self._stay(client, lost)
            except _FAILURES as exc:
                reason = printable_line(str(exc)) or type(exc).__name__
            finally:
                await _close(client)
            if not is_reported:
                is_reported = True
                log.warning(
                    "no connection to the broker at %s (%s): servers find new messages by polling "
                    "until it is back",
                    *(self._shown, reason),
                )
            await asyncio.sleep(pause)
            pause = min(2 * pause, RETRY_LONGEST)

    async def _connect(self, client: Client, lost: asyncio.Event) -> None:
        """Connect, and subscribe to all wanted subjects."""

        async def closed() -> None:
            lost.set()

        self._subscriptions = {}
        async with asyncio.timeout(CONNECT_TIMEOUT):
            await client.connect(
                **self._options,
                allow_reconnect=False,
                connect_timeout=int(CONNECT_TIMEOUT),
                ping_interval=int(PING_EVERY),
                error_cb=self._failed,
                closed_cb=closed,
                name="chat-server",
            )
            await self._subscribe(client)

    async def _stay(self, client: Client, lost: asyncio.Event) -> str:
        """Use a connected client until its connection is lost; return why."""
        self._client = client
        publishing = asyncio.get_running_loop().create_task(self._publish_all(client))
        log.info("connected to the broker at %s", self._shown)
        try:
            self._receive_gap()
            self._tell(is_up=True)
            while True:
                with suppress(TimeoutError):
                    async with asyncio.timeout(PING_EVERY):
                        await lost.wait()
                if lost.is_set() or publishing.done():
                    return "the connection was lost"
                await client.flush(int(PING_EVERY))
        finally:
            self._client = None
            publishing.cancel()
            self._outgoing.clear()
            self._outgoing_bytes = 0
            self._tell(is_up=False)

    async def _publish_all(self, client: Client) -> None:
        while True:
            await self._has_outgoing.wait()
            self._has_outgoing.clear()
            await self._publish_waiting(client)

    async def _publish_waiting(self, client: Client) -> None:
        while self._outgoing:
            subject, content = self._outgoing.popleft()
            if content is not None:
                self._outgoing_bytes -= len(content)
                await client.publish(subject, content)
            elif subject not in self._wanted and subject in self._subscriptions:
                await self._subscriptions.pop(subject).unsubscribe()

    async def _subscribe(self, client: Client) -> None:
        """Subscribe to the wanted subjects that are not subscribed yet, and wait for the broker."""
        async with self._subscribing:
            for subject in self._wanted.difference(self._subscriptions):
                self._subscriptions[subject] = await client.subscribe(
                    subject, cb=self._received, pending_msgs_limit=self._pending_max
                )
            # The library writes its ping before the subscriptions that still wait to be written:
            # only the second pong says that the broker has them.
            await client.flush(int(PING_EVERY))
            await client.flush(int(PING_EVERY))

    # Reports

    async def _received(self, message: Msg) -> None:
        if self._receiver is not None:
            try:
                self._receiver.message(message.subject, message.data)
            # An error in one message must not end the subscription: this server would get no more.
            except Exception:
                log.exception("cannot handle a message of the broker")

    async def _failed(self, error: Exception) -> None:
        """Handle an error of the library; a lost connection ends `_stay`."""
        if isinstance(error, errors.SlowConsumerError):
            self._receive_gap()
        else:
            log.debug("broker: %s", printable_line(str(error)))

    def _receive_gap(self) -> None:
        if self._receiver is not None:
            self._receiver.gap()

    def _tell(self, *, is_up: bool) -> None:
        if self._receiver is not None:
            self._receiver.state_changed(is_up)


async def _close(client: Client) -> None:
    """Close a client, whatever its state; a broker that reads nothing delays it a second."""
    try:
        with suppress(*_FAILURES):
            await asyncio.wait_for(client.close(), CLOSE_TIMEOUT)
    finally:
        # The library leaves the socket open after a failed attempt, and waits for a peer that
        # reads nothing. It has no public access to the socket.
        writer = getattr(client._transport, "_io_writer", None)  # noqa: SLF001
        if isinstance(writer, asyncio.StreamWriter):
            writer.transport.abort()
