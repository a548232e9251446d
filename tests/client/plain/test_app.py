"""`chat-client --plain` on pipes and on a pseudo-terminal; its notifications and threads."""

from __future__ import annotations

import asyncio
import re
import signal
import subprocess
import sys
from base64 import b64encode
from collections.abc import Callable, Coroutine, Iterable, Iterator
from functools import partial
from pathlib import Path

import pytest

from chat.client.config.settings import ClientSettings
from chat.client.model.notifications import Notification, Way
from chat.client.model.state import ThreadChanged, TimelineChanged
from chat.client.plain.app import LineNotifier, Plain
from chat.client.plain.terminal import Lines
from chat.client.presenter.workspace import Cores
from chat.protocol.commands import Create, Invite, Kick, MuteUser, Send, Unmute
from chat.protocol.frames import Joined, Removed
from tests.client.fake_server import FakeServer
from tests.client.piped import Client
from tests.client.presenter.fakes import FakeCore, info
from tests.client.presenter.fakes import said as said_line
from tests.serving import PATIENCE, ChatServer, Peer, free_port
from tests.terminal.raw import RawTerminal


@pytest.fixture
def plain(tmp_path: Path, server: ChatServer) -> Iterator[RawTerminal]:
    """Return a terminal with a connected client in plain mode."""
    terminal = RawTerminal(tmp_path, "chat-client", "--plain", "--name", "me", "--url", server.url)
    try:
        terminal.wait(lambda: b"Connected to" in terminal.output, "the client is connected")
        yield terminal
    finally:
        terminal.close()


def said(terminal: RawTerminal) -> bytes:
    """Return the output without the sequences for bracketed paste."""
    return re.sub(rb"\x1b\[\?2004[hl]", b"", terminal.output)


def lines(terminal: RawTerminal) -> list[str]:
    return said(terminal).decode().replace("\r\n", "\n").split("\n")


def pasted(text: str) -> bytes:
    """Return the bytes that a terminal sends for a paste."""
    return b"\x1b[200~" + text.encode() + b"\x1b[201~"


@pytest.mark.feature("around.plain")
async def test_printed_lines_keep_the_typed_text_intact(
    plain: RawTerminal, server: ChatServer
) -> None:
    plain.wait(lambda: b"Connected to chat" in plain.output, "the client is connected")
    async with Peer.signed_in(server.url, "alice") as alice:
        await alice.join("#general")
        await alice.say("first")
        assert (await alice.next_event("#general", "message")).text == "first"
        plain.wait(lambda: b": first" in plain.output, "the client follows the channel")
        plain.send(b"hel")
        plain.wait(lambda: b"#general> hel" in plain.output, "the prompt")
        await alice.say("text")
        plain.wait(
            lambda: plain.output.count(b"#general> hel") == 2, "the typed line is printed again"
        )
        before, printed, after = lines(plain)[-3:]
        assert (before, after) == ("#general> hel", "#general> hel")
        assert re.fullmatch(r"\d+\. alice in #general: text", printed)
        plain.send(b"lo\n")
        assert (await alice.next_event("#general", "message")).text == "text"
        assert (await alice.next_event("#general", "message")).text == "hello"


def test_commands_print_their_result(plain: RawTerminal) -> None:
    plain.wait(lambda: b"You are in #general" in plain.output, "a channel")
    for typed, said in (
        (b"/peek", b"Peek is on: messages here stay unread."),
        (b"/peek", b"Peek is off."),
        (b"/mark", b"#general marked as read"),
        (b"/mark all", b"All channels marked as read"),
    ):
        plain.send(typed + b"\n")
        plain.wait(partial(_is_said, plain, said), said.decode())


