"""Start a server, keep it running, reload its settings, drain it and stop it."""

from __future__ import annotations

import asyncio
import gc
import logging
import math
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from websockets.http11 import Request

from chat.errors import CloseCode, CommandError, StartupError, StoreUnavailable
from chat.protocol.frames import Bye
from chat.rate import Budgets, TokenBuckets
from chat.server.administration import Administration
from chat.server.channels.builtin import RawCounter, RawEcho
from chat.server.channels.live import LiveChannels
from chat.server.channels.presence import PresenceBroadcaster
from chat.server.config.settings import ServerSettings, reloaded
from chat.server.context import ServerContext, Tuning
from chat.server.failed_sign_ins import FailedSignIns
from chat.server.handlers.table import TABLE
from chat.server.http import COUNTER_PATH, ECHO_PATH, NO_METRICS, HttpAnswers, path_of
from chat.server.jobs import Steps, jobs, retention
from chat.server.monitoring.health import Health
from chat.server.monitoring.metrics import Metrics
from chat.server.monitoring.service_manager import ServiceManager
from chat.server.passwords import Passwords
from chat.server.reads import Reads
from chat.server.session import Session
from chat.server.transport.connection import Connection, ConnectionContext, Endpoint
from chat.server.transport.limits import (
    AdmissionQueue,
    ConnectionLimiter,
    ConnectionLimits,
)
from chat.server.transport.listening import BACKLOG, bind, raise_file_limit, reachable_hosts
from chat.server.transport.outbound import WriteCoalescer
from chat.server.transport.tls import Certificate, SchemeHints
from chat.server.writes import commit
from chat.store.accounts import RecordSettings
from chat.store.channels import Expired
from chat.store.ids import Ids
from chat.store.operations import Commit, JobStep, PendingCall
from chat.store.store import Store
from chat.text import counted

if TYPE_CHECKING:  # a server that is alone on its database starts without them
    from chat.broker.port import Broker
    from chat.server.cluster.peers import Peers, PeerTiming
    from chat.server.cluster.relay import Relay, Timing

__all__ = ["broker_of", "run"]

log = logging.getLogger(__name__)

KILLED_EXIT_CODE = 128
"""Exit code after a second signal, plus the signal's number."""
RESERVED_FILES = 64
"""Open files that are not connections: database, listening sockets, and a reserve."""
CONNECTIONS_MIN = 16
OPERATOR_LIMITS = ConnectionLimits(total=64, per_source=64, rate=1_000, burst=1_000)
"""Limits of connections to `--metrics-listen`."""
SWITCH_INTERVAL = 0.001
"""Seconds for which a thread of the store may delay the event loop; Python's default is 5 ms."""
GC_THRESHOLD = 20_000
"""Allocations between two garbage collections; Python's default is 700."""
RECORD_TIMEOUT = 1.0
"""Seconds that a start waits at most for the audit log."""
SIGN_UP_WINDOW = 600.0
"""Seconds in which an address may claim `sign_ups` names."""
TUNING = Tuning()
STOPPING = "the server is stopping"
SETTLE_EVERY = 0.02
"""Seconds between two looks whether clients that are sent away have got all answers."""
LIVE_LIMITS = ("limits.", "queue_bytes", "address_people")
"""Beginnings of the names of settings that a connection keeps a copy of."""


async def run(
    settings: ServerSettings,
    read_settings: Callable[[], ServerSettings],
    announce: Callable[[list[str], list[str]], None],
) -> None:
    """Serve until SIGINT or SIGTERM; a second signal ends the process at once.

    SIGHUP reloads the settings and the certificate, or stops the server if its terminal was closed.

    Args:
        settings: checked settings.
        read_settings: reads the settings again; called with each SIGHUP.
        announce: called once, as soon as clients can connect, with the addresses of the server and
            of its metrics.

    Raises:
        StartupError: the port, the certificate or the database cannot be used.
    """
    loop = asyncio.get_running_loop()
    app, manager, stop = App(settings, loop), ServiceManager.from_environment(), asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        _on_signal(number, stop)
    _on_hangup(lambda: _reload(app, read_settings, manager), stop)
    manager.starting(loop)
    await app.start()
    app.start_heartbeats()
    _reduce_garbage_collection()
    sys.setswitchinterval(SWITCH_INTERVAL)
    try:
        announce(app.addresses, app.metrics_addresses)
        manager.ready(app.status)
        await stop.wait()
        manager.stopping(app.settings.drain)
        await app.drain()
    finally:
        await app.stop()
        manager.stopped()


