"""Slash commands: recognizing them, parsing their arguments, and the table."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat.client.model.slash import commands, parser
from chat.client.model.slash.commands import COMMANDS, Kind, find
from chat.client.model.slash.parser import SlashError


@pytest.mark.parametrize(
    ("text", "name", "values"),
    [
        ("/join #tea", "join", {"channel": "#tea"}),
        ("/JOIN tea", "join", {"channel": "tea"}),
        ("/j tea ", "join", {"channel": "tea"}),
        ("/me  waves at\nall", "me", {"text": "waves at\nall"}),
        ("/msg bob,carol lunch at 12?", "msg", {"names": "bob,carol", "text": "lunch at 12?"}),
        ("/msg bob", "msg", {"names": "bob"}),
        ("/leave", "leave", {}),
        ("/edit new text", "edit", {"text": "new text"}),
        ("/edit 42 new text", "edit", {"number": "42", "text": "new text"}),
        ("/edit 42", "edit", {"number": "42"}),
        ("/edit last 42", "edit", {"number": "last", "text": "42"}),
        ("/reply 42 yes", "reply", {"number": "42", "text": "yes"}),
        ("/reply 42", "reply", {"text": "42"}),
        ("/reply --channel 42 yes", "reply", {"also": "--channel", "number": "42", "text": "yes"}),
        ("/create #tea", "create", {"channel": "#tea"}),
        (
            "/create --PRIVATE #tea All about tea",
            "create",
            {"private": "--PRIVATE", "channel": "#tea", "topic": "All about tea"},
        ),
        (
            "/mute @bob 10m spam",
            "mute",
            {"channel|@name": "@bob", "duration": "10m", "reason": "spam"},
        ),
        ("/ban mallory", "ban", {"name|address": "mallory"}),
        (
            "/ban --server mallory 7d spam",
            "ban",
            {"where": "--server", "name|address": "mallory", "duration": "7d", "reason": "spam"},
        ),
        ("/react :tea: 7", "react", {"emoji": ":tea:", "number": "7"}),
        ("/?", "help", {}),
        ("/topic -", "topic", {"text": "-"}),
    ],
)
def test_parse_reads_a_command_and_its_arguments(
    text: str, name: str, values: dict[str, str]
) -> None:
    found = parser.parse(text)
    assert (found.command.name, dict(found.values)) == (name, values)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("/jion #tea", "Did you mean /join?"),
        ("/serach tea", "Did you mean /search?"),
        ("/disconect", "Did you mean /disconnect?"),
        ("/tpoic tea", "Did you mean /topic?"),
        ("/nick bob", "To sign in with another name as well, use /connect URL NAME."),
        ("/kick", "Usage: /kick NAME [REASON]"),
        ("/create --private", "Usage: /create [--private] CHANNEL [TOPIC]"),
        ("/WHOISS bob", "Did you mean /whois?"),
        ("/usr/bin/env is missing", "Start with //"),
        ("/", "/help"),
        ("/join", "Usage: /join CHANNEL"),
        ("/me", "Usage: /me TEXT"),
        ("/move", "Usage: /move up|down"),
        ("/role bob", "Usage: /role [--channel|--server] NAME owner|moderator|member|admin|bot"),
        ("/dnd 30 40", "“40” is not expected. Usage: /dnd [on|off|MINUTES]"),
        ("/join #tea #coffee", "“#coffee” is not expected. Usage: /join CHANNEL"),
        ("/delete the last one", "“the” is not expected. Usage: /delete [NUMBER]"),
    ],
)
def test_an_invalid_command_says_what_to_write_instead(text: str, says: str) -> None:
    with pytest.raises(SlashError) as refused:
        parser.parse(text)
    assert says in str(refused.value)


@pytest.mark.parametrize("word", ["clear", "jo", "x"])
def test_no_command_is_suggested_for_a_word_that_is_not_a_typo(word: str) -> None:
    with pytest.raises(SlashError) as refused:
        parser.parse(f"/{word} bob")
    assert "Did you mean" not in str(refused.value)


def test_two_slashes_start_a_message_with_one_slash() -> None:
    assert not parser.is_command("//etc/hosts")
    assert parser.literal("//etc/hosts") == "/etc/hosts"
    assert parser.literal("no / at the start") == "no / at the start"
    assert not parser.is_command(" /join")


@pytest.mark.parametrize(
    ("line", "kind", "start"),
    [
        ("/join ", Kind.CHANNEL, 6),
        ("/join #te", Kind.CHANNEL, 6),
        ("/msg bob,ca", Kind.NAMES, 5),
        ("/msg bob hi @al", Kind.TEXT, 12),
        ("/react :te", Kind.EMOJI, 7),
        ("/react :tea: ", Kind.NUMBER, 13),
        ("/edit 42 hi", Kind.TEXT, 9),
        ("/help re", Kind.COMMAND, 6),
    ],
)
def test_argument_at_returns_the_argument_at_the_cursor(line: str, kind: Kind, start: int) -> None:
    found = parser.argument_at(line)
    assert found is not None
    assert (found[0].kind, found[1]) == (kind, start)


@pytest.mark.parametrize("line", ["/joi", "/away ", "hello", "//join ", "/nonsense x", "/join a b"])
def test_argument_at_returns_none_outside_arguments(line: str) -> None:
    assert parser.argument_at(line) is None


def test_command_names_and_aliases_are_unique() -> None:
    words = [word for row in COMMANDS for word in (row.name, *row.aliases)]
    assert len(words) == len(set(words))
    assert all(commands.find(word) is not None for word in words)


def test_every_example_is_a_valid_use_of_its_command() -> None:
    for row in COMMANDS:
        assert parser.parse(row.example).command is row


@given(st.text())
def test_any_text_is_parsed_or_rejected(text: str) -> None:
    with contextlib.suppress(SlashError):
        parser.parse("/" + text)
    parser.argument_at("/" + text)


def test_help_of_a_command_says_what_it_does_in_plain_mode() -> None:
    bare = find("bare")
    assert bare is not None
    assert bare.help_line() == (
        "/bare: show messages as plain text, to select them with the mouse. Example: /bare"
    )
    assert bare.help_line(is_plain=True) == (
        "/bare: print the latest messages of this channel with their numbers. Example: /bare"
    )
