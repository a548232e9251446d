"""The retention of channels: erase old texts, in small steps between other commits.

A running server submits `Expire` again and again. Each step erases the oldest texts of one channel
whose time is over, and appends an `expire` event, so that clients erase them as well: messages with
their edits and reactions, topics, the reasons of moderation. Numbers stay.

A wrong clock must not erase what is not old:

- The sweep stops while the clock disagrees with the monotonic one since the first step.
- A channel expires in the order of its log, up to the first message that is not old. A message from
  the future expires with its successors.
- A step is refused if its first text is overdue by more than a tenth of the retention, as after a
  jump of the clock or with a new retention of the server, and more than a tenth of the channel
  would expire at once. The operator may force it (`ForceExpiry`), and the first sweep with another
  retention of the owner, which was announced a day before, is allowed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import bindparam, literal_column, or_, select, update

from chat.store.accounts import ForceExpiry
from chat.store.channels import Expire, Expired
from chat.store.details import Details, decode_settings
from chat.store.operations import User
from chat.store.schema import channels, events, is_line, users
from chat.store.sql import Prepared
from chat.store.write.messages.erasure import TEXTS, erase_line, has_text
from chat.store.write.transaction import JobProgress, Sweep, Transaction

__all__ = ["JOB", "expire", "expire_step", "force_expiry"]

JOB = "expire"
LINES = 200
"""Most lines that a step reads."""
CHANNELS = 200
"""Most channels that a step looks at."""
JUMP = 600.0
"""Seconds by which the clocks may disagree."""
PARTS = 1_440
"""Texts of the same part of a retention expire together, so that a channel gets few events."""
PART_MAX = 3_600_000
"""The longest part, in milliseconds."""
PAUSE_MAX = 3_600.0
"""Longest time until the next step, in seconds: a channel may get another retention."""

_count = bindparam("count", type_=events.c.seq.type)
_CHANNELS = Prepared(
    select(
        channels.c.id,
        channels.c.name,
        channels.c.head,
        channels.c.settings,
        channels.c.retention_from,
        channels.c.expired,
    )
    .where(
        channels.c.id > bindparam("after"),
        channels.c.deleted.is_(None),
        or_(
            bindparam("retention", type_=events.c.seq.type) > literal_column("0"),
            channels.c.settings.contains(literal_column("'retention'")),
        ),
    )
    .order_by(channels.c.id)
    .limit(_count)
)
_lines = (events.c.channel_id == bindparam("channel"), is_line)
_LINES = Prepared(
    select(
        events.c.id,
        events.c.seq,
        events.c.ts,
        events.c.author_id,
        events.c.flags,
        events.c.text,
    )
    .where(*_lines, events.c.seq > bindparam("after"))
    .order_by(events.c.seq)
    .limit(_count)
)
_TIME_FROM = Prepared(
    select(events.c.ts)
    .where(*_lines, events.c.seq >= bindparam("number"))
    .order_by(events.c.seq)
    .limit(1)
)
_USER_NAME = Prepared(select(users.c.name).where(users.c.id == bindparam("user")))
_SET_EXPIRED = Prepared(
    update(channels).where(channels.c.id == bindparam("channel")).values(expired=bindparam("up_to"))
)
_END_CHANGE = Prepared(
    update(channels).where(channels.c.id == bindparam("channel")).values(retention_from=None)
)


class _Clock(NamedTuple):
    """The expired texts of a channel; times are in milliseconds."""

    now: int
    retention: int

    @property
    def cutoff(self) -> int:
        """The start of the first part that is not over; earlier texts are old."""
        return (self.now - self.retention) // self.part * self.part

    @property
    def part(self) -> int:
        return max(1_000, min(PART_MAX, self.retention // PARTS))

    def is_old(self, ts: int) -> bool:
        return ts < self.cutoff

    def is_kept(self, ts: int) -> bool:
        """Whether a text is neither old nor from the future."""
        return self.cutoff <= ts <= self.now

    def is_overdue(self, ts: int) -> bool:
        """Whether a regular sweep would have erased a text long ago."""
        return self.cutoff - ts > self.retention / 10

    def wait(self, ts: int) -> float:
        """Return the seconds until a text is old."""
        return ((ts // self.part + 1) * self.part + self.retention - self.now) / 1_000


def expire(transaction: Transaction, operation: Expire) -> Expired:
    """Run the next step of the sweep."""
    jump = transaction.clock_jump()
    if abs(jump) > JUMP:
        return Expired(PAUSE_MAX, jump=jump)
    return _step(transaction, transaction.sweep, operation.retention, is_forced=False)


def force_expiry(transaction: Transaction, operation: ForceExpiry) -> int:
    """Add a job that erases all old texts, however many they are; return it."""
    transaction.record("expiry_forced", transaction.now(), actor=None)
    return transaction.add_job(JOB, {"retention": operation.retention, "place": 0})


def expire_step(transaction: Transaction, arguments: dict[str, Any]) -> JobProgress:
    """Run the next step of a forced sweep."""
    sweep = Sweep(arguments["place"])
    step = _step(transaction, sweep, arguments["retention"], is_forced=True)
    if step.next_in:
        return JobProgress({}, {})
    return JobProgress({**arguments, "place": sweep.place})


def _step(transaction: Transaction, sweep: Sweep, retention: int, *, is_forced: bool) -> Expired:
    refused: list[int] = []
    found = transaction.execute(_CHANNELS, after=sweep.place, retention=retention, count=CHANNELS)
    for channel in found:
        wait = _expire_channel(transaction, channel, retention, is_forced=is_forced)
        if wait == 0:
            return Expired(0.0, tuple(refused))  # the next step begins with this channel
        if wait is None:
            refused.append(channel.id)
        else:
            sweep.wait = min(sweep.wait, wait)
        sweep.place = channel.id
    if len(found) == CHANNELS:
        return Expired(0.0, tuple(refused))
    wait = min(sweep.wait, PAUSE_MAX)
    sweep.restart()
    return Expired(wait, tuple(refused))


def _expire_channel(
    transaction: Transaction, channel: Any, retention: int, *, is_forced: bool
) -> float | None:
    """Erase the oldest texts of a channel if they are old, up to `TEXTS`.

    Returns 0 if something was done, else the seconds until there is something to do; None if the
    step is refused.
    """
    now, starts = transaction.now(), channel.retention_from
    is_announced = starts is not None and starts > now
    is_in_effect = starts is not None and not is_announced
    own = 0 if is_announced else decode_settings(channel.settings, is_private=False).retention
    seconds = min((each for each in (own, retention) if each), default=0)
    wait = (starts - now) / 1_000 if is_announced else PAUSE_MAX
    if not seconds:
        return wait
    clock = _Clock(now, seconds * 1_000)
    old, kept = _old_lines(transaction, channel, clock)
    if not old:
        if is_in_effect:
            transaction.execute(_END_CHANGE, channel=channel.id)
        return min(wait, clock.wait(kept)) if kept is not None else wait
    is_allowed = is_forced or (is_in_effect and own)
    if not is_allowed and _is_suspicious(transaction, channel, clock, old):
        return None
    _erase(transaction, channel, old)
    return 0.0


def _old_lines(
    transaction: Transaction, channel: Any, clock: _Clock
) -> tuple[Sequence[Any], int | None]:
    """Return the first lines of a channel that are old, and the time of the next one if known."""
    old: list[Any] = []
    lines = transaction.execute(_LINES, channel=channel.id, after=channel.expired, count=1)
    if lines and not clock.is_kept(lines[0].ts):
        lines = transaction.execute(_LINES, channel=channel.id, after=channel.expired, count=LINES)
    waiting: list[Any] = []
    """Lines from the future, until an old one follows."""
    for line in lines:
        if clock.is_kept(line.ts):
            return old, line.ts
        waiting.append(line)
        if clock.is_old(line.ts):
            old += waiting
            waiting.clear()
    return old, None


def _is_suspicious(
    transaction: Transaction, channel: Any, clock: _Clock, old: Sequence[Any]
) -> bool:
    """Whether a tenth of the channel is old, and was not erased when it should have been."""
    first = next((line for line in old if has_text(line)), None)
    if first is None or not clock.is_overdue(first.ts):
        return False
    beyond_tenth = channel.expired + (channel.head - channel.expired) // 10 + 1
    ts = transaction.scalar(_TIME_FROM, channel=channel.id, number=beyond_tenth)
    return ts is not None and clock.is_old(ts)


def _erase(transaction: Transaction, row: Any, old: Sequence[Any]) -> None:
    """Erase the texts of old lines, and append the event if there were any."""
    channel = transaction.lookups.channel(row.name)
    assert channel is not None, "it is not deleted"
    count, last = 0, old[0]
    for line in old:
        if count == TEXTS:
            break
        count += erase_line(transaction, channel, line)
        last = line
    transaction.execute(_SET_EXPIRED, channel=channel.id, up_to=last.seq)
    if count:
        author = User(last.author_id, transaction.scalar(_USER_NAME, user=last.author_id))
        transaction.append(channel, author, "expire", details=Details(up_to=last.seq))
