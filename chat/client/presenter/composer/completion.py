"""Complete the word at the caret: names, channels, emoji, commands. Pure.

The first character selects the source: `/` commands, `@` names, `#` channels, `:` emoji. The
argument of a command is completed by its kind, a code fence by languages. Prefix matches come
first, in the order of the source, then fuzzy matches. Code blocks have no completion.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from chat.client.model.emoji import all_names
from chat.client.model.fuzzy import rank
from chat.client.model.slash import parser
from chat.client.model.slash.commands import Argument, Kind, available, find
from chat.rights import Right

__all__ = ["Candidate", "Completion", "Sources", "complete", "lookup_for"]

_MOST = 50
# Not inside a word or an address; an emoji's name needs two letters, so that `:)` and `:D` pass.
_FENCE = re.compile(r"^ {0,3}(?P<marks>```+|~~~+)(?P<language>[\w+#-]*)$")
_FENCED = re.compile(r"^ {0,3}(```+|~~~+)(.*)$")
_TOKEN = re.compile(r"(?:^|(?<=[\s(\"'“‘]))(?:[@#][\w.\-]*|:[\w+\-]{2,})$")


@dataclass(frozen=True, slots=True)
class Sources:
    """The names to complete from; `names` begins with the latest authors."""

    names: tuple[str, ...] = ()
    channels: tuple[str, ...] = ()
    themes: tuple[str, ...] = ()
    messages: tuple[tuple[int, str], ...] = ()
    """Numbers and texts of messages, newest first."""
    servers: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    """Languages of code blocks."""
    is_admin: bool = False
    """Whether to offer the commands of admins."""
    rights: frozenset[Right] = frozenset()
    """Rights in the current channel, whose commands are offered."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """One completion: the inserted text, its label, and how it matches the typed word."""

    insert: str
    label: str
    note: str = ""
    is_prefix: bool = True
    is_exact: bool = False


@dataclass(frozen=True, slots=True)
class Completion:
    """Candidates for the word that begins at column `start` of its line.

    `is_meant`: Enter accepts the first candidate. False where the typed word itself is valid: an
    argument may be a new channel, and `/j` means `/join`.
    """

    start: int
    candidates: tuple[Candidate, ...]
    is_meant: bool = False


def complete(line: str, sources: Sources, above: Sequence[str] = ()) -> Completion | None:
    """Return completions for the end of `line`, or None.

    Args:
        line: the line up to the cursor.
        sources: the names to complete from.
        above: the lines before it; only the first line can be a command.
    """
    if _is_within_code(above):
        return None
    found = None
    if not above and parser.is_command(line):
        found = _at_command(line, sources)
    if found is None and (match := _FENCE.match(line)):
        found = match.start("language"), _languages(match["language"], sources), False
    if found is None and (match := _TOKEN.search(line)):
        start, candidates = match.start(), _token(match[0], sources)
        found = start, candidates, len(match[0]) > 1
    if found is None:
        return None
    start, candidates, is_free = found
    if not candidates:
        return None
    is_meant = is_free and candidates[0].is_prefix and not candidates[0].is_exact
    return Completion(start, candidates, is_meant)


def lookup_for(line: str) -> tuple[str, str] | None:
    """Return the kind and prefix of the names that could complete the end of `line`.

    Kinds: `@` members of this channel, `/` people on the server, `#` channels.
    """
    where = parser.argument_at(line) if parser.is_command(line) else None
    if where is not None and where[0].kind is Kind.NAMES:
        return "/", line[where[1] :].rpartition(",")[2].removeprefix("@")
    if where is not None and where[0].kind is Kind.CHANNEL and line[where[1] :][:1] != "@":
        return "#", line[where[1] :].removeprefix("#")
    match = _TOKEN.search(line)
    return None if match is None or match[0][0] == ":" else (match[0][0], match[0][1:])


def _is_within_code(lines: Sequence[str]) -> bool:
    """Whether a code block is open at the end of `lines`."""
    opened = ""
    for line in lines:
        match = _FENCED.match(line)
        if match is None:
            continue
        if not opened:
            opened = match[1]
        elif match[1].startswith(opened) and not match[2].strip():
            opened = ""
    return bool(opened)


def _at_command(line: str, sources: Sources) -> tuple[int, tuple[Candidate, ...], bool] | None:
    """Return the word's start, its candidates, and whether no other word is valid."""
    if not any(char.isspace() for char in line):
        return 0, _commands(line, sources, lead="/"), find(line) is None
    start, candidates = _in_command(line, sources)
    return (start, candidates, False) if candidates else None


