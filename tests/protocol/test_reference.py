"""The examples in the protocol's manual match the models."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect

import chat
from chat.errors import CloseCode, ErrorCode
from chat.protocol.codec import decode_command, decode_frame, encode
from chat.protocol.reference import CLOSES, ERRORS
from chat.protocol.values import Limits
from tests.protocol.strategies import COMMANDS, FRAMES
from tests.serving import ChatServer

PAGE = Path(chat.__file__).parent / "docs" / "protocol.md"


def examples(section: str) -> list[tuple[str, str]]:
    """Return the headings of a section, each with its JSON block."""
    parts = re.split(r"^## ", PAGE.read_text("utf-8"), flags=re.MULTILINE)
    part = next(part for part in parts if part.startswith(section))
    return [
        (entry.split("\n", 1)[0], block)
        for entry in re.split(r"^### ", part, flags=re.MULTILINE)[1:]
        for block in re.findall(r"^```json\n(.*?)\n```$", entry, re.MULTILINE | re.DOTALL)
    ]


SENT = examples("Commands")
RECEIVED = examples("Frames")


def type_names(models: tuple[type[Any], ...]) -> list[str]:
    return sorted(model.model_fields["type"].default for model in models)


def test_every_type_has_exactly_one_example() -> None:
    assert sorted(name for name, _ in SENT) == type_names(COMMANDS)
    assert sorted(name for name, _ in RECEIVED) == type_names(FRAMES)
    assert PAGE.read_text("utf-8").count("```json") == len(COMMANDS) + len(FRAMES)


@pytest.mark.parametrize(("name", "block"), SENT)
def test_example_of_a_command_is_valid(name: str, block: str) -> None:
    command = decode_command(block, Limits())
    assert command.type == name
    # Encoding it again gives the same JSON: the example omits exactly the empty default fields.
    assert json.loads(encode(command)) == json.loads(block)


@pytest.mark.parametrize(("name", "block"), RECEIVED)
def test_example_of_a_frame_is_valid(name: str, block: str) -> None:
    frame = decode_frame(block)
    assert frame is not None
    assert frame.type == name
    assert json.loads(encode(frame)) == json.loads(block)


def test_example_of_welcome_has_the_default_limits() -> None:
    block = json.loads(dict(RECEIVED)["welcome"])
    assert block["limits"] == Limits().model_dump()


def test_every_code_has_a_meaning() -> None:
    assert set(ERRORS) == set(ErrorCode)
    assert set(CLOSES) == set(CloseCode)


async def test_example_session_produces_the_printed_answers(server: ChatServer) -> None:
    """Each `> ` line is sent; the lines below it must occur in the answers, in order."""
    block = PAGE.read_text("utf-8").split("<!-- session -->\n")[1].split("<!-- /session -->")[0]
    lines = [line for line in block.splitlines() if line[:2] in ("> ", "< ")]
    async with connect(server.url, proxy=None) as socket:
        for line in lines:
            if line.startswith("> "):
                await socket.send(line[2:])
                continue
            expected = json.loads(line[2:].replace("…", ""))
            while True:  # other frames such as presence may arrive in between
                frame = json.loads(await socket.recv())
                if frame["type"] == expected["type"]:
                    break
            for key, value in expected.items():
                if value not in ("", [], {}, 0):
                    assert frame[key] == value, line
