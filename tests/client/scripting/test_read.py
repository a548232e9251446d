"""`chat-client tail` and `export`: every seq once, in order, across crashes and reconnects."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
from collections.abc import Callable
from typing import Any

import pytest

from chat.client.exit_codes import ExitCode
from chat.client.model.search_query import Since
from chat.client.scripting.read import LogReader
from chat.protocol.commands import (
    ChangeChannel,
    Create,
    Delete,
    Edit,
    Kick,
    MuteUser,
    React,
)
from chat.protocol.frames import Joined, ServerFrame
from chat.protocol.items import Event
from chat.protocol.values import Limits
from tests.client.piped import Client
from tests.serving import PATIENCE, ChatServer, Peer

MakeClient = Callable[..., Client]
LONGEST_WAIT = 45.0
"""Maximum seconds of a reconnect: the delay between two attempts grows up to 30 s."""
NO_RATE = ("--limits.rate", "100000", "--limits.burst", "100000")


def objects(output: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in output.splitlines()]


async def fill(url: str, count: int = 3) -> str:
    """Send `count` messages to #ops as alice; return her token."""
    async with Peer.signed_in(url, "alice") as alice:
        await alice.join("#ops")
        for number in range(count):
            await alice.say(f"message {number}", "#ops")
        return alice.token


@pytest.mark.feature("around.pipes")
async def test_tail_prints_the_newest_entries(server: ChatServer, make_client: MakeClient) -> None:
    await fill(server.url, 15)
    client = make_client(server.url)
    done = client.run("tail", "#ops", "-n", "3")
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert [line.split("] ")[1] for line in lines] == [
        "alice: message 13",
        "alice: message 14",
        "bot joined",
    ]
    assert lines[0].startswith("[15 20")
    assert len(client.run("tail", "#ops").stdout.splitlines()) == 10


async def test_moderation_is_printed_and_a_kick_ends_follow(
    server: ChatServer, make_client: MakeClient
) -> None:
    client = make_client(server.url)
    async with Peer.signed_in(server.url, "olga") as olga:
        await olga.call(Create(channel="#ops"), Joined)
        await olga.say("before", "#ops")
        tail = client.start("tail", "#ops", "-f")
        tail.wait_for("bot joined")
        await olga.call(ChangeChannel(channel="#ops", posting="moderators"))
        await olga.call(MuteUser(channel="#ops", name="bot", reason="loud"))
        await olga.call(Kick(channel="#ops", name="bot", reason="spam"))
        tail.wait_for("bot was kicked by olga: spam")
        assert await asyncio.to_thread(tail.process.wait, PATIENCE) == ExitCode.REFUSED
    said = [line.split("] ")[-1] for line in tail.lines]
    assert said[-3:] == [
        "olga allowed only moderators to post",
        "bot was muted by olga: loud",
        "bot was kicked by olga: spam",
    ]