async def test_tab_completes_and_lists_the_candidates(
    plain: RawTerminal, server: ChatServer
) -> None:
    plain.send(b"/who\n")  # answered once it follows the channel
    plain.wait(lambda: b"me, online" in plain.output, "the client follows the channel")
    async with Peer.signed_in(server.url, "alice") as alice:
        await alice.join("#general")
        await alice.say("hello")
        plain.wait(lambda: b"general: hello" in plain.output, "alice is known as an author")
        plain.send(b"hi @al\t")
        plain.wait(lambda: lines(plain)[-1] == "#general> hi @alice ", "a name, in the same line")
        plain.send(b":tad\t")
        plain.wait(lambda: lines(plain)[-1] == "#general> hi @alice 🎉 ", "an emoji, below")
        plain.send(b"\x15/leave #gen\t\x15/un\t")
        wanted = {"/unread", "/unstar [CHANNEL]"}
        plain.wait(lambda: wanted <= set(lines(plain)[-2].split(", ")), "the candidates")
        plain.wait(lambda: lines(plain)[-1] == "#general> /un", "the typed text is printed again")
        assert "#general> /leave #general " in lines(plain)
        assert b"\x1b" not in said(plain)


def _has_asked(plain: RawTerminal, question: str, times: int) -> bool:
    return plain.output.decode().count(question) >= times


def _is_said(plain: RawTerminal, line: bytes) -> bool:
    return line in plain.output


async def test_a_printed_number_selects_the_message_of_a_command(
    plain: RawTerminal, server: ChatServer
) -> None:
    async with Peer.signed_in(server.url, "alice") as alice:
        await alice.join("#general")
        await alice.say("first")
        await alice.say("second")
        plain.wait(lambda: b": second" in plain.output, "both messages are printed")
        (number,) = [line.split(".")[0] for line in lines(plain) if line.endswith(": first")]
        plain.send(f"/reply --channel {number} agreed\n".encode())
        assert (await alice.next_event("#general", "message")).text == "first"
        assert (await alice.next_event("#general", "message")).text == "second"
        reply = await alice.next_event("#general", "message")
        assert (reply.text, reply.reply_to) == ("agreed", int(number))
        await alice.say("third")
        plain.wait(lambda: b": third" in plain.output, "the reply is confirmed")
        plain.send(b"/bare\n")
        own = f"{reply.seq}. me: agreed  (reply to message {number})"
        plain.wait(lambda: own in lines(plain), "the latest messages, with the user's own")


async def test_delete_asks_once_in_a_terminal(plain: RawTerminal, server: ChatServer) -> None:
    question = "Delete this message? This cannot be undone. oops (y or n)"
    async with Peer.signed_in(server.url, "alice") as alice:
        await alice.join("#general")
        plain.send(b"oops\n")
        seq = (await alice.next_event("#general", "message")).seq
        await alice.say("what?")

        async def wait(condition: Callable[[], bool], what: str) -> None:
            # In a thread: the peer must answer heartbeats, however slow the machine is.
            await asyncio.to_thread(plain.wait, condition, what)

        await wait(lambda: b": what?" in plain.output, "the message is confirmed")
        for asked, answer in ((1, "n"), (2, "y")):
            plain.send(b"/delete\n")
            await wait(partial(_has_asked, plain, question, asked), "the question")
            plain.send(f"{answer}\n".encode())
            if answer == "n":
                await wait(lambda: b"Cancelled." in plain.output, "the message is kept")
        assert (await alice.next_event("#general", "delete")).target == seq


async def test_the_inbox_names_the_commands_that_open_and_clear_it(
    plain: RawTerminal, server: ChatServer
) -> None:
    async with Peer.signed_in(server.url, "alice") as alice:
        await alice.join("@alice,me")
        await alice.say("psst", "@alice,me")
        plain.wait(lambda: b"1 unread in @alice. Use /inbox" in plain.output, "the message")
        plain.send(b"/inbox\n")
        plain.wait(
            lambda: b"Use /join CHANNEL or /msg NAME to open" in plain.output, "the next commands"
        )
        assert re.search(rb"\d+\. alice in @alice: psst", plain.output)


