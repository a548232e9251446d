"""What the README says is what the programs do."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from websockets.asyncio.client import connect

from chat.client.exit_codes import codes_table
from chat.client.model.slash.commands import markdown_table
from chat.client.scripting.cli import commands_table
from chat.client.tui.app import keys_table
from chat.server.config import ServerSettings
from tests.documents import assert_generated, refreshed
from tests.serving import ChatServer

README = Path(__file__).parents[1] / "README.md"


def test_the_tables_are_generated_from_the_registries() -> None:
    assert_generated(
        README,
        {
            "keys": keys_table(),
            "commands": markdown_table(),
            "pipes": commands_table(),
            "exit-codes": codes_table(),
        },
    )


def test_a_page_without_its_marks_is_noticed() -> None:
    with pytest.raises(ValueError, match="no place marked 'keys'"):
        refreshed("# chat", {"keys": "x"})


def test_every_link_leads_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", README.read_text("utf-8")):
        assert (README.parent / target).exists(), target


def test_every_flag_of_the_server_that_is_named_exists() -> None:
    text = README.read_text("utf-8")
    section = text[text.index("### Running a server") : text.index("## The protocol")]
    flags = set(re.findall(r"`--([a-z-]+)", section))
    known = {name.replace("_", "-") for name in ServerSettings.model_fields}
    assert flags
    assert flags <= known, flags - known


async def test_the_typed_session_goes_as_printed(server: ChatServer) -> None:
    """Each `> ` line is sent; what is printed below it is in the answers, in that order."""
    text = README.read_text("utf-8")
    block = text.split("<!-- session -->\n")[1].split("<!-- /session -->")[0]
    lines = [line for line in block.splitlines() if line[:2] in ("> ", "< ")]
    async with connect(server.url, proxy=None) as socket:
        for line in lines:
            if line.startswith("> "):
                await socket.send(line[2:])
                continue
            expected = json.loads(line[2:].replace("…", ""))
            while True:  # presence and the like may come between
                frame = json.loads(await socket.recv())
                if frame["type"] == expected["type"]:
                    break
            for key, value in expected.items():
                if value not in ("", [], {}, 0):
                    assert frame[key] == value, line