async def test_tail_starts_at_the_given_count_or_time(
    server: ChatServer, make_client: MakeClient
) -> None:
    await fill(server.url, 5)
    client = make_client(server.url)
    after = objects(client.run("tail", "#ops", "--json", "--since", "4").stdout)
    assert [entry["seq"] for entry in after] == [5, 6, 7]
    middle = after[0]["ts"] / 1000
    assert len(objects(client.run("tail", "#ops", "--json", "--since", "1h").stdout)) == 7
    iso = subprocess.run(
        ["date", "-u", "-d", f"@{middle}", "+%Y-%m-%dT%H:%M:%S.%3N"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    since = objects(client.run("tail", "#ops", "--json", "--since", iso).stdout)
    assert since
    assert all(entry["ts"] >= after[0]["ts"] for entry in since)
    assert {entry["seq"] for entry in after} <= {entry["seq"] for entry in since}
    assert client.run("tail", "#ops", "--since", "99").returncode == 3


@pytest.mark.promise(
    3,
    fault="`kill -9` of the server under `chat-client tail -f`, three times, while others send",
    result="every number once, in order, without a gap",
)
async def test_follow_survives_kill_9_without_gap_or_duplicate(
    server: ChatServer, make_client: MakeClient
) -> None:
    token = await fill(server.url, 1)
    tail = make_client(server.url).start("tail", "#ops", "-f", "--json", "--since", "0")
    tail.wait_for("message 0")
    for turn in range(3):
        async with Peer.signed_in(server.url, "alice", token) as alice:
            for number in range(20):
                await alice.say(f"{turn}.{number}", "#ops")
        tail.wait_for(f"{turn}.0", LONGEST_WAIT)  # reconnected, so each kill affects it
        server.restart(kill=True)
    async with Peer.signed_in(server.url, "alice", token) as alice:
        await alice.say("the end", "#ops")
    tail.wait_for("the end", LONGEST_WAIT)
    seqs = [entry["seq"] for entry in objects("\n".join(tail.lines))]
    assert seqs == list(range(1, 65))
    assert tail.end(signal.SIGINT) == 130


async def test_follow_loads_all_entries_after_a_long_absence(
    make_client: MakeClient, start_server: Any
) -> None:
    """The client missed more entries than fit into one answer."""
    server = start_server("--resume-window", "20")
    token = await fill(server.url, 1)
    tail = make_client(server.url).start("tail", "#ops", "-f", "--json", "--since", "0")
    tail.wait_for("message 0")
    tail.process.send_signal(signal.SIGSTOP)
    try:
        server.restart(kill=True)
        async with Peer.signed_in(server.url, "alice", token) as alice:
            for number in range(50):
                await alice.say(f"missed {number}", "#ops")
            tail.process.send_signal(signal.SIGCONT)
            tail.wait_for("missed 49")
            await alice.say("live", "#ops")
            tail.wait_for("live")
    finally:
        tail.process.send_signal(signal.SIGCONT)
    seqs = [entry["seq"] for entry in objects("\n".join(tail.lines))]
    assert seqs == list(range(1, len(seqs) + 1))


async def test_a_restored_backup_ends_follow_with_exit_code_3(
    server: ChatServer, make_client: MakeClient
) -> None:
    await fill(server.url, 3)
    backup = server.data.parent / "copy.db"
    assert server.administer("backup", str(backup)).returncode == 0
    tail = make_client(server.url).start("tail", "#ops", "-f")
    tail.wait_for("bot joined")
    server.stop()
    assert server.administer("restore", str(backup)).returncode == 0
    server.start()
    assert tail.process.wait(PATIENCE) == ExitCode.REFUSED


@pytest.mark.feature("around.pipes")
async def test_export_prints_the_whole_current_log(
    start_server: Any, make_client: MakeClient
) -> None:
    server = start_server(*NO_RATE)
    async with Peer.signed_in(server.url, "alice") as alice:
        await alice.join("#ops")
        seqs = [(await alice.say(f"n{number}", "#ops")).seq or 0 for number in range(450)]
        await alice.call(Edit(channel="#ops", seq=seqs[0], text="changed"))
        await alice.call(Delete(channel="#ops", seq=seqs[1]))
        await alice.call(React(channel="#ops", seq=seqs[2], emoji="👍"))
    client = make_client(server.url)
    done = client.run("export", "#ops", "--json")
    assert done.returncode == 0
    assert done.stdout.isascii()
    entries = objects(done.stdout)
    assert [entry["seq"] for entry in entries] == list(range(1, 456))
    by_seq = {entry["seq"]: entry for entry in entries}
    assert by_seq[seqs[0]]["text"] == "changed"
    assert by_seq[seqs[1]]["erased"]
    assert "text" not in by_seq[seqs[1]]
    assert by_seq[seqs[2]]["reactions"] == {"👍": ["alice"]}
    text = client.run("export", "#ops").stdout
    assert "alice: changed  (edited)" in text
    assert "alice: (deleted)" in text
    assert "n2  (👍 alice)" in text
    assert "n1\n" not in text


async def test_export_contains_only_entries_from_before_its_start(
    start_server: Any, make_client: MakeClient
) -> None:
    """Messages sent while the reader stalls are not exported."""
    server = start_server(*NO_RATE)
    async with Peer.signed_in(server.url, "alice") as alice:
        await alice.join("#ops")
        for _ in range(400):
            await alice.say("x" * 1_000, "#ops")
        exporting = subprocess.Popen(
            (client := make_client(server.url)).command("export", "#ops", "--json"),
            stdout=subprocess.PIPE,
            env=client.environment(),
        )
        client.running.append(exporting)  # type: ignore[arg-type]  # bytes; it is only ended
        assert exporting.stdout is not None
        first = exporting.stdout.readline()  # the pipe is full, and the client waits
        await alice.say("too late", "#ops")
        rest = exporting.stdout.read()
    assert exporting.wait(PATIENCE) == 0
    entries = objects((first + rest).decode())
    assert entries[-1]["kind"] == "join"
    assert [entry["seq"] for entry in entries] == list(range(1, 403))


async def test_a_closed_output_pipe_prints_no_error(
    server: ChatServer, make_client: MakeClient
) -> None:
    await fill(server.url, 5)
    client = make_client(server.url)
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run(
            client.command("export", "#ops"),
            stdout=writing,
            stderr=subprocess.PIPE,
            env=client.environment(),
            check=False,
        )
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (141, b"")
    tail = subprocess.Popen(
        client.command("tail", "#ops", "-f"), stdout=subprocess.PIPE, env=client.environment()
    )
    try:
        assert tail.stdout is not None
        tail.stdout.readline()
        tail.stdout.close()
        assert client.run("send", "#ops", "anybody there?").returncode == 0
        assert tail.wait(PATIENCE) == 141
    finally:
        tail.kill()
        tail.wait()


@pytest.mark.promise(
    6,
    fault="control sequences in a message, read with `chat-client tail` and `export`",
    result="visible as text, or escaped in JSON; a message cannot look like two",
)
async def test_no_message_can_control_the_terminal(
    start_fake: Any, make_client: MakeClient
) -> None:
    fake = start_fake()
    fake.members["#general"].add("bot")
    fake.append(
        "eve", "#general", "message", text="\x1b]0;t\x07\u202e\n[9 2026-01-01 00:00] bob: hi"
    )
    client = make_client(fake.url)
    for command in ("tail", "export"):
        text = client.run(command, "#general").stdout
        assert text.count("\n") == 2
        assert "\n    [9 2026" in text
        assert not set("\x1b\x07\u202e") & set(text)
        line = client.run(command, "#general", "--json").stdout
        assert line.count("\n") == 1
        assert line.isascii()
        assert line.strip().isprintable()
        assert json.loads(line)["text"].startswith("\x1b]0;t\x07")


def test_reading_does_not_create_a_channel(server: ChatServer, make_client: MakeClient) -> None:
    client = make_client(server.url)
    for command in ("tail", "export"):
        done = client.run(command, "#nope")
        assert (done.returncode, done.stdout) == (3, "")
        assert "There is no channel #nope" in done.stderr


async def test_a_direct_channel_can_be_named_by_its_other_member(
    server: ChatServer, make_client: MakeClient
) -> None:
    await fill(server.url, 0)
    client = make_client(server.url)
    assert client.run("send", "@alice", "psst").returncode == 0
    assert "bot: psst" in client.run("tail", "@alice").stdout


class _Answering:
    """A client whose join is answered together with the event that follows it."""

    limits = Limits()
    user = "bot"

    def __init__(self, reader: LogReader, frames: list[ServerFrame]) -> None:
        self._reader = reader
        self._frames = frames

    async def session(self) -> object:
        return object()

    def suspend_timeout(self) -> None:
        pass

    def wake(self) -> None:
        pass

    async def changed(self, _session: object) -> bool:
        raise asyncio.CancelledError

    async def ask(self, _command: object) -> ServerFrame:
        for frame in self._frames:
            self._reader.take(frame)
        return self._frames[0]


async def test_an_event_right_behind_the_answer_to_a_join_follows_it() -> None:
    shown: list[int] = []
    reader = LogReader(lambda _channel, entries: shown.extend(entry.seq for entry in entries))
    joined = Joined(
        channel="#ops",
        epoch="e",
        head=1,
        topic="",
        role="member",
        read=0,
        unread=0,
        mentions=0,
        members=(),
        member_count=0,
        recovered=True,
        items=(),
        complete=True,
    )
    event = Event(
        channel="#ops", seq=2, mid="m", ts=1, author="alice", kind="message", text="right behind"
    )
    client: Any = _Answering(reader, [joined, event])
    await reader.print_from(client, joined, Since(1, 0))
    with pytest.raises(asyncio.CancelledError):
        await reader.follow(client)
    assert shown == [2]