@pytest.mark.feature("reading.search")
async def test_search_results_are_printed(plain: RawTerminal, server: ChatServer) -> None:
    async with Peer.signed_in(server.url, "alice") as alice:
        await alice.join("#general")
        await alice.say("where is the wombat?")
        plain.send(b"/search wombat in:general\n")
        plain.wait(lambda: b"1 found." in plain.output, "the results")
        assert re.search(rb"\d+\. alice in #general, \d+ .*: where is the wombat\?", plain.output)
        plain.send(b"/search wombat before:never\n")
        plain.wait(lambda: b"before:" in plain.output.rpartition(b"1 found.")[2], "the error")


@pytest.mark.feature("writing.copy")
async def test_copy_copies_a_message_and_open_prints_its_links(
    plain: RawTerminal, server: ChatServer
) -> None:
    async with Peer.signed_in(server.url, "alice") as alice:
        await alice.join("#general")
        seq = (await alice.say("see https://example.org/a and https://example.org/b")).seq
        await alice.say("tea")
        plain.wait(lambda: b"general: tea" in plain.output, "both messages")
        plain.send(b"/copy\n")
        plain.wait(lambda: b"Copied" in plain.output, "the copy")
        assert f"\x1b]52;c;{b64encode(b'tea').decode()}\x07".encode() in plain.output
        plain.send(f"/open {seq}\n".encode())
        plain.wait(
            lambda: b"\nhttps://example.org/b" in plain.output.replace(b"\r", b""), "the links"
        )


async def test_every_byte_is_text(plain: RawTerminal, server: ChatServer) -> None:
    """No cursor is moved, no color is set; only pastes are asked to be marked."""
    async with Peer.signed_in(server.url, "alice") as alice:
        await alice.join("#general")
        await alice.say("a\u202eb\nc")
        plain.send(b"/help\n/who\n/sidebar\n/members\n/theme dark\n/nope\nlast words\n")
        assert (await alice.next_event("#general", "message")).text == "a\u202eb\nc"
        assert (await alice.next_event("#general", "message")).text == "last words"
        plain.wait(lambda: b"<U+202E>" in plain.output, "the message")
    plain.send(b"\x04")
    plain.wait(lambda: plain.process.poll() is not None, "Ctrl+D ends it")
    assert plain.process.returncode == 0
    assert plain.output.count(b"\x1b[?2004h") == plain.output.count(b"\x1b[?2004l") == 1
    assert re.search(rb"[\x00-\x09\x0b\x0c\x0e-\x1f]", said(plain)) is None
    assert b"\r" not in plain.output.replace(b"\r\n", b"")


def test_the_terminal_is_left_as_it_was(plain: RawTerminal) -> None:
    import termios

    during = plain.line_modes()
    plain.process.send_signal(signal.SIGINT)
    plain.wait(lambda: plain.process.poll() is not None, "Ctrl+C ends it")
    after = plain.line_modes()
    assert not during & termios.ICANON
    assert after & termios.ICANON
    assert after & termios.ECHO


async def test_piped_lines_are_messages_and_arrive_before_it_ends(
    server: ChatServer, make_client: Callable[..., Client]
) -> None:
    async with Peer.signed_in(server.url, "alice") as alice:
        await alice.join("#general")
        client = make_client(server.url)
        done = client.run("--plain", stdin="one\n/me waves\n//two\n")
        assert done.returncode == 0, done.stderr
        events = [await alice.next_event("#general", "message") for _ in range(3)]
    assert [(event.text, event.me) for event in events] == [
        ("one", False),
        ("waves", True),
        ("/two", False),
    ]
    assert "not been sent yet" not in done.stderr


