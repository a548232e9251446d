"""The format of the log: lines of text, or lines of JSON."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from typing import Any, Literal

from chat.text import printable, printable_line

__all__ = ["JsonFormatter", "LogFormat", "TextFormatter", "fields", "set_up"]

LogFormat = Literal["text", "json"]
_FIELDS = "fields"
"""The attribute of a record with its fields."""


def set_up(level: str, form: LogFormat) -> None:
    """Log the program's messages from `level` on, and warnings of libraries, to standard error."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter() if form == "json" else TextFormatter())
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    logging.getLogger("chat").setLevel(level.upper())


def fields(**values: Any) -> dict[str, Any]:
    """Return the `extra` argument of a log call: fields of its line in JSON. The names are stable.

    Texts that come from outside must be printable.
    """
    return {_FIELDS: values}


class TextFormatter(logging.Formatter):
    """A line for each record; the lines of a traceback are indented.

    Texts from outside can neither control a terminal nor begin a line.
    """

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        """See `logging.Formatter`."""
        record.message = printable_line(record.getMessage())
        record.asctime = self.formatTime(record)
        lines = [self.formatMessage(record)]
        if traceback := _traceback(record):
            lines += (f"    {line}" for line in traceback.splitlines())
        return "\n".join(lines)


class JsonFormatter(logging.Formatter):
    """A JSON object on one line for each record."""

    def format(self, record: logging.LogRecord) -> str:
        """See `logging.Formatter`."""
        moment = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line = {
            "time": moment.replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": printable_line(record.getMessage()),
            **getattr(record, _FIELDS, {}),
        }
        if traceback := _traceback(record):
            line["exception"] = traceback
        return json.dumps(line)


def _traceback(record: logging.LogRecord) -> str:
    """Return the printable traceback of a record; empty if it has none."""
    if not record.exc_info:
        return ""
    return printable(logging.Formatter().formatException(record.exc_info))
