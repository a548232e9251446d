"""Decode and encode frames: the one place where protocol JSON is read or written.

Decoding goes from bytes to a model in one pass; a frame that fails is looked at again, slowly, for
its `id` and for the field at fault. Encoding leaves out fields that are absent, false or empty by
default.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

from pydantic import BaseModel, TypeAdapter, ValidationError

from chat.errors import ErrorCode, FrameError
from chat.protocol import PROTOCOL_VERSION
from chat.protocol.commands import Command
from chat.protocol.frames import ServerFrame
from chat.protocol.values import FROM_SERVER, ID_MAX, Limits
from chat.text import check_line, printable_line

__all__ = ["decode_command", "decode_frame", "encode", "json_schema"]

_COMMANDS: TypeAdapter[Command] = TypeAdapter(Command)
_FRAMES: TypeAdapter[ServerFrame] = TypeAdapter(ServerFrame)
_TAG_ERRORS = ("union_tag_invalid", "union_tag_not_found")

# Reads what pydantic refuses: control characters, lone surrogates, numbers of any length.
_LENIENT = json.JSONDecoder(strict=False, parse_int=float)
_OPENING = re.compile(r"\s*\{\s*")
_COLON = re.compile(r"\s*:\s*")
_COMMA = re.compile(r"\s*,\s*")

FAULTS_MAX = 100
"""Most faults of one frame that are looked into: a hostile one has thousands, and costs time."""
FIELD_MAX = 120
"""Longest field name that an error repeats; unknown fields may be as long as a frame."""


def decode_command(data: bytes | str, limits: Limits) -> Command:
    """Read one command.

    Args:
        data: the payload of one text frame.
        limits: the bounds in force.

    Raises:
        FrameError: with the field at fault and the command's id, where they are known.
    """
    try:
        return _COMMANDS.validate_json(data, context=limits)
    except ValidationError as exc:
        raise _frame_error(exc, data) from None


def decode_frame(data: bytes | str) -> ServerFrame | None:
    """Read one frame of a server; None for a type that this client does not know.

    Raises:
        FrameError: the server does not speak this protocol.
    """
    try:
        return _FRAMES.validate_json(data, context=FROM_SERVER)
    except ValidationError as exc:
        error = _frame_error(exc, b"")  # frames are not answered, so the id is not needed
        if error.code is ErrorCode.UNKNOWN_TYPE:
            return None
        raise error from None


def encode(frame: BaseModel) -> bytes:
    """Write one command or frame as compact JSON, without the fields that say nothing."""
    return frame.__pydantic_serializer__.to_json(frame, exclude_none=True)


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of both directions."""
    template = "#/$defs/{model}"
    commands = _COMMANDS.json_schema(ref_template=template)
    frames = _FRAMES.json_schema(ref_template=template, mode="serialization")
    definitions: dict[str, Any] = {**commands.pop("$defs"), **frames.pop("$defs")}
    for definition in definitions.values():
        # Its constant makes `type` a default for pydantic; on the wire it is always there.
        if "const" in definition.get("properties", {}).get("type", {}):
            definition["required"] = ["type", *definition.get("required", ())]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"chat protocol, version {PROTOCOL_VERSION}",
        "anyOf": [{"$ref": "#/command"}, {"$ref": "#/frame"}],
        "command": commands,
        "frame": frames,
        "$defs": definitions,
    }


def _frame_error(exc: ValidationError, data: bytes | str) -> FrameError:
    """Return the error for the first fault of a frame."""
    if (count := exc.error_count()) > FAULTS_MAX:
        return FrameError(
            ErrorCode.INVALID, f"the frame has {count:,} errors, too many to list", id=_id_of(data)
        )
    fault = exc.errors(include_url=False, include_context=False, include_input=False)[0]
    kind, reason, location = fault["type"], fault["msg"], fault["loc"]
    if kind == "json_invalid":
        return FrameError(ErrorCode.MALFORMED, f"not valid JSON: {_plain(reason)}", id=_id_of(data))
    if not location and kind == "string_unicode":
        return FrameError(ErrorCode.MALFORMED, "not valid UTF-8")
    if not location and kind not in _TAG_ERRORS:
        return FrameError(ErrorCode.MALFORMED, "a frame must be one JSON object")
    command_id = _id_of(data)
    if kind in _TAG_ERRORS:
        return FrameError(
            ErrorCode.UNKNOWN_TYPE, "unknown or missing type", field="type", id=command_id
        )
    type_name, *path = location
    field = _shown(path) or None
    code = ErrorCode.TOO_LONG if kind in ("too_long", "string_too_long") else ErrorCode.INVALID
    subject = f"{type_name}.{field}" if field else type_name
    return FrameError(code, f"{subject}: {_plain(reason)}", field=field, id=command_id)


def _plain(reason: str) -> str:
    """Return pydantic's reason without its prefixes, in plainer words."""
    reason = {
        "Extra inputs are not permitted": "unknown field",
        "Field required": "is missing",
    }.get(reason, reason)
    return reason.removeprefix("Value error, ").removeprefix("Invalid JSON: ")


def _shown(path: Sequence[int | str]) -> str:
    """Return the name of a field, printable and short: keys can be the sender's."""
    field = printable_line(".".join(str(part) for part in path if part != "[key]"))
    return field if len(field) <= FIELD_MAX else field[: FIELD_MAX - 1] + "…"


def _id_of(data: bytes | str) -> str | None:
    """Return the `id` of a frame that failed, if it can be echoed."""
    text = data if isinstance(data, str) else data.decode(errors="surrogateescape")
    value = dict(_members(text)).get("id")
    try:
        return check_line(value, ID_MAX) if isinstance(value, str) else None
    except ValueError:
        return None


def _members(text: str) -> Iterator[tuple[str, Any]]:
    """Yield the members of a JSON object up to its first error."""
    at = _OPENING.match(text)
    while at is not None:
        try:
            key, end = _LENIENT.raw_decode(text, at.end())
            colon = _COLON.match(text, end)
            if not isinstance(key, str) or colon is None:
                return
            value, end = _LENIENT.raw_decode(text, colon.end())
        except (ValueError, RecursionError):
            return
        yield key, value
        at = _COMMA.match(text, end)
