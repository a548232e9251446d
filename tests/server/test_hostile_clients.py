"""Hostile clients: typed errors or close codes, and no effect on other clients."""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import re
import socket
import time
import zlib
from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path
from typing import Any

import pytest

from chat.protocol.codec import encode
from chat.protocol.commands import Edit, Hello, History, Mark, React, Send
from chat.protocol.items import Event
from tests.latency import Waits
from tests.server.byhand import (
    BINARY,
    CLOSE,
    CONTINUE,
    PING,
    TEXT,
    ByHand,
    frame,
    request,
    unharmed,
)
from tests.serving import PATIENCE, ChatServer, Peer

FRAME = 1 << 18
"""Bytes of one frame: enough for 100,000 levels of nesting."""
FLAGS = (
    *("--limits.frame", str(FRAME), "--close-timeout", "0.5", "--write-timeout", "60"),
    *("--limits.rate", "100000", "--limits.burst", "100000"),
)
ROUNDS = 5
"""Maximum rounds of each load, until one is not disturbed by the machine."""
DEEP = 100_000
HUGE = 100 << 20
PROTOCOL_ERROR, INVALID, TOO_BIG = 1002, 1007, 1009

Bytes = Callable[[], Iterator[bytes]]
Load = Callable[[], object]


def once(data: bytes) -> Bytes:
    """Return an attack that sends `data` once."""
    return lambda: iter([data])


def text(payload: str) -> Bytes:
    """Send one text."""
    return once(frame(TEXT, payload))


def send(value: str) -> Bytes:
    """Send a text command whose field `text` is this JSON."""
    return text(f'{{"type":"send","channel":"#general","text":{value}}}')


def mark(value: str) -> Bytes:
    """Send a number in this notation."""
    return text(f'{{"type":"mark","channel":"#general","seq":{value}}}')


def hundred_megabytes() -> Iterator[bytes]:
    """Announce 100 MB, and send as much of it as is accepted."""
    yield frame(TEXT, b"", length=HUGE)
    yield from itertools.repeat(bytes(1 << 16), HUGE >> 16)


