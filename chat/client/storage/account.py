"""One account, a name on one server: its channels, outbox, drafts, and file.

Changes gather in memory and go to disk together, a moment later; only what a person typed goes
there at once.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from chat.client.model.channel import Channel
from chat.client.model.log_view import LogView
from chat.client.model.preferences import NOTHING, Wish
from chat.client.model.records import ChannelRecord, Damaged, DiskTrouble, OutboxRow
from chat.client.model.state import LAST_CHANNEL, SERVER_NAME, Message
from chat.client.storage.database import Cache
from chat.client.storage.outbox import Outbox
from chat.client.storage.recovery import adopt as adopt_file
from chat.client.storage.recovery import open_cache, set_aside
from chat.text import is_direct

if TYPE_CHECKING:
    from chat.protocol.commands import ResumeFrom

__all__ = ["Account"]

FILE_MAX = 2 * 1024**3
"""Bytes of an account's file beyond which lines are thrown away: millions of messages."""

_log = logging.getLogger(__name__)
T = TypeVar("T")

OPENING = 2.0
"""Seconds to wait, at the start, for another program that has locked the file."""
_IN_MEMORY = "What you type is kept in memory, and sent once the file can be written."
_ADOPT_AFTER = 5_000
"""Milliseconds after which a row that another client typed, and did not get sent, is sent here."""
_COUNTED_MAX = 1_000
_THREAD_MAX = 500
_HELLO_LIMITS = "hello-limits"
"""The preference that keeps `limits.frame` and the positions that the server's `hello` takes."""
_HELLO_USUAL = (65_536, 500)