async def test_piped_commands_are_answered_before_it_ends(
    server: ChatServer, make_client: Callable[..., Client]
) -> None:
    async with Peer.signed_in(server.url, "alice") as alice:
        client = make_client(server.url)
        done = client.run("--plain", stdin="/msg alice psst\n")
        assert done.returncode == 0, done.stderr
        opened = await alice.next(Joined, lambda frame: frame.channel == "@alice,bot")
        assert [item.text for item in opened.items][-1] == "psst"


def test_piped_lines_that_the_server_takes_slowly_are_all_confirmed(
    start_server: Callable[..., ChatServer], tmp_path: Path
) -> None:
    server = start_server("--limits.rate=4", "--limits.burst=4")
    code = (
        "import sys\n"
        "from chat.client.config.settings import load\n"
        "from chat.client.plain.app import run\n"
        "flags = dict(name='bot', url=sys.argv[1], data=sys.argv[2])\n"
        "sys.exit(run(load(flags), last_words=3.0))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, server.url, str(tmp_path / "bot")],
        input="".join(f"line {number}\n" for number in range(30)),
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.feature("around.turns")
async def test_piped_lines_go_to_the_channel_joined_before_them(
    server: ChatServer, make_client: Callable[..., Client]
) -> None:
    async with Peer.signed_in(server.url, "alice") as alice:
        await alice.join("#near")
        await alice.join("#far")
        client = make_client(server.url)
        for _ in range(2):  # the second time, a channel is cached
            done = client.run("--plain", stdin="/join #near\none\n/join #far\ntwo\n/me waves\n")
            assert done.returncode == 0, done.stderr
            assert (await alice.next_event("#near", "message")).text == "one"
            assert (await alice.next_event("#far", "message")).text == "two"
            assert (await alice.next_event("#far", "message")).text == "waves"


async def test_piped_lines_for_a_channel_that_does_not_open_go_nowhere_else(
    server: ChatServer, make_client: Callable[..., Client]
) -> None:
    async with Peer.signed_in(server.url, "alice") as alice:
        await alice.join("#general")
        client = make_client(server.url)
        done = client.run("--plain", stdin="one\n/msg nobody psst\nfor nobody else\n")
        assert done.returncode == 2
        assert "@nobody: " in done.stderr
        assert client.run("--plain", stdin="two\n").returncode == 0
        assert (await alice.next_event("#general", "message")).text == "one"
        assert (await alice.next_event("#general", "message")).text == "two"


@pytest.mark.parametrize("command", ["/join near,far", "/msg", "/server nowhere", "/connect"])
async def test_piped_lines_after_a_command_that_fails_to_choose_a_channel_are_not_sent(
    server: ChatServer, make_client: Callable[..., Client], command: str
) -> None:
    async with Peer.signed_in(server.url, "alice") as alice:
        await alice.join("#general")
        client = make_client(server.url)
        done = client.run("--plain", stdin=f"one\n{command}\nfor nobody else\n")
        assert done.returncode == 2
        assert f"the lines after '{command}' were not sent" in done.stderr
        assert client.run("--plain", stdin="two\n").returncode == 0
        assert (await alice.next_event("#general", "message")).text == "one"
        assert (await alice.next_event("#general", "message")).text == "two"


@pytest.mark.parametrize("command", ["/password", "/passwd set", "/signin link"])
async def test_piped_lines_that_were_meant_as_a_secret_are_not_sent(
    server: ChatServer, make_client: Callable[..., Client], command: str
) -> None:
    async with Peer.signed_in(server.url, "alice") as alice:
        await alice.join("#general")
        client = make_client(server.url)
        text = f"before\n{command}\nhunter2hunter2\nhunter2hunter2\n"
        done = client.run("--plain", stdin=text)
        assert done.returncode == 2
        assert "needs a terminal" in done.stderr
        assert "hunter2" not in done.stdout + done.stderr
        assert client.run("--plain", stdin="after\n").returncode == 0
        assert (await alice.next_event("#general", "message")).text == "before"
        assert (await alice.next_event("#general", "message")).text == "after"


async def test_invalid_utf8_ends_piped_input_after_sending_earlier_lines(
    server: ChatServer, make_client: Callable[..., Client]
) -> None:
    async with Peer.signed_in(server.url, "alice") as alice:
        await alice.join("#general")
        client = make_client(server.url)
        done = subprocess.run(
            client.command("--plain"),
            input=b"one\nb\xffd\ntwo\n",
            capture_output=True,
            env=client.environment(),
            timeout=PATIENCE,
            check=False,
        )
        assert done.returncode == 2
        assert b"not UTF-8 text" in done.stderr
        assert client.run("--plain", stdin="three\n").returncode == 0
        texts = [(await alice.next_event("#general", "message")).text for _ in range(2)]
        assert texts == ["one", "three"]


async def test_refused_messages_are_printed_with_advice(
    plain: RawTerminal, server: ChatServer
) -> None:
    server.stop()
    plain.wait(lambda: b"Not connected" in plain.output, "the lost connection is reported")
    plain.send(b"while away\n")
    plain.wait(lambda: b"saved on this computer" in plain.output, "the message is reported as kept")
    server.start()
    async with Peer.signed_in(server.url, "alice") as alice:
        joined = await alice.join("#general")
        texts = [item.text for item in joined.items]
        if "while away" not in texts:
            assert (await alice.next_event("#general", "message")).text == "while away"


def test_it_needs_no_screen_library() -> None:
    code = "import sys, chat.client.plain.app\nassert not {'textual', 'rich'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_plain_mode_reports_a_missing_server(make_client: Callable[..., Client]) -> None:
    client = make_client(f"ws://127.0.0.1:{free_port()}")
    running = client.start("--plain", stdin=subprocess.PIPE)
    running.wait_for("connection refused")
    assert running.end(signal.SIGINT) == 130


def test_piped_input_does_not_wait_for_a_server_that_refuses(
    server: ChatServer, make_client: Callable[..., Client]
) -> None:
    first = make_client(server.url)
    assert first.run("send", "#general", "mine").returncode == 0
    other = make_client(server.url)
    other.flags = (*other.flags[:-1], str(other.home / "another-machine"))
    done = other.run("--plain", stdin="hello\n")
    assert done.returncode == 2
    assert "is already in use" in done.stderr
    assert "--name NAME" in done.stderr


@pytest.mark.feature("reading.threads")
async def test_a_thread_is_printed_line_by_line(plain: RawTerminal, server: ChatServer) -> None:
    async with Peer.signed_in(server.url, "alice") as alice:
        await alice.join("#general")
        first = (await alice.say("first")).seq
        assert first is not None
        for text in ("second", "third"):
            await alice.call(Send(channel="#general", text=text, reply_to=first))
        plain.wait(lambda: b"third" in plain.output, "the thread")
        plain.send(f"/thread {first}\n/reply {first} fourth\n".encode())
        while (event := await alice.next_event("#general", "message")).text != "fourth":
            pass
        assert event.thread == first
        heading = f"Thread of message {first} in #general:"
        plain.wait(lambda: f"{heading}\n" in "\n".join(lines(plain)), "the message is sent")
        plain.wait(lambda: f"{first + 2}. alice: third".encode() in plain.output, "all output")
        said = lines(plain)[lines(plain).index(heading) + 1 :]
        assert [line.split("  (")[0] for line in said if ". alice: " in line] == [
            f"{first}. alice: first",
            f"{first + 1}. alice: second",
            f"{first + 2}. alice: third",
        ]


async def test_a_paste_of_many_lines_is_one_message_and_runs_no_command(
    plain: RawTerminal, server: ChatServer
) -> None:
    async with Peer.signed_in(server.url, "alice") as alice:
        await alice.join("#general")
        plain.send(pasted("/quit\r\n/leave #general\rlast\n"))
        plain.wait(lambda: b"Pasted 3 lines" in plain.output, "the question")
        plain.send(b"\n")
        assert (
            await alice.next_event("#general", "message")
        ).text == "/quit\n/leave #general\nlast"
        plain.send(b"see " + pasted("one\ttwo") + b"!\n")
        assert (await alice.next_event("#general", "message")).text == "see one\ttwo!"
        plain.send(pasted("/nope\n") + b"\x15typed\n")
        assert (await alice.next_event("#general", "message")).text == "typed"


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("/delete 999", "There is no message 999 in #tea"),
        ("/react 👍 999", "There is no message 999 in #tea"),
        ("/pin 999", "There is no message 999 in #tea"),
        ("/unpin 999", "There is no message 999 in #tea"),
        ("/edit {theirs} other words", "your own"),
        ("/delete {theirs}", "#tea"),
        ("/topic {long}", "2,000 characters long"),
        ("/msg nobody hello", "nobody"),
        ("/leave #nowhere", "#nowhere"),
        ("/nope", "/nope"),
    ],
)
async def test_a_refusal_at_the_end_of_a_pipe_is_printed_and_fails(
    server: ChatServer, make_client: Callable[..., Client], command: str, says: str
) -> None:
    async with Peer.signed_in(server.url, "alice") as alice:
        await alice.join("#tea")
        theirs = (await alice.say("hers", "#tea")).seq
        typed = command.format(theirs=theirs, long="x" * 2_000)
        done = make_client(server.url).run("--plain", stdin=f"/join #tea\n{typed}\n")
    assert done.returncode in (2, 3), (done.stdout, done.stderr)
    assert done.stderr.startswith("chat-client: ")
    assert says in done.stderr


