"""The documents are complete: generated tables are current, and all links work.

After a change, write the tables with `CHAT_UPDATE_DOCS=1 .venv/bin/pytest -n0
tests/test_documents.py`. Each is between `<!-- name -->` and `<!-- /name -->`.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping

import pytest

from chat.client.config.flags import flags_of
from chat.client.config.settings import ClientSettings
from chat.client.model.slash import commands, parser
from chat.client.scripting.cli import COMMANDS as SCRIPT_COMMANDS
from chat.client.tui.app import key_rows
from chat.protocol.values import Limits
from chat.server.config.commands import COMMANDS as SERVER_COMMANDS
from chat.server.config.settings import ServerSettings
from tests import tables
from tests.features import features_table, wishes_table
from tests.modules import modules_table
from tests.promises import promises_table
from tests.test_repository import ROOT, texts

TABLES: Mapping[str, Mapping[str, Callable[[], str]]] = {
    "chat/README.md": {"modules": modules_table},
    "chat/docs/client.md": {
        "keys": tables.keys,
        "commands": tables.slash_commands,
        "settings": tables.client_settings,
    },
    "chat/docs/server.md": {
        "rights": tables.rights,
        "commands": tables.server_commands,
        "metrics": tables.metrics,
        "settings": tables.server_settings,
    },
    "chat/docs/scripting.md": {
        "commands": tables.script_commands,
        "exit-codes": tables.exit_codes,
    },
    "chat/docs/protocol.md": {
        "errors": tables.error_codes,
        "closes": tables.close_codes,
        "limits": tables.limits,
    },
    "chat/docs/features.md": {"features": features_table, "wishes": wishes_table},
    "tests/README.md": {"promises": promises_table},
}
"""The generated tables of each page."""


@pytest.mark.parametrize("page", TABLES)
def test_tables_are_current(page: str) -> None:
    path = ROOT / page
    before = path.read_text("utf-8")
    after = refreshed(before, {name: make() for name, make in TABLES[page].items()})
    if os.environ.get("CHAT_UPDATE_DOCS") == "1":
        path.write_text(after, "utf-8")
        return
    assert before == after, (
        "update the tables: CHAT_UPDATE_DOCS=1 .venv/bin/pytest -n0 tests/test_documents.py"
    )


def refreshed(text: str, parts: Mapping[str, str]) -> str:
    """Return `text` with these tables.

    Raises:
        ValueError: a table has no place in the text.
    """
    for name, part in parts.items():
        before, begin, rest = text.partition(f"<!-- {name} -->\n")
        _old, end, after = rest.partition(f"<!-- /{name} -->")
        if not (begin and end):
            raise ValueError(f"the page has no place marked {name!r}")
        text = before + begin + part + "\n" + end + after
    return text


def test_a_page_without_a_tables_place_is_reported() -> None:
    with pytest.raises(ValueError, match="no place marked 'keys'"):
        refreshed("# chat", {"keys": "x"})


def test_every_link_inside_the_repository_leads_to_a_file_and_an_anchor() -> None:
    pages = texts("*.md")
    lost = [(path, link) for path, text in pages.items() for link in broken(path, text)]
    assert lost == []


def broken(path: str, text: str) -> Iterator[str]:
    """Find the relative links of a page whose file or anchor does not exist."""
    for link in re.findall(r"\]\(([^)\s]+)[^)]*\)", text):
        target, _, anchor = link.partition("#")
        if "://" in target or target.startswith("mailto:"):
            continue
        file = (ROOT / path).parent / target
        if not file.exists() or (
            anchor and anchor not in anchors(file.read_text("utf-8") if target else text)
        ):
            yield link


def anchors(text: str) -> set[str]:
    """Return the anchors that GitHub gives the headings of a page."""
    outside_code = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    found: set[str] = set()
    times: Counter[str] = Counter()
    for title in re.findall(r"^#+ (.+)$", outside_code, re.MULTILINE):
        slug = re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")
        found.add(f"{slug}-{times[slug]}" if times[slug] else slug)
        times[slug] += 1
    return found


def test_a_link_to_a_missing_file_or_anchor_is_reported() -> None:
    page = "# Run it, now\n[a](missing.md) [b](#run-it-now) [c](#nowhere) [d](README.md#nowhere)"
    assert list(broken("README.md", page)) == ["missing.md", "#nowhere", "README.md#nowhere"]


def test_files_named_in_documents_exist() -> None:
    lost = [
        (path, named)
        for path, text in texts("*.md").items()
        for named in re.findall(r"`((?:chat|tests)/[\w/.]+)`", text)
        if not (ROOT / named).exists()
    ]
    assert lost == []


def test_every_flag_in_the_manual_exists() -> None:
    named = {
        (path, flag)
        for path, text in texts("*.md").items()
        if path == "README.md" or path.startswith("chat/docs/")
        for flag in re.findall(r"(?<![\w-])--([a-z][a-z.-]*)", text)
    }
    assert named
    known = known_flags()
    assert {(path, flag) for path, flag in named if flag not in known} == set()


FLAGS_OF_OTHERS = {
    *("unbuffered",),  # jq
    *("failed", "now", "system", "upgrade"),  # systemctl, groupadd, pip
    *("cap-drop", "format", "name", "read-only", "security-opt"),  # podman
}


def known_flags() -> set[str]:
    """Return the flags of both programs, of slash commands, and of other programs in examples."""
    names = {*flags_of(ClientSettings), *ServerSettings.model_fields}
    for kind in SERVER_COMMANDS.values():
        names |= {name.rstrip("_") for name in kind.model_fields}
    names |= {f"limits.{name}" for name in Limits.model_fields}
    for make, _work in SCRIPT_COMMANDS.values():
        for action in make().arguments:
            names |= {flag.removeprefix("--") for flag in action.option_strings}
    for command in commands.COMMANDS:
        for argument in command.arguments:
            names |= {word[2:] for word in argument.choices if word.startswith("--")}
    return (
        {name.replace("_", "-") for name in names}
        | {"help", "version", "print-completion"}
        | FLAGS_OF_OTHERS
    )


PAGES_FOR_USERS = ("README.md", "chat/docs/client.md")
KEYS_OF_VI = {"Ctrl+R"}


def test_every_key_in_the_pages_for_users_exists() -> None:
    known = {key for row in key_rows() for key in row.keys} | KEYS_OF_VI
    named = {
        (path, key)
        for path in PAGES_FOR_USERS
        for key in re.findall(
            r"`((?:(?:Ctrl|Alt|Shift)\+)+[^`\s]+|F\d+)`", (ROOT / path).read_text("utf-8")
        )
    }
    assert named
    assert {(path, key) for path, key in named if key not in known} == set()


def test_every_slash_command_in_the_pages_for_users_is_valid() -> None:
    named = [
        (path, line)
        for path in PAGES_FOR_USERS
        for line in re.findall(r"`(/[a-z-]+(?: [^`]*)?)`", (ROOT / path).read_text("utf-8"))
    ]
    assert named
    for path, line in named:
        word = line[1:].partition(" ")[0]
        assert commands.find(word) is not None, (path, line)
        if not re.search(r"[A-Z]{3}|\[", line):  # a usage, such as `/name NAME`
            parser.parse(line)
