"""What an outbox row asks of the server: its command, checked as the server will check it."""

from __future__ import annotations

import json
from typing import Annotated

from pydantic import Field, TypeAdapter, ValidationError

from chat.client.records import OutboxRow
from chat.protocol.commands import Delete, Edit, Pin, React, Send
from chat.protocol.values import Limits

__all__ = ["Writing", "command_of"]

Writing = Send | Edit | Delete | React | Pin
"""A command that appends to a log."""

_WRITING: TypeAdapter[Writing] = TypeAdapter(Annotated[Writing, Field(discriminator="type")])


def command_of(row: OutboxRow, limits: Limits) -> Writing:
    """Return the command to send.

    Raises:
        ValueError: the server would refuse it; says why.
    """
    try:
        return _WRITING.validate_python(json.loads(row.command), context=limits)
    except ValidationError as exc:
        fault = exc.errors(include_url=False, include_context=False, include_input=False)[0]
        field = fault["loc"][-1] if fault["loc"] else "it"
        raise ValueError(f"{field} {fault['msg'].removeprefix('Value error, ')}") from None