async def test_every_command_at_the_end_of_a_pipe_is_done_when_it_ends(
    server: ChatServer, make_client: Callable[..., Client]
) -> None:
    client = make_client(server.url)
    async with Peer.signed_in(server.url, "alice") as alice:
        await alice.join("#tea")
        for text in ("one", "two"):
            assert client.run("send", "#tea", text).returncode == 0
        said_before = [(await alice.next_event("#tea", "message")).seq for _ in range(2)]
        for command, kind in (
            ("/react {} 👍", "react"),
            ("/edit {} other", "edit"),
            ("/pin {}", "pin"),
            ("/delete {}", "delete"),
        ):
            typed = (
                command.format(said_before[0]) if kind != "react" else f"/react 👍 {said_before[0]}"
            )
            done = client.run("--plain", stdin=f"/join #tea\n{typed}\n")
            assert (done.returncode, done.stderr) == (0, ""), kind
            assert (await alice.next_event("#tea", kind)).target == said_before[0]
        assert client.run("--plain", stdin="/join #tea\n/topic green\n").returncode == 0
        assert (await alice.next_event("#tea", "topic")).topic == "green"


def test_lines_after_quit_are_not_sent(
    server: ChatServer, make_client: Callable[..., Client]
) -> None:
    client = make_client(server.url)
    done = client.run("--plain", stdin="/join #tea\nbefore\n/quit\nls -l\n")
    assert (done.returncode, done.stderr) == (0, "")
    exported = client.run("export", "#tea").stdout
    assert "before" in exported
    assert "ls -l" not in exported


