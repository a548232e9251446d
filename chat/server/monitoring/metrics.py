"""The metrics of a running server: plain numbers, counted on the event loop, read at a scrape."""

from __future__ import annotations

import platform
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence

from chat import __version__
from chat.errors import CloseCode, CommandError, ErrorCode, StoreFault
from chat.store.operations import Commit, Failure, SendMessage

__all__ = [
    "Counter",
    "Gauge",
    "Histogram",
    "Info",
    "LabeledCounter",
    "Metric",
    "Metrics",
    "close_label",
]

SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
"""Upper bounds of the buckets of times."""
EVENTS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1_024)
"""Upper bounds of the buckets of events."""
LOST = "1006"
"""The code of a connection that ended without a close frame (RFC 6455, 7.1.5)."""
OTHER = "other"
"""The label of all codes that neither the server nor the WebSocket protocol defines."""
CODES = frozenset(map(str, {*CloseCode, *range(1000, 1016)}))


class Counter:
    """A number that only grows."""

    __slots__ = ("meaning", "name", "value")

    def __init__(self, name: str, meaning: str) -> None:
        self.name = name
        self.meaning = meaning
        self.value = 0


class LabeledCounter:
    """A number for each value of a label, of which there are few: never a channel or a person."""

    __slots__ = ("label", "meaning", "name", "values")

    def __init__(self, name: str, meaning: str, label: str, initial: Sequence[str] = ()) -> None:
        self.name = name
        self.meaning = meaning
        self.label = label
        self.values = dict.fromkeys(initial, 0)

    def add(self, value: str) -> None:
        """Count one for a value of the label."""
        self.values[value] = self.values.get(value, 0) + 1


