"""The codec's laws again, with minutes of random input."""

from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chat.errors import FrameError
from chat.protocol.codec import decode_command, decode_frame, encode
from chat.protocol.commands import Command
from chat.protocol.frames import ServerFrame
from chat.protocol.values import Limits
from tests.protocol.strategies import commands, frames

pytestmark = [pytest.mark.long, pytest.mark.timeout(1_200)]
thoroughly = settings(max_examples=30_000, suppress_health_check=list(HealthCheck))


@thoroughly
@given(commands)
def test_every_command_survives_the_wire(command: Command) -> None:
    assert decode_command(encode(command), Limits()) == command


@thoroughly
@given(frames)
def test_every_frame_survives_the_wire(frame: ServerFrame) -> None:
    assert decode_frame(encode(frame)) == frame


@thoroughly
@given(commands, st.data())
def test_a_damaged_command_is_a_command_or_a_frame_error(
    command: Command, data: st.DataObject
) -> None:
    damaged = bytearray(encode(command))
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    try:
        again = decode_command(bytes(damaged), Limits())
    except FrameError:
        return
    assert json.loads(encode(again))["type"] == again.type