def _in_command(line: str, sources: Sources) -> tuple[int, tuple[Candidate, ...]]:
    where = parser.argument_at(line)
    if where is None:
        return len(line), ()
    argument, start = where
    word = line[start:]
    if argument.kind is Kind.NAMES:
        start += word.rfind(",") + 1
        word = line[start:]
        offset = 1 if word.startswith("@") else 0
        return start, _ranked(word[offset:], sources.names, lambda name: (name + " ", name, ""))
    return start, _argument(argument, word, sources)


def _argument(argument: Argument, word: str, sources: Sources) -> tuple[Candidate, ...]:
    kind = argument.kind
    if kind is Kind.CHANNEL and word[:1] == "@":
        return _token(word, sources)
    if kind is Kind.CHANNEL:
        return _channels(word, sources)
    if kind is Kind.EMOJI:
        return _emoji(word.strip(":"))
    if kind is Kind.COMMAND:
        return _commands(word, sources, lead="")
    if kind is Kind.THEME:
        return _ranked(word, sources.themes, lambda name: (name, name, ""))
    if kind is Kind.SERVER:
        return _ranked(word, sources.servers, lambda name: (name, name, ""))
    if kind is Kind.NUMBER:
        said = {str(seq): what for seq, what in sources.messages}
        return _ranked(word, said, lambda number: (number + " ", number, said[number]))
    return _ranked(word, argument.choices, lambda name: (name, name, ""))


def _token(word: str, sources: Sources) -> tuple[Candidate, ...]:
    if word[0] == "@":
        return _ranked(word[1:], sources.names, lambda name: (f"@{name} ", f"@{name}", ""))
    if word[0] == "#":
        return _channels(word, sources)
    return _emoji(word[1:])


def _channels(word: str, sources: Sources) -> tuple[Candidate, ...]:
    bare = [channel.removeprefix("#") for channel in sources.channels if channel[:1] == "#"]
    return _ranked(word.removeprefix("#"), bare, lambda name: (f"#{name} ", f"#{name}", ""))


def _emoji(word: str) -> tuple[Candidate, ...]:
    names = all_names()
    known = names if "skin" in word else (each for each in names if "skin_tone" not in each)
    return _ranked(word, known, lambda name: (names[name] + " ", f"{names[name]} :{name}:", ""))


def _languages(word: str, sources: Sources) -> tuple[Candidate, ...]:
    return _ranked(word, sources.languages, lambda name: (name, name, ""))


def _commands(word: str, sources: Sources, *, lead: str) -> tuple[Candidate, ...]:
    rows = {row.name: row for row in available(is_admin=sources.is_admin, rights=sources.rights)}

    def show(name: str) -> tuple[str, str, str]:
        row = rows[name]
        space = " " if row.arguments and lead else ""
        return f"{lead}{name}{space}", (row.usage if lead else f"/{name}"), row.help

    return _ranked(word.removeprefix("/"), rows, show)


def _ranked(
    word: str, names: Iterable[str], show: Callable[[str], tuple[str, str, str]]
) -> tuple[Candidate, ...]:
    """Return the candidates that match `word`, best first."""
    known = list(names)
    low = word.lower()
    return tuple(
        Candidate(
            *show(known[place]),
            is_prefix=known[place].lower().startswith(low),
            is_exact=known[place].lower() == low,
        )
        for place in rank(word, known)[:_MOST]
    )
