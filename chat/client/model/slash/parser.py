"""Parse slash commands as typed.

Text without a leading slash is a message. Text with two leading slashes is a message too; the
first slash is removed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from chat.client.model.slash.commands import Argument, Command, Kind, find, near
from chat.errors import ChatError

__all__ = [
    "Invocation",
    "SlashError",
    "argument_at",
    "is_command",
    "literal",
    "parse",
]


@dataclass(frozen=True, slots=True)
class Invocation:
    """A parsed command: the typed `text`, and the `values` of the given arguments."""

    command: Command
    values: Mapping[str, str]
    text: str = ""
    thread: int | None = None
    """The root of the thread that it was typed in; None: in a channel."""

    def get(self, key: str) -> str:
        """Return an argument's value; empty if it was omitted."""
        return self.values.get(key, "")


class SlashError(ChatError):
    """A command that cannot be run; the message says what to write instead."""


_OPTIONAL_WORDS = {
    Kind.NUMBER: re.compile(r"\d{1,16}|last", re.IGNORECASE),
    Kind.DURATION: re.compile(r"(?:\d{1,9}[smhdw])+", re.ASCII | re.IGNORECASE),
}
"""The words of kinds that may be left out before a text."""
_RESTS = (Kind.TEXT, Kind.SERVER)


def _optional_words(argument: Argument) -> re.Pattern[str] | None:
    """Return the words of an argument that may be left out before others; None: it may not."""
    if argument.kind is Kind.FLAG:
        return re.compile("|".join(map(re.escape, argument.choices)), re.IGNORECASE)
    return _OPTIONAL_WORDS.get(argument.kind)


_WORD = re.compile(r"\S+")
_ELSEWHERE = {
    "nick": "A name belongs to an account and cannot be changed. To sign in with another name as "
    "well, use /connect URL NAME. If your name is taken on this server, use /name NAME.",
}
"""Hints for commands of other chats that have no counterpart here."""


def is_command(text: str) -> bool:
    """Whether `text` is a command: it starts with exactly one slash."""
    return text.startswith("/") and not text.startswith("//")


def literal(text: str) -> str:
    """Return the message to send: a leading `//` becomes `/`."""
    return text[1:] if text.startswith("//") else text


def parse(text: str) -> Invocation:
    """Parse a command line.

    Raises:
        SlashError: unknown command, or a missing or surplus argument.
    """
    word, _, rest = _split_word(text[1:])
    command = find(word)
    if command is None:
        raise SlashError(_unknown(word))
    values: dict[str, str] = {}
    for index, argument in enumerate(command.arguments):
        value, rest = _take(argument, rest, command.arguments[index + 1 :])
        if value:
            values[argument.key] = value
        elif not argument.optional:
            raise SlashError(f"Usage: {command.usage}")
    if rest:
        if not command.arguments:
            raise SlashError(f"/{command.name} takes no text")
        raise SlashError(f"“{rest.split()[0]}” is not expected. Usage: {command.usage}")
    return Invocation(command, values, text)


def argument_at(line: str) -> tuple[Argument, int] | None:
    """Return the argument at the end of `line`, and the index where its text begins.

    None if the line is not a command, ends in the command's name, or takes no further argument.
    """
    if not is_command(line):
        return None
    words = list(_WORD.finditer(line))
    if not words or words[0].end() == len(line):
        return None
    command = find(words[0][0])
    if command is None:
        return None
    given = [match for match in words[1:] if match.end() < len(line)]
    start = words[-1].start() if words[-1].end() == len(line) else len(line)
    arguments = command.arguments
    if not line[start:].startswith("-"):  # flags are offered once their first character is typed
        arguments = tuple(
            each
            for each in arguments
            if each.kind is not Kind.FLAG or any(match[0] in each.choices for match in given)
        )
    return _argument_after(arguments, [match[0] for match in given], start)


def _argument_after(
    arguments: tuple[Argument, ...], given: list[str], start: int
) -> tuple[Argument, int] | None:
    for argument in arguments:
        if argument.kind in _RESTS:
            return argument, start
        words = _optional_words(argument)
        if given and (words is None or words.fullmatch(given[0])):
            given = given[1:]
        elif not given:
            return argument, start
    return None


def _split_word(text: str) -> tuple[str, str, str]:
    match = re.match(r"(\S*)(\s*)", text)
    assert match is not None
    return match[1], match[2], text[match.end() :]


def _take(argument: Argument, rest: str, later: tuple[Argument, ...]) -> tuple[str, str]:
    """Return the argument's value, empty if it is missing, and the rest of the line."""
    if argument.kind in _RESTS:
        return rest.rstrip(), ""
    word, _, after = _split_word(rest)
    words = _optional_words(argument)
    if words is not None:
        # A lone number is the text where a text is required: `/reply 42` replies "42".
        text_is_due = argument.kind is not Kind.FLAG and any(not each.optional for each in later)
        if not words.fullmatch(word) or (text_is_due and not after.strip()):
            return "", rest
    return word, after


def _unknown(word: str) -> str:
    if not word:
        return "Type a command after the slash; /help lists them. Start with // to send a slash."
    meant = near(word)
    hint = f"Did you mean /{meant}?" if meant else "Use /help to list all commands."
    hint = _ELSEWHERE.get(word.lower(), hint)
    return f"Unknown command /{word}. {hint} Start with // to send it as a message."