def _reduce_garbage_collection() -> None:
    """Exclude the present objects from garbage collection, and collect less often.

    A server's objects, such as connections and pending writes, are rarely cyclic garbage. With the
    defaults, collections take 15 % of the time when 1,000 people write.
    """
    gc.freeze()
    gc.set_threshold(GC_THRESHOLD)


def _on_signal(number: signal.Signals, stop: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()

    def received() -> None:
        if stop.is_set():
            os._exit(KILLED_EXIT_CODE + number)  # acknowledged messages are on disk
        stop.set()

    try:
        loop.add_signal_handler(number, received)
    except NotImplementedError:  # Windows
        signal.signal(number, lambda *_: loop.call_soon_threadsafe(received))


def _reload(app: App, read_settings: Callable[[], ServerSettings], manager: ServiceManager) -> None:
    if not app.is_serving:
        log.warning("reloaded nothing: the server is starting or stopping")
        return
    manager.reloading()
    app.reload(read_settings)
    manager.ready(app.status)


def _on_hangup(reload: Callable[[], None], stop: asyncio.Event) -> None:
    if sys.platform == "win32":
        return
    had_terminal = os.isatty(0)

    def received() -> None:
        if had_terminal and not os.isatty(0):  # it was closed
            stop.set()
        else:
            reload()

    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, received)


def broker_of(settings: ServerSettings) -> Broker | None:
    """Return the broker that connects the server with others on its database; None: it is alone.

    Without `--broker`, servers on one database find each other's events by polling.

    Raises:
        StartupError: the broker's extra or one of its files is missing.
    """
    if not settings.is_shared:
        return None
    if settings.broker is None:
        from chat.broker.memory import MemoryBroker

        return MemoryBroker()
    from chat.broker.address import broker_at

    return broker_at(settings.broker, settings.broker_credentials, settings.broker_ca)


