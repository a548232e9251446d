"""All values that a client decodes from a server's frames are finite and bounded."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Iterator
from typing import Any, Literal, get_args, get_origin, get_type_hints

import pytest
from pydantic import BaseModel

from chat.errors import FrameError
from chat.protocol.codec import decode_frame
from chat.protocol.limits import TIME_MAX
from chat.protocol.values import CHANNELS_MAX, Channel, Limits, Token
from chat.text import printable_line
from tests.costs import seconds
from tests.protocol.strategies import FRAMES

NUMBERS = {
    "not a number": "NaN",
    "infinite": "Infinity",
    "minus infinite": "-Infinity",
    "beyond a double": "1e400",
    "negative": "-1",
    "a negative fraction": "-0.5",
    "2**63": str(2**63),
    "4,300 digits": "9" * 4_300,
    "5,000 digits": "9" * 5_000,
    "year 10000": "253402300800000",
}
TEXTS = {
    "empty": '""',
    "long": json.dumps("x" * 1_000_001),
    "no channel": '"general"',
}
OTHERS = {
    "null": "null",
    "deep": "[" * 500 + "]" * 500,
    "many": json.dumps([1] * 200_000),
    "many keys": json.dumps({f"#{n}": 1 for n in range(CHANNELS_MAX + 1)}),
}
HOSTILE = {**NUMBERS, **TEXTS, **OTHERS}
MARK = "\ue000"
_SAMPLES = (
    (Channel, "#general"),
    (Token, "t" * 40),
    (Limits, Limits().model_dump()),
    (int, 1),
    (float, 1.0),
    (str, "word"),
    (bool, True),
)


def sample(hint: Any) -> Any:
    """Return a JSON value of a type, with all optional fields set."""
    for known, value in _SAMPLES:
        if hint is known:
            return value
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is tuple:
        return [sample(arguments[0])]
    if origin is dict:
        return {sample(arguments[0]): sample(arguments[1])}
    if origin is Literal:
        return arguments[0]
    if arguments:  # annotated type, or a union
        return sample(arguments[0])
    hints = get_type_hints(hint, include_extras=True)
    return {name: sample(hints[name]) for name in hint.model_fields}


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the paths of all values in a frame, including containers."""
    if path:
        yield path
    if isinstance(value, dict | list):
        entries = value.items() if isinstance(value, dict) else enumerate(value)
        for key, inner in entries:
            yield from places(inner, (*path, key))


def with_value(frame: dict[str, Any], path: tuple[Any, ...], raw: str) -> bytes:
    """Return the frame with `raw`, which may be invalid JSON, at a path."""
    changed = copy.deepcopy(frame)
    inner: Any = changed
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = MARK
    return json.dumps(changed, ensure_ascii=False).replace(f'"{MARK}"', raw, 1).encode()


def read(data: bytes) -> tuple[BaseModel | None, str]:
    """Return the decoded frame, or the error."""
    try:
        return decode_frame(data), ""
    except FrameError as error:
        return None, error.message


def assert_bounded(value: Any, name: str = "") -> None:
    """Check all values in a frame."""
    if isinstance(value, dict):
        assert len(value) <= CHANNELS_MAX
        for key, inner in value.items():
            assert key
            assert_bounded(inner, str(key))
    elif isinstance(value, list | tuple):
        assert len(value) <= CHANNELS_MAX
        for inner in value:
            assert_bounded(inner, name)
    elif isinstance(value, str):
        assert len(value) <= 1_000_000
        assert value or name not in ("channel", "user", "author", "epoch", "mid", "emoji")
    elif isinstance(value, float):
        assert 0 <= value < math.inf
    elif isinstance(value, int):
        assert 0 <= value <= (TIME_MAX if name == "ts" else 2**53 - 1)


@pytest.mark.parametrize("model", FRAMES, ids=lambda model: model.__name__)
def test_sample_of_every_frame_is_decoded(model: type[BaseModel]) -> None:
    frame = decode_frame(json.dumps(sample(model)))
    assert type(frame) is model
    assert_bounded(frame.model_dump())


@pytest.mark.parametrize("hostile", HOSTILE)
@pytest.mark.parametrize("model", FRAMES, ids=lambda model: model.__name__)
def test_hostile_value_in_any_field_of_a_frame_is_refused_or_bounded(
    model: type[BaseModel], hostile: str
) -> None:
    good = sample(model)
    for path in places(good):
        frame, refusal = read(with_value(good, path, HOSTILE[hostile]))
        assert printable_line(refusal) == refusal
        assert len(refusal) < 300
        if frame is not None:
            assert_bounded(frame.model_dump())


@pytest.mark.parametrize("field", ["author", "channel", "epoch", "mid"])
def test_empty_name_is_refused(field: str) -> None:
    for model in FRAMES:
        good = sample(model)
        for path in places(good):
            if path[-1] == field:
                with pytest.raises(FrameError):
                    decode_frame(with_value(good, path, '""'))


MANY = {
    "a list of faults": {"type": "page", "items": [1] * 300_000},
    "a list of faults within": {"type": "page", "items": [{"mentions": [1] * 300_000}]},
    "an object of faults": {"type": "heads", "heads": {f"#{n}": -1 for n in range(60_000)}},
}


@pytest.mark.parametrize("frame", MANY.values(), ids=MANY)
def test_frame_with_many_faults_is_refused_at_the_first_one(frame: dict[str, Any]) -> None:
    data = json.dumps(frame).encode()

    def refuse() -> None:
        with pytest.raises(FrameError):
            decode_frame(data)

    parsed = seconds(lambda: json.loads(data), enough=0, rounds=3)
    bound = 20 * parsed
    assert seconds(refuse, enough=bound, rounds=3) < bound, "naming each fault takes seconds"


def test_reactions_beyond_the_limit_are_truncated() -> None:
    """Users create reactions, so a client must not refuse a server's frame because of them."""
    good = sample(next(model for model in FRAMES if model.__name__ == "Page"))
    good["items"][0]["reactions"] = {f"e{n}": [f"n{m}" for m in range(10)] for n in range(50_000)}
    good["items"][0]["mentions"] = [f"n{n}" for n in range(50_000)]
    frame = decode_frame(json.dumps(good))
    assert frame is not None
    item = frame.model_dump()["items"][0]
    assert 0 < sum(map(len, item["reactions"].values())) <= 5_000
    assert 0 < len(item["mentions"]) <= 10_000
