"""The exported JSON Schema: valid, and of one mind with the models."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from jsonschema import Draft202012Validator

from chat.protocol.codec import encode, json_schema
from chat.protocol.commands import Command
from chat.protocol.frames import ServerFrame
from tests.protocol.strategies import COMMANDS, FRAMES, commands, frames
from tests.protocol.test_reference import RECEIVED, SENT

SCHEMA = json_schema()


def validator(direction: str) -> Draft202012Validator:
    return Draft202012Validator({**SCHEMA, "anyOf": [{"$ref": f"#/{direction}"}]})


COMMAND = validator("command")
FRAME = validator("frame")
EITHER = Draft202012Validator(SCHEMA)


def test_the_schema_is_one() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    assert json.loads(json.dumps(SCHEMA)) == SCHEMA


def test_every_type_is_in_it_under_its_own_name() -> None:
    for union, direction in ((COMMANDS, "command"), (FRAMES, "frame")):
        mapping: dict[str, str] = SCHEMA[direction]["discriminator"]["mapping"]
        assert mapping == {
            model.model_fields["type"].default: f"#/$defs/{model.__name__}" for model in union
        }
        assert all(model.__name__ in SCHEMA["$defs"] for model in union)


@pytest.mark.parametrize(("name", "block"), SENT)
def test_the_examples_of_commands_are_valid(name: str, block: str) -> None:
    COMMAND.validate(json.loads(block))
    EITHER.validate(json.loads(block))


@pytest.mark.parametrize(("name", "block"), RECEIVED)
def test_the_examples_of_frames_are_valid(name: str, block: str) -> None:
    FRAME.validate(json.loads(block))
    EITHER.validate(json.loads(block))


@given(commands)
def test_every_command_that_can_be_written_is_valid(command: Command) -> None:
    COMMAND.validate(json.loads(encode(command)))


@given(frames)
def test_every_frame_that_can_be_written_is_valid(frame: ServerFrame) -> None:
    FRAME.validate(json.loads(encode(frame)))


@pytest.mark.parametrize(
    "broken",
    [
        {},
        {"type": "nope"},
        {"channel": "#a"},
        {"v": 1, "name": "alice"},
        {"type": "ping", "colour": "red"},
        {"type": "join"},
        {"type": "mark", "channel": "#a", "seq": 0},
        {"type": "mark", "channel": "#a", "seq": "1"},
        {"type": "status", "status": "offline"},
    ],
)
def test_what_the_server_refuses_by_its_shape_is_invalid(broken: dict[str, Any]) -> None:
    assert not COMMAND.is_valid(broken)


def test_frames_may_grow() -> None:
    assert FRAME.is_valid({"type": "bye", "reason": "", "reconnect": 1, "since_version_2": 1})
