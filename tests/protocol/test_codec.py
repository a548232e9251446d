"""The codec and its JSON Schema: round trips, and errors for invalid input."""

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
    """Return the error for `data`, which must be refused."""
    with pytest.raises(FrameError) as caught:
        decode_command(data, limits)
    return caught.value


def assert_understood_or_refused(data: str | bytes) -> None:
    """Check that `data` is a command or causes a printable error."""
    try:
        decode_command(data, LIMITS)
    except FrameError as error:
        refused = error
    else:
        return
    assert printable_line(refused.message) == refused.message
    assert refused.field is None or printable_line(refused.field) == refused.field


# Round trips


@given(commands)
def test_every_command_round_trips(command: Command) -> None:
    assert decode_command(encode(command), LIMITS) == command


@given(frames)
def test_every_frame_round_trips(frame: ServerFrame) -> None:
    assert decode_frame(encode(frame)) == frame


@given(st.one_of(commands, frames))
def test_frame_is_one_line_of_utf8_without_empty_default_fields(
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


def test_text_and_bytes_decode_to_the_same_command() -> None:
    data = '{"type":"send","channel":"#general","text":"žluť 🎉"}'
    assert decode_command(data, LIMITS) == decode_command(data.encode(), LIMITS)


def test_type_is_the_first_field() -> None:
    event = Event(channel="#a", seq=1, mid="m", ts=0, author="a", kind="message", text="x")
    assert encode(event).startswith(b'{"type":"event","channel":"#a","seq":1,')


# Malformed frames


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
def test_data_other_than_one_json_object_is_malformed(data: str | bytes) -> None:
    error = refusal(data)
    assert error.code is ErrorCode.MALFORMED
    assert (error.id, error.field) == (None, None)
    assert "Invalid JSON: " not in error.message
    with pytest.raises(FrameError):
        decode_frame(data)


@given(st.one_of(st.binary(), st.text(st.characters(exclude_categories=()))))
@example(b"\x00")
def test_any_data_is_a_command_or_a_frame_error(data: str | bytes) -> None:
    assert_understood_or_refused(data)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@given(commands, st.data())
def test_command_with_any_field_value_is_a_command_or_a_frame_error(
    command: Command, data: st.DataObject
) -> None:
    fields = json.loads(encode(command))
    name = data.draw(st.sampled_from(sorted(fields)) | st.text())
    fields[name] = data.draw(json_values)
    assert_understood_or_refused(json.dumps(fields))


# The error's code, field and id


@pytest.mark.parametrize("data", ["{}", '{"id":"7"}', '{"type":"nope"}', '{"type":1}'])
def test_error_of_an_unknown_or_missing_type_names_the_type_field(data: str) -> None:
    error = refusal(data)
    assert error.code is ErrorCode.UNKNOWN_TYPE
    assert error.field == "type"


def test_frame_of_a_server_is_not_a_command() -> None:
    assert refusal('{"type":"welcome"}').code is ErrorCode.UNKNOWN_TYPE


@pytest.mark.parametrize("id_", ["7", "", "é\u00a0日", "x" * 64])
@pytest.mark.parametrize("rest", ['"type":"nope"', '"type":"ping","x":1', '"type":"join"'])
def test_error_has_the_id_of_the_command(id_: str, rest: str) -> None:
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
def test_error_has_the_id_of_a_frame_with_invalid_json(rest: str) -> None:
    data = f'{{"type":"send", "id" : "s1","channel":"#a",{rest}}}'
    for each in (data, data.encode()):
        error = refusal(each)
        assert error.id == "s1"
        assert error.code in (ErrorCode.MALFORMED, ErrorCode.INVALID)
    inner = f'{{"type":"send","channel":{{"id":"s1"}},{rest}}}'
    assert refusal(inner).id is None


def test_id_after_an_unreadable_value_is_found() -> None:
    assert refusal(r'{"type":"send","text":"cut \ud83d","id":"s1"}').id == "s1"


@pytest.mark.parametrize(
    "id_", ['"' + "x" * 65 + '"', '"\\u001b"', '"a\\u2028"', "5", "null", "{}"]
)
def test_invalid_id_is_not_echoed(id_: str) -> None:
    assert refusal(f'{{"type":"nope","id":{id_}}}').id is None


def test_error_of_a_long_id_names_the_id_field() -> None:
    error = refusal(json.dumps({"type": "ping", "id": "x" * 65}))
    assert (error.code, error.field, error.id) == (ErrorCode.TOO_LONG, "id", None)


def test_error_message_is_plain_english() -> None:
    assert refusal('{"type":"ping","x":1}').message == "ping.x: unknown field"
    assert refusal('{"type":"join"}').message == "join.channel: is missing"


def test_nested_fault_is_named_by_its_path() -> None:
    resume = '{"#a":{"epoch":"e","after":-1}}'
    error = refusal(f'{{"type":"hello","v":1,"name":"a","resume":{resume}}}')
    assert error.field == "resume.#a.after"


def test_error_shows_an_unknown_field_without_control_characters() -> None:
    error = refusal(r'{"type":"ping","\u001b]0;x\u0007\u202e":1}')
    assert error.field == "␛]0;x␇<U+202E>"
    assert error.message.isprintable()


def test_error_shortens_a_long_unknown_field() -> None:
    error = refusal(json.dumps({"type": "ping", "k" * 60_000: 1}))
    assert error.field is not None
    assert len(error.field) == FIELD_MAX
    assert len(error.message) < 2 * FIELD_MAX


# Numbers


@pytest.mark.parametrize("seq", ["NaN", "Infinity", "-Infinity", "1.0", "1e3", "true", '"1"', "[]"])
def test_seq_that_is_not_an_integer_is_refused(seq: str) -> None:
    error = refusal(f'{{"type":"mark","channel":"#a","seq":{seq},"id":"7"}}')
    assert (error.code, error.field) == (ErrorCode.INVALID, "seq")


@pytest.mark.parametrize("seq", [0, -1, 2**53, 2**64, 10**50])
def test_seq_out_of_range_is_refused(seq: int) -> None:
    error = refusal(f'{{"type":"mark","channel":"#a","seq":{seq},"id":"7"}}')
    assert (error.code, error.field, error.id) == (ErrorCode.INVALID, "seq", "7")


@pytest.mark.parametrize("seq", [1, 2**53 - 1])
def test_largest_exact_json_integers_are_accepted(seq: int) -> None:
    command = decode_command(f'{{"type":"mark","channel":"#a","seq":{seq}}}', LIMITS)
    assert command == Mark(channel="#a", seq=seq)


def test_last_of_duplicate_keys_is_used() -> None:
    assert decode_command('{"type":"nope","type":"ping","id":"a","id":"b"}', LIMITS) == Ping(id="b")
    assert refusal('{"type":"ping","type":"nope","id":"a","id":"b"}').id == "b"


# Differences between the two directions


def test_server_refuses_unknown_fields() -> None:
    error = refusal('{"type":"ping","id":"7","colour":"red"}')
    assert (error.code, error.field, error.id) == (ErrorCode.INVALID, "colour", "7")


@given(frames)
def test_client_ignores_unknown_fields(frame: ServerFrame) -> None:
    fields = json.loads(encode(frame)) | {"since_version_2": {"x": [1]}}
    assert decode_frame(json.dumps(fields)) == frame


def test_client_ignores_nested_unknown_fields() -> None:
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


def test_client_ignores_unknown_types() -> None:
    assert decode_frame('{"type":"sticker","x":1}') is None


def test_client_accepts_unknown_kinds_roles_and_presences() -> None:
    event = decode_frame(
        '{"type":"event","channel":"#a","seq":1,"mid":"m","ts":0,"author":"a","kind":"poll"}'
    )
    assert isinstance(event, Event)
    assert event.kind == "poll"


def test_client_accepts_text_that_a_server_would_refuse() -> None:
    # The text is sanitized when it is shown; refusing it would leave a gap in the log.
    event = decode_frame(
        '{"type":"event","channel":"#a","seq":1,"mid":"m","ts":0,"author":"\\u001b[31m",'
        '"kind":"message","text":"\\u0007"}'
    )
    assert isinstance(event, Event)
    assert event.text == "\x07"


@pytest.mark.parametrize("data", ['{"type":"heads"}', '{"type":"heads","heads":{"#a":-1}}'])
def test_client_refuses_an_invalid_frame_of_a_known_type(data: str) -> None:
    with pytest.raises(FrameError) as caught:
        decode_frame(data)
    assert caught.value.code is ErrorCode.INVALID


# Limits of the server


def test_commands_are_checked_against_the_given_limits() -> None:
    data = encode(Send(channel="#general", text="x" * 20))
    assert refusal(data, Limits(text=10)).code is ErrorCode.TOO_LONG
    assert decode_command(data, Limits(text=20)).type == "send"


def test_client_accepts_frames_of_any_length() -> None:
    heads = Heads(heads={"#" + "x" * 1_000: 1})
    assert decode_frame(encode(heads)) == heads


# The cost of hostile frames


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
def test_cost_of_a_hostile_frame_is_proportional_to_its_length(data: str) -> None:
    assert seconds(lambda: refusal(data), enough=0.03) < 0.03


def test_frame_with_thousands_of_faults_is_refused() -> None:
    fields = {"type": "ping", "id": "7"} | {f"f{i}": 0 for i in range(FAULTS_MAX + 1)}
    error = refusal(json.dumps(fields))
    assert (error.code, error.field, error.id) == (ErrorCode.INVALID, None, "7")
    assert "101 errors" in error.message


@given(frames)
def test_frame_created_by_known_equals_a_validated_frame(frame: ServerFrame) -> None:
    """`known` only skips validation: same model, same fields on the wire, same order."""
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
def test_thousands_of_commands_round_trip(command: Command) -> None:
    assert decode_command(encode(command), Limits()) == command


@pytest.mark.long
@pytest.mark.timeout(1_200)
@thoroughly
@given(frames)
def test_thousands_of_frames_round_trip(frame: ServerFrame) -> None:
    assert decode_frame(encode(frame)) == frame


@pytest.mark.long
@pytest.mark.timeout(1_200)
@thoroughly
@given(commands, st.data())
def test_damaged_command_is_a_command_or_a_frame_error(
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


def test_schema_is_valid() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    assert json.loads(json.dumps(SCHEMA)) == SCHEMA


def test_schema_has_a_definition_for_every_type() -> None:
    for union, direction in ((COMMANDS, "command"), (FRAMES, "frame")):
        mapping: dict[str, str] = SCHEMA[direction]["discriminator"]["mapping"]
        assert mapping == {
            model.model_fields["type"].default: f"#/$defs/{model.__name__}" for model in union
        }
        assert all(model.__name__ in SCHEMA["$defs"] for model in union)


@pytest.mark.parametrize(("name", "block"), SENT)
def test_example_commands_match_the_schema(name: str, block: str) -> None:
    COMMAND.validate(json.loads(block))
    EITHER.validate(json.loads(block))


@pytest.mark.parametrize(("name", "block"), RECEIVED)
def test_example_frames_match_the_schema(name: str, block: str) -> None:
    FRAME.validate(json.loads(block))
    EITHER.validate(json.loads(block))


@given(commands)
def test_every_encoded_command_matches_the_schema(command: Command) -> None:
    COMMAND.validate(json.loads(encode(command)))


@given(frames)
def test_every_encoded_frame_matches_the_schema(frame: ServerFrame) -> None:
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
def test_commands_of_the_wrong_shape_do_not_match_the_schema(broken: dict[str, Any]) -> None:
    assert not COMMAND.is_valid(broken)


def test_schema_allows_new_fields_in_frames() -> None:
    assert FRAME.is_valid({"type": "bye", "reason": "", "reconnect": 1, "since_version_2": 1})
