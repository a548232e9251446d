"""Validation rules of each command."""

from __future__ import annotations

import json
from typing import Any

import pytest

from chat.errors import ErrorCode, FrameError
from chat.protocol.codec import decode_command, encode
from chat.protocol.commands import (
    Channels,
    Command,
    Hello,
    History,
    Join,
    Ping,
    React,
    ResumeFrom,
    Search,
    Send,
    SetStatus,
    Typing,
)
from chat.protocol.values import Limits
from tests.protocol.strategies import COMMANDS

LIMITS = Limits()
TOKEN = "t" * 32


def decode(**fields: Any) -> Command:
    return decode_command(json.dumps(fields), LIMITS)


def fault(**fields: Any) -> tuple[ErrorCode, str | None]:
    with pytest.raises(FrameError) as caught:
        decode(**fields)
    return caught.value.code, caught.value.field


def test_short_commands_get_defaults() -> None:
    assert decode(type="hello", v=1, name="alice") == Hello(v=1, name="alice")
    assert decode(type="join", channel="#general") == Join(channel="#general")
    assert decode(type="send", channel="#a", text="hi") == Send(channel="#a", text="hi")
    assert decode(type="history", channel="#a") == History(channel="#a", limit=50)
    assert decode(type="typing", channel="#a") == Typing(channel="#a", state="start")
    assert decode(type="status") == SetStatus(status="online")
    assert decode(type="channels") == Channels()
    assert decode(type="ping") == Ping()


def required(model: type[Any]) -> list[str]:
    return [name for name, field in model.model_fields.items() if field.is_required()]


@pytest.mark.parametrize(
    ("kind", "field"),
    [(model.model_fields["type"].default, name) for model in COMMANDS for name in required(model)],
)
def test_error_names_a_missing_required_field(kind: str, field: str) -> None:
    valid: dict[str, Any] = {
        "v": 1,
        "name": "alice",
        "channel": "#general",
        "text": "hi",
        "seq": 1,
        "emoji": "👍",
        "topic": "news",
        "thread": 1,
        "role": "moderator",
    }
    model = next(m for m in COMMANDS if m.model_fields["type"].default == kind)
    given = {name: valid[name] for name in required(model) if name != field}
    assert fault(type=kind, **given) == (ErrorCode.INVALID, field)
    assert decode(type=kind, **given, **{field: valid[field]}).type == kind


@pytest.mark.parametrize("model", COMMANDS)
def test_every_command_accepts_an_id(model: type[Any]) -> None:
    assert model.model_fields["id"].default is None


LONG = [
    ({"type": "hello", "v": 1, "name": "a" * 33}, "name"),
    ({"type": "hello", "v": 1, "name": "a", "token": "t" * 129}, "token"),
    ({"type": "hello", "v": 1, "name": "a", "client": "c" * 301}, "client"),
    ({"type": "join", "channel": "#" + "a" * 33}, "channel"),
    ({"type": "join", "channel": "#a", "resume": {"epoch": "e" * 65, "after": 0}}, "resume.epoch"),
    ({"type": "send", "channel": "#a", "text": "x" * 8_001}, "text"),
    ({"type": "send", "channel": "#a", "text": "x", "cid": "c" * 65}, "cid"),
    ({"type": "edit", "channel": "#a", "seq": 1, "text": "x" * 8_001}, "text"),
    ({"type": "react", "channel": "#a", "seq": 1, "emoji": "e" * 33}, "emoji"),
    ({"type": "topic", "channel": "#a", "topic": "t" * 301}, "topic"),
    ({"type": "who", "channel": "#a", "cursor": "c" * 301}, "cursor"),
]


@pytest.mark.parametrize(("fields", "field"), LONG)
def test_value_over_its_limit_is_too_long(fields: dict[str, Any], field: str) -> None:
    assert fault(**fields) == (ErrorCode.TOO_LONG, field)


