"""Hypothesis strategies for every model of the protocol, derived from the field types."""

from __future__ import annotations

import typing
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from hypothesis import strategies as st
from pydantic import BaseModel

from chat.protocol import values
from chat.protocol.commands import Ban, Command, History, Positions, Revoke, Unban
from chat.protocol.frames import ServerFrame
from chat.protocol.limits import TIME_MAX
from chat.text import DIRECT_MAX, direct_channel, emoji_form, fold, is_blank

__all__ = ["COMMANDS", "FRAMES", "commands", "frames", "members", "models"]


def members(union: object) -> tuple[type[BaseModel], ...]:
    """Return the models of a discriminated union."""
    return get_args(get_args(union)[0])


COMMANDS = members(Command)
FRAMES = members(ServerFrame)

_name_signs = "abcdefXYZ0189_-."
_visible = st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp"))
_names = st.text(_name_signs, min_size=1, max_size=values.Limits().name)
_directs = st.lists(_names, min_size=2, max_size=DIRECT_MAX, unique_by=fold).map(direct_channel)
_channels = st.one_of(_names.map("#{}".format), _directs)


def _lines(least: int, most: int) -> st.SearchStrategy[str]:
    return st.text(_visible, min_size=least, max_size=most)


_texts = st.text(st.one_of(_visible, st.sampled_from("\n\t")), min_size=1, max_size=60)
_ids = _lines(1, 64)
_BY_TYPE: list[tuple[object, st.SearchStrategy[Any]]] = [
    (values.Name, _names),
    (values.Channel, _channels),
    (values.Text, _texts.filter(lambda text: not is_blank(text))),
    (values.Topic, _lines(0, 300).map(lambda topic: "" if is_blank(topic) else topic)),
    (values.Emoji, _lines(1, 16).map(emoji_form).filter(lambda emoji: not is_blank(emoji))),
    (values.Line, _lines(0, 300)),
    (values.Id, _lines(0, values.ID_MAX)),
    (values.Cid, _ids),
    (values.Mid, _ids),
    (values.Epoch, _ids),
    (values.Secret, st.text(_visible, min_size=1, max_size=60)),
    (values.Code, _ids),
    (values.Token, st.text(_name_signs, min_size=32, max_size=128)),
    (values.Flag, st.booleans()),
    (values.Seq, st.integers(1, 2**53 - 1)),
    (values.Position, st.integers(0, 2**53 - 1)),
    (values.Time, st.integers(0, TIME_MAX)),
    (values.Place, st.integers(0, 2**31 - 1)),
    (values.Pinned, st.integers(0, 2**31 - 1)),
    (str, st.text(_visible, max_size=60)),
    (int, st.integers(1, 2**53 - 1)),
    (float, st.floats(0, 1e9, allow_nan=False)),
    (bool, st.booleans()),
    (NoneType, st.none()),
]


def _of_type(hint: Any) -> st.SearchStrategy[Any]:
    for known, strategy in _BY_TYPE:
        if hint is known:
            return strategy
    if hint is Positions:
        return _of_type(get_args(hint)[0])
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _of_type(arguments[0])
    if origin is Literal:
        return st.sampled_from(arguments)
    if origin in (Union, UnionType):
        return st.one_of([_of_type(argument) for argument in arguments])
    if origin is tuple:
        return st.lists(_of_type(arguments[0]), max_size=3).map(tuple)
    if origin is dict:
        return st.dictionaries(_of_type(arguments[0]), _of_type(arguments[1]), max_size=3)
    if isinstance(hint, type) and issubclass(hint, BaseModel):
        return models(hint)
    raise TypeError(f"no strategy for {hint!r}")


def models(model: type[BaseModel]) -> st.SearchStrategy[Any]:
    """Return a strategy for valid instances of `model`."""
    if model is values.Limits:
        return st.just(values.Limits())
    hints = typing.get_type_hints(model, include_extras=True)
    fields = {}
    for name, field in model.model_fields.items():
        strategy = _of_type(hints[name])
        fields[name] = strategy if field.is_required() else st.just(field.get_default()) | strategy
    for name, strategy in _BOUNDED.items():
        if name in fields:
            fields[name] = strategy
    if alternatives := _ALTERNATIVES.get(model):
        alone = {name: _present(hints[name]) for name in alternatives}
        fields = {name: each for name, each in fields.items() if name not in alternatives}
        fields |= _WITH_ALTERNATIVES.get(model, {})
        return st.sampled_from(alternatives).flatmap(
            lambda name: st.builds(model, **fields, **{name: alone[name]})
        )
    return st.builds(model, **fields)


def _present(hint: Any) -> st.SearchStrategy[Any]:
    return _of_type(next(each for each in get_args(hint) if each is not NoneType))


_BOUNDED: dict[str, st.SearchStrategy[Any]] = {
    "limit": st.integers(1, 1_000),
    "retention": st.integers(0, 3_153_600_000),
    "uses": st.integers(1, 10_000),
    "expires": st.integers(60, 31_536_000),
}
_ALTERNATIVES: dict[type[BaseModel], tuple[str, ...]] = {
    History: ("before", "after", "around"),
    Revoke: ("device", "invitation"),
    Ban: ("name", "address"),
    Unban: ("name", "address"),
}
"""Fields of which a command has only one."""
_WITH_ALTERNATIVES: dict[type[BaseModel], dict[str, st.SearchStrategy[Any]]] = {
    History: {"pins": st.just(False)},
    Ban: {"channel": st.none()},
    Unban: {"channel": st.none()},
}
"""Fields that not all of the alternatives allow."""

commands: st.SearchStrategy[Command] = st.one_of([models(model) for model in COMMANDS])
frames: st.SearchStrategy[ServerFrame] = st.one_of([models(model) for model in FRAMES])