def test_unsent_piped_messages_are_kept_and_reported(
    fake: FakeServer, make_client: Callable[..., Client]
) -> None:
    client = make_client(fake.url)
    assert client.run("--plain", stdin="").returncode == 0  # a channel is cached from now on
    fake.stop()
    done = client.run("--plain", stdin="kept\n")
    assert done.returncode == 5
    assert "1 message has not been sent yet" in done.stderr


class Heard(Lines):
    """Lines that count the bell."""

    def __init__(self) -> None:
        super().__init__(lambda text: None, lambda: None)
        self.rung = 0
        self.said: list[str] = []

    def say(self, lines: Iterable[str]) -> None:
        self.said += lines

    def ring_bell(self) -> None:
        self.rung += 1


@pytest.mark.parametrize(
    ("way", "rung", "run"),
    [("bell", 1, 0), ("osc9", 1, 0), ("osc777", 1, 0), ("command", 0, 1), ("none", 0, 0)],
)
def test_each_notification_setting_rings_or_runs_the_command(way: Way, rung: int, run: int) -> None:
    lines = Heard()
    beside: list[Coroutine[None, None, None]] = []
    LineNotifier(lines, beside.append, way, ("true",)).notify(Notification("bob", "hi"))
    assert (lines.rung, len(beside)) == (rung, run)
    for work in beside:
        work.close()


