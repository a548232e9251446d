"""The send queue: bounded, ordered, and ephemeral frames go first."""

from hypothesis import given
from hypothesis import strategies as st

from chat.server.transport.outbound import OutboundBuffer


def test_frames_leave_in_order_as_one_piece() -> None:
    queue = OutboundBuffer(100)
    assert queue.put(b"a")
    queue.put_ephemeral(b"b")
    assert queue.put(b"c")
    assert queue.take() == b"abc"
    assert queue.size == 0


def test_a_single_frame_leaves_uncopied() -> None:
    queue = OutboundBuffer(100)
    frame = bytes(50)
    queue.put(frame)
    assert queue.take() is frame


def test_ephemeral_frames_give_way_to_a_durable_one() -> None:
    queue = OutboundBuffer(10)
    queue.put_ephemeral(b"eeeee")
    assert queue.put(b"12345678")
    assert queue.take() == b"12345678"


def test_ephemeral_frames_fill_only_half() -> None:
    queue = OutboundBuffer(10)
    queue.put(b"1234")
    queue.put_ephemeral(b"ee")
    assert queue.take() == b"1234"


def test_a_durable_frame_without_room_is_refused_and_nothing_else_lost() -> None:
    queue = OutboundBuffer(10)
    assert queue.put(b"123456")
    assert not queue.put(b"78901")
    assert queue.take() == b"123456"


def test_an_empty_queue_takes_any_frame_and_then_no_more() -> None:
    queue = OutboundBuffer(10)
    assert queue.put(bytes(1_000))
    assert not queue.put(b"x")
    queue.take()
    assert queue.put(b"x")


@given(st.lists(st.tuples(st.booleans(), st.binary(min_size=1, max_size=12)), max_size=60))
def test_durable_frames_are_never_reordered_or_lost_silently(
    frames: list[tuple[bool, bytes]],
) -> None:
    queue = OutboundBuffer(64)
    kept = b""
    for is_durable, frame in frames:
        if not is_durable:
            queue.put_ephemeral(b"\0" * len(frame))
        elif queue.put(frame.replace(b"\0", b"x")):
            kept += frame.replace(b"\0", b"x")
        assert queue.size <= 64
    assert queue.take().replace(b"\0", b"") == kept if queue.size else kept == b""
