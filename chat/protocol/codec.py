"""Bytes to models and back: the one place where JSON is read or written.

Decoding goes from bytes to a model in one pass; a frame that fails is looked at again, slowly, for
its `id` and for the field at fault. Encoding leaves out fields that are absent, false or empty by
default.
"""

from __future__ import annotations

import json
from typing import Any

from pydantic import BaseModel, TypeAdapter, ValidationError

from chat.errors import ErrorCode, FrameError
from chat.protocol.commands import Command
from chat.protocol.frames import ServerFrame
from chat.protocol.values import Limits

__all__ = ["decode_command", "decode_frame", "encode", "json_schema"]

_COMMANDS: TypeAdapter[Command] = TypeAdapter(Command)
_FRAMES: TypeAdapter[ServerFrame] = TypeAdapter(ServerFrame)
_TAG_ERRORS = ("union_tag_invalid", "union_tag_not_found")


def decode_command(data: bytes | str, limits: Limits) -> Command:
    """Read one command.

    Args:
        data: the payload of one text frame.
        limits: the bounds in force.

    Raises:
        FrameError: with the field at fault and the command's id, where they can be told.
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
        return _FRAMES.validate_json(data)
    except ValidationError as exc:
        error = _frame_error(exc, data)
        if error.code is ErrorCode.UNKNOWN_TYPE:
            return None
        raise error from None


def encode(frame: BaseModel) -> bytes:
    """Write one command or frame as compact JSON, without the fields that say nothing."""
    return frame.__pydantic_serializer__.to_json(frame, exclude_none=True)


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of both directions."""
    commands = _COMMANDS.json_schema(ref_template="#/$defs/{model}")
    frames = _FRAMES.json_schema(ref_template="#/$defs/{model}", mode="serialization")
    definitions = {**commands.pop("$defs", {}), **frames.pop("$defs", {})}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "chat protocol, version 1",
        "command": commands,
        "frame": frames,
        "$defs": definitions,
    }


def _frame_error(exc: ValidationError, data: bytes | str) -> FrameError:
    """Explain the first fault of a frame to the person who wrote it."""
    fault = exc.errors(include_url=False, include_context=False, include_input=False)[0]
    kind = fault["type"]
    if kind == "json_invalid":
        return FrameError(ErrorCode.MALFORMED, f"not valid JSON: {fault['msg']}")
    if kind in ("model_attributes_type", "dict_type", "model_type") and not fault["loc"]:
        return FrameError(ErrorCode.MALFORMED, "a frame is one JSON object")
    command_id = _id_of(data)
    if kind in _TAG_ERRORS:
        return FrameError(
            ErrorCode.UNKNOWN_TYPE, "unknown or missing type", field="type", id=command_id
        )
    location = fault["loc"]
    type_name, path = (str(location[0]), location[1:]) if location else ("frame", ())
    field = ".".join(str(part) for part in path) or None
    code = ErrorCode.TOO_LONG if kind in ("too_long", "string_too_long") else ErrorCode.INVALID
    subject = f"{type_name}.{field}" if field else type_name
    message = fault["msg"].removeprefix("Value error, ")
    return FrameError(code, f"{subject}: {message}", field=field, id=command_id)


def _id_of(data: bytes | str) -> str | None:
    """Return the `id` of a frame that failed, if it can be echoed."""
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        return None
    value = found.get("id") if isinstance(found, dict) else None
    if isinstance(value, str) and len(value) <= 64 and value.isprintable():
        return value
    return None