class App:
    """A running server.

    Args:
        settings: checked settings.
        loop: the event loop of the server.
        tuning: constants that tests change.
        open_store: opens the store; see `Store.open`.
        open_broker: returns the broker between servers; None: the server is alone.
        timing: times of the delivery between servers that tests change.
        peer_timing: times of the presence between servers that tests change.
    """

    def __init__(
        self,
        settings: ServerSettings,
        loop: asyncio.AbstractEventLoop,
        tuning: Tuning = TUNING,
        open_store: Callable[..., Store] = Store.open,
        open_broker: Callable[[ServerSettings], Broker | None] = broker_of,
        timing: Timing | None = None,
        peer_timing: PeerTiming | None = None,
    ) -> None:
        self.settings = settings
        self.loop = loop
        self.context: ServerContext
        self.relay: Relay | None = None
        """Delivers the events of other servers; a server alone on its database has none."""
        self.health: Health
        """Set, like `context`, once the store is open."""
        self._tuning = tuning
        self._open_store = open_store
        self._open_broker = open_broker
        self._timing = timing
        self._peer_timing = peer_timing
        self._peers: Peers | None = None
        self._budgets = Budgets(
            settings.limits.rate, settings.limits.burst, settings.address_people
        )
        self._channels: LiveChannels
        self.connections: set[Connection] = set()
        self.addresses: list[str] = []
        self.metrics_addresses: list[str] = []
        self._metrics = Metrics()
        self._session_ids = Ids()
        self._coalescer = WriteCoalescer(loop)
        self._certificate: Certificate | None = None
        self._answers: HttpAnswers
        self._connection_context: ConnectionContext
        self._servers: list[asyncio.Server] = []
        self._operator_servers: list[asyncio.Server] = []
        self._operator_connections: set[Connection] = set()
        self.is_serving = False
        """False while the server starts, and once it stops."""
        self._has_found_proxy = False
        self._administration: Administration | None = None
        """None while the server starts: there is no session yet."""
        self._jobs: Steps[JobStep] | None = None
        self._retention: Steps[Expired] | None = None
        self._heartbeat_timer: asyncio.TimerHandle | None = None
        self._heartbeat_slot = 0
        self._heartbeat_due = 0.0
        """Time (`time.monotonic`) of the next heartbeat."""

    async def start(self) -> None:
        """Open the store, then listen; close everything again if a step fails."""
        settings = self.settings
        if settings.tls_cert is not None and settings.tls_key is not None:
            self._certificate = Certificate(settings.tls_cert, settings.tls_key)
        broker = self._open_broker(settings)
        sockets = bind(settings.host, settings.port)
        try:
            for_operators = _bind_for_operators(settings)
        except BaseException:
            _close(sockets)
            raise
        try:
            await self._open(_renderer(self._metrics) if for_operators else None)
            public = self._connection_context
            operator = self._make_operator_context(public)
            await self._start_administration()
            if broker is not None:
                await self._start_relay(broker)
            for listening in sockets:
                self._servers.append(await self._listen(listening, public))
            for listening in for_operators:
                self._operator_servers.append(await self._listen(listening, operator))
            self.is_serving = True
        except BaseException as exc:
            _close((*sockets[len(self._servers) :], *for_operators[len(self._operator_servers) :]))
            if hasattr(self, "store"):
                await self.stop()
                if isinstance(exc, OSError):
                    raise StartupError(f"cannot listen: {exc.strerror or exc}") from None
            raise
        self.addresses = _addresses("wss" if settings.is_tls else "ws", sockets)
        self.metrics_addresses = _addresses("http", for_operators)

    async def _open(self, render_metrics: Callable[[], bytes] | None) -> None:
        """Open the store, and assemble the parts of the server."""

        def committed(commit: Commit) -> None:  # in the store's writer thread
            self.loop.call_soon_threadsafe(self._deliver, commit)

        settings, tuning = self.settings, self._tuning
        self._channels = LiveChannels(recent=tuning.recent, typing_expiry=tuning.typing_expiry)
        self.store = await asyncio.to_thread(
            self._open_store,
            settings.store_url,
            limits=settings.limits,
            committed=committed,
            defer=self.loop.call_soon,
        )
        self.health = Health(self.store)
        self.context = self._assemble(self._channels)
        self._define_gauges()
        self._answers = HttpAnswers(
            settings, self.store.server_id, self.health, self.connections, render_metrics
        )
        self._connection_context = self._make_connection_context()

    def _deliver(self, commit: Commit) -> None:
        if self.relay is not None:
            self.relay.committed(commit)
        else:
            self._apply(commit)

    def _apply(self, commit: Commit) -> None:
        """Deliver a commit of this server, apply its audit entries, and run its jobs."""
        self._channels.committed(commit)
        self._count(commit)
        self._follow_up(commit)

    def _assemble(self, channels: LiveChannels) -> ServerContext:
        settings, tuning, store = self.settings, self._tuning, self.store
        reads = Reads(store)
        self._jobs = jobs(self.loop, store, channels)
        self._retention = retention(self.loop, store, settings.retention)
        self._administration = Administration(
            self.loop, channels, reads, self.connections, self._sessions
        )
        return ServerContext(
            settings=settings,
            tuning=tuning,
            loop=self.loop,
            store=store,
            channels=channels,
            presence=PresenceBroadcaster(
                self.loop, channels, pulse=tuning.pulse, crowd=tuning.crowd
            ),
            reads=reads,
            sign_ins=AdmissionQueue(tuning.sign_ins, settings.sign_in_patience),
            budgets=self._budgets,
            passwords=Passwords(self.loop),
            failed_sign_ins=FailedSignIns(self.loop, self._metrics.failed_sign_ins),
            metrics=self._metrics,
            administration=self._administration,
            new_names=TokenBuckets(settings.sign_ups / SIGN_UP_WINDOW, settings.sign_ups),
        )

    async def _start_administration(self) -> None:
        """Load the bans in force, continue jobs, log changed settings, start the retention.

        A failing disk delays no start.
        """
        context = self.context
        banned, has_jobs, recorded = await context.reads.welcome(
            lambda reader: (
                reader.accounts.banned_networks(),
                reader.accounts.has_jobs(),
                reader.accounts.settings(),
            )
        )
        context.administration.start(banned)
        if has_jobs and self._jobs is not None:
            self._jobs.start()
        settings = self.settings.recorded()
        if settings != recorded:
            # The operator's commands read them, so they are stored before clients can connect.
            with suppress(CommandError, StoreUnavailable, TimeoutError):
                async with asyncio.timeout(RECORD_TIMEOUT):
                    await commit(context.store, RecordSettings(None, settings))
        if self._retention is not None:
            self._retention.start()

    async def _start_relay(self, broker: Broker) -> None:
        """Connect with the other servers on the database."""
        from chat.server.cluster.peers import Peers, PeerTiming
        from chat.server.cluster.relay import Relay, Timing

        assert self._jobs is not None
        self.relay = self.health.relay = Relay(
            self.loop,
            self.store,
            broker,
            self._channels,
            apply=self._apply,
            start_jobs=self._jobs.start,
            reload=self.context.administration.reload,
            send_away=self._send_away,
            metrics=self._metrics,
            timing=self._timing or Timing(),
        )
        self._peers = Peers(
            self.loop,
            self.relay,
            self._channels,
            self.context.presence,
            self._peer_timing or PeerTiming(),
        )
        await self.relay.start()
        self._peers.start()

    def _send_away(self, reason: str) -> None:
        """Send all clients to the other servers."""
        bye = Bye(reason=reason, reconnect=self.settings.reconnect_window)
        for connection in tuple(self.connections):
            if isinstance(connection.endpoint, Session):
                connection.endpoint.send(bye)
            connection.end(CloseCode.GOING_AWAY, reason)

    def _count(self, commit: Commit) -> None:
        """Count a commit that was just delivered."""
        self._metrics.committed(commit)
        if commit.events:  # after the flush of this turn
            self.loop.call_soon(self._count_fanout, commit.ended)

    def _count_fanout(self, committed_at: float) -> None:
        self._metrics.fanout_seconds.observe(time.monotonic() - committed_at)

    def _define_gauges(self) -> None:
        metrics, context, store = self._metrics, self.context, self.store
        paused = self._coalescer.paused
        metrics.queue_bytes.read = lambda: sum(each.queued for each in paused)
        metrics.sign_ins_waiting.read = lambda: context.sign_ins.waiting
        metrics.passwords_waiting.read = lambda: context.passwords.waiting
        metrics.store_up.read = lambda: store.healthy() is None
        metrics.writes_waiting.read = lambda: store.waiting

    def _follow_up(self, commit: Commit) -> None:
        """Apply the audit entries of a commit, and run its jobs."""
        if commit.audit and self._administration is not None:
            self._administration.apply(commit.audit)
        if commit.has_jobs and self._jobs is not None:
            self._jobs.start()

    def _sessions(self) -> list[Session]:
        endpoints = (each.endpoint for each in self.connections)
        return [each for each in endpoints if isinstance(each, Session)]

    async def _listen(self, listening: socket.socket, context: ConnectionContext) -> asyncio.Server:
        return await self.loop.create_server(
            lambda: Connection(context), sock=listening, backlog=BACKLOG
        )

    @property
    def status(self) -> str:
        """The state of a server that takes clients, in one line."""
        return f"Listening on {', '.join(self.addresses)}"

    # Reload

    def reload(self, read_settings: Callable[[], ServerSettings]) -> None:
        """Apply changed settings, and load the certificate again; keep what cannot be read."""
        try:
            read = read_settings()
        except StartupError as exc:
            log.error("cannot reload the settings: %s; keeping the old ones", exc)
        else:
            settings, applied, waiting = reloaded(self.settings, read)
            level, new_level = logging.getLogger("chat"), settings.log_level.upper()
            level.setLevel(min(level.level, logging.getLevelNamesMapping()[new_level]))
            self._use(settings, {each.name for each in applied})
            changes = ", ".join(map(str, applied)) or "nothing has changed"
            rest = "; a restart is needed for: " + ", ".join(map(str, waiting)) if waiting else ""
            log.info("reloaded the settings: %s%s", changes, rest)
            level.setLevel(new_level)
        if self._certificate is not None:
            self._certificate.reload()

    def _use(self, settings: ServerSettings, changed: Collection[str]) -> None:
        """Use other settings; those without `Reloaded` are the same as before.

        Args:
            settings: all settings.
            changed: the names of those that differ.
        """
        before, self.settings = self.settings, settings
        limits, context, connections = settings.limits, self.context, self._connection_context
        context.settings = settings
        context.sign_ins.max_wait = settings.sign_in_patience
        context.new_names.change(settings.sign_ups / SIGN_UP_WINDOW, settings.sign_ups)
        self._answers.use(settings)
        connections.limiter.use(_connection_limits(settings))
        connections.close_timeout = settings.close_timeout
        connections.write_timeout = settings.write_timeout
        connections.queue_bytes = settings.queue_bytes
        connections.frame_bytes = limits.frame
        self._budgets.change(limits.rate, limits.burst, settings.address_people)
        if limits != before.limits:
            self.store.use_limits(limits)
        if any(name.startswith(LIVE_LIMITS) for name in changed):
            for connection in tuple(self.connections):
                connection.limits_changed()
        if "retention" in changed and self._retention is not None:
            self._retention.stop()
            self._retention = retention(self.loop, context.store, settings.retention)
            self._retention.start()
        if settings.recorded() != before.recorded():
            record = RecordSettings(None, settings.recorded())
            context.store.submit([PendingCall(record, _ignore, _ignore)])

    # Stop

    async def drain(self) -> None:
        """Take no new clients, and send those here away in batches; `stop` ends the last batch.

        Everything else works until then: clients that are still here send and receive messages.
        """
        self.is_serving = False
        self.health.is_draining = True
        self.context.presence.stop()
        here = [each for each in self.connections if each.endpoint is not None]
        count = math.ceil(len(here) / self._tuning.drain_batch)
        log.info("stopping: disconnecting %s", counted(len(here), "client"))
        began, pause = self.loop.time(), self.settings.drain / max(1, count)
        for number in range(1, count):
            if all(each.endpoint is None for each in here):
                return  # all have left
            until = began + number * pause
            batch = here[number - 1 :: count]
            self._say_bye(batch, (count - number) * pause)
            await self._settled(batch, until)
            for connection in batch:
                if connection.is_settled:
                    connection.end(CloseCode.GOING_AWAY, STOPPING)
            await asyncio.sleep(until - self.loop.time())

    def _say_bye(self, connections: Iterable[Connection], left: float = 0.0) -> None:
        """Send `bye`, and ignore further commands.

        Args:
            connections: connections of all kinds.
            left: seconds until the last client is sent away.
        """
        bye = Bye(reason=STOPPING, reconnect=left + self.settings.reconnect_window)
        for connection in connections:
            endpoint = connection.endpoint
            if isinstance(endpoint, Session) and not endpoint.is_stopping:
                endpoint.send(bye)
                endpoint.ignore_commands()

    async def _settled(self, connections: Collection[Connection], until: float) -> None:
        """Wait until all commands are answered and the peers have been sent all, or a time."""
        # Polled: a callback would be an extra check for each answer.
        while not all(each.is_settled for each in connections):
            if self.loop.time() >= until:
                return
            await asyncio.sleep(SETTLE_EVERY)

    async def stop(self) -> None:
        """Send `bye`, finish pending commits, and close all connections with 1001."""
        if self._heartbeat_timer is not None:
            self._heartbeat_timer.cancel()
        if self._peers is not None:
            self._peers.stop()
        self.is_serving = False
        self.health.is_draining = True
        self.context.presence.stop()
        for steps in (self._jobs, self._retention):
            if steps is not None:
                steps.stop()
        for server in self._servers:
            server.close()
        self._say_bye(tuple(self.connections))
        await asyncio.to_thread(self.context.passwords.close)
        self.context.failed_sign_ins.flush()
        await asyncio.to_thread(self.store.close)
        if self.relay is not None:
            await asyncio.sleep(0)  # the last commits
            await self.relay.close()
        await asyncio.sleep(0)  # send the events and answers of the last commits
        until = self.loop.time() + self.settings.close_timeout / 2
        await self._settled(tuple(self.connections), until)
        for connection in tuple(self.connections):
            connection.end(CloseCode.GOING_AWAY, STOPPING)
        await asyncio.gather(*(connection.lost() for connection in self.connections))
        for server in self._operator_servers:  # until here, `/readyz` answers that it stops
            server.close()
        for connection in tuple(self._operator_connections):
            connection.end(CloseCode.GOING_AWAY, STOPPING)

    # Connections

    def _make_connection_context(self) -> ConnectionContext:
        settings = self.settings
        return ConnectionContext(
            loop=self.loop,
            coalescer=self._coalescer,
            limiter=ConnectionLimiter(_connection_limits(settings)),
            budgets=self._budgets,
            connections=self.connections,
            queue_bytes=settings.queue_bytes,
            frame_bytes=settings.limits.frame,
            close_timeout=settings.close_timeout,
            write_timeout=settings.write_timeout,
            certificate=self._certificate,
            hints=SchemeHints(self.loop),
            respond=self._answers.respond,
            open_endpoint=self._open_endpoint,
            banned=lambda address: self.context.administration.refusal(address),
            proxy_found=self._proxy_found,
            metrics=self._metrics,
        )

    def _make_operator_context(self, public: ConnectionContext) -> ConnectionContext:
        """Return the context of the connections to `--metrics-listen`, which have limits of their
        own: a flood of clients must not hide the metrics that show it.
        """
        return replace(
            public,
            limiter=ConnectionLimiter(OPERATOR_LIMITS),
            connections=self._operator_connections,
            certificate=None,
            respond=self._answers.respond_to_operator,
            banned=lambda _address: None,
            proxy_found=lambda _address: None,
            metrics=Metrics(),
        )

    def _open_endpoint(self, connection: Connection, request: Request) -> Endpoint:
        path = path_of(request)
        if path in (COUNTER_PATH, ECHO_PATH):
            return RawCounter(connection) if path == COUNTER_PATH else RawEcho(connection)
        return Session(connection, self.context, self._session_ids.new(), TABLE)

    def _proxy_found(self, address: str) -> None:
        if not self._has_found_proxy:
            self._has_found_proxy = True
            log.warning(
                "%s forwards connections (X-Forwarded-For), and all of them share its limits. If "
                "it is your proxy, declare it: --trusted-proxy %s",
                *(address, address),
            )

    # Heartbeats: one timer for all connections; each tick handles a share of them, to avoid bursts.

    @property
    def _slots(self) -> int:
        return max(1, int(self.settings.heartbeat))

    @property
    def _slot_time(self) -> float:
        return self.settings.heartbeat / self._slots

    def start_heartbeats(self) -> None:
        """Start the heartbeats of all present and future connections."""
        self._heartbeat_due = time.monotonic() + self._slot_time
        self._heartbeat_timer = self.loop.call_later(self._slot_time, self._heartbeat)

    def _heartbeat(self) -> None:
        self._metrics.loop_lag_seconds.observe(max(0.0, time.monotonic() - self._heartbeat_due))
        self.start_heartbeats()
        self._heartbeat_slot = (self._heartbeat_slot + 1) % self._slots
        self.store.look()
        if self._certificate is not None:
            self._certificate.look()
        for connection in tuple(self.connections):
            if connection.heartbeat_slot % self._slots == self._heartbeat_slot:
                connection.check_heartbeat()