def fragments(size: int) -> Bytes:
    """Never end a message."""

    def endless() -> Iterator[bytes]:
        yield frame(TEXT, "{", fin=False)
        one = frame(CONTINUE, b" " * size, fin=False)
        many = one * (
            1 + (1 << 16) // len(one)
        )  # in one piece, so that this process is no bottleneck
        yield from itertools.repeat(many, HUGE // len(many))

    return endless


@cache
def squeezed() -> bytes:
    """Return a small text that permessage-deflate would expand to 100 MB (RFC 7692)."""
    squeeze = zlib.compressobj(wbits=-15)
    parts = [squeeze.compress(bytes(1 << 20)) for _ in range(HUGE >> 20)]
    return b"".join([*parts, squeeze.flush(zlib.Z_SYNC_FLUSH)])


def bomb() -> Iterator[bytes]:
    """Send data that would take much more memory than it seems to."""
    yield frame(TEXT, squeezed().removesuffix(b"\x00\x00\xff\xff"), rsv=4)


ANSWERED: dict[str, tuple[Bytes, str]] = {
    "lists 100,000 deep": (text("[" * DEEP), "malformed"),
    "objects 50,000 deep": (text('{"":' * (DEEP // 2)), "malformed"),
    "a field 100,000 deep": (send("[" * DEEP + "]" * DEEP), "malformed"),
    "a number of 100,000 digits": (mark("9" * DEEP), "malformed"),
    "a number of 30 digits": (mark("9" * 30), "invalid"),
    "a number with an exponent": (mark("1e400"), "invalid"),
    "NaN": (mark("NaN"), "invalid"),
    "minus infinity": (mark("-Infinity"), "invalid"),
    "a lone surrogate": (send(r'"\ud800"'), "malformed"),
    "surrogates in the wrong order": (send(r'"\udc00\ud800"'), "malformed"),
    "a control character": (send(r'"\u001b[2J"'), "invalid"),
    "a key twice": (text('{"type":"ping","type":"nope"}'), "unknown_type"),
    "no object": (text("[]"), "malformed"),
    "nothing": (text(""), "malformed"),
    "a text of 200,000 characters": (send(json.dumps("x" * 200_000)), "too_long"),
    "20,000 unknown fields": (
        text('{"type":"ping",' + ",".join(f'"{n}":0' for n in range(20_000)) + "}"),
        "invalid",
    ),
    "bytes": (once(frame(BINARY, b"\x00" * 1_000)), "malformed"),
    "a second hello": (text('{"type":"hello","v":1,"name":"other"}'), "already_signed_in"),
}
"""Inputs that are answered with an error of this code; the connection stays open."""

CLOSED: dict[str, tuple[Bytes, int]] = {
    "invalid UTF-8": (once(frame(TEXT, b"\xff\xfe")), INVALID),
    "a surrogate in UTF-8": (once(frame(TEXT, b'{"type":"\xed\xa0\x80"}')), INVALID),
    "UTF-8 cut at the end of a fragment, and left so": (
        once(frame(TEXT, b"\xc3", fin=False) + frame(CONTINUE, b"")),
        INVALID,
    ),
    "100 MB": (hundred_megabytes, TOO_BIG),
    "2^62 bytes": (once(frame(TEXT, b"", length=1 << 62)), TOO_BIG),
    "endless empty fragments": (fragments(0), TOO_BIG),
    "endless large fragments": (fragments(60_000), TOO_BIG),
    "a compression bomb": (bomb, PROTOCOL_ERROR),
    "an unknown opcode": (once(frame(0x3, "x")), PROTOCOL_ERROR),
    "no mask": (once(frame(TEXT, "{}", masked=False)), PROTOCOL_ERROR),
    "a ping in fragments": (once(frame(PING, "x", fin=False)), PROTOCOL_ERROR),
    "a ping of 126 bytes": (once(frame(PING, "x" * 126)), PROTOCOL_ERROR),
    "a fragment of nothing": (once(frame(CONTINUE, "x")), PROTOCOL_ERROR),
    "a text within a text": (
        once(frame(TEXT, "{", fin=False) + frame(TEXT, "{}")),
        PROTOCOL_ERROR,
    ),
    "a close code that must not be sent": (
        once(frame(CLOSE, (1005).to_bytes(2))),
        PROTOCOL_ERROR,
    ),
}
"""Inputs that end the connection with this close code."""

AT_THE_DOOR: dict[str, bytes] = {
    "a TLS handshake": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(600),
    "noise": random.Random(1).randbytes(10_000),
    "a line without an end": b"GET /" + b"x" * (1 << 20),
    "a header without an end": request()[:-4] + b"\r\nX: " + b"x" * (1 << 20),
    "10,000 headers": request()[:-2] + b"X: y\r\n" * 10_000 + b"\r\n",
    "a body": request("/", "Content-Length: 1000000000") + bytes(1 << 20),
    "another version": request().replace(b"Version: 13", b"Version: 7"),
    "no key": request().replace(b"Sec-WebSocket-Key: ", b"X-Key: "),
}
"""Invalid handshakes."""

_names = itertools.count()


@pytest.fixture(scope="module")
def tried(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ChatServer]:
    """Return a server for all tests of this module; at their end it must hold no resources."""
    with unharmed(tmp_path_factory.mktemp("tried") / "data", *FLAGS) as server:
        yield server


def answers(server: ChatServer, attack: Bytes) -> dict[str, Any] | int | None:
    """Sign in and send; return the error or the close code of the server."""
    with ByHand.connected(server) as client:
        client.hello(f"eve{next(_names)}")
        for data in attack():
            if not client.send(data):
                break
        found = client.answer("error")
        if isinstance(found, dict):
            client.send(frame(TEXT, '{"type":"ping","id":"still there"}'))
            assert client.expect("ok")["id"] == "still there"
        return found


@pytest.mark.parametrize("what", ANSWERED)
def test_answerable_frames_get_a_typed_error(tried: ChatServer, what: str) -> None:
    attack, code = ANSWERED[what]
    error = answers(tried, attack)
    assert isinstance(error, dict), error
    assert error["code"] == code
    assert len(error["message"]) < 500


@pytest.mark.parametrize("what", CLOSED)
def test_protocol_violations_are_closed_with_their_code(tried: ChatServer, what: str) -> None:
    attack, code = CLOSED[what]
    # A client that keeps sending after a close may lose the code: TCP drops unread data.
    assert answers(tried, attack) in ((code, None) if attack is hundred_megabytes else (code,))


@pytest.mark.parametrize("what", AT_THE_DOOR)
def test_invalid_handshakes_are_refused(tried: ChatServer, what: str) -> None:
    assert not knocks(tried, AT_THE_DOOR[what]).startswith(b"HTTP/1.1 101")


def knocks(server: ChatServer, data: bytes) -> bytes:
    """Send data instead of a handshake; return the server's answer."""
    with socket.create_connection(("127.0.0.1", server.port), PATIENCE) as raw:
        try:
            raw.sendall(data)
            raw.shutdown(socket.SHUT_WR)
            return b"".join(iter(lambda: raw.recv(4_096), b""))
        except OSError:
            return b""


def test_commands_before_hello_are_refused_one_by_one(tried: ChatServer) -> None:
    with ByHand.connected(tried) as client:
        for command in ("ping", "channels", "who", "send", "history", "mark"):
            client.send(frame(TEXT, json.dumps({"type": command, "channel": "#general"})))
        codes = {client.expect("error")["code"] for _ in range(6)}
        assert codes == {"not_signed_in", "invalid"}
        client.hello(f"eve{next(_names)}")


def test_compression_is_never_negotiated(tried: ChatServer) -> None:
    with ByHand.connected(
        tried, "/", "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits"
    ) as client:
        assert b"101" in client.handshake
        assert b"extensions" not in client.handshake.lower()


def damaged(chance: random.Random) -> bytes:
    """Return a command with some changed bytes; sometimes its frame is damaged as well."""
    command = chance.choice(
        [
            Hello(v=1, name="eve"),
            Send(channel="#general", text="žluťoučký kůň 🎉", reply_to=1, cid="c"),
            Edit(channel="#general", seq=1, text="x"),
            React(channel="#general", seq=1, emoji="👍"),
            History(channel="#general", before=3),
            Mark(channel="#general", seq=1),
        ]
    )
    data = bytearray(encode(command))
    for _ in range(chance.randrange(1, 5)):
        data[chance.randrange(len(data))] = chance.randrange(256)
    sent = bytearray(frame(TEXT, bytes(data)))
    if chance.random() < 0.1:
        sent[chance.randrange(len(sent))] = chance.randrange(256)
    return bytes(sent)


def test_damaged_commands_are_answered_or_end_the_connection(tried: ChatServer) -> None:
    chance = random.Random(5)
    for _ in range(60):
        with ByHand.connected(tried) as client:
            client.hello(f"eve{next(_names)}")
            client.send(b"".join(damaged(chance) for _ in range(40)))
            client.send(frame(TEXT, '{"type":"ping","id":"end"}') + frame(CLOSE))
            assert client.answer() in (None, 0, PROTOCOL_ERROR, INVALID, TOO_BIG)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="Linux tells the peak")
@pytest.mark.promise(
    5,
    fault="100,000 levels, huge numbers, NaN, lone surrogates, keys twice, 100 MB, endless "
    "fragments, compression bombs, bytes for text, a second `hello`, broken frames and handshakes, "
    "again and again",
    result="a typed error or the right close code each time; the server's memory is flat, the "
    "others' latency unmoved",
)
async def test_hostile_clients_do_not_slow_others_down(
    start_server: Callable[..., ChatServer],
) -> None:
    server = start_server(*FLAGS)
    attacks = [attack for attack, _ in (*ANSWERED.values(), *CLOSED.values())]
    loads: list[tuple[Load, Load]] = [  # once before, so that everything is loaded and cached
        (partial(commands, server, volume_of(server, attack)), partial(answers, server, attack))
        for attack in attacks
    ]
    loads += [
        (partial(commands, server, len(data)), partial(knocks, server, data))
        for data in AT_THE_DOOR.values()
    ]
    async with Peer.signed_in(server.url, "alice") as alice, Peer.signed_in(server.url, "bob") as b:
        for peer in (alice, b):
            await peer.join("#general")
        occupied = peak(server)
        waits = Waits(len(loads))
        for _ in range(ROUNDS):
            for number, pair in enumerate(loads):
                waits.note(number, *[await longest_wait(alice, b, load) for load in pair])
            if waits.are_unmoved:
                break
        assert waits.are_unmoved, waits.figures()
        assert peak(server) - occupied < 32 * FRAME
    assert "Traceback" not in server.text


def volume_of(server: ChatServer, attack: Bytes) -> int:
    """Attack; return the number of bytes sent."""
    sizes: list[int] = []

    def noted() -> Iterator[bytes]:
        for data in attack():
            sizes.append(len(data))
            yield data

    answers(server, noted)
    return sum(sizes)


def commands(server: ChatServer, volume: int) -> None:
    """Sign in, send as many bytes in valid commands, and wait for all answers."""
    sizes = [FRAME // 2] * (volume // (FRAME // 2)) + [volume % (FRAME // 2)]
    with ByHand.connected(server) as client:
        client.hello(f"eve{next(_names)}")
        for size in sizes:
            client.send(frame(TEXT, '{"type":"ping"'.ljust(size) + "}"))
            client.expect("ok")


async def longest_wait(speaker: Peer, listener: Peer, load: Load) -> float:
    """Let two users talk under a load; return the longest time that one waited for the other."""
    loading = asyncio.create_task(asyncio.to_thread(load))
    longest = 0.0
    while not loading.done():
        longest = max(longest, await round_trip(speaker, listener))
    await loading
    return longest


def peak(server: ChatServer) -> int:
    """Return the peak memory of the server in bytes."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{server.pid}/status").read_text())
    assert found is not None
    return int(found[1]) * 1024


async def round_trip(speaker: Peer, listener: Peer) -> float:
    """Return the seconds from sending a message until another user receives it."""
    began = time.perf_counter()
    said = await speaker.say("x")
    await listener.next(Event, lambda event: event.seq == said.seq)
    return time.perf_counter() - began