async def test_a_missing_notification_program_is_reported_once(tmp_path: Path) -> None:
    lines = Heard()
    beside: list[Coroutine[None, None, None]] = []
    caller = LineNotifier(lines, beside.append, "command", (str(tmp_path / "none"),))
    for _ in range(3):
        caller.notify(Notification("bob", "hi"))
        await beside.pop()
    (fault,) = lines.said
    assert "cannot run notify_command" in fault
    assert str(tmp_path / "none") in fault


def test_opening_a_thread_prints_replies_above_the_known_head(
    capsys: pytest.CaptureFixture[str],
) -> None:
    core = FakeCore()
    cores = Cores(ClientSettings(name="me"), lambda settings: core)
    cores.open()
    plain = Plain(cores, ClientSettings(name="me"))
    root, reply = (
        said_line(1, "alice", "first"),
        said_line(2, "alice", "second", reply_to=1, thread=1),
    )
    core.go_online(info("#general", head=1))
    core.tell(TimelineChanged("#general", (root,), reset=True))
    core.tell(TimelineChanged("#general", (reply,)))
    plain.take_in()
    plain.submit("/thread 1")
    thread = TimelineChanged("#general", (root, reply), reset=True, complete=True)
    core.tell(ThreadChanged("#general", 1, 1, thread))
    plain.take_in()
    assert "2. alice: second" in capsys.readouterr().out


@pytest.mark.feature("around.servers")
async def test_lines_of_the_server_behind_bear_its_name(
    tmp_path: Path, start_server: Callable[..., ChatServer]
) -> None:
    tea, work = start_server("--server-name", "Tea"), start_server("--server-name", "Work")
    terminal = RawTerminal(
        tmp_path, "chat-client", "--plain", "--name", "me", "--url", tea.url, "--url", work.url
    )

    def hears(line: str, *, numbered: bool = False, server: str = "") -> None:
        number = r"\d+\. " if numbered else ""
        # The first line follows the sequence that asks the terminal to mark pastes.
        whole = rf"[\nh]{server}{number}{re.escape(line)}\r\n".encode()
        terminal.wait(lambda: re.search(whole, terminal.output), line)

    try:
        hears("Connected to Tea as me.")
        terminal.wait(lambda: b": Connected to Work as me." in terminal.output, "both messages")
        # Earlier joins are not printed; the answer to `/who` shows that it follows the channel.
        terminal.send(b"/server work\n")
        hears("You are in #general on Work.")
        terminal.send(b"/who\n/server tea\n")
        terminal.wait(lambda: b"me, online" in terminal.output, "the client follows the channel")
        again = b"\nYou are in #general on Tea."
        terminal.wait(lambda: again in terminal.output, "the server is shown again")
        async with (
            Peer.signed_in(tea.url, "alice") as alice,
            Peer.signed_in(work.url, "bob") as bob,
        ):
            await alice.join("#general")
            await bob.join("#general")
            hears("Work: bob joined #general.")
            await alice.say("kettle")
            await bob.say("stand-up")
            hears("alice in #general: kettle", numbered=True)
            hears("bob in #general: stand-up", numbered=True, server="Work: ")

            tea.kill()
            terminal.send(b"/server\n")
            hears("Servers. Use /server NAME to switch to one:")
            terminal.send(b"/server work\n")
            hears("You are in #general on Work. 1 unread.")
            terminal.wait(
                lambda: b"\nTea: Not connected" in terminal.output,
                "the lost connection is reported",
            )
            terminal.send(b"here\n")
            while (await bob.next_event("#general", "message")).text != "here":
                pass
            terminal.send(b"/disconnect tea\n/disconnect\n")
            terminal.wait(lambda: b"Removed " in terminal.output, "the server is removed")
            terminal.wait(
                lambda: b"Cannot remove your only server" in terminal.output,
                "the last server cannot be removed",
            )
    finally:
        terminal.close()


