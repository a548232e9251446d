"""The outbox in memory: what its rows make of the lines they are about, however many wait."""

from __future__ import annotations

import time

from chat.client.outbox import Outbox, new_row
from chat.client.records import OutboxRow
from chat.client.state import Delivery, Message


def line(seq: int) -> Message:
    return Message(channel="#tea", seq=seq, cid=None, author="me", ts=0, text=f"line {seq}")


def edit(seq: int, text: str) -> OutboxRow:
    return new_row({"type": "edit", "channel": "#tea", "seq": seq, "text": text})


def test_a_line_shows_what_is_on_its_way_until_that_is_done() -> None:
    outbox = Outbox(lambda row: None)
    outbox.load([edit(1, "first"), edit(2, "other")])
    second = edit(1, "second")
    outbox.add(second)
    shown = outbox.decorate(line(1), "me")
    assert (shown.text, shown.delivery) == ("second", Delivery.PENDING)
    outbox.confirm(second.cid)
    assert outbox.decorate(line(1), "me").text == "first"
    outbox.fail(outbox.all()[0].cid, "no")
    assert outbox.decorate(line(1), "me") == line(1)
    assert outbox.decorate(line(3), "me") == line(3)


def spent(waiting: int) -> float:
    """Return the processor time that 200 lines take, and the next row each time."""
    outbox = Outbox(lambda row: None)
    rows = [new_row({"type": "send", "channel": "#tea", "text": str(n)}) for n in range(waiting)]
    outbox.load(rows)
    began = time.process_time()
    for seq in range(1, 201):
        outbox.decorate(line(seq), "me")
        assert outbox.next("#tea") == rows[0]
    return time.process_time() - began


def test_thousands_that_wait_make_no_line_slow() -> None:
    few, many = (min(spent(count) for _ in range(3)) for count in (10, 10_000))
    assert many < 20 * few + 0.05
