"""`chat-client send`: exit code 0 means stored once; every failure has its own code."""

from __future__ import annotations

import signal
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from chat.client.config.paths import ClientPaths
from chat.client.exit_codes import ExitCode
from chat.client.storage.outbox_db import OutboxDb
from chat.protocol.commands import Command, Create, Invite, Send
from chat.protocol.frames import Joined
from tests.client.fake_server import FakeServer
from tests.client.piped import Client
from tests.serving import PATIENCE, ChatServer, Peer, eventually, free_port

MakeClient = Callable[..., Client]


async def texts(url: str, channel: str = "#ops") -> list[str]:
    async with Peer.signed_in(url, f"reader{time.monotonic_ns()}") as peer:
        joined = await peer.join(channel)
        return [item.text or "" for item in joined.items if item.kind == "message"]


async def test_send_sends_its_argument_or_the_whole_input_as_one_message(
    server: ChatServer, make_client: MakeClient
) -> None:
    client = make_client(server.url)
    assert client.run("send", "#ops", "hello", "world", "--create").returncode == 0
    done = client.run("send", "#ops", stdin="\ufefftwo\nlines\n")  # editors write a BOM first
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert client.run("send", "#ops", "--timeout", "60", "after", "flags").returncode == 0
    assert await texts(server.url) == ["hello world", "two\nlines", "after flags"]


async def test_send_lines_sends_each_line_as_it_arrives(
    server: ChatServer, make_client: MakeClient
) -> None:
    async with Peer.signed_in(server.url, "alice") as alice:
        await alice.join("#ops")
        sending = make_client(server.url).start("send", "#ops", "--lines", stdin=subprocess.PIPE)
        assert sending.process.stdin is not None
        sending.process.stdin.write("\ufeff")
        for text in ("one", "", "two"):
            sending.process.stdin.write(f"{text}\n")
            sending.process.stdin.flush()
            if text:
                assert (await alice.next_event("#ops", "message")).text == text
        sending.process.stdin.close()
        assert sending.process.wait(PATIENCE) == 0


async def test_an_invitation_to_a_private_channel_is_accepted_by_sending(
    server: ChatServer, make_client: MakeClient
) -> None:
    async with Peer.signed_in(server.url, "olga") as olga:
        await olga.call(Create(channel="#plans", private=True), Joined)
        client = make_client(server.url)
        assert client.run("send", "#plans", "hello").returncode == ExitCode.REFUSED
        await olga.call(Invite(channel="#plans", name="bot"))
        assert client.run("send", "#plans", "hello").returncode == ExitCode.DONE
        assert (await olga.next_event("#plans", "message")).text == "hello"


@pytest.mark.promise(
    2,
    fault="the connection breaks between storing and `ok`, under `chat-client send`",
    result="sent again with the same `cid`; stored once, exit code 0",
)
@pytest.mark.feature("around.pipes")
def test_a_message_with_a_lost_ok_is_sent_again(fake: FakeServer, make_client: MakeClient) -> None:
    fake.members["#general"].add("bot")
    sent: list[Command] = []

    def store_and_die(command: Command) -> None:
        if isinstance(command, Send):
            sent.append(command)
            if len(sent) == 1:
                fake.store("bot", command)
                fake.cut()

    fake.intercept = store_and_die
    assert make_client(fake.url).run("send", "#general", "hi").returncode == 0
    assert len(sent) == 2
    assert [entry.text for entry in fake.logs["#general"].events] == ["hi"]


def test_a_server_that_starts_in_time_gets_the_message(
    tmp_path: Path, make_client: MakeClient
) -> None:
    late = ChatServer(tmp_path / "late")
    starting = threading.Timer(1.0, late.start)
    starting.start()
    try:
        done = make_client(late.url).run("send", "#ops", "timeout", "--timeout", "60", "--create")
        assert done.returncode == 0, done.stderr
    finally:
        starting.join()
        late.kill()


def test_a_rejected_message_is_exit_code_3(server: ChatServer, make_client: MakeClient) -> None:
    client = make_client(server.url)
    for text in ("x" * 8_001, "\x1b[31m"):
        done = client.run("send", "#ops", text)
        assert done.returncode == 3, done
        assert done.stderr.count("\n") == 1
    other = Client(client.home, server.url)
    other.flags = (*other.flags[:-1], str(client.home / "another-machine"))
    done = other.run("send", "#ops", "it is me")
    assert done.returncode == 3
    assert "is already in use" in done.stderr


def test_no_server_within_the_timeout_is_exit_code_4(make_client: MakeClient) -> None:
    done = make_client(f"ws://127.0.0.1:{free_port()}").run("send", "#ops", "x", "--timeout", "4")
    assert done.returncode == 4
    assert "connection refused" in done.stderr


