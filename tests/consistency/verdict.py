"""The verdict: compares the answers that clients received with the logs. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

from chat.protocol.items import Item
from chat.store.operations import AuditEntry
from tests.consistency.history import Ack, Applied, History, Restriction, Segment, Stop
from tests.consistency.table import room_faults

__all__ = ["account_faults", "verdict"]

Logs = Mapping[str, Sequence[Item]]
"""All events of each channel, read from the start."""


def verdict(history: History, logs: Logs, owed: Sequence[str] = ()) -> list[str]:
    """Return all broken promises; empty if there are none.

    Args:
        history: the evidence.
        logs: the final logs.
        owed: texts that real clients had accepted; each must be in a log exactly once.
    """
    return [
        *history.violations,
        *(fault for channel, log in logs.items() for fault in _log_faults(channel, log)),
        *_append_faults(history, logs),
        *_order_faults(history),
        *_stop_faults(history),
        *(fault for channel, log in logs.items() for fault in room_faults(channel, log)),
        *_act_faults(history, logs),
        *_restriction_faults(history),
        *_sight_faults(history, logs),
        *(
            fault
            for name, segments in history.segments.items()
            for fault in _follower_faults(name, segments, logs)
        ),
        *_owed_faults(logs, owed),
    ]


def account_faults(history: History, audit: Sequence[AuditEntry]) -> Iterator[str]:
    """Yield the problems of accounts, invitations and the audit log at the end.

    Args:
        history: the evidence.
        audit: the whole audit log, in order.
    """
    if [entry.seq for entry in audit] != list(range(1, len(audit) + 1)):
        yield f"the audit log has gaps: {[entry.seq for entry in audit]}"
    acts = Counter((entry.act, entry.user.name) for entry in audit if entry.user)
    for key, times in history.acts.items():
        if acts[key] != times:
            yield f"{key} was acknowledged {times} times and recorded {acts[key]} times"
    uses: dict[str, list[str]] = defaultdict(list)
    for entry in audit:
        if entry.act == "invitation_used" and entry.user:
            uses[entry.details["invitation"]].append(entry.user.name)
    for claim in history.claims:
        used = uses[str(claim.invitation)]
        found = acts["created", claim.name], used.count(claim.name)
        if found != ((0, 0) if claim.refusal else (1, 1)):
            yield f"{claim} was recorded {found} times (claimed, invitation used)"
        if len(used) != claim.uses:
            yield f"the invitation {claim.invitation} for {claim.uses} names was used for {used}"
        if claim.refusal not in ("", "invitation_invalid"):
            yield f"{claim} was refused"


def _stop_faults(history: History) -> Iterator[str]:
    """Check that no command of a banned or disabled user is answered, from the act to its end."""
    stops: dict[str, list[Stop]] = defaultdict(list)
    for stop in history.stops:
        stops[stop.name].append(stop)
    answers = [
        (append.author, ack.asked, ack.answered)
        for append in history.appends
        for ack in append.acks
    ]
    answers += [(each.name, each.asked, each.answered) for each in history.welcomes]
    for name, asked, answered in answers:
        for stop in stops[name]:
            if stop.start <= asked and answered <= stop.end:
                yield f"{name} was stopped at {stop.start} until {stop.end}, but acted at {asked}"


def _act_faults(history: History, logs: Logs) -> Iterator[str]:
    """Check that each acknowledged act of moderation is its event in the log."""
    for act in history.room_acts:
        log = logs[act.channel]
        item = log[act.seq - 1] if act.seq <= len(log) else None
        kinds = {"ban": ("ban", "leave")}.get(act.kind, (act.kind,))
        if item is None or item.kind not in kinds:
            yield f"{act} was acknowledged, and is {item}"
        elif act.name not in (None, item.user or item.author):
            yield f"{act} was acknowledged, and concerns {item}"


def _restriction_faults(history: History) -> Iterator[str]:
    """Check that nothing is stored of somebody between a mute or ban and its end.

    Muted members may still delete their own messages.
    """
    restrictions: dict[tuple[str, str], list[Restriction]] = defaultdict(list)
    for each in history.restrictions:
        restrictions[each.channel, each.name].append(each)
    for append in history.appends:
        for ack in append.acks:
            for each in restrictions[append.command.channel, append.author]:
                if each.kind == "mute" and append.command.type == "delete":
                    continue
                if not ack.duplicate and each.start <= ack.asked and ack.answered <= each.end:
                    yield f"{append.author} wrote {append.command} during {each}"


def _sight_faults(history: History, logs: Logs) -> Iterator[str]:
    """Check that users received only what happened, or was read, during their membership."""
    for (user, channel), sights in history.sights.items():
        member = [False]
        """Whether the user was a member after each event."""
        for item in logs[channel]:
            is_own = item.author == user and item.kind in ("join", "leave")
            member.append(item.kind == "join" if is_own else member[-1])
        for each in sights:
            # The event of one's own leaving is the last that one receives.
            may_see = member[each.seq] or (each.is_live and member[each.seq - 1])
            if not may_see:
                yield f"{user} received {each} of {channel} and was no member"


def _log_faults(channel: str, log: Sequence[Item]) -> Iterator[str]:
    for place, item in enumerate(log, 1):
        if item.seq != place:
            yield f"{channel}: number {item.seq} is at place {place}"
            break
    mids = Counter(item.mid for item in log)
    yield from (f"{channel}: mid {mid} occurs {n} times" for mid, n in mids.items() if n > 1)
    cids = Counter((item.author, item.cid) for item in log if item.cid)
    yield from (f"{channel}: {who} occurs {n} times" for who, n in cids.items() if n > 1)


def _append_faults(history: History, logs: Logs) -> Iterator[str]:
    stored = {
        (item.author, item.cid or ""): (channel, item)
        for channel, log in logs.items()
        for item in log
        if item.cid
    }
    for append in history.appends:
        command = append.command
        name = f"{append.author}'s {command.type} {command.cid} in {command.channel}"
        found = stored.get((append.author, command.cid or ""))
        if append.refusal and found:
            yield f"{name} was refused ({append.refusal}) and is in the log"
        if len({(ack.seq, ack.mid) for ack in append.acks}) > 1:
            yield f"{name} was acknowledged as different events: {append.acks}"
        if sum(not ack.duplicate for ack in append.acks) > 1:
            yield f"{name} was acknowledged as new more than once"
        for ack in append.acks[:1]:
            if found is None:
                yield f"{name} was acknowledged as {ack.seq} and is lost"
            elif (found[0], found[1].seq, found[1].mid) != (command.channel, ack.seq, ack.mid):
                yield f"{name} was acknowledged as {ack.seq} and is {found[1].seq}"


def _order_faults(history: History) -> Iterator[str]:
    """Check that the new appends of a session are numbered in the order of sending."""
    sessions: dict[tuple[int, str], list[Ack]] = defaultdict(list)
    for append in history.appends:
        for ack in append.acks:
            if not ack.duplicate:
                sessions[ack.session, append.command.channel].append(ack)
    for (session, channel), acks in sessions.items():
        for one, other in pairwise(sorted(acks, key=lambda ack: ack.index)):
            if one.seq >= other.seq:
                yield f"{channel}: session {session} sent {one.seq} before {other.seq}"


def _follower_faults(name: str, segments: Sequence[Segment], logs: Logs) -> Iterator[str]:
    for segment in segments:
        begin, end = segment.start, segment.start + len(segment.applied)
        expected = [Applied.of(item) for item in logs[segment.channel][begin:end]]
        for applied, truth in zip(segment.applied, expected, strict=False):
            if applied != truth:
                yield f"{name} applied {applied} where the log has {truth}"
                break
        if len(expected) < len(segment.applied):
            yield f"{name} applied more of {segment.channel} than the log has"


def _owed_faults(logs: Logs, owed: Sequence[str]) -> Iterator[str]:
    """Check that each text is in the log once, and in the order in which its client typed it."""
    places: dict[str, list[tuple[str, Item]]] = defaultdict(list)
    for channel, log in logs.items():
        for item in log:
            if item.cid is not None:
                places[item.cid].append((channel, item))
    last: dict[tuple[str, str], int] = {}
    for printed in owed:
        cid, _, text = printed.partition(" ")
        if len(places[cid]) != 1:
            yield f"{text!r} was typed once and occurs {len(places[cid])} times"
            continue
        ((channel, item),) = places[cid]
        if item.text not in (text, None):
            yield f"{text!r} was typed and is {item.text!r}"
        typist = item.author, channel
        if item.seq < last.get(typist, 0):
            yield f"{text!r} precedes texts that were typed earlier"
        last[typist] = item.seq
