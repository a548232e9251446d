"""The codec and its JSON Schema: every frame survives the wire; bad input is a typed error."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from pydantic import ValidationError

from chat.errors import ErrorCode, FrameError
from chat.protocol.codec import (
    FAULTS_MAX,
    FIELD_MAX,
    decode_command,
    decode_frame,
    encode,
    json_schema,
)
from chat.protocol.commands import Command, Mark, Ping, Send
from chat.protocol.frames import Heads, ServerFrame, Welcome
from chat.protocol.items import Event
from chat.protocol.values import Limits
from chat.text import printable_line
from tests.costs import seconds
from tests.protocol.strategies import COMMANDS, FRAMES, commands, frames
from tests.protocol.test_reference import RECEIVED, SENT

LIMITS = Limits()


def refusal(data: str | bytes, limits: Limits = LIMITS) -> FrameError:
    """Return the error that `data` is refused with."""
    with pytest.raises(FrameError) as caught:
        decode_command(data, limits)
    return caught.value


def assert_understood_or_refused(data: str | bytes) -> None:
    """Check that `data` is a command, or an error that can be shown as it is."""
    try:
        decode_command(data, LIMITS)
    except FrameError as error:
        told = error
    else:
        return
    assert printable_line(told.message) == told.message
    assert told.field is None or printable_line(told.field) == told.field


# Round trips


@given(commands)
def test_every_command_survives_the_wire(command: Command) -> None:
    assert decode_command(encode(command), LIMITS) == command


@given(frames)
def test_every_frame_survives_the_wire(frame: ServerFrame) -> None:
    assert decode_frame(encode(frame)) == frame


@given(st.one_of(commands, frames))
def test_a_frame_is_one_line_of_utf8_without_fields_that_say_nothing(
    frame: Command | ServerFrame,
) -> None:
    data = encode(frame)
    assert b"\n" not in data
    fields = json.loads(data.decode("utf-8"))
    assert fields["type"] == frame.type
    assert None not in fields.values()
    assert not {"duplicate", "remove", "me", "erased", "edited", "snapshot"} & {
        name for name, value in fields.items() if value is False
    }


def test_text_and_bytes_are_read_alike() -> None:
    data = '{"type":"send","channel":"#general","text":"žluť 🎉"}'
    assert decode_command(data, LIMITS) == decode_command(data.encode(), LIMITS)


def test_the_type_comes_first_so_that_people_and_logs_see_it() -> None:
    event = Event(channel="#a", seq=1, mid="m", ts=0, author="a", kind="message", text="x")
    assert encode(event).startswith(b'{"type":"event","channel":"#a","seq":1,')


# What is no frame at all


@pytest.mark.parametrize(
    "data",
    [
        "",
        " ",
        "{",
        "[]",
        "1",
        "null",
        '"ping"',
        '[{"type":"ping"}]',
        '{"type":"ping",}',
        '{"type":"ping"} {"type":"ping"}',
        "{'type':'ping'}",
        '{"type":"ping","id":"\x1b"}',
        b"\xff\xfe",
        b'{"type":"ping","id":"\xff"}',
        b'{"type":"ping","id":"\xed\xa0\x80"}',
        '{"type":"ping","id":"\\ud800"}',
        '{"type":"ping","id":"\ud800"}',
        "[" * 100_000,
        '{"a":' * 100_000,
        '{"type":"ping","id":' + "[" * 100_000 + "]" * 100_000 + "}",
        '{"type":"mark","channel":"#a","seq":' + "9" * 5_000 + "}",
    ],
    ids=lambda data: repr(data)[:30],
)
def test_what_is_not_one_json_object_is_malformed(data: str | bytes) -> None:
    error = refusal(data)
    assert error.code is ErrorCode.MALFORMED
    assert (error.id, error.field) == (None, None)
    assert "Invalid JSON: " not in error.message
    with pytest.raises(FrameError):
        decode_frame(data)


@given(st.one_of(st.binary(), st.text(st.characters(exclude_categories=()))))
@example(b"\x00")
def test_whatever_comes_is_a_command_or_a_frame_error(data: str | bytes) -> None:
    assert_understood_or_refused(data)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@given(commands, st.data())
def test_a_command_with_a_foreign_value_is_still_a_command_or_a_frame_error(
    command: Command, data: st.DataObject
) -> None:
    fields = json.loads(encode(command))
    name = data.draw(st.sampled_from(sorted(fields)) | st.text())
    fields[name] = data.draw(json_values)
    assert_understood_or_refused(json.dumps(fields))


# Which error, which field, whose id


@pytest.mark.parametrize("data", ["{}", '{"id":"7"}', '{"type":"nope"}', '{"type":1}'])
def test_an_unknown_or_absent_type_names_the_type(data: str) -> None:
    error = refusal(data)
    assert error.code is ErrorCode.UNKNOWN_TYPE
    assert error.field == "type"


def test_a_servers_frame_is_no_command() -> None:
    assert refusal('{"type":"welcome"}').code is ErrorCode.UNKNOWN_TYPE


@pytest.mark.parametrize("id_", ["7", "", "é\u00a0日", "x" * 64])
@pytest.mark.parametrize("rest", ['"type":"nope"', '"type":"ping","x":1', '"type":"join"'])
def test_the_error_carries_the_commands_id(id_: str, rest: str) -> None:
    assert refusal(f'{{"id":{json.dumps(id_)},{rest}}}').id == id_


@pytest.mark.parametrize(
    "rest",
    [
        r'"text":"cut \ud83d"',
        r'"text":"\ude00 \ud83d\ude00"',
        '"text":"\x1b"',
        '"text":"cut',
        '"text":nope',
        '"seq":' + "9" * 5_000,
        '"seq":1e400, "text":NaN',
        '"text":"a" "b"',
        '"x":' + "[" * 100_000,
    ],
    ids=lambda rest: rest[:20],
)
def test_the_error_carries_the_id_of_what_cannot_be_read(rest: str) -> None:
    data = f'{{"type":"send", "id" : "s1","channel":"#a",{rest}}}'
    for each in (data, data.encode()):
        error = refusal(each)
        assert error.id == "s1"
        assert error.code in (ErrorCode.MALFORMED, ErrorCode.INVALID)
    inner = f'{{"type":"send","channel":{{"id":"s1"}},{rest}}}'
    assert refusal(inner).id is None


def test_the_id_may_stand_behind_what_cannot_be_read() -> None:
    assert refusal(r'{"type":"send","text":"cut \ud83d","id":"s1"}').id == "s1"


@pytest.mark.parametrize(
    "id_", ['"' + "x" * 65 + '"', '"\\u001b"', '"a\\u2028"', "5", "null", "{}"]
)
def test_an_id_that_is_none_is_not_echoed(id_: str) -> None:
    assert refusal(f'{{"type":"nope","id":{id_}}}').id is None


def test_an_id_that_is_too_long_names_itself() -> None:
    error = refusal(json.dumps({"type": "ping", "id": "x" * 65}))
    assert (error.code, error.field, error.id) == (ErrorCode.TOO_LONG, "id", None)


def test_the_message_is_for_a_person() -> None:
    assert refusal('{"type":"ping","x":1}').message == "ping.x: unknown field"
    assert refusal('{"type":"join"}').message == "join.channel: is missing"


def test_a_fault_deep_inside_is_named_by_its_path() -> None:
    resume = '{"#a":{"epoch":"e","after":-1}}'
    error = refusal(f'{{"type":"hello","v":1,"name":"a","resume":{resume}}}')
    assert error.field == "resume.#a.after"


def test_an_unknown_field_is_told_back_without_its_control_characters() -> None:
    error = refusal(r'{"type":"ping","\u001b]0;x\u0007\u202e":1}')
    assert error.field == "␛]0;x␇<U+202E>"
    assert error.message.isprintable()


def test_an_unknown_field_as_long_as_a_frame_is_told_back_short() -> None:
    error = refusal(json.dumps({"type": "ping", "k" * 60_000: 1}))
    assert error.field is not None
    assert len(error.field) == FIELD_MAX
    assert len(error.message) < 2 * FIELD_MAX


# Numbers


@pytest.mark.parametrize("seq", ["NaN", "Infinity", "-Infinity", "1.0", "1e3", "true", '"1"', "[]"])
def test_a_number_is_an_integer_and_nothing_like_it(seq: str) -> None:
    error = refusal(f'{{"type":"mark","channel":"#a","seq":{seq},"id":"7"}}')
    assert (error.code, error.field) == (ErrorCode.INVALID, "seq")


@pytest.mark.parametrize("seq", [0, -1, 2**53, 2**64, 10**50])
def test_a_number_out_of_range_is_refused(seq: int) -> None:
    error = refusal(f'{{"type":"mark","channel":"#a","seq":{seq},"id":"7"}}')
    assert (error.code, error.field, error.id) == (ErrorCode.INVALID, "seq", "7")


@pytest.mark.parametrize("seq", [1, 2**53 - 1])
def test_numbers_that_every_json_reader_keeps_exact_are_taken(seq: int) -> None:
    command = decode_command(f'{{"type":"mark","channel":"#a","seq":{seq}}}', LIMITS)
    assert command == Mark(channel="#a", seq=seq)


def test_of_duplicate_keys_the_last_counts_everywhere() -> None:
    assert decode_command('{"type":"nope","type":"ping","id":"a","id":"b"}', LIMITS) == Ping(id="b")
    assert refusal('{"type":"ping","type":"nope","id":"a","id":"b"}').id == "b"


# The two directions differ


def test_the_server_refuses_unknown_fields() -> None:
    error = refusal('{"type":"ping","id":"7","colour":"red"}')
    assert (error.code, error.field, error.id) == (ErrorCode.INVALID, "colour", "7")


@given(frames)
def test_a_client_ignores_unknown_fields(frame: ServerFrame) -> None:
    fields = json.loads(encode(frame)) | {"since_version_2": {"x": [1]}}
    assert decode_frame(json.dumps(fields)) == frame


def test_a_client_ignores_unknown_fields_deep_inside() -> None:
    welcome = {
        "type": "welcome",
        "v": 1,
        "user": "alice",
        "session": "s",
        "server": {"id": "i", "name": "n", "version": "1", "motto": "hi"},
        "limits": {"text": 100, "stickers": 5},
        "heartbeat": 20,
        "channels": [],
    }
    frame = decode_frame(json.dumps(welcome))
    assert isinstance(frame, Welcome)
    assert frame.limits == Limits(text=100)


def test_a_client_ignores_unknown_types() -> None:
    assert decode_frame('{"type":"sticker","x":1}') is None


def test_a_client_reads_kinds_roles_and_presences_that_are_new_to_it() -> None:
    event = decode_frame(
        '{"type":"event","channel":"#a","seq":1,"mid":"m","ts":0,"author":"a","kind":"poll"}'
    )
    assert isinstance(event, Event)
    assert event.kind == "poll"


def test_a_client_takes_text_that_a_server_would_refuse() -> None:
    # It is made harmless where it is shown; refusing it would leave a hole in the log.
    event = decode_frame(
        '{"type":"event","channel":"#a","seq":1,"mid":"m","ts":0,"author":"\\u001b[31m",'
        '"kind":"message","text":"\\u0007"}'
    )
    assert isinstance(event, Event)
    assert event.text == "\x07"


@pytest.mark.parametrize("data", ['{"type":"heads"}', '{"type":"heads","heads":{"#a":-1}}'])
def test_a_known_type_that_breaks_its_rules_is_an_error_for_a_client(data: str) -> None:
    with pytest.raises(FrameError) as caught:
        decode_frame(data)
    assert caught.value.code is ErrorCode.INVALID


# Limits are the server's, not the models'


def test_the_limits_in_force_decide() -> None:
    data = encode(Send(channel="#general", text="x" * 20))
    assert refusal(data, Limits(text=10)).code is ErrorCode.TOO_LONG
    assert decode_command(data, Limits(text=20)).type == "send"


def test_without_limits_a_frame_may_be_as_long_as_it_likes() -> None:
    heads = Heads(heads={"#" + "x" * 1_000: 1})
    assert decode_frame(encode(heads)) == heads


# What a hostile frame costs


@pytest.mark.parametrize(
    "data",
    [
        '{"type":"ping",' + ",".join(f'"{i:x}":0' for i in range(7_000)) + "}",
        '{"type":"hello","v":1,"name":"a","resume":{'
        + ",".join(f'"{i:x}":0' for i in range(7_000))
        + "}}",
        json.dumps({"type": "join", "channel": "@" + "a," * 30_000}),
        json.dumps({"type": "send", "channel": "#a", "text": "\u0301" * 10_000}),
    ],
    ids=["unknown fields", "positions", "participants", "marks"],
)
def test_a_hostile_frame_costs_little_more_than_its_length(data: str) -> None:
    assert seconds(lambda: refusal(data), enough=0.03) < 0.03


def test_a_frame_with_thousands_of_faults_is_refused_as_a_whole() -> None:
    fields = {"type": "ping", "id": "7"} | {f"f{i}": 0 for i in range(FAULTS_MAX + 1)}
    error = refusal(json.dumps(fields))
    assert (error.code, error.field, error.id) == (ErrorCode.INVALID, None, "7")
    assert "101 errors" in error.message


@given(frames)
def test_a_frame_made_of_known_fields_is_the_same_frame(frame: ServerFrame) -> None:
    """`known` only leaves the looking out: the same model, the same fields on the wire in order."""
    given = {name: getattr(frame, name) for name in frame.model_fields_set}
    made = type(frame).known(**given)
    assert made == frame
    assert encode(made) == encode(frame)
    with pytest.raises(ValidationError):
        made.type = "other"  # type: ignore[assignment,misc]  # the point


thoroughly = settings(max_examples=30_000, suppress_health_check=list(HealthCheck))


@pytest.mark.long
@pytest.mark.timeout(1_200)
@thoroughly
@given(commands)
def test_thousands_of_commands_survive_the_wire(command: Command) -> None:
    assert decode_command(encode(command), Limits()) == command


@pytest.mark.long
@pytest.mark.timeout(1_200)
@thoroughly
@given(frames)
def test_thousands_of_frames_survive_the_wire(frame: ServerFrame) -> None:
    assert decode_frame(encode(frame)) == frame


@pytest.mark.long
@pytest.mark.timeout(1_200)
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
