"""The settings of a server, and which of them a running server changes."""

# Without `from __future__ import annotations`: pydantic would compile each annotation at the start.

import json
import os
from collections.abc import Iterator
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, Self, TypeVar
from urllib.parse import quote_from_bytes

from platformdirs import user_data_path
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    field_validator,
    model_validator,
)

from chat.broker.address import check_broker_urls
from chat.protocol.values import Limits
from chat.rights import RETENTION_MIN
from chat.server.config.values import (
    Channels,
    Duration,
    HostPortSetting,
    Line,
    Names,
    Networks,
    Origins,
    PathSetting,
    Seconds,
    Store,
    Strings,
    Urls,
    check_size,
    exact,
    flag_of,
    refuse_odd_numbers,
    without_user,
)
from chat.server.monitoring.logs import LogFormat
from chat.server.transport.limits import LOOPBACK
from chat.store.accounts import Registration
from chat.store.operations import ChannelPolicy
from chat.text import fold, printable_line

__all__ = [
    "KNOWN",
    "Change",
    "DataSettings",
    "LimitSettings",
    "ServerSettings",
    "is_reloaded",
    "reloaded",
    "settings_of",
    "shown_settings",
    "toml_lines",
]

T = TypeVar("T")

_RELOADED = "reloaded"
Reloaded = Annotated[T, _RELOADED]
"""A setting that a running server changes when it reads its settings again; others need a restart.

`App.reload` applies it.
"""

FRAME_REST = 1_024
"""Bytes of a frame besides its text."""


class DataSettings(BaseModel):
    """The file of the channel logs."""

    # Of about 25 commands, a program runs one: building the others took 0.1 s of each start.
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, defer_build=True)

    positional: ClassVar[tuple[str, ...]] = ()
    """The positional arguments, which are required."""
    examples: ClassVar[tuple[str, ...]] = ()
    """Command lines, shown by `--help`."""

    data: PathSetting = Field(
        default=user_data_path("chat-server", appauthor=False),
        description="Folder of the database",
    )
    store: Store | None = Field(
        None,
        description="Database on PostgreSQL, which several servers can share: "
        "postgresql://host/database; its password comes from PGPASSFILE or PGPASSWORD (default: "
        "chat.db in the folder `data`)",
    )

    _numbers = field_validator("*", mode="before")(classmethod(refuse_odd_numbers))
    _sizes = field_validator("*")(check_size)

    @property
    def database(self) -> Path:
        """The file of the database on SQLite."""
        return self.data.absolute() / "chat.db"

    @property
    def store_name(self) -> str:
        """How messages call the database: its file, or its address without the user."""
        return str(self.database) if self.store is None else without_user(self.store)

    @property
    def store_url(self) -> str:
        """The URL of the database for the store, percent-encoded."""
        return self.store or f"sqlite:///{quote_from_bytes(os.fsencode(self.database))}"


class LimitSettings(Limits):
    """Limits on what clients may send; `welcome` states them."""

    model_config = ConfigDict(
        strict=False,
        frozen=True,
        extra="forbid",
        allow_inf_nan=False,
    )

    _numbers = field_validator("*", mode="before")(classmethod(refuse_odd_numbers))
    _sizes = field_validator("*")(check_size)

    @model_validator(mode="after")
    def _frames_carry_texts(self) -> Self:
        for name, characters in (("text", self.text), ("topic", self.topic)):
            least = characters + FRAME_REST
            if least > self.frame:
                raise ValueError(
                    f"--limits.{name} allows {characters:,} characters, which need a frame of at "
                    f"least {least:,} bytes, but --limits.frame is {self.frame:,}; raise "
                    f"--limits.frame or lower --limits.{name} to {self.frame - FRAME_REST:,}"
                )
        return self