async def test_an_invitation_is_accepted_and_moderation_is_printed(
    plain: RawTerminal, server: ChatServer
) -> None:
    async with Peer.signed_in(server.url, "olga") as olga:
        await olga.call(Create(channel="#plans", private=True, topic="what we do"), Joined)
        await olga.say("welcome", "#plans")
        plain.wait(lambda: b"Connected to chat" in plain.output, "the connection")
        await olga.call(Invite(channel="#plans", name="me"))
        plain.wait(
            lambda: b"olga invited you to the private channel #plans. Use /accept" in plain.output,
            "the invitation",
        )
        plain.send(b"/accept\n")
        plain.wait(
            lambda: b"You are in #plans (private). Topic: what we do" in plain.output, "the channel"
        )
        await olga.call(MuteUser(channel="#plans", name="me", reason="loud"))
        muted = b"You were muted in #plans by olga: loud."
        plain.wait(lambda: muted in plain.output, "why the user cannot write")
        plain.send(b"let me speak\n")
        plain.wait(lambda: plain.output.count(muted) == 2, "the refusal")
        await olga.call(Unmute(channel="#plans", name="me"))
        plain.wait(lambda: b"You can write in #plans again." in plain.output, "the end")
        await olga.call(Kick(channel="#plans", name="me", reason="spam"))
        plain.wait(
            lambda: b"You were removed from #plans by olga: spam." in plain.output, "the kick"
        )


async def test_a_kick_asks_once_in_a_terminal(plain: RawTerminal, server: ChatServer) -> None:
    async with Peer.signed_in(server.url, "bob") as bob:
        plain.send(b"/create #tea\n")
        plain.wait(lambda: b"You are in #tea." in plain.output, "the channel")
        await bob.join("#tea")
        plain.wait(lambda: b"bob joined #tea." in plain.output, "a member")
        plain.send(b"/kick bob spam\n")
        question = b"Remove bob from #tea? They may join again; use /ban to keep them out. Reason: "
        plain.wait(lambda: question in plain.output, "the question")
        plain.send(b"y\n")
        plain.wait(lambda: b"Removed bob from #tea." in plain.output, "the kick")
        removed = await bob.next(Removed)
        assert (removed.act, removed.by, removed.reason) == ("kick", "me", "spam")


async def test_a_followed_thread_is_printed_and_an_ignored_person_is_not(
    plain: RawTerminal, server: ChatServer
) -> None:
    async with Peer.signed_in(server.url, "bob") as bob:
        await bob.join("#general")
        plain.send(b"root\n")
        root = await bob.next_event("#general", "message")
        reply = Send(channel="#general", text="a reply", reply_to=root.seq, thread_only=True)
        await bob.call(reply)
        text = f"bob in #general: a reply  (reply to message {root.seq}, only in its thread)"
        plain.wait(lambda: text.encode() in plain.output, "the reply")
        plain.send(b"/ignore bob\n")
        plain.wait(lambda: b"You now ignore bob" in plain.output, "ignoring")
        await bob.say("noise")
        plain.wait(lambda: b"1 message from bob (ignored) in #general." in plain.output, "the fold")
        assert b"noise" not in plain.output
