"""`chat-client` up to its interface: help, invalid flags, the name, the report at the end."""

from __future__ import annotations

import io
import logging
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from chat import __version__
from chat.client import cli
from chat.client.config.options import options
from chat.client.config.paths import ClientPaths
from chat.client.config.settings import ClientSettings

DEAD = "ws://127.0.0.1:9"


@pytest.fixture(autouse=True)
def log_as_before() -> Iterator[None]:
    """Remove the client's handlers from the process's log."""
    root, level = logging.getLogger(), logging.getLogger("chat").level
    before = root.handlers[:]
    yield
    logging.getLogger("chat").setLevel(level)
    for handler in root.handlers[:]:
        if handler not in before:
            root.removeHandler(handler)
            handler.close()
            if isinstance(handler, logging.StreamHandler):
                handler.stream.close()


class Interface:
    """Replaces plain mode, which needs no terminal."""

    def __init__(self) -> None:
        self.shown: list[ClientSettings] = []

    def run(self, *arguments: str) -> int:
        """Run `chat-client` with these arguments up to its interface."""
        return cli.main(["--plain", *arguments], show=self._show)

    def _show(self, settings: ClientSettings) -> int:
        self.shown.append(settings)
        return 0


@pytest.fixture
def client() -> Interface:
    return Interface()


@pytest.fixture
def flags(tmp_path: Path) -> list[str]:
    return ["--data", str(tmp_path / "data"), "--url", DEAD]


def test_help_lists_every_setting(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(["--help"])
    assert caught.value.code == 0
    printed = capsys.readouterr().out
    for name, (known, _) in options(ClientSettings).items():
        assert known.in_file_only or f"--{name.replace('_', '-')}" in printed
        assert known.help
    assert "ws://127.0.0.1:3000" in printed
    assert "client.toml" in printed


def test_version_flag_prints_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(["--version"])
    assert caught.value.code == 0
    assert capsys.readouterr().out == f"chat-client {__version__}\n"


def test_help_does_not_load_the_screens() -> None:
    code = (
        "import sys\nfrom chat.client.cli import main\n"
        "try: main(['--help'])\nexcept SystemExit: pass\n"
        "assert not {'textual', 'rich', 'sqlalchemy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)


@pytest.mark.parametrize(
    "wrong",
    [
        ["--nope"],
        ["--nam", "alice"],
        ["--name", "böb"],
        ["--name"],
        ["--url", "http://x"],
        ["--log-level", "loud"],
        ["--token-file", "/nowhere"],
        ["--log-file", "/nowhere/log"],
    ],
)
def test_an_unknown_flag_is_one_line_and_exit_code_2(
    capsys: pytest.CaptureFixture[str],
    client: Interface,
    tmp_path: Path,
    wrong: list[str],
) -> None:
    assert client.run("--data", str(tmp_path / "data"), "--name", "alice", *wrong) == 2
    assert client.shown == []
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("chat-client: ")
    assert printed.err.count("\n") == 1


def test_the_last_name_is_used_again(client: Interface, flags: list[str]) -> None:
    assert client.run(*flags, "--name", "alice") == 0
    assert client.run(*flags) == 0
    assert [settings.name for settings in client.shown] == ["alice", "alice"]


def test_the_last_server_is_used_again_with_its_name(client: Interface, tmp_path: Path) -> None:
    data = ["--data", str(tmp_path / "data")]
    assert client.run(*data, "--name", "alice", "--url", "ws://a:1") == 0
    assert client.run(*data) == 0
    assert client.run(*data, "--name", "bob", "--url", "ws://b:2") == 0
    assert client.run(*data, "--name", "ALICE") == 0
    assert client.run(*data, "--name", "bob") == 0
    assert client.run(*data, "--url", "ws://a:1") == 0
    assert client.run(*data, "--name", "carol") == 0
    assert [(settings.name, settings.url) for settings in client.shown] == [
        ("alice", "ws://a:1"),
        ("alice", "ws://a:1"),
        ("bob", "ws://b:2"),
        ("ALICE", "ws://a:1"),
        ("bob", "ws://b:2"),
        ("ALICE", "ws://a:1"),
        ("carol", "ws://a:1"),
    ]


def test_the_name_prompt_repeats_until_the_name_is_valid(
    client: Interface,
    flags: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("two words\n\nalice\n"))
    assert client.run(*flags) == 0
    assert client.shown[0].name == "alice"
    assert capsys.readouterr().err.count("must be one or more") == 2


def test_no_input_for_the_name_prompt_is_exit_code_2(
    client: Interface,
    flags: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    assert client.run(*flags) == 2
    assert "--name NAME" in capsys.readouterr().err


def test_nothing_in_the_log_can_control_a_terminal(
    client: Interface, flags: list[str], tmp_path: Path
) -> None:
    log = tmp_path / "log"
    assert client.run(*flags, "--name", "alice", "--log-file", str(log)) == 0
    logger = logging.getLogger("chat")
    logger.warning("evil %s", "\x1b]0;title\x07")
    assert "evil ␛]0;title␇" in log.read_text()
    assert stat.S_IMODE(log.stat().st_mode) == 0o600


def test_a_data_folder_that_is_a_file_is_exit_code_2(
    client: Interface, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "data").write_text("")
    assert client.run("--data", str(tmp_path / "data"), "--name", "alice") == 2
    assert "--data" in capsys.readouterr().err


def test_servers_named_by_flags_replace_all_others(client: Interface, tmp_path: Path) -> None:
    data = tmp_path / "data"
    ClientPaths(data).servers.add("ws://kept:3", "carol")
    flags = ["--data", str(data), "--name", "me"]
    assert client.run(*flags, "--url", DEAD, "--url", "ws://b:2") == 0
    assert client.run(*flags, "--url", DEAD) == 0
    assert client.run(*flags) == 0
    assert client.run(*flags, "--url", f"{DEAD} ws://b:2,ws://c:3") == 0
    urls = [[each.url for each in settings.for_each_server()] for settings in client.shown]
    assert urls == [
        [DEAD, "ws://b:2"],
        [DEAD],
        [DEAD, "ws://kept:3"],
        [DEAD, "ws://b:2,ws://c:3"],
    ]


def test_an_invalid_further_address_is_reported_with_its_flag(
    client: Interface, capsys: pytest.CaptureFixture[str], flags: list[str]
) -> None:
    assert client.run(*flags, "--url", "tea") == 2
    assert "--url 'tea': must begin with ws://" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ["--name", "send", "send", "#x", "hi"],
        ["--plain", "--name=bob", "send", "#x", "hi"],
        ["--timeout", "5", "tail", "#x"],
        ["--json", "-n", "3", "tail", "#x"],
        ["export", "#x"],
    ],
)
def test_flags_may_precede_a_command(arguments: list[str]) -> None:
    ordered = cli.command_first(arguments)
    assert ordered[0] == next(word for word in reversed(arguments) if word in cli.PIPES)
    assert sorted(ordered) == sorted(arguments)


@pytest.mark.parametrize("arguments", [[], ["--name", "send"], ["--plain", "hello", "send"]])
def test_the_value_of_a_flag_is_not_taken_for_a_command(arguments: list[str]) -> None:
    assert cli.command_first(arguments) == []
