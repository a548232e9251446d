"""The outbox in memory: pending changes of lines, also with thousands of rows."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from chat.client.model.records import OutboxRow
from chat.client.model.state import Delivery, Message
from chat.client.storage.outbox import Outbox, new_row
from chat.client.storage.outbox_db import OutboxContent, OutboxDb
from tests.costs import growth


def line(seq: int) -> Message:
    return Message(channel="#tea", seq=seq, cid=None, author="me", ts=0, text=f"line {seq}")


def edit(seq: int, text: str) -> OutboxRow:
    return new_row({"type": "edit", "channel": "#tea", "seq": seq, "text": text})


MakeOutbox = Callable[..., Outbox]


@pytest.fixture
def outbox_with(tmp_path: Path) -> Iterator[MakeOutbox]:
    """Return new outboxes, each of which has stored the given rows."""
    with ExitStack() as opened:

        def make(*rows: OutboxRow) -> Outbox:
            folder = tmp_path / os.urandom(4).hex()
            with closing(OutboxDb(folder / "outbox.db")) as file:
                file.add(OutboxContent(list(rows)))
            return opened.enter_context(closing(Outbox(folder, report=print)))

        yield make


def test_a_line_shows_pending_changes_until_they_are_confirmed(
    outbox_with: MakeOutbox,
) -> None:
    outbox = outbox_with(edit(1, "first"), edit(2, "other"))
    second = edit(1, "second")
    outbox.add(second)
    shown = outbox.decorate(line(1), "me")
    assert (shown.text, shown.delivery) == ("second", Delivery.PENDING)
    outbox.confirm(second.cid)
    assert outbox.decorate(line(1), "me").text == "first"
    outbox.fail(outbox.all()[0].cid, "no")
    assert outbox.decorate(line(1), "me") == line(1)
    assert outbox.decorate(line(3), "me") == line(3)


def test_unsaved_rows_are_retried_in_the_order_they_were_typed(
    outbox_with: MakeOutbox,
) -> None:
    outbox = outbox_with()
    rows = [edit(number, "x") for number in range(50)]
    for row in rows:
        outbox.keep_in_memory(row, "the disk is full")
    assert outbox.unsaved == tuple(row.cid for row in rows)


def test_decorating_lines_does_not_slow_down_with_thousands_of_rows(
    outbox_with: MakeOutbox,
) -> None:
    def waiting(count: int) -> Outbox:
        commands = ({"type": "send", "channel": "#tea", "text": str(n)} for n in range(count))
        return outbox_with(*map(new_row, commands))

    def show(outbox: Outbox) -> None:
        for seq in range(1, 201):
            outbox.decorate(line(seq), "me")
            assert outbox.next("#tea") is not None

    assert growth(show, waiting(10), waiting(10_000), enough=5) < 5


def test_ids_of_sends_are_uuids_that_rise_with_the_time() -> None:
    before = time.time_ns() // 1_000_000
    cids = [edit(1, "x").cid for _ in range(100)]
    after = time.time_ns() // 1_000_000
    assert len(set(cids)) == 100
    for cid in cids:
        assert (uuid.UUID(cid).version, uuid.UUID(cid).variant) == (7, uuid.RFC_4122)
        assert before <= int(cid[:12], 16) <= after
    assert [cid[:12] for cid in cids] == sorted(cid[:12] for cid in cids)
