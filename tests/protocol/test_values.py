"""Rules for all models: names, immutability, strictness; and the limits."""

from __future__ import annotations

import re
from typing import Any, get_args

import pytest
from pydantic import BaseModel, ValidationError

from chat.protocol.commands import Hello, Ping, SetPassword
from chat.protocol.frames import Invitation, InvitationFrame, LinkCode, Ok, ServerInfo, Welcome
from chat.protocol.items import Event, Item, Kind
from chat.protocol.limits import FOLDED_KINDS
from chat.protocol.values import Limits, Wire
from tests.protocol.strategies import COMMANDS, FRAMES

SECRET = "correct-horse-battery-staple-0123456789"
ALL = [*COMMANDS, *FRAMES, Item, Limits]


def type_of(model: type[BaseModel]) -> str:
    return str(model.model_fields["type"].default)


@pytest.mark.parametrize("union", [COMMANDS, FRAMES])
def test_types_are_unique_in_each_direction(union: tuple[type[BaseModel], ...]) -> None:
    types = [type_of(model) for model in union]
    assert len(set(types)) == len(types)


@pytest.mark.parametrize("model", ALL)
def test_field_names_are_lower_case_words(model: type[BaseModel]) -> None:
    for name in model.model_fields:
        assert re.fullmatch(r"[a-z]+(_[a-z]+)*", name), name


@pytest.mark.parametrize("model", ALL)
def test_every_model_is_frozen_strict_and_documented(model: type[BaseModel]) -> None:
    assert model.model_config["frozen"]
    assert model.model_config["strict"]
    assert model.__doc__


@pytest.mark.parametrize("model", COMMANDS)
def test_commands_refuse_unknown_fields(model: type[BaseModel]) -> None:
    assert model.model_config["extra"] == "forbid"


@pytest.mark.parametrize("model", FRAMES)
def test_frames_ignore_unknown_fields(model: type[BaseModel]) -> None:
    assert model.model_config["extra"] == "ignore"


def test_frames_are_immutable() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Ping(id="1").id = "2"  # type: ignore[misc]  # the point of the test


def test_answers_have_the_id_of_their_command() -> None:
    assert "id" in Ok.model_fields
    assert "id" in Welcome.model_fields


def test_event_and_item_encode_a_body_in_the_same_way() -> None:
    shared = set(Event.model_fields) & set(Item.model_fields)
    assert set(Event.model_fields) - shared == {"type", "channel"}
    assert set(Item.model_fields) - shared == {
        "rev",
        "edited",
        "pinned",
        "reactions",
        "reaction_counts",
    }


def test_folded_kinds_are_event_kinds() -> None:
    assert set(get_args(get_args(get_args(Kind)[0])[0])) > FOLDED_KINDS


@pytest.mark.parametrize("name", Limits.model_fields)
@pytest.mark.parametrize("value", [0, -1])
def test_limits_of_zero_are_refused(name: str, value: int) -> None:
    broken: dict[str, Any] = {name: value}
    with pytest.raises(ValidationError):
        Limits(**broken)


def test_longest_text_fits_into_the_longest_frame() -> None:
    limits = Limits()
    # A character takes at most four bytes of UTF-8.
    assert 4 * limits.text < limits.frame


@pytest.mark.parametrize(
    "model",
    [
        Hello(v=1, name="a", token=SECRET, invite=SECRET, link=SECRET, password=SECRET),
        SetPassword(password=SECRET, current=SECRET),
        LinkCode(code=SECRET, expires=1),
        InvitationFrame(
            code=SECRET, invitation=Invitation(id=1, created=1, expires=1, uses=1, used=0)
        ),
        Welcome(
            v=1,
            user="a",
            token=SECRET,
            session="s",
            server=ServerInfo(id="s", name="n", version="1"),
            limits=Limits(),
            heartbeat=1.0,
            channels=(),
        ),
    ],
    ids=lambda model: type(model).__name__,
)
def test_text_form_of_a_model_shows_no_secret(model: Wire) -> None:
    assert SECRET not in f"{model!r} {model}"