class Account:
    """What is known of one name on one server.

    Args:
        path: its file.
        me: the name.
        adopt: files to take over: what was typed before the server was known, or with a name
            that it refused.
        changed: called when there is something to flush.
        trouble: told once when the disk takes no writes, with a line for a person.
        damaged: called once when the file turns out to be damaged or gone; the account then only
            remembers, and `rows` and drafts are to be taken to a new one.
        file_max: bytes of the file beyond which lines are thrown away.
    """

    def __init__(
        self,
        path: Path,
        me: str,
        *,
        adopt: Iterable[Path] = (),
        changed: Callable[[], None],
        trouble: Callable[[str], None],
        damaged: Callable[[], object],
        file_max: int = FILE_MAX,
    ) -> None:
        self._file_max = file_max
        self.me = me
        self.path = path
        self.has_file = True
        """Whether the file could be opened for writing; a copy in memory stands in for it."""
        try:
            self._cache, salvage = open_cache(path, OPENING)
        except DiskTrouble as exc:
            self.has_file = False
            self._cache, salvage = Cache(path, unwritable=str(exc)), None
            _log.error("%s", exc)
            trouble(f"{exc}. {_IN_MEMORY}")
        if salvage is not None:
            _log.error("%s", salvage)
            trouble(str(salvage))
        self._tell_changed = changed
        self._tell_trouble = trouble
        self._tell_damaged = damaged
        self._is_damaged = False
        self._dirty: set[str] = set()
        self._has_young = False
        """Whether another client has typed something that it may be sending now."""
        self._stale: set[str] = set()  # channels whose stored lines are those of another log
        self._begun_elsewhere: set[str] = set()
        self._changed_elsewhere: set[str] = set()
        self._dirty_drafts: set[str] = set()
        self._dirty_prefs: set[str] = set()
        self.is_troubled = not self.has_file
        """Whether the last write failed; what it should have written is still in memory."""
        self.outbox = Outbox(self._keep)
        self.channels: dict[str, Channel] = {}
        self.drafts: dict[str, str] = {}
        self.prefs: dict[str, str] = {}
        for other in adopt:
            self._guard(partial(adopt_file, self._cache, other))
        self.has_signed_in = False
        """Whether this name was ever signed in; until then only `#general` can be meant."""
        self._load()

    def _load(self) -> None:
        self._read(self._cache.has_changed_elsewhere, False)  # from now on
        records = self._cache.channels()
        for record in records:
            self.followed(record.name).restore(record)
        self.outbox.load(self._cache.outbox())
        for channel in self.outbox.channels():
            self.followed(channel)
        self.drafts = self._cache.drafts()
        for channel in self.drafted():
            self.followed(channel)
        self.prefs = self._cache.prefs()
        self.has_signed_in = bool(records) or bool(self.prefs.get(SERVER_NAME))

    def _keep(self, row: OutboxRow) -> None:
        try:
            self._cache.put_outbox(row)
        except Damaged:
            self._found_damaged()
            raise

    def take_over(self, before: Account) -> None:
        """Write what another account had in memory: all of it, if its file is damaged or gone.

        Of a copy of this file that stood in for it, only what could not be written. Of a file
        with another name, what this one has not taken from it.
        """
        is_other = before.path != self.path
        is_all = before.has_file and not is_other
        for cid in before.outbox.confirmed:
            self.outbox.confirm(cid)
        for row in before.outbox.all():
            if row.cid in before.outbox.held:
                self.outbox.hold(row, row.reason)
            elif is_all or (is_other and self.outbox.get(row.cid) is None):
                self._take_over_row(row)
        for name, text in before.drafts.items():
            if is_all or name in before._dirty_drafts or (is_other and name not in self.drafts):
                self.set_draft(name, text)
        for key, value in before.prefs.items():
            if is_all or key in before._dirty_prefs or (is_other and key not in self.prefs):
                self.set_pref(key, value)
        for channel in before.channels.values():
            known = None if is_all or is_other else before._cache.known(channel.name)
            self._take_over_channel(channel, known.wish if known else NOTHING)

    def _take_over_channel(self, before: Channel, known: Wish) -> None:
        """Take over how far a channel is read, and all wishes but those that were `known`."""
        is_untold = before.wish or before.view.read > before.marked
        if before.is_kept and (is_untold or before.name in self.channels):
            channel = self.followed(before.name)
            channel.wish = before.wish.merged(known, channel.wish)
            channel.view.take_marker(before.view)
            self.touch(channel)

    def _take_over_row(self, row: OutboxRow) -> None:
        try:
            self.outbox.add(row)
        except DiskTrouble as exc:
            self.outbox.hold(row, str(exc))

    def abandon(self) -> None:
        """Let go of a file that is damaged, and set it aside unless it is another one by now."""
        is_there = self._cache.is_there
        self._is_damaged = True
        self._cache.close()
        if is_there:
            with suppress(OSError):
                set_aside(self.path)

    def signed_in(self, server: str) -> None:
        """Note that there was a connection, and how the server calls itself."""
        self.has_signed_in = True
        if self.prefs.get(SERVER_NAME) != server:
            self.set_pref(SERVER_NAME, server)

    def renamed(self, me: str) -> None:
        """Take one's name as the server spells it."""
        self.me = me
        for channel in self.channels.values():
            channel.view.me = me

    def close(self) -> None:
        """Write what is left, and close the file."""
        self.flush()
        self._cache.close()

    # Channels

    def _line(self, name: str, seq: int) -> Message | None:
        if name in self._stale:
            return None
        return self._read(lambda: self._cache.line(name, seq), None)

    def followed(self, name: str) -> Channel:
        """Return the channel; it is made if it is not known."""
        found = self.channels.get(name)
        if found is None:
            view = LogView(name, self.me, partial(self._line, name), partial(self._stale.add, name))
            found = Channel(view, generation=self._read(lambda: self._cache.generation(name), 0))
            self.channels[name] = found
        return found

    def touch(self, channel: Channel) -> None:
        """Note that the channel has something to be written."""
        if channel.is_kept:
            self._dirty.add(channel.name)
        self._tell_changed()

    def forget(self, channel: Channel) -> None:
        """Forget a channel that one is no member of; what is unsent in it stays."""
        self.channels.pop(channel.name, None)
        self._dirty.discard(channel.name)
        self._stale.discard(channel.name)
        self._guard(lambda: self._cache.forget_channel(channel.name))
        if channel.name in self.outbox.channels() or channel.name in self.drafted():
            self.followed(channel.name)

    def lines_before(self, channel: Channel, before: int, limit: int) -> tuple[list[Message], int]:
        """Return up to `limit` lines that end right before `before`, without a hole.

        Returns:
            The lines, and the lowest seq up to which nothing is missing.
        """
        view = channel.view
        span = view.coverage.around(before - 1)
        if span is None:
            return [], before
        stored: list[Message] = []
        if channel.name not in self._stale:
            stored = self._read(
                lambda: self._cache.lines_before(channel.name, before, span[0], limit), []
            )
        found = {line.seq or 0: line for line in stored}
        found |= {seq: line for seq, line in view.changed.items() if span[0] <= seq < before}
        chosen = sorted(found)[-limit:]
        lowest = chosen[0] if len(chosen) == limit else span[0]
        return [found[seq] for seq in chosen], lowest

    def lines_with(self, channel: Channel, seqs: range, raw: tuple[str, str]) -> list[Message]:
        """Return the lines of `seqs` that hold one of `raw`, and some that may not; in order.

        `raw` is as `Cache.lines_with` takes it; nothing is left out that is not on disk yet.
        """
        stored: list[Message] = []
        if channel.name not in self._stale:
            stored = self._read(lambda: self._cache.lines_with(channel.name, seqs, raw), [])
        found = {line.seq or 0: line for line in stored}
        found |= {seq: line for seq, line in channel.view.changed.items() if seq in seqs}
        return [found[seq] for seq in sorted(found)]

    def thread(self, channel: Channel, root: int) -> list[Message]:
        """Return the root and the newest replies of a thread that are at hand, in order."""
        stored: list[Message] = []
        if channel.name not in self._stale:
            stored = self._read(lambda: self._cache.thread(channel.name, root, _THREAD_MAX), [])
        found = {line.seq or 0: line for line in stored}
        changed = channel.view.changed
        found |= {seq: line for seq, line in changed.items() if root in (seq, line.thread)}
        return [found[seq] for seq in sorted(found)]

    def mark(self, channel: Channel, seq: int) -> None:
        """Move the read marker to `seq`, and count what is left above it."""
        if seq < channel.view.position:
            self.flush()
            seq = max(seq, channel.view.read)  # another client may have read further
        channel.view.apply_mark(seq, *self._count_above(channel, seq))
        self.touch(channel)

    def _count_above(self, channel: Channel, seq: int) -> tuple[int, int]:
        """Count the stored messages above `seq`, and the mentions among them."""
        last = channel.view.position
        if seq >= last:
            return 0, 0
        return self._read(
            lambda: self._cache.count_above(channel.name, seq, self.me, _COUNTED_MAX, last), (0, 0)
        )

    def count_again(self, channel: Channel) -> None:
        """Count what is unread if the counts are in doubt and every line above is at hand."""
        if channel.view.is_doubtful and channel.view.is_countable:
            self.mark(channel, channel.view.read)

    def positions(self) -> dict[str, ResumeFrom]:
        """Return where to go on reading, by channel, the channels that matter most first."""
        last = self.prefs.get(LAST_CHANNEL)

        def rank(channel: Channel) -> tuple[bool, ...]:
            view, is_shown = channel.view, channel.shown_from is not None or channel.name == last
            return not is_shown, not view.mentions, not view.unread, is_direct(channel.name)

        kept = [each for each in self.channels.values() if each.is_member and each.is_kept]
        found = ((channel.name, channel.view.resume) for channel in sorted(kept, key=rank))
        return {name: position for name, position in found if position is not None}

    @property
    def hello_limits(self) -> tuple[int, int]:
        """Bytes of a frame, and positions in `hello`, that the server takes as far as is known."""
        words = self.prefs.get(_HELLO_LIMITS, "").split()
        if len(words) != 2 or not all(word.isdecimal() for word in words):
            return _HELLO_USUAL
        return int(words[0]), int(words[1])

    def note_hello_limits(self, frame: int, channels: int) -> None:
        """Keep what the server takes, for the next `hello`."""
        limits = f"{frame} {min(channels, _HELLO_USUAL[1])}"
        if self.prefs.get(_HELLO_LIMITS) != limits:
            self.set_pref(_HELLO_LIMITS, limits)

    # What another client on this computer did

    def still_has(self, row: OutboxRow) -> bool:
        """Whether a row is still to be sent: another client may have discarded it."""
        return self._read(lambda: self._cache.has_outbox(row.cid), True)

    def discard(self, row: OutboxRow) -> None:
        """Forget a row, here and for other clients on this file.

        Raises:
            DiskTrouble: the disk still has it, and it would come back.
        """
        if row.cid not in self.outbox.held:
            try:
                self._cache.drop_outbox(row.cid)
            except Damaged:
                self._found_damaged()
                raise
        self.outbox.drop(row.cid)

    def follow_others(self) -> tuple[list[OutboxRow], list[OutboxRow], bool]:
        """Take up what another client did to outbox, drafts, preferences and channels.

        Returns:
            Rows that are gone; rows that are new or changed; whether drafts or preferences differ.
        """
        if not self._read(self._cache.has_changed_elsewhere, False) and not self._has_young:
            return [], [], False
        old = time.time_ns() // 1_000_000 - _ADOPT_AFTER
        stored = self._read(self._cache.outbox, list(self.outbox.all()))
        gone, changed = self.outbox.follow(stored, old)
        known = {row.cid for row in self.outbox.all()} | self.outbox.confirmed
        self._has_young = any(row.cid not in known for row in stored)
        before = self.drafts
        unsaved = {name: before[name] for name in self._dirty_drafts}
        self.drafts = self._read(self._cache.drafts, before) | unsaved
        prefs = self.prefs
        unsaved = {key: prefs[key] for key in self._dirty_prefs}
        self.prefs = self._read(self._cache.prefs, prefs) | unsaved
        self.follow_channels()
        return gone, changed, self.drafts != before or self.prefs != prefs

    def follow_channels(self) -> None:
        """Take up how another client wants channels, and how far it has read them."""
        self.flush()  # so that the lines that are counted are all in the file
        records = {name: channel.record for name, channel in self.channels.items()}
        found: list[tuple[ChannelRecord, ChannelRecord]] = []
        for merged, stored in self._read(lambda: self._cache.merge_others(records), found):
            channel = self.channels[stored.name]
            self._take_up(channel, merged)
            is_behind = stored.epoch == merged.epoch and stored.read < merged.read
            if is_behind or stored.wish != merged.wish:  # an older client has written over them
                self.touch(channel)

    def _take_up(self, channel: Channel, merged: ChannelRecord) -> None:
        """Take a record that was merged with what another client stored."""
        view, before = channel.view, channel.record()
        channel.wish, channel.preference = merged.wish, merged.preference
        is_in_log = (merged.generation, merged.epoch) == (channel.generation, view.epoch)
        if is_in_log and merged.read > view.read:
            view.apply_mark(merged.read, *self._count_above(channel, merged.read))
        if channel.record() != before:
            self._changed_elsewhere.add(channel.name)
            self._tell_changed()

    def take_changed_elsewhere(self) -> set[str]:
        """Return, once, the channels in which another client changed something for this one."""
        found, self._changed_elsewhere = self._changed_elsewhere, set()
        return found

    # Drafts and preferences

    def set_draft(self, channel: str, text: str) -> None:
        """Keep what is typed and not sent."""
        self.drafts[channel] = text
        for name in self.drafted() - self.channels.keys():
            self.followed(name)
        self._dirty_drafts.add(channel)
        self._tell_changed()

    def drafted(self) -> set[str]:
        """Return the channels that have a draft, in their own composer or in a thread."""
        return {key.partition("/")[0] for key, text in self.drafts.items() if text} - {""}

    def set_pref(self, key: str, value: str) -> None:
        """Keep something that the screens want to find again."""
        self.prefs[key] = value
        self._dirty_prefs.add(key)
        self._tell_changed()

    def unsaved(self) -> list[str]:
        """Return messages and drafts that only memory has: they end with the program."""
        drafts = [self.drafts[name] for name in self._dirty_drafts]
        return [*self.outbox.held_texts(), *filter(None, drafts)]

    # To disk

    def flush(self) -> None:
        """Write what has changed; what cannot be written stays in memory, for the next time."""
        self._guard(self._write)
        if self._begun_elsewhere:
            self._tell_changed()

    def take_begun_elsewhere(self) -> set[str]:
        """Return, once, the channels that another client on this computer has begun anew.

        Nothing of them was written: so must this client.
        """
        found, self._begun_elsewhere = self._begun_elsewhere, set()
        return found

    def _make_room(self) -> None:
        """Throw away the lines of the largest channel if the file is too large.

        The server has them still, and they come back when they are looked at.
        """
        if self._cache.size() > self._file_max and (name := self._cache.largest_channel()):
            channel = self.followed(name)
            self._save([], [channel], ())  # the other client may have read further
            empty = replace(channel.record(), epoch="", position=0, mid=None, spans=())
            self._take_up(channel, self._cache.discard_lines(name, empty))
            self._begun_elsewhere |= {name}

    def _write(self) -> None:
        for name in tuple(self._stale):
            if channel := self.channels.get(name):
                started = self._cache.discard_lines(name, channel.record())
                channel.generation = started.generation
                self._take_up(channel, started)
            self._stale.discard(name)
        dirty = [self.channels[name] for name in self._dirty if name in self.channels]
        if dirty or self.outbox.confirmed:
            lines = [line for channel in dirty for line in channel.view.changed.values()]
            mine = [channel for channel in dirty if channel.is_member]
            self._save(lines, mine, tuple(self.outbox.confirmed))
            self._make_room()
            self.outbox.confirmed.clear()
            for channel in dirty:
                channel.view.changed.clear()
            self._dirty.clear()
        if self._dirty_drafts:
            self._cache.put_drafts({name: self.drafts[name] for name in self._dirty_drafts})
            self._dirty_drafts.clear()
        if self._dirty_prefs:
            self._cache.put_prefs({key: self.prefs[key] for key in self._dirty_prefs})
            self._dirty_prefs.clear()

    def _save(
        self, lines: list[Message], channels: list[Channel], confirmed: tuple[str, ...]
    ) -> None:
        """Write to the file, and take up what another client changed there."""
        records = [channel.record() for channel in channels]
        for merged in self._cache.save(lines, records, confirmed):
            channel = self.channels[merged.name]
            if merged.generation != channel.generation:
                self._begun_elsewhere.add(merged.name)
            self._take_up(channel, merged)

    def refresh(self, channel: Channel) -> None:
        """Take up generation and marker of a log that another client began anew; no lines yet."""
        channel.view.forget()
        self._stale.discard(channel.name)  # what is stored now is the other client's
        channel.generation = self._read(lambda: self._cache.generation(channel.name), 0)
        if stored := self._read(lambda: self._cache.channel(channel.name), None):
            channel.view.apply_mark(stored.read, stored.unread, stored.mentions)

    def _guard(self, write: Callable[[], None]) -> None:
        try:
            write()
        except Damaged:
            self._found_damaged()
        except DiskTrouble as exc:
            _log.error("%s", exc)
            if not self.is_troubled:
                self.is_troubled = True
                self._tell_trouble(f"{exc}. {_IN_MEMORY}")
        else:
            self.is_troubled = not self.has_file

    def _read(self, query: Callable[[], T], otherwise: T) -> T:
        try:
            return query()
        except DiskTrouble as exc:
            _log.error("%s", exc)
            if isinstance(exc, Damaged):
                self._found_damaged()
            return otherwise

    def _found_damaged(self) -> None:
        if not self._is_damaged:
            self._is_damaged = True
            self._tell_damaged()
