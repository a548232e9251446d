"""Shell completion: the printed scripts complete commands, flags, values and files."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from chat.client import cli as client
from chat.completion import SHELLS
from chat.server import cli as server

MAINS = {"chat-client": client.main, "chat-server": server.main}

COMPLETE = """
source "$1"; shift
read -r _ _ _ _ function _ < <(complete -p "$1")
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMP_LINE="$*" COMP_POINT=${#COMP_LINE}
COMPREPLY=()
"$function" "$1" "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
printf '%s\\n' "${COMPREPLY[@]}"
"""
"""Completes a command line as bash does when Tab is pressed at its end."""


def script(program: str, shell: str, capsys: pytest.CaptureFixture[str]) -> str:
    """Return the completion script that a program prints."""
    with pytest.raises(SystemExit) as done:
        MAINS[program](["--print-completion", shell])
    assert done.value.code == 0
    return capsys.readouterr().out


@pytest.mark.feature("around.completion")
@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("chat-server us", {"user"}),
        ("chat-server user e", {"enable", "erase", "export"}),
        ("chat-server sch", {"schema"}),
        ("chat-server --registration ", {"open", "invite", "closed"}),
        ("chat-server --limits.te", {"--limits.text"}),
        ("chat-server ban --re", {"--reason"}),
        ("chat-server --tls-cert fu", {"fullchain.pem"}),
        ("chat-server check --file fu", {"fullchain.pem"}),
        ("chat-server backup fu", {"fullchain.pem"}),
        ("chat-server backup --data fo", {"folder"}),
        ("chat-client --log-level d", {"debug"}),
        ("chat-client --token-f", {"--token-file"}),
        ("chat-client ta", {"tail"}),
        ("chat-client tail --fol", {"--follow"}),
        ("chat-client send --data fo", {"folder"}),
    ],
)
def test_bash_completes(
    line: str, offered: set[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = line.split(" ")
    (tmp_path / "script").write_text(script(words[0], "bash", capsys), "utf-8")
    (tmp_path / "fullchain.pem").touch()
    (tmp_path / "folder").mkdir()
    done = subprocess.run(
        ["bash", "--norc", "-c", COMPLETE, "bash", "./script", *words],
        capture_output=True,
        encoding="utf-8",
        cwd=tmp_path,
        check=False,
    )
    assert done.stderr == ""
    assert {each.strip() for each in done.stdout.splitlines() if each} == offered


@pytest.mark.parametrize("program", MAINS)
@pytest.mark.parametrize("shell", SHELLS)
def test_script_is_valid(
    program: str, shell: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = script(program, shell, capsys)
    assert program in text
    if shutil.which(shell):
        (tmp_path / "script").write_text(text, "utf-8")
        subprocess.run([shell, "-n", str(tmp_path / "script")], check=True)


def test_an_unknown_shell_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    for main in MAINS.values():
        assert main(["--print-completion", "csh"]) == 2
        assert "choose from" in capsys.readouterr().err
