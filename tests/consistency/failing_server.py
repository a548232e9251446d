"""The real server with injected faults: `python -m tests.consistency.failing_server`.

This is the program that users run. A control file, read at each commit, requests faults: `kill -9`
of the process before a commit or between the commit and its acknowledgements, and a clock that is
wrong by some seconds. An environment variable can disable a safeguard, to show that the verdict
notices.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, event

from chat.server.channels import live
from chat.server.cli import main
from chat.server.subscriptions import Subscriptions
from chat.store.operations import Batch, Commit
from chat.store.read import standing
from chat.store.store import Store
from chat.store.write import transaction
from chat.store.write.accounts import sign_in
from chat.store.write.writer import Writer

__all__ = ["AFTER_COMMIT", "BEFORE_COMMIT", "CONTROL", "SABOTAGE", "SABOTAGES"]

CONTROL = "CHAT_TEST_CONTROL"
SABOTAGE = "CHAT_TEST_SABOTAGE"
BEFORE_COMMIT, AFTER_COMMIT = "before commit", "between commit and acknowledgement"


class _Control:
    """The content of the control file: `{"kill": …, "clock": seconds}`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.clock = 0.0

    def reached(self, point: str) -> None:
        """Kill this process if the control file requests it at this point."""
        try:
            content = json.loads(self._path.read_text("utf-8"))
        except (OSError, ValueError):
            return
        self.clock = content.get("clock", 0.0)
        if content.get("kill") == point:
            os.kill(os.getpid(), signal.SIGKILL)


def _add_faults(control: _Control) -> None:
    real_time_ns, open_store = time.time_ns, Store.open
    time.time_ns = lambda: real_time_ns() + int(control.clock * 1e9)

    def before(_connection: object) -> None:
        if threading.current_thread().name == "store-writer":
            control.reached(BEFORE_COMMIT)

    def opened(url: str, *, committed: Callable[[Commit], None], **options: Any) -> Store:
        def after(commit: Commit) -> None:
            control.reached(AFTER_COMMIT)
            committed(commit)

        return open_store(url, committed=after, **options)

    event.listen(Engine, "commit", before)
    Store.open = staticmethod(opened)  # type: ignore[method-assign]


def _acknowledge_without_commit() -> None:
    transact, turns = Writer._transact, count(1)

    def sometimes(self: Writer, batch: Batch) -> Commit:
        if next(turns) % 40:
            return transact(self, batch)
        with self._connect().begin() as opened:
            self._transaction.begin(self._connect(), [pending.operation for pending in batch])
            for pending in batch:
                self._decide(pending)
            opened.rollback()
        self._transaction.forget()
        return Commit(self._transaction.events, batch, self._transaction.entries)

    Writer._transact = sometimes  # type: ignore[method-assign]


def _forget_cids() -> None:
    def nothing(*_: object) -> None:
        return None

    transaction.Transaction.sent = nothing  # type: ignore[assignment, method-assign]
    transaction.pack_cid = lambda cid: secrets.token_bytes(16)  # type: ignore[attr-defined]


def _leave_holes() -> None:
    deliver, turns = live.LiveChannel.deliver, count(1)

    def sometimes(self: live.LiveChannel, events: Sequence[Any], *, is_all: bool = False) -> None:
        deliver(self, events if next(turns) % 40 else events[1:], is_all=is_all)

    live.LiveChannel.deliver = sometimes  # type: ignore[method-assign]


def _deliver_twice() -> None:
    deliver, turns = live.LiveChannel.deliver, count(1)

    def sometimes(self: live.LiveChannel, events: Sequence[Any], *, is_all: bool = False) -> None:
        deliver(self, events, is_all=is_all)
        if not next(turns) % 40:
            self.head -= 1
            deliver(self, events[-1:])

    live.LiveChannel.deliver = sometimes  # type: ignore[method-assign]


def _attach_without_the_missed() -> None:
    attach = Subscriptions.attach

    async def late(self: Subscriptions, *arguments: Any, **options: Any) -> bool:
        await asyncio.sleep(0.05)  # other users send between reading the log and attaching
        return await attach(self, *arguments, **options)

    Subscriptions.attach = late  # type: ignore[method-assign]
    live.LiveChannel.replay_after = lambda *_: []  # type: ignore[method-assign]


def _change_the_order() -> None:
    commit = Writer._commit

    def reversed_batch(self: Writer, batch: Batch) -> Commit:
        return replace(commit(self, batch[::-1]), operations=batch)

    Writer._commit = reversed_batch  # type: ignore[method-assign]


def _claim_to_continue() -> None:
    from chat.store.read.reader import Reader

    Reader._is_within = lambda *_: True  # type: ignore[method-assign]
    after = Reader._after

    def skip(self: Reader, state: Any, anchor: int, limit: int) -> Any:
        return after(self, state, min(anchor + 1, state.head), limit)

    Reader._after = skip  # type: ignore[method-assign]


def _let_the_stopped_act() -> None:
    standing.Standings.check = lambda *_: None  # type: ignore[method-assign]


def _use_invitations_again() -> None:
    find = sign_in.find_invitation  # type: ignore[attr-defined]

    def unused(*arguments: Any, **options: Any) -> Any:
        found = find(*arguments, **options)
        return found and found._replace(used=0)

    sign_in.find_invitation = unused  # type: ignore[attr-defined]


def _drop_audit_entries() -> None:
    record, turns = transaction.Transaction.record, count(1)

    def sometimes(self: transaction.Transaction, act: str, *arguments: Any, **options: Any) -> None:
        if act in ("created", "settings") or next(turns) % 5:
            record(self, act, *arguments, **options)

    transaction.Transaction.record = sometimes  # type: ignore[method-assign]


def _ignore_mutes() -> None:
    from chat.store.write import access

    access.mute_in_force = lambda *_: None


def _ignore_bans() -> None:
    from chat.store.write.channels import membership

    membership.ban_in_force = lambda *_: None  # type: ignore[attr-defined]


def _keep_following() -> None:
    Subscriptions.left = lambda *_: None  # type: ignore[method-assign]


def _list_private_channels() -> None:
    from chat.store.read.reader import Reader

    directory = Reader.directory

    def with_private(self: Reader, *arguments: Any, **options: Any) -> Any:
        rows, cursor = directory(self, *arguments, **options)
        return (*rows, rows[0]._replace(name="#den")), cursor

    Reader.directory = with_private  # type: ignore[method-assign]


SABOTAGES: dict[str, Callable[[], None]] = {
    "acknowledge without commit": _acknowledge_without_commit,
    "forget cids": _forget_cids,
    "leave holes": _leave_holes,
    "deliver twice": _deliver_twice,
    "attach without the missed": _attach_without_the_missed,
    "change the order": _change_the_order,
    "claim to continue": _claim_to_continue,
    "let the stopped act": _let_the_stopped_act,
    "use invitations again": _use_invitations_again,
    "drop audit entries": _drop_audit_entries,
    "ignore mutes": _ignore_mutes,
    "ignore bans from channels": _ignore_bans,
    "keep following after a removal": _keep_following,
    "list private channels": _list_private_channels,
}


if __name__ == "__main__":
    _add_faults(_Control(Path(os.environ[CONTROL])))
    if chosen := os.environ.get(SABOTAGE):
        SABOTAGES[chosen]()
    sys.exit(main())
