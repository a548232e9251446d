"""`--help` of both programs: one style, and only flags that have an effect."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable

import pytest

from chat.client import cli as client
from chat.client.scripting.cli import COMMANDS as SCRIPT_COMMANDS
from chat.client.scripting.settings import HIDDEN_FLAGS
from chat.server import cli as server
from chat.server.config.commands import COMMANDS as SERVER_COMMANDS
from chat.server.config.sources import load

GROUPS = sorted({name.split()[0] for name in SERVER_COMMANDS if " " in name})
PAGES: tuple[tuple[Callable[[list[str]], int], str], ...] = (
    (client.main, ""),
    *((client.main, name) for name in SCRIPT_COMMANDS),
    (server.main, ""),
    *((server.main, name) for name in (*SERVER_COMMANDS, *GROUPS, "schema")),
)
Page = Callable[[Callable[[list[str]], int], str], str]


@pytest.fixture
def page(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Page:
    """Return a function that returns the help of a command, with each entry on one line."""
    monkeypatch.setenv("COLUMNS", "2000")

    def read(main: Callable[[list[str]], int], command: str) -> str:
        try:
            code: object = main([*command.split(), "--help"])
        except SystemExit as done:
            code = done.code
        assert code == 0
        return capsys.readouterr().out

    return read


def meanings(page: str) -> list[str]:
    """Return the meanings of the flags, arguments and commands on a help page."""
    listed = page.split("examples:")[0].replace("\n                        ", "  ")
    return re.findall(r"^  \S.*?  +(\S.*)$", listed, re.MULTILINE)


@pytest.mark.parametrize(("main", "command"), PAGES)
def test_help_is_in_sentence_case_without_a_final_period(
    page: Page, main: Callable[[list[str]], int], command: str
) -> None:
    found = meanings(page(main, command))
    assert found or command == "schema"
    for meaning in found:
        assert meaning[0].isupper(), meaning
        assert not meaning.endswith("."), meaning


@pytest.mark.parametrize(("main", "command"), PAGES)
def test_help_ends_with_examples_of_the_command(
    page: Page, main: Callable[[list[str]], int], command: str
) -> None:
    program = "chat-client" if main is client.main else "chat-server"
    _, found, rest = page(main, command).partition("examples:\n")
    examples = rest.partition("\n\n")[0].splitlines()
    assert found
    assert [line for line in examples if f"{program} {command}".strip() not in line] == []


@pytest.mark.parametrize("command", SERVER_COMMANDS)
def test_examples_of_the_servers_commands_are_accepted(command: str) -> None:
    kind = SERVER_COMMANDS[command]
    for example in kind.examples:
        words = shlex.split(example.partition(" >")[0])
        assert words[: 1 + len(command.split())] == ["chat-server", *command.split()]
        assert load(kind, "chat-server", words[1 + len(command.split()) :]).model_fields_set or (
            words[1:] == command.split()
        )


@pytest.mark.parametrize("command", SCRIPT_COMMANDS)
def test_help_of_scripting_commands_omits_flags_without_an_effect(page: Page, command: str) -> None:
    text = page(client.main, command)
    assert "--timeout" in text
    assert not [flag for flag in HIDDEN_FLAGS if f"--{flag}" in text]


@pytest.mark.parametrize("flag", HIDDEN_FLAGS)
def test_omitted_flags_are_still_accepted(flag: str, capsys: pytest.CaptureFixture[str]) -> None:
    value = {"joins": "none", "typing": "off", "editing": "vi"}[flag]
    code = client.main(["send", f"--{flag}", value, "--name", "no name", "general", "text"])
    assert code == 2
    assert "--name" in capsys.readouterr().err
