"""`chat-client --demo`: bots that answer, and no files or processes left at the end."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from chat.client.demo.script import BOT_NAMES, HOSTS, OPENING, answer_to
from tests.client.piped import Client, Piped
from tests.serving import PATIENCE, eventually

MakeClient = Callable[..., Client]


@pytest.fixture
def demo(tmp_path: Path, make_client: MakeClient) -> tuple[Piped, Path]:
    """Return a demo in plain mode after its opening, and the folder of its files."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    client = make_client("ws://127.0.0.1:9")
    client.flags = ()
    client.variables["TMPDIR"] = str(folder)
    running = client.start("--demo", "--plain", stdin=subprocess.PIPE)
    running.wait_for("one of us answers")
    return running, folder


def processes_that_mention(folder: Path) -> list[str]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                command = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if str(folder).encode() in command:
                found.append(command.decode(errors="replace"))
    return found


def assert_nothing_is_left(folder: Path) -> None:
    eventually(lambda: not processes_that_mention(folder), "keeper and server have ended")
    eventually(lambda: not list(folder.iterdir()), "the folder is gone")


def test_the_demo_has_bots_that_answer(demo: tuple[Piped, Path]) -> None:
    running, folder = demo
    assert len(processes_that_mention(folder)) == 2  # the keeper and the server
    text = "\n".join(running.lines)
    assert "nightly build?" in text
    assert "edited" in text
    assert "(deleted)" in text
    assert "🎉 grace" in text
    assert running.process.stdin is not None
    running.process.stdin.write("good morning, Grace\n")
    running.process.stdin.flush()
    running.wait_for("grace in #general: You called?")
    running.process.stdin.write("/quit\n")
    running.process.stdin.flush()
    assert running.process.wait(PATIENCE) == 0
    assert_nothing_is_left(folder)


def test_the_user_is_invited_to_a_private_channel_with_a_moderator_at_work(
    demo: tuple[Piped, Path],
) -> None:
    running, _ = demo
    running.wait_for("ada invited you to the private channel #garden.")
    assert running.process.stdin is not None
    running.process.stdin.write("/accept #garden\n/search tomatoes\n")
    running.process.stdin.flush()
    running.wait_for("You are in #garden (private). Topic: For invited people only")
    running.wait_for("ada: Thank you, grace.")
    running.wait_for("1 found.")


def test_a_bot_answers_each_direct_message_once_from_the_first_on(
    demo: tuple[Piped, Path],
) -> None:
    running, _ = demo
    assert running.process.stdin is not None
    for text in ("psst", "another"):
        running.process.stdin.write(f"/msg grace {text}\n")
        running.process.stdin.flush()
        running.wait_for(f"Just between us: “{text}” is safe with me.")
    shown = "\n".join(running.lines)
    assert shown.count("“psst” is safe") == 1


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
@pytest.mark.feature("around.first")
def test_the_demo_leaves_nothing_behind_however_it_ends(
    demo: tuple[Piped, Path], how: signal.Signals
) -> None:
    running, folder = demo
    assert list(folder.iterdir())
    running.end(how)
    assert_nothing_is_left(folder)


def test_the_script_only_refers_to_earlier_steps() -> None:
    for place, step in enumerate(OPENING):
        assert step.bot in BOT_NAMES
        if step.kind in ("reply", "react", "edit", "delete"):
            assert 0 < step.about < place
            assert OPENING[step.about].kind in ("say", "reply")
            assert OPENING[step.about].channel == step.channel


def test_exactly_one_bot_answers_unless_named() -> None:
    for turn in range(20):
        answers = [answer_to(name, "hello", turn, is_direct=False) for name in BOT_NAMES]
        assert sum(map(bool, answers)) == 1
    assert all(answer_to(name, "ADA and grace!", 0, is_direct=False) for name in HOSTS)