class ServerSettings(DataSettings):
    """Run a chat server."""

    examples: ClassVar[tuple[str, ...]] = (
        "chat-server --server-name 'Tea room' --port 4100",
        "chat-server --host 0.0.0.0 --tls-cert fullchain.pem --tls-key privkey.pem",
        "chat-server user add ada",
        "chat-server backup monday.db",
    )
    host: Strings = Field(
        default=["127.0.0.1", "::1"],
        min_length=1,
        description="Address to listen on; can be repeated",
    )
    port: int = Field(3000, ge=0, le=65_535, description="Port to listen on; 0 picks a free one")
    server_name: Reloaded[Line] = Field(
        "chat", min_length=1, max_length=64, description="Name of the server, shown to users"
    )
    public_url: Reloaded[Urls] = Field(
        default=[],
        description="Public URL of the server, for example behind a proxy: "
        "wss://chat.example.org; web pages from this host may connect; can be repeated",
    )
    log_level: Reloaded[Literal["debug", "info", "warning", "error"]] = Field(
        "info", description="Lowest level that is logged to standard error"
    )
    log_format: LogFormat = Field(
        "text", description="Format of the log: lines of text, or a JSON object per line"
    )
    metrics_listen: HostPortSetting | None = Field(
        None,
        description="Address for /metrics, /healthz and /readyz, without TLS; everyone who can "
        "connect to it can read them; :3001 listens on this machine only",
    )
    tls_cert: PathSetting | None = Field(
        None, description="Certificate chain (PEM); enables wss://"
    )
    tls_key: PathSetting | None = Field(None, description="Private key (PEM) of the certificate")
    allow_origin: Reloaded[Origins] = Field(
        default=[],
        description="Origin of web pages that may connect, such as https://chat.example.org, or "
        "null; can be repeated",
    )
    heartbeat: float = Field(20.0, ge=0.1, le=300, description="Seconds between two heartbeats")
    hello_timeout: Reloaded[Seconds] = Field(
        10.0, gt=0, description="Seconds within which a client must send hello"
    )
    sign_in_patience: Reloaded[Seconds] = Field(
        7.0,
        gt=0,
        description="Maximum seconds that a sign-in waits in the queue; a longer wait is rejected "
        "with a time to reconnect",
    )
    connections: Reloaded[int | None] = Field(
        None,
        ge=1,
        description="Maximum connections in total (default: as many as open files allow)",
    )
    address_connections: Reloaded[int] = Field(
        100, ge=1, description="Maximum connections per address (IPv6: per /64 network)"
    )
    address_rate: Reloaded[float] = Field(
        10.0, gt=0, description="New connections per address and second, after the burst"
    )
    address_burst: Reloaded[int] = Field(
        200, ge=1, description="Maximum burst of new connections per address"
    )
    address_people: Reloaded[int] = Field(
        50,
        ge=1,
        description="Number of users expected behind one address; multiplies the address's "
        "rate limit",
    )
    person_connections: Reloaded[int] = Field(100, ge=1, description="Maximum connections per user")
    registration: Reloaded[Registration] = Field(
        "open",
        description="Registration of new names: everyone (open), holders of an invitation "
        "(invite), or nobody (closed; the operator adds accounts)",
    )
    reserved_names: Reloaded[Names] = Field(
        default=[],
        description="Reserved name, in addition to admin, system, server, everyone, all, "
        "here, channel, deleted-NUMBER and IP addresses; can be repeated",
    )
    sign_ups: Reloaded[int] = Field(
        30,
        ge=1,
        description="Maximum new names per address in 10 minutes; names taken with an "
        "invitation do not count",
    )
    channel_creation: Reloaded[Literal["members", "admins"]] = Field(
        "members",
        description="Users who may create channels: everyone (members), or admins only (admins)",
    )
    reserved_channels: Reloaded[Channels] = Field(
        default=[],
        description="Name that no new channel can have, such as '#admins'; can be repeated",
    )
    retention: Reloaded[Duration | None] = Field(
        None,
        description="Time after which messages are erased, such as 365d (default: never); at least "
        "1d; owners can choose a shorter one for their channel",
    )
    trusted_proxy: Reloaded[Networks] = Field(
        default=[],
        description="Address or network of a proxy, whose X-Forwarded-For names the client's "
        "address; can be repeated",
    )
    exempt_address: Reloaded[Networks] = Field(
        default=list(LOOPBACK),
        description="Address or network without limits per address; can be repeated",
    )
    close_timeout: Reloaded[float] = Field(
        2.0, gt=0, le=4, description="Seconds before a closing connection is aborted"
    )
    reconnect_window: Reloaded[Seconds] = Field(
        5.0, ge=0, description="Seconds over which clients spread their reconnects after a stop"
    )
    drain: Reloaded[Seconds] = Field(
        5.0,
        ge=0,
        description="Seconds over which a stop disconnects many clients, in batches; up to 100 "
        "clients are one batch, without a wait",
    )
    write_timeout: Reloaded[Seconds] = Field(
        30.0, gt=0, description="Seconds before a client that reads nothing is disconnected"
    )
    queue_bytes: Reloaded[int] = Field(
        1_048_576, ge=65_536, description="Maximum bytes queued for one slow client"
    )
    resume_window: Reloaded[int] = Field(
        1_000,
        ge=0,
        description="Maximum number of missed events to replay; a client that missed more gets the "
        "newest page",
    )
    broker: Annotated[str, AfterValidator(check_broker_urls)] | None = Field(
        None,
        description="Address of the NATS broker between several servers on one database: "
        "nats://host:port, or tls://host:port for an encrypted connection; separate several "
        "servers of one broker with commas (default: servers find new messages by polling)",
    )
    broker_credentials: PathSetting | None = Field(
        None,
        description="File with the broker's USER:PASSWORD or token on one line, or a .creds file "
        "of NATS",
    )
    broker_ca: PathSetting | None = Field(
        None,
        description="Authorities (PEM) of the broker's certificate (default: those of the system)",
    )
    limits: Reloaded[LimitSettings] = Field(default_factory=LimitSettings)

    @model_validator(mode="after")
    def _broker_is_shared(self) -> Self:
        for name in ("broker_credentials", "broker_ca"):
            if getattr(self, name) is not None and self.broker is None:
                raise ValueError(f"{flag_of(name)} needs --broker")
        if self.broker is not None and not self.is_shared:
            raise ValueError("--broker needs a database that several servers share: --store")
        return self

    @property
    def is_shared(self) -> bool:
        """Whether other servers can use the same database."""
        return self.store is not None

    @model_validator(mode="after")
    def _tls_is_complete(self) -> Self:
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ValueError("--tls-cert and --tls-key must be given together")
        return self

    @field_validator("retention")
    @classmethod
    def _check_retention(cls, value: timedelta | None) -> timedelta | None:
        if value is not None and value.total_seconds() < RETENTION_MIN:
            raise ValueError("must be at least 1d")
        return value

    @cached_property
    def channel_policy(self) -> ChannelPolicy:
        """The rules for new channels."""
        return ChannelPolicy(
            self.channel_creation == "members", frozenset(map(fold, self.reserved_channels))
        )

    def recorded(self) -> dict[str, str]:
        """Return the settings for the audit log.

        They decide who may connect, sign in and create channels, and what is kept.
        """
        lists = ("host", "public_url", "allow_origin", "reserved_names", "reserved_channels")
        networks = ("trusted_proxy", "exempt_address")
        return {
            "registration": self.registration,
            "tls": "yes" if self.is_tls else "no",
            "channel_creation": self.channel_creation,
            "retention": "" if self.retention is None else exact(self.retention),
            **{name: ", ".join(map(str, getattr(self, name))) for name in (*lists, *networks)},
        }

    @property
    def is_tls(self) -> bool:
        """Whether clients connect with `wss://`."""
        return self.tls_cert is not None