class Histogram:
    """Observed values, counted by size.

    Args:
        name: the name of the metric.
        meaning: what is observed.
        bounds: the upper bounds of the buckets, ascending; the last bucket has none.
    """

    __slots__ = ("bounds", "counts", "meaning", "name", "total")

    def __init__(self, name: str, meaning: str, bounds: Sequence[float]) -> None:
        self.name = name
        self.meaning = meaning
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        """Observations by bucket, each in one bucket only."""
        self.total = 0.0
        """The sum of all observed values."""

    def observe(self, value: float) -> None:
        """Count a value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value


class Gauge:
    """A number that rises and falls: counted in `value`, or read at each scrape by `read`."""

    __slots__ = ("meaning", "name", "read", "value")

    def __init__(self, name: str, meaning: str) -> None:
        self.name = name
        self.meaning = meaning
        self.value = 0
        self.read: Callable[[], float] = lambda: self.value


class Info:
    """Facts that do not change, as labels of the number 1."""

    __slots__ = ("labels", "meaning", "name")

    def __init__(self, name: str, meaning: str, labels: Mapping[str, str]) -> None:
        self.name = name
        self.meaning = meaning
        self.labels = labels


Metric = Counter | LabeledCounter | Histogram | Gauge | Info


class Metrics:
    """All metrics of one server; used on the event loop. `App` sets how gauges are read.

    A scrape takes the same time with any number of connections: nothing here loops over them.
    """

    def __init__(self) -> None:
        # Clients
        self.connections = Gauge("chat_connections", "Open WebSocket connections")
        self.refused_connections = Counter(
            "chat_refused_connections_total",
            "Connections that were refused, because an address or the server has too many, or "
            "because the address is banned",
        )
        self.disconnects = LabeledCounter(
            "chat_disconnects_total",
            "WebSocket connections that ended, by close code; 1006: without a closing handshake",
            "code",
            (str(CloseCode.GOING_AWAY.value), LOST, str(CloseCode.SLOW_READER.value)),
        )
        self.resumes = LabeledCounter(
            "chat_resume_total",
            "Channels that clients resumed at their position: all missed events were sent "
            "(complete), or a part of them (partial), or the newest page, because too many were "
            "missed or the log has changed (page)",
            "result",
            ("complete", "partial", "page"),
        )
        self.failed_sign_ins = LabeledCounter(
            "chat_failed_sign_ins_total", "Failed sign-ins, by the error code", "code"
        )
        self.sign_ins_waiting = Gauge("chat_sign_ins_waiting", "Sign-ins that wait for their turn")
        self.passwords_waiting = Gauge(
            "chat_passwords_waiting", "Passwords that wait to be hashed, one at a time"
        )
        # Messages
        self.sends = LabeledCounter(
            "chat_sends_total",
            "Messages that clients sent: stored (ok), stored before (duplicate), or refused, by "
            "the error code; unavailable: the database is not accepting writes",
            "result",
            ("ok", "duplicate", "unavailable"),
        )
        self.rate_limited = Counter(
            "chat_rate_limited_total", "Frames that exceeded the rate limit of a user or an address"
        )
        self.fanout_seconds = Histogram(
            "chat_fanout_seconds",
            "Time from a commit until its events are written to all followers, or queued for "
            "slow ones",
            SECONDS,
        )
        self.queue_bytes = Gauge("chat_queue_bytes", "Bytes that are queued for slow clients")
        # Database
        self.store_up = Gauge(
            "chat_store_up", "1 if the database accepts writes and can be read, otherwise 0"
        )
        self.commit_seconds = Histogram(
            "chat_commit_seconds", "Time of a transaction, with the sync to the disk", SECONDS
        )
        self.batch_events = Histogram(
            "chat_batch_events", "Events of a commit that has any", EVENTS
        )
        self.writes_waiting = Gauge(
            "chat_writes_waiting",
            "Operations that wait for the database, including those of the running commit",
        )
        # Other servers
        self.hints = LabeledCounter(
            "chat_hints_total",
            "Messages about new events between servers: sent (published), or received and "
            "delivered, kept until the ones before it arrive (early), known already (late), "
            "without the events, which are too large (numbers), not from a server on this "
            "database (forged), or from one of another version (foreign)",
            "result",
            ("published", "delivered", "early", "late", "numbers", "forged", "foreign"),
        )
        self.gap_repairs = Counter(
            "chat_gap_repairs_total", "Reads of a log after a gap in the events of other servers"
        )
        self.lost_logs = Counter(
            "chat_lost_logs_total",
            "Channels whose last events the database has lost, as after a failover: this server "
            "gave them a new epoch",
        )
        self.broker_up = Gauge(
            "chat_broker_up",
            "1 if the broker between servers can be reached or none is needed, otherwise 0",
        )
        # Process
        self.loop_lag_seconds = Histogram(
            "chat_loop_lag_seconds",
            "Delay of a timer that is due every second; meanwhile no client is served",
            SECONDS,
        )
        self.broker_up.value = 1
        self.build_info = Info(
            "chat_build_info",
            "Versions of the server and of Python",
            {"version": __version__, "python": platform.python_version()},
        )

    def every(self) -> Sequence[Metric]:
        """Return all metrics."""
        return tuple(vars(self).values())

    def committed(self, commit: Commit) -> None:
        """Count a commit and its messages, unless it only has entries of the audit log."""
        if not commit.operations:
            return
        self.commit_seconds.observe(commit.ended - commit.began)
        if commit.events:
            self.batch_events.observe(len(commit.events))
        sends = self.sends
        for pending in commit.operations:
            if type(pending.operation) is SendMessage:
                failure = pending.failure
                if failure is None and not pending.result.duplicate:
                    sends.values["ok"] += 1
                else:
                    sends.add("duplicate" if failure is None else _code_of(failure))


def close_label(code: int | None) -> str:
    """Return the label of a close code; None: the connection ended without a close."""
    label = LOST if code is None else str(code)
    return label if label in CODES else OTHER


def _code_of(failure: Failure) -> str:
    """Return the code of the `error` frame for a failure of the store."""
    if isinstance(failure, CommandError):
        return failure.code.value
    internal = isinstance(failure, StoreFault)
    return (ErrorCode.INTERNAL if internal else ErrorCode.UNAVAILABLE).value
