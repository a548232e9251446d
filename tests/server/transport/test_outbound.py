"""The outlet: one write per turn, direct writes, and a bounded buffer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import BINARY, TEXT, Frame

from chat.server.transport.outbound import Outlet, WriteCoalescer, binary_frame, text_frame


class Pipe:
    """Receives written data, as a transport does."""

    def __init__(self) -> None:
        self.writes: list[bytes] = []
        self.is_broken = self.is_aborted = False
        self.pauses: Callable[[], None] = lambda: None

    def write(self, data: bytes) -> None:
        if self.is_broken:
            raise RuntimeError("closed")
        self.writes.append(data)
        self.pauses()

    def abort(self) -> None:
        self.is_aborted = True

    def get_write_buffer_size(self) -> int:
        return 1_000


class CountingFlusher(WriteCoalescer):
    """Counts the requests to flush an outlet."""

    marked = 0

    def mark(self, outlet: Outlet) -> None:
        self.marked += 1
        super().mark(outlet)


class Bench:
    """An open outlet of ten bytes, or of `limit`, with its dependencies."""

    def __init__(self, limit: int = 10) -> None:
        self.pipe = Pipe()
        self.overflows = 0
        self.flusher = CountingFlusher(asyncio.get_running_loop())
        self.outlet = Outlet(self.flusher, limit, self._overflowed)
        self.outlet.open(cast("Any", self.pipe))

    def _overflowed(self) -> None:
        self.overflows += 1

    def read(self) -> bytes:
        """Let a stalled peer read the waiting data; return them."""
        before = len(self.pipe.writes)
        self.outlet.resume()
        self.outlet.pause()
        return b"".join(self.pipe.writes[before:])

    async def turn(self) -> list[bytes]:
        """End this turn of the loop; return all written data."""
        await asyncio.sleep(0)
        return self.pipe.writes


@pytest.fixture
async def bench() -> Bench:
    return Bench()


@pytest.fixture
async def paused(bench: Bench) -> Bench:
    """A bench whose peer does not read."""
    bench.outlet.pause()
    return bench


@pytest.mark.parametrize("length", [0, 1, 125, 126, 65_535, 65_536])
def test_frames_equal_those_of_the_library(length: int) -> None:
    payload = bytes(length)
    assert text_frame(payload) == Frame(TEXT, payload).serialize(mask=False)
    assert binary_frame(payload) == Frame(BINARY, payload).serialize(mask=False)


async def test_frames_of_one_turn_leave_in_one_write(bench: Bench) -> None:
    bench.outlet.send(b"a")
    bench.outlet.send_ephemeral(b"b")
    bench.outlet.send(b"c")
    assert bench.pipe.writes == []
    assert await bench.turn() == [b"abc"]


async def test_outlet_is_flushed_once_per_turn(bench: Bench) -> None:
    for _ in range(3):
        bench.outlet.send(b"a")
    assert bench.flusher.marked == 1
    assert await bench.turn() == [b"aaa"]
    bench.outlet.send(b"b")
    assert bench.flusher.marked == 2
    assert await bench.turn() == [b"aaa", b"b"]


async def test_single_frame_is_written_without_a_copy(bench: Bench) -> None:
    piece = b"piece"
    bench.outlet.send(piece)
    assert (await bench.turn())[0] is piece


async def test_send_now_writes_at_once_and_keeps_the_order(bench: Bench) -> None:
    bench.outlet.send_now(b"a")
    assert bench.pipe.writes == [b"a"]
    bench.outlet.send(b"b")
    bench.outlet.send_now(b"c")
    bench.outlet.send_now(b"d")
    assert await bench.turn() == [b"a", b"bcd"]


async def test_event_and_answer_leave_in_one_write_while_an_answer_is_pending(bench: Bench) -> None:
    bench.outlet.pending_answers = 1
    bench.outlet.send_now(b"event")
    bench.outlet.pending_answers = 0
    bench.outlet.send(b"ok")
    assert await bench.turn() == [b"eventok"]


async def test_one_turn_may_exceed_the_limit_while_the_peer_reads(bench: Bench) -> None:
    for _ in range(3):
        bench.outlet.send(b"12345678")
    assert b"".join(await bench.turn()) == b"12345678" * 3
    assert bench.overflows == 0


async def test_peer_that_does_not_read_is_buffered_then_overflows(bench: Bench) -> None:
    bench.outlet.send(b"1234")
    bench.outlet.pause()
    bench.outlet.send_ephemeral(b"x")
    bench.outlet.send_now(b"5678")
    assert await bench.turn() == []
    bench.outlet.resume()
    assert bench.pipe.writes == [b"1234x5678"]
    bench.outlet.pause()
    for _ in range(2):
        bench.outlet.send(b"12345678")
    assert bench.overflows == 1


async def test_closed_outlet_writes_nothing(bench: Bench) -> None:
    bench.outlet.send(b"a")
    bench.outlet.close()
    bench.outlet.send_now(b"b")
    assert await bench.turn() == []


async def test_failed_write_aborts_the_transport_and_raises_nothing(bench: Bench) -> None:
    bench.pipe.is_broken = True
    bench.outlet.send_now(b"a")
    assert bench.pipe.is_aborted


async def test_send_now_does_not_overtake_buffered_frames(bench: Bench) -> None:
    """`send_now` writes at once only while the buffer is empty."""
    outlet = bench.outlet
    outlet.send(b"1")
    outlet.send_now(b"2")
    assert await bench.turn() == [b"12"]
    for piece in (b"a" * 6, b"b" * 6):  # one turn produces more than the buffer holds
        outlet.send(piece)
    outlet.send_now(b"c")
    assert b"".join(await bench.turn()) == b"12aaaaaabbbbbbc"
    outlet.pause()
    outlet.send_now(b"3")
    outlet.resume()
    outlet.send_now(b"4")
    assert bench.pipe.writes[-2:] == [b"3", b"4"]


async def test_drain_lets_senders_proceed_as_fast_as_the_peer_reads() -> None:
    bench = Bench(100_000)
    outlet, piece = bench.outlet, b"x" * 20_000

    async def send() -> None:
        await outlet.drain()
        outlet.send(piece)

    sending = [asyncio.create_task(send()) for _ in range(4)]
    bench.pipe.pauses = outlet.pause
    for _ in range(5):
        await bench.turn()
    assert [len(data) for data in bench.pipe.writes] == [40_000]
    assert outlet.is_backed_up
    while not all(each.done() for each in sending):
        outlet.resume()
        await bench.turn()
    await bench.turn()
    assert sum(map(len, bench.pipe.writes)) == 80_000
    assert not bench.overflows


async def test_closing_cancels_pending_drains(bench: Bench) -> None:
    bench.outlet.pause()
    waiting = asyncio.create_task(bench.outlet.drain())
    await bench.turn()
    bench.outlet.close()
    await asyncio.wait([waiting])
    assert waiting.cancelled()


# While the peer does not read


async def test_buffered_frames_leave_in_order_in_one_write(paused: Bench) -> None:
    paused.outlet.send(b"a")
    paused.outlet.send_ephemeral(b"b")
    paused.outlet.send(b"c")
    assert paused.read() == b"abc"
    assert paused.pipe.writes == [b"abc"]
    assert paused.read() == b""


async def test_ephemeral_frames_are_dropped_for_a_durable_frame(paused: Bench) -> None:
    paused.outlet.send_ephemeral(b"eeeee")
    paused.outlet.send(b"12345678")
    assert paused.read() == b"12345678"
    assert not paused.overflows


async def test_durable_frame_after_written_ephemeral_frame_is_kept(paused: Bench) -> None:
    paused.outlet.send_ephemeral(b"e")
    assert paused.read() == b"e"
    paused.outlet.send(b"123456")
    paused.outlet.send(b"78901")
    assert paused.read() == b"123456"


async def test_ephemeral_frames_fill_half_of_the_buffer_at_most(paused: Bench) -> None:
    paused.outlet.send(b"1234")
    paused.outlet.send_ephemeral(b"ee")
    assert paused.read() == b"1234"


async def test_durable_frame_beyond_the_limit_is_refused_and_the_buffer_kept(paused: Bench) -> None:
    paused.outlet.send(b"123456")
    paused.outlet.send(b"78901")
    assert paused.overflows == 1
    assert paused.read() == b"123456"


async def test_empty_buffer_accepts_a_frame_of_any_size(paused: Bench) -> None:
    paused.outlet.send(bytes(1_000))
    paused.outlet.send(b"x")
    assert paused.overflows == 1
    assert paused.read() == bytes(1_000)
    paused.outlet.send(b"x")
    assert paused.read() == b"x"


@given(st.lists(st.tuples(st.booleans(), st.binary(min_size=1, max_size=12)), max_size=60))
def test_durable_frames_are_never_reordered_or_lost_silently(
    frames: list[tuple[bool, bytes]],
) -> None:
    async def feed() -> None:
        bench, kept = Bench(64), b""
        bench.outlet.pause()
        for is_durable, frame in frames:
            if not is_durable:
                bench.outlet.send_ephemeral(b"\0" * len(frame))
                continue
            durable, before = frame.replace(b"\0", b"x"), bench.overflows
            bench.outlet.send(durable)
            if bench.overflows == before:
                kept += durable
        read = bench.read()
        assert len(read) <= 64
        assert read.replace(b"\0", b"") == kept

    asyncio.run(feed())


async def test_queued_bytes_are_those_of_peers_that_do_not_read(bench: Bench) -> None:
    outlet = bench.outlet
    outlet.send(b"one")
    await bench.turn()
    assert bench.flusher.paused == set()
    outlet.pause()
    outlet.send(b"three")
    assert bench.flusher.paused == {outlet}
    assert outlet.queued == 1_005
    outlet.resume()
    assert bench.flusher.paused == set()
    outlet.pause()
    outlet.close()
    outlet.pause()  # the close frame fills the transport
    assert bench.flusher.paused == set()
    assert outlet.queued == 0