def settings_of(kind: type[BaseModel], prefix: str = "") -> dict[str, Any]:
    """Return the fields of `kind` by their names; those of a table as `limits.text`."""
    found: dict[str, Any] = {}
    for name, field in kind.model_fields.items():
        table = field.annotation
        if isinstance(table, type) and issubclass(table, BaseModel):
            found |= settings_of(table, f"{prefix}{name}.")
        else:
            found[prefix + name] = field
    return found


KNOWN = settings_of(ServerSettings)
"""The fields of all settings of a server, by name."""


class Change(NamedTuple):
    """A setting that differs from that of the running server."""

    name: str
    before: str
    after: str

    def __str__(self) -> str:
        return f"{self.name} is {self.after} (was {self.before})"


def reloaded(
    running: ServerSettings, read: ServerSettings
) -> tuple[ServerSettings, list[Change], list[Change]]:
    """Return the settings to use, the changes in them, and the changes that need a restart.

    Args:
        running: the settings that the server uses.
        read: the settings as they were read again.
    """
    kept = {name: each for name, each in _values(running) if not is_reloaded(name)}
    before, after = shown_settings(running), shown_settings(read)
    changes = [
        Change(name, before[name], after[name]) for name in after if before[name] != after[name]
    ]
    return (
        read.model_copy(update=kept),
        [each for each in changes if is_reloaded(each.name)],
        [each for each in changes if not is_reloaded(each.name)],
    )


def is_reloaded(name: str) -> bool:
    """Whether a running server applies the setting when it reads its settings again."""
    return _RELOADED in ServerSettings.model_fields[name.partition(".")[0]].metadata


def shown_settings(settings: BaseModel, prefix: str = "") -> dict[str, str]:
    """Return the values of all settings by their names, as text on one line."""
    found: dict[str, str] = {}
    for name, value in _values(settings):
        if isinstance(value, BaseModel):
            found |= shown_settings(value, f"{prefix}{name}.")
        else:
            found[prefix + name] = _shown(value)
    return found


def toml_lines(settings: ServerSettings) -> Iterator[str]:
    """Return all settings as lines of a `server.toml`; those with their default as comments."""
    yield from _toml_lines(settings)
    yield "\n[limits]"
    yield from _toml_lines(settings.limits)


def _toml_lines(settings: BaseModel) -> Iterator[str]:
    for name, value in _values(settings):
        if name in KNOWN or f"limits.{name}" in KNOWN:
            mark = "" if name in settings.model_fields_set else "# "
            yield f"# {name} is not set" if value is None else f"{mark}{name} = {_toml(value)}"


def _toml(value: object) -> str:
    """Return a value in TOML, whose strings, numbers and lists are those of JSON."""
    match value:
        case bool() | int() | float() | str():
            return json.dumps(value, ensure_ascii=False)
        case list():
            return f"[{', '.join(map(_toml, value))}]"
        case timedelta():
            return _toml(exact(value))
    return _toml(str(value))


def _values(settings: BaseModel) -> Iterator[tuple[str, object]]:
    return ((name, getattr(settings, name)) for name in type(settings).model_fields)


def _shown(value: object) -> str:
    match value:
        case None | []:
            return "not set"
        case list():
            return ", ".join(map(str, value))
        case timedelta():
            return exact(value)
        case float():
            return str(value).removesuffix(".0")
    return printable_line(str(value))