def test_no_answer_within_the_timeout_is_exit_code_4(
    fake: FakeServer, make_client: MakeClient
) -> None:
    fake.intercept = lambda command: FakeServer.SILENCE if isinstance(command, Send) else None
    done = make_client(fake.url).run("send", "#general", "x", "--timeout", "5")
    assert done.returncode == 4
    assert "does not answer" in done.stderr


async def test_a_queued_message_is_exit_code_5_and_the_same_cid_is_stored_once(
    server: ChatServer, make_client: MakeClient
) -> None:
    client = make_client(server.url)
    server.stop()
    queue = ("send", "#ops", "later", "--queue", "--cid", "job-7", "--create")
    assert client.run(*queue, "--timeout", "0.5").returncode == 5
    with closing(
        OutboxDb(ClientPaths(client.data).first_account(server.url, "bot") / "outbox.db")
    ) as db:
        assert [row.cid for row in db.outbox()] == ["job-7"]
    server.start()
    for _ in range(2):
        assert client.run(*queue).returncode == 0
    assert await texts(server.url) == ["later"]


@pytest.mark.parametrize(
    "wrong",
    [
        ("send",),
        ("send", "op s", "x"),
        ("send", "#ops", "--lines", "x"),
        ("send", "#ops", "x", "--timeout", "0"),
        ("send", "#ops", "x", "--timeout", "1_0"),
        ("tail", "#ops", "-n", "1_0"),
        ("tail", "#ops", "-n", "٣"),
        ("send", "#ops", "x", "--nope"),
        ("tail", "#counter"),
        ("tail", "#ops", "--since", "yesterday"),
        ("tail", "#ops", "-n", "3", "--since", "4"),
    ],
)
def test_invalid_usage_is_exit_code_2_and_one_line(
    fake: FakeServer, make_client: MakeClient, wrong: tuple[str, ...]
) -> None:
    done = make_client(fake.url).run(*wrong)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("chat-client: ")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("command", ["send", "tail", "export"])
def test_a_channel_that_the_shell_took_as_a_comment_is_explained(
    make_client: MakeClient, command: str
) -> None:
    client = make_client("ws://127.0.0.1:9")
    assert "quote the channel ('#general'), or leave out the #" in client.run(command).stderr
    assert "'#general' in quotes" in client.run(command, "--help").stdout


async def test_a_channel_can_be_named_without_its_number_sign(
    server: ChatServer, make_client: MakeClient
) -> None:
    client = make_client(server.url)
    assert client.run("send", "general", "hello").returncode == 0
    assert await texts(server.url, "#general") == ["hello"]
    assert "bot: hello\n" in client.run("tail", "general").stdout


async def test_send_creates_no_channel_without_the_flag(
    server: ChatServer, make_client: MakeClient
) -> None:
    client = make_client(server.url)
    refused = client.run("send", "#genral", "hello")
    assert refused.returncode == 3
    assert (
        refused.stderr == "chat-client: There is no channel #genral. Add --create to create it.\n"
    )
    assert client.run("tail", "#genral").returncode == 3, "it was not created"
    assert client.run("send", "#genral", "hello", "--create").returncode == 0
    assert make_client(server.url, "other").run("send", "#genral", "me too").returncode == 0
    assert await texts(server.url, "#genral") == ["hello", "me too"]


def test_input_that_is_not_utf_8_is_exit_code_2(make_client: MakeClient) -> None:
    client = make_client("ws://127.0.0.1:9")
    done = subprocess.run(
        client.command("send", "#ops"),
        input=b"caf\xe9",
        capture_output=True,
        env=client.environment(),
        check=False,
    )
    assert done.returncode == 2
    assert b"not UTF-8" in done.stderr


def test_an_interrupt_is_exit_code_130(fake: FakeServer, make_client: MakeClient) -> None:
    sending = make_client(fake.url).start("send", "#general", "--lines", stdin=subprocess.PIPE)
    eventually(lambda: fake.connections == 1, "connected")
    assert sending.end(signal.SIGINT) == 130


def test_send_without_a_name_fails_without_a_question(make_client: MakeClient) -> None:
    client = make_client("ws://127.0.0.1:9")
    client.flags = client.flags[2:]
    done = client.run("send", "#ops", stdin="alice\n")
    assert done.returncode == 2
    assert "--name NAME" in done.stderr


def test_send_uses_the_token_of_the_interactive_client(
    server: ChatServer, make_client: MakeClient, open_client: Callable[..., object], tmp_path: Path
) -> None:
    screen = open_client(server.url, "bot", tmp_path / "data-bot")
    screen.wait_online()  # type: ignore[attr-defined]  # a `Screen`
    assert (
        make_client(server.url, "bot").run("send", "#ops", "same name", "--create").returncode == 0
    )
