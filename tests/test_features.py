"""Each feature in the manual's table exists and has tests."""

from __future__ import annotations

import re

import pytest

from chat.client.config.flags import flags_of
from chat.client.config.options import options
from chat.client.config.settings import ClientSettings
from chat.client.model.slash import commands, parser
from chat.client.scripting.cli import COMMANDS as SCRIPT_COMMANDS
from chat.client.tui.app import key_rows
from chat.server.config.commands import COMMANDS as SERVER_COMMANDS
from chat.server.config.settings import ServerSettings
from tests.features import FEATURES, WISHES, Feature, marked_ids

KEYS = {key for row in key_rows() for key in row.keys}
SETTINGS = {*options(ClientSettings), *ServerSettings.model_fields}
ELSEWHERE = {"--print-completion", "NO_COLOR", "s/old/new/"}
"""Names that are neither a key, a command, a flag nor a setting."""


def exists(what: str) -> bool:
    """Whether there is a key, command, flag or setting of that name."""
    if what in KEYS | ELSEWHERE or what.strip("[]") in SETTINGS:
        return True
    if what.startswith("/"):
        name, _, rest = what[1:].partition(" ")
        return commands.find(name) is not None and (not rest or bool(parser.parse(what)))
    program, _, rest = what.partition(" ")
    flag = rest.removeprefix("--").replace("-", "_")
    if program == "chat-server":
        return rest in SERVER_COMMANDS
    is_known = not rest or flag in flags_of(ClientSettings) or rest in SCRIPT_COMMANDS
    return program == "chat-client" and is_known


@pytest.mark.parametrize("feature", FEATURES, ids=lambda feature: feature.id)
def test_keys_commands_and_settings_of_a_feature_exist(feature: Feature) -> None:
    missing = [what for what in re.findall("`([^`]+)`", feature.how) if not exists(what)]
    assert missing == []


def test_a_missing_key_command_or_setting_is_reported() -> None:
    for what in (
        "Ctrl+F12",
        "nonsense",
        "chat-client --nonsense",
        "chat-client nonsense",
        "chat-server nonsense",
        "/nonsense",
    ):
        assert not exists(what)


def test_every_feature_has_a_test_and_every_mark_a_feature() -> None:
    assert marked_ids() == {feature.id for feature in FEATURES}


def test_every_request_names_existing_features() -> None:
    assert {name for wish in WISHES for name in wish.by} <= {feature.id for feature in FEATURES}
