"""The types of settings: how a value in a flag, a variable or the file is read and checked."""

# Without `from __future__ import annotations`: pydantic would compile each annotation at the start.

import json
import re
from datetime import timedelta
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Any, TypeVar
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    Field,
    PlainValidator,
    ValidationInfo,
)

from chat.durations import exact_duration, parse_duration
from chat.server.transport.limits import Network, network
from chat.server.transport.listening import HostPort
from chat.server.transport.origins import check_origin, check_public_url
from chat.text import check_channel, check_name, is_builtin, is_direct, is_number

__all__ = [
    "Channels",
    "Duration",
    "HostPortSetting",
    "Line",
    "Names",
    "Networks",
    "Origins",
    "PathSetting",
    "Seconds",
    "Store",
    "Strings",
    "Urls",
    "check_size",
    "exact",
    "flag_of",
    "refuse_odd_numbers",
    "without_user",
]

MOST = 1_000_000_000
"""Largest number of a setting."""
LEAST = 0.001
"""Smallest fraction of a setting, other than 0."""


def _split(value: object) -> object:
    """Read a list from a string with commas, from JSON, or from several of these."""
    if isinstance(value, str):
        if value.lstrip().startswith("["):  # a JSON list, or an IPv6 address in brackets
            try:
                return json.loads(value)
            except ValueError:
                if '"' in value:
                    raise ValueError("is not a complete JSON list") from None
        return [part.strip() for part in value.split(",") if part.strip()]
    if isinstance(value, list | tuple):
        found: list[object] = []
        for each in value:
            parts = _split(each) if isinstance(each, str) else each
            found.extend(parts if isinstance(parts, list) else [parts])
        return found
    raise ValueError("must be a list")


def _path(value: object) -> Path:
    if not isinstance(value, str | Path) or not str(value) or "\0" in str(value):
        raise ValueError("must be a path")
    try:
        return Path(value).expanduser()
    except RuntimeError:
        raise ValueError("names a home folder that does not exist") from None


def _network(value: object) -> Network:
    if isinstance(value, IPv4Network | IPv6Network):
        return value
    try:
        return network(str(value))
    except ValueError:
        raise ValueError(
            "must be an address or a network, such as 192.0.2.7 or 2001:db8::/32"
        ) from None


def _host_port(value: object) -> HostPort:
    return value if isinstance(value, HostPort) else HostPort.parse(str(value))


def _printable(value: str) -> str:
    if not value.isprintable() or not value.strip():
        raise ValueError("must be printable text on one line")
    return value


def _name(value: str) -> str:
    return check_name(value, max(1, len(value)))


def _channel(value: str) -> str:
    if is_direct(value) or is_builtin(value):
        raise ValueError("must be a public channel, such as '#team'")
    return check_channel(value)


def _store(value: str) -> str:
    """Check the URL of a database on PostgreSQL; the store checks the rest."""
    parts = urlsplit(value)
    if parts.scheme != "postgresql":
        raise ValueError("must begin with postgresql://, such as postgresql://10.0.0.5/chat")
    if parts.password is not None or "password=" in parts.query:
        raise ValueError(
            "must not contain a password: other users of this machine can read it. Put it into a "
            "file that PGPASSFILE names"
        )
    return value


def without_user(url: str) -> str:
    """Return a URL without the user."""
    return re.sub("//[^/@]*@", "//", url)


def exact(duration: timedelta) -> str:
    """Return a duration as text that is read back as the same one."""
    return exact_duration(int(duration.total_seconds()))


def _duration(value: object) -> timedelta:
    return value if isinstance(value, timedelta) else timedelta(seconds=parse_duration(str(value)))


def refuse_odd_numbers(cls: type[BaseModel], value: Any, info: ValidationInfo) -> Any:
    """Refuse values that pydantic reads as numbers: `true`, `1_0`, and non-ASCII digits."""
    kind = cls.model_fields[info.field_name or ""].annotation
    is_wrong = isinstance(value, bool) or (isinstance(value, str) and not is_number(value))
    if is_wrong and kind in (int, float, int | None):
        raise ValueError("must be a number")
    return value


def check_size(value: Any) -> Any:
    """Refuse numbers outside `LEAST` to `MOST`."""
    if isinstance(value, int | float):
        if value > MOST:
            raise ValueError(f"must be at most {MOST:,}")
        if isinstance(value, float) and 0 < value < LEAST:
            raise ValueError(f"must be at least {LEAST}")
    return value


T = TypeVar("T")
_List = Annotated[list[T], BeforeValidator(_split)]

PathSetting = Annotated[Path, PlainValidator(_path)]
HostPortSetting = Annotated[HostPort, PlainValidator(_host_port)]
Seconds = Annotated[float, Field(le=3_600)]
Duration = Annotated[timedelta, PlainValidator(_duration)]
Line = Annotated[str, AfterValidator(_printable)]
"""Printable text on one line."""
Store = Annotated[str, AfterValidator(_store)]
"""The URL of a database on PostgreSQL."""
Strings = _List[str]
Names = _List[Annotated[str, AfterValidator(_name)]]
Channels = _List[Annotated[str, AfterValidator(_channel)]]
Urls = _List[Annotated[str, AfterValidator(check_public_url)]]
Origins = _List[Annotated[str, AfterValidator(check_origin)]]
Networks = _List[Annotated[Network, PlainValidator(_network)]]


def flag_of(name: str) -> str:
    """Return the flag of a setting, such as `--server-name`."""
    return "--" + name.rstrip("_").replace("_", "-")