@pytest.mark.parametrize(("fields", "field"), LONG)
def test_value_at_its_limit_is_accepted(fields: dict[str, Any], field: str) -> None:
    head, _, tail = field.partition(".")
    inside = fields[head]
    shorter = inside | {tail: inside[tail][:-1]} if tail else inside[:-1]
    decode(**fields | {head: shorter})


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"type": "hello", "v": "1", "name": "a"}, "v"),
        ({"type": "hello", "v": 1, "name": ""}, "name"),
        ({"type": "hello", "v": 1, "name": "zoë"}, "name"),
        ({"type": "hello", "v": 1, "name": "a", "token": "short"}, "token"),
        ({"type": "hello", "v": 1, "name": "a", "token": "t" * 31 + " "}, "token"),
        ({"type": "hello", "v": 1, "name": "a", "resume": {"a": {}}}, "resume.a"),
        ({"type": "join", "channel": "general"}, "channel"),
        ({"type": "join", "channel": "@alice"}, "channel"),
        ({"type": "join", "channel": "#a", "resume": {"epoch": "", "after": 0}}, "resume.epoch"),
        ({"type": "join", "channel": "#a", "resume": {"epoch": "e", "after": -1}}, "resume.after"),
        ({"type": "send", "channel": "#a", "text": ""}, "text"),
        ({"type": "send", "channel": "#a", "text": "\x07"}, "text"),
        ({"type": "send", "channel": "#a", "text": "\x85"}, "text"),
        ({"type": "send", "channel": "#a", "text": "x\r\n"}, "text"),
        ({"type": "send", "channel": "#a", "text": "x", "cid": ""}, "cid"),
        ({"type": "send", "channel": "#a", "text": "x", "cid": "a\nb"}, "cid"),
        ({"type": "send", "channel": "#a", "text": "x", "reply_to": 0}, "reply_to"),
        ({"type": "send", "channel": "#a", "text": "x", "me": 1}, "me"),
        ({"type": "delete", "channel": "#a", "seq": 0}, "seq"),
        ({"type": "react", "channel": "#a", "seq": 1, "emoji": ""}, "emoji"),
        ({"type": "history", "channel": "#a", "limit": 0}, "limit"),
        ({"type": "history", "channel": "#a", "limit": 1_001}, "limit"),
        ({"type": "history", "channel": "#a", "before": 0}, "before"),
        ({"type": "history", "channel": "#a", "before": 1, "after": 0}, None),
        ({"type": "typing", "channel": "#a", "state": "maybe"}, "state"),
        ({"type": "status", "status": "offline"}, "status"),
        ({"type": "topic", "channel": "#a", "topic": "two\nlines"}, "topic"),
        ({"type": "topic", "channel": "#a", "topic": "two\u2028lines"}, "topic"),
        *(
            ({**fields, field: blank}, field)
            for blank in (
                " ",
                "\n\t ",
                "\u200b",
                "\u2060\ufeff",
                "\u202e",
                "\u3164",
                "\u00a0\u2003",
            )
            for fields, field in (
                ({"type": "send", "channel": "#a"}, "text"),
                ({"type": "edit", "channel": "#a", "seq": 1}, "text"),
                ({"type": "react", "channel": "#a", "seq": 1}, "emoji"),
                ({"type": "topic", "channel": "#a"}, "topic"),
            )
        ),
        ({"type": "react", "channel": "#a", "seq": 1, "emoji": "\u200d\ufe0f"}, "emoji"),
    ],
)
def test_invalid_value_names_its_field(fields: dict[str, Any], field: str | None) -> None:
    assert fault(**fields) == (ErrorCode.INVALID, field)


@pytest.mark.parametrize(
    ("sent", "taken"),
    [("❤", "❤️"), ("❤\ufe0e", "❤️"), ("👍\u200b ", "👍"), ("e\u0301", "é"), ("1\u20e3", "1️⃣")],
)
def test_reactions_that_look_the_same_are_equal(sent: str, taken: str) -> None:
    command = decode(type="react", channel="#a", seq=1, emoji=sent)
    assert isinstance(command, React)
    assert command.emoji == taken


def test_text_may_have_line_breaks_tabs_and_any_script() -> None:
    text = "first\n\tsecond 日本語 עברית 🤷🏽\u200d♀️"
    command = decode(type="send", channel="#a", text=text)
    assert isinstance(command, Send)
    assert command.text == text


def test_empty_topic_is_accepted() -> None:
    assert decode(type="topic", channel="#a", topic="").type == "topic"


def test_direct_channel_names_are_sorted() -> None:
    command = decode(type="send", channel="@carol,alice,bob", text="x")
    assert isinstance(command, Send)
    assert command.channel == "@alice,bob,carol"


def test_history_after_zero_is_accepted() -> None:
    assert decode(type="history", channel="#a", after=0) == History(channel="#a", after=0)


def test_hello_accepts_positions() -> None:
    resume = {"#a": {"epoch": "e", "after": 7, "mid": "m7"}, "@b,a": {"epoch": "f", "after": 0}}
    command = decode(type="hello", v=1, name="a", token=TOKEN, resume=resume)
    assert isinstance(command, Hello)
    assert command.resume == {
        "#a": ResumeFrom(epoch="e", after=7, mid="m7"),
        "@a,b": ResumeFrom(epoch="f", after=0),
    }


@pytest.mark.parametrize(("channels", "most"), [(1, 500), (700, 1_400)])
def test_hello_accepts_at_most_as_many_positions_as_welcome_lists(channels: int, most: int) -> None:
    def hello(count: int) -> str:
        positions = {f"#c{i}": {"epoch": "e", "after": 0} for i in range(count)}
        return json.dumps({"type": "hello", "v": 1, "name": "a", "resume": positions})

    limits = Limits(channels=channels)
    assert decode_command(hello(most), limits).type == "hello"
    with pytest.raises(FrameError) as caught:
        decode_command(hello(most + 1), limits)
    assert (caught.value.code, caught.value.field) == (ErrorCode.TOO_LONG, "resume")


@pytest.mark.parametrize("version", [0, 2, 10**30])
def test_hello_with_any_protocol_version_is_decoded(version: int) -> None:
    command = decode(type="hello", v=version, name="a")
    assert isinstance(command, Hello)
    assert command.v == version


def test_search_author_field_is_named_from() -> None:
    asked = decode(type="search", **{"from": "alice"})
    assert asked == Search(author="alice", query="", limit=20)
    assert b'"from":"alice"' in encode(asked)