def _bind_for_operators(settings: ServerSettings) -> list[socket.socket]:
    if (address := settings.metrics_listen) is None:
        return []
    flag = "--metrics-listen"
    return bind([address.host], address.port, host_flag=flag, port_flag=flag)


def _close(sockets: Iterable[socket.socket]) -> None:
    for each in sockets:
        each.close()


def _addresses(scheme: str, sockets: Sequence[socket.socket]) -> list[str]:
    return [
        f"{scheme}://{host}:{each.getsockname()[1]}"
        for each in sockets
        for host in reachable_hosts(each)
    ]


def _renderer(metrics: Metrics) -> Callable[[], bytes] | None:
    """Return what renders `/metrics`; None: the extra `metrics` is not installed.

    The library is imported only here, because that takes a tenth of a second.
    """
    try:
        from chat.server.monitoring.exposition import Exposition
    except ModuleNotFoundError:
        log.warning(NO_METRICS)
        return None
    return Exposition(metrics).render


def _connection_limits(settings: ServerSettings) -> ConnectionLimits:
    return ConnectionLimits(
        total=settings.connections or max(CONNECTIONS_MIN, raise_file_limit() - RESERVED_FILES),
        per_source=settings.address_connections,
        rate=settings.address_rate,
        burst=settings.address_burst,
        exempt=settings.exempt_address,
        proxies=settings.trusted_proxy,
    )


def _ignore(_outcome: object) -> None:
    """Ignore the outcome: the next start records the settings again."""
