"""The log: text or JSON, a line per connection, no texts or secrets, no control characters."""

from __future__ import annotations

import json
import logging
import re
import secrets
import socket
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import datetime
from typing import Any

import pytest

from chat.protocol import PROTOCOL_VERSION
from chat.protocol.commands import CreateLink, Edit, Hello, Search, Send, SetPassword, SetTopic
from chat.protocol.frames import ErrorFrame, LinkCode, Results
from chat.server.monitoring.logs import JsonFormatter, LogFormat, TextFormatter, fields
from tests.serving import PATIENCE, ChatServer, Peer

FORMATS: tuple[LogFormat, ...] = ("text", "json")
HOSTILE = "x\x1b[2J\n2026-11-30 12:00:00,000 INFO chat: forged\r\u202e\x9b\u2028"


def record(message: str, error: BaseException | None = None) -> logging.LogRecord:
    """Return a record of a warning."""
    cause = None if error is None else (type(error), error, error.__traceback__)
    return logging.LogRecord("chat.x", logging.WARNING, "x.py", 1, message, (), cause)


def failure(message: str) -> BaseException:
    """Return an exception with a traceback."""
    try:
        raise ValueError(message)
    except ValueError as error:
        return error


def json_lines(server: ChatServer) -> list[dict[str, Any]]:
    """Return the log of a server; every line must be JSON, apart from those of the start."""
    lines = server.text.splitlines()
    begin = next(at for at, line in enumerate(lines) if line.startswith("  stop ")) + 1
    return [json.loads(line) for line in lines[begin:]]


def test_a_line_of_text_has_time_level_logger_and_message() -> None:
    line = TextFormatter().format(record("the disk is full"))
    assert re.fullmatch(r"\d{4}-\d\d-\d\d [\d:,]{12} WARNING chat\.x: the disk is full", line)


def test_a_line_of_json_has_stable_fields_and_time_in_utc() -> None:
    made = record("bye", failure("wrong"))
    vars(made).update(fields(event="connection_closed", code=1001))
    line = json.loads(JsonFormatter().format(made))
    assert list(line) == ["time", "level", "logger", "message", "event", "code", "exception"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line["time"])
    assert abs(datetime.fromisoformat(line["time"]).timestamp() - made.created) < 0.002
    assert (line["level"], line["logger"], line["message"]) == ("warning", "chat.x", "bye")
    assert line["exception"].endswith("ValueError: wrong")


@pytest.mark.parametrize("formatter", [TextFormatter(), JsonFormatter()], ids=FORMATS)
def test_text_from_outside_controls_no_terminal_and_begins_no_line(
    formatter: logging.Formatter,
) -> None:
    written = formatter.format(record(HOSTILE, failure(HOSTILE)))
    whole = " ".join(map(str, json.loads(written).values())) if written[0] == "{" else written
    for text in (written, whole):
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2028\u2029]", text)
    if isinstance(formatter, TextFormatter):
        first, *others = written.split("\n")
        assert "forged" in first
        assert all(line.startswith("    ") for line in others)


@pytest.mark.feature("server.log")
@pytest.mark.parametrize("form", FORMATS)
async def test_nothing_that_users_write_is_logged(
    start_server: Callable[..., ChatServer], form: LogFormat
) -> None:
    server = start_server("--log-level", "debug", "--log-format", form)
    texts = [f"{kind}-{secrets.token_hex(8)}" for kind in ("text", "edit", "topic", "lost", "bad")]
    password, wrong = f"pw-{secrets.token_hex(8)}", f"wrong-{secrets.token_hex(8)}"
    async with Peer.signed_in(server.url, "alice") as alice:
        await alice.join("#tea")
        sent = await alice.say(texts[0], "#tea")
        assert sent.seq is not None
        await alice.call(Edit(channel="#tea", seq=sent.seq, text=texts[1]))
        await alice.call(SetTopic(channel="#tea", topic=texts[2]))
        await alice.call(Search(query=texts[1]), Results)
        await alice.call(SetPassword(password=password))
        link = await alice.call(CreateLink(), LinkCode)
        proofs: tuple[dict[str, Any], ...] = (
            {"password": wrong},
            {"link": "AAAAA-AAAAA"},
            {"token": wrong * 3},
        )
        for proof in proofs:
            async with Peer.connect(server.url) as eve:
                await eve.call(Hello(v=PROTOCOL_VERSION, name="alice", **proof), ErrorFrame)
        async with Peer.connect(server.url) as rude:
            await rude.send_raw('{"type": "send", "text": "' + texts[4] + HOSTILE)
            await rude.send_raw(texts[4].encode() + b"\xff")
            await rude.call(Hello(v=PROTOCOL_VERSION, name="bob", link=link.code), ErrorFrame)
            await rude.socket.close(1000, f"{texts[4]}\x1b[2J")
        with closing(sqlite3.connect(server.data / "chat.db", timeout=PATIENCE)) as other:
            other.execute("ALTER TABLE events RENAME TO away")
            other.commit()
            await alice.call(Send(channel="#tea", text=texts[3]), ErrorFrame)
            other.execute("ALTER TABLE away RENAME TO events")
            other.commit()
        token = alice.token
    with socket.create_connection(("127.0.0.1", server.port), PATIENCE) as raw:
        raw.sendall(b"GET /\x1b[2J HTTP/1.1\r\nHost: x\r\nOrigin: http://\x1b[2J\r\n\r\n")
        assert raw.recv(64).startswith(b"HTTP/1.1 4")
    assert server.stop() == 0
    assert "an operation failed: SendMessage" in server.text
    for secret in (*texts, password, wrong, token, link.code, link.code.replace("-", "")):
        assert secret not in server.text, secret
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f]", server.text)
    if form == "json":
        assert json_lines(server)


@pytest.mark.feature("server.log")
async def test_the_end_of_a_connection_is_one_line(start_server: Callable[..., ChatServer]) -> None:
    server = start_server("--log-format", "json")
    async with Peer.signed_in(server.url, "alice") as alice:
        await alice.join("#tea")
        await alice.say("one", "#tea")
    async with Peer.connect(server.url) as silent:
        silent.socket.transport.abort()
    server.get("/healthz")  # no WebSocket, no line
    async with Peer.signed_in(server.url, "bob"):
        assert server.stop() == 0
    ends = [line for line in json_lines(server) if line.get("event") == "connection_closed"]
    assert [(line["user"], line["code"], line["by"], line["frames"]) for line in ends] == [
        ("alice", 1000, "client", 3),
        (None, None, None, 0),
        ("bob", 1001, "server", 1),
    ]
    assert {line["address"] for line in ends} == {"127.0.0.1"}
    assert {line["level"] for line in ends} == {"info"}
    assert 0 < ends[0]["seconds"] < PATIENCE
    assert ends[2]["reason"] == "the server is stopping"
