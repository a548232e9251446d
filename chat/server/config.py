"""The server's settings, from flags, `CHAT_…` variables, and `server.toml`.

A flag wins over a variable, a variable over the file (`server.toml` in the user's configuration
folder), the file over the default. An empty variable counts as not set. A list is repeated flags,
or items separated by commas, or a JSON list; in the file also a TOML list.
"""

# Without `from __future__ import annotations`: pydantic would compile each annotation at the start.

import argparse
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, NoReturn, Self, TypeVar, get_args
from urllib.parse import quote_from_bytes, urlsplit

from platformdirs import user_config_path, user_data_path
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from chat import __version__
from chat.broker.address import check_broker_urls
from chat.completion import add_completion
from chat.durations import duration_text, exact_duration, parse_duration
from chat.errors import StartupError
from chat.program import tell
from chat.protocol.values import Limits
from chat.rights import RETENTION_MIN
from chat.server.monitoring.logs import LogFormat
from chat.server.transport.limits import LOOPBACK, Network, network
from chat.server.transport.listening import HostPort
from chat.server.transport.origins import check_origin, check_public_url
from chat.store.accounts import ACTS, AccountRole, Registration
from chat.store.operations import ChannelPolicy
from chat.text import (
    check_channel,
    check_name,
    fold,
    is_builtin,
    is_direct,
    is_number,
    printable_line,
    quoted_value,
)

__all__ = [
    "COMMANDS",
    "AuditSettings",
    "BackupSettings",
    "BanSettings",
    "BansSettings",
    "Change",
    "CheckConfigSettings",
    "CheckSettings",
    "DataSettings",
    "ExpireSettings",
    "InviteCreateSettings",
    "InviteListSettings",
    "InviteRevokeSettings",
    "LinkSettings",
    "OneUserSettings",
    "ReindexSettings",
    "RestoreSettings",
    "ServerSettings",
    "TokenSettings",
    "UnbanSettings",
    "UserAddSettings",
    "UserDevicesSettings",
    "UserDisableSettings",
    "UserEnableSettings",
    "UserEraseSettings",
    "UserExportSettings",
    "UserListSettings",
    "UserPasswordSettings",
    "UserRevokeSettings",
    "UserRoleSettings",
    "UserShowSettings",
    "command_lines",
    "config_file",
    "example_lines",
    "is_reloaded",
    "load",
    "meaning_of",
    "reloaded",
    "shown_settings",
    "toml_lines",
]

S = TypeVar("S", bound="DataSettings")
T = TypeVar("T")

_RELOADED = "reloaded"
Reloaded = Annotated[T, _RELOADED]
"""A setting that a running server changes when it reads its settings again; others need a restart.

`App.reload` applies it.
"""

PREFIX = "CHAT_"
MOST = 1_000_000_000
"""Largest number of a setting."""
LEAST = 0.001
"""Smallest fraction of a setting, other than 0."""
FRAME_REST = 1_024
"""Bytes of a frame besides its text."""
SIMILAR = 0.75
SIMILAR_VARIABLE = 0.87
"""Similarity (0 to 1) from which a name is suggested for a misspelled one."""


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
            "must not contain a password: other users of this computer can read it. Put it into a "
            "file that PGPASSFILE names"
        )
    return value


def _without_user(url: str) -> str:
    return re.sub("//[^/@]*@", "//", url)


def _exact(duration: timedelta) -> str:
    return exact_duration(int(duration.total_seconds()))


def _duration(value: object) -> timedelta:
    return value if isinstance(value, timedelta) else timedelta(seconds=parse_duration(str(value)))


def _refuse_odd_numbers(cls: type[BaseModel], value: Any, info: ValidationInfo) -> Any:
    """Refuse values that pydantic reads as numbers: `true`, `1_0`, and non-ASCII digits."""
    kind = cls.model_fields[info.field_name or ""].annotation
    is_wrong = isinstance(value, bool) or (isinstance(value, str) and not is_number(value))
    if is_wrong and kind in (int, float, int | None):
        raise ValueError("must be a number")
    return value


def _check_size(value: Any) -> Any:
    """Refuse numbers outside `LEAST` to `MOST`."""
    if isinstance(value, int | float):
        if value > MOST:
            raise ValueError(f"must be at most {MOST:,}")
        if isinstance(value, float) and 0 < value < LEAST:
            raise ValueError(f"must be at least {LEAST}")
    return value


_Path = Annotated[Path, PlainValidator(_path)]
_HostPort = Annotated[HostPort, PlainValidator(_host_port)]
_Strings = Annotated[list[str], BeforeValidator(_split)]
_Seconds = Annotated[float, Field(le=3_600)]
_Duration = Annotated[timedelta, PlainValidator(_duration)]
_Names = Annotated[list[Annotated[str, AfterValidator(_name)]], BeforeValidator(_split)]
_Urls = Annotated[list[Annotated[str, AfterValidator(check_public_url)]], BeforeValidator(_split)]
_Networks = Annotated[list[Annotated[Network, PlainValidator(_network)]], BeforeValidator(_split)]


_SECRET = re.compile(r"(//)[^/@]*(@)|(password=)[^&]*")
"""A name and a password in a URL, which no message repeats."""


class DataSettings(BaseModel):
    """The file of the channel logs."""

    # Of about 25 commands, a program runs one: building the others took 0.1 s of each start.
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, defer_build=True)

    positional: ClassVar[tuple[str, ...]] = ()
    """The positional arguments, which are required."""
    examples: ClassVar[tuple[str, ...]] = ()
    """Command lines, shown by `--help`."""

    data: _Path = Field(
        default=user_data_path("chat-server", appauthor=False),
        description="Folder of the database",
    )
    store: Annotated[str, AfterValidator(_store)] | None = Field(
        None,
        description="Database on PostgreSQL, which several servers can share: "
        "postgresql://host/database; its password comes from PGPASSFILE or PGPASSWORD (default: "
        "chat.db in the folder `data`)",
    )

    _numbers = field_validator("*", mode="before")(classmethod(_refuse_odd_numbers))
    _sizes = field_validator("*")(_check_size)

    @property
    def database(self) -> Path:
        """The file of the database on SQLite."""
        return self.data.absolute() / "chat.db"

    @property
    def store_name(self) -> str:
        """How messages call the database: its file, or its address without the user."""
        return str(self.database) if self.store is None else _without_user(self.store)

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

    _numbers = field_validator("*", mode="before")(classmethod(_refuse_odd_numbers))
    _sizes = field_validator("*")(_check_size)

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
    host: _Strings = Field(
        default=["127.0.0.1", "::1"],
        min_length=1,
        description="Address to listen on; can be repeated",
    )
    port: int = Field(3000, ge=0, le=65_535, description="Port to listen on; 0 picks a free one")
    server_name: Reloaded[Annotated[str, AfterValidator(_printable)]] = Field(
        "chat", min_length=1, max_length=64, description="Name of the server, shown to users"
    )
    public_url: Reloaded[_Urls] = Field(
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
    metrics_listen: _HostPort | None = Field(
        None,
        description="Address for /metrics, /healthz and /readyz, without TLS; all who can connect "
        "to it can read them; :3001 listens on this machine only",
    )
    tls_cert: _Path | None = Field(None, description="Certificate chain (PEM); enables wss://")
    tls_key: _Path | None = Field(None, description="Private key (PEM) of the certificate")
    allow_origin: Reloaded[
        Annotated[list[Annotated[str, AfterValidator(check_origin)]], BeforeValidator(_split)]
    ] = Field(
        default=[],
        description="Origin of web pages that may connect, such as https://chat.example.org, or "
        "null; can be repeated",
    )
    heartbeat: float = Field(20.0, ge=0.1, le=300, description="Seconds between two heartbeats")
    hello_timeout: Reloaded[_Seconds] = Field(
        10.0, gt=0, description="Seconds within which a client must send hello"
    )
    sign_in_patience: Reloaded[_Seconds] = Field(
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
        description="Registration of new names: everybody (open), holders of an invitation "
        "(invite), or nobody (closed; the operator adds accounts)",
    )
    reserved_names: Reloaded[_Names] = Field(
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
        "members", description="Users who may create channels: all (members), or admins only"
    )
    reserved_channels: Reloaded[
        Annotated[list[Annotated[str, AfterValidator(_channel)]], BeforeValidator(_split)]
    ] = Field(
        default=[],
        description="Name that no new channel can have, such as '#admins'; can be repeated",
    )
    retention: Reloaded[_Duration | None] = Field(
        None,
        description="Time after which messages are erased, such as 365d (default: never); at least "
        "1d; owners can choose a shorter one for their channel",
    )
    trusted_proxy: Reloaded[_Networks] = Field(
        default=[],
        description="Address or network of a proxy, whose X-Forwarded-For names the client's "
        "address; can be repeated",
    )
    exempt_address: Reloaded[_Networks] = Field(
        default=list(LOOPBACK),
        description="Address or network without limits per address; can be repeated",
    )
    close_timeout: Reloaded[float] = Field(
        2.0, gt=0, le=4, description="Seconds before a closing connection is aborted"
    )
    reconnect_window: Reloaded[_Seconds] = Field(
        5.0, ge=0, description="Seconds over which clients spread their reconnects after a stop"
    )
    drain: Reloaded[_Seconds] = Field(
        5.0,
        ge=0,
        description="Seconds over which a stop sends many clients away, in batches; up to 100 "
        "clients are one batch, without a wait",
    )
    write_timeout: Reloaded[_Seconds] = Field(
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
    broker_credentials: _Path | None = Field(
        None,
        description="File with the broker's USER:PASSWORD or token on one line, or a .creds file "
        "of NATS",
    )
    broker_ca: _Path | None = Field(
        None,
        description="Authorities (PEM) of the broker's certificate (default: those of the system)",
    )
    limits: Reloaded[LimitSettings] = Field(default_factory=LimitSettings)

    @model_validator(mode="after")
    def _broker_is_shared(self) -> Self:
        for name in ("broker_credentials", "broker_ca"):
            if getattr(self, name) is not None and self.broker is None:
                raise ValueError(f"{_flag(name)} needs --broker")
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
            "retention": "" if self.retention is None else _exact(self.retention),
            **{name: ", ".join(map(str, getattr(self, name))) for name in (*lists, *networks)},
        }

    @property
    def is_tls(self) -> bool:
        """Whether clients connect with `wss://`."""
        return self.tls_cert is not None


class OneUserSettings(DataSettings):
    """A command about one account."""

    positional: ClassVar[tuple[str, ...]] = ("name",)
    name: str = Field(description="Name of the account")


class UserListSettings(DataSettings):
    """List all accounts."""

    examples = ("chat-server user list",)


class UserShowSettings(OneUserSettings):
    """Show an account and its devices."""

    examples = ("chat-server user show alice",)


class UserAddSettings(OneUserSettings):
    """Add an account, and print a link code for its first sign-in within 10 minutes."""

    examples = ("chat-server user add deploy --bot",)
    bot: bool = Field(
        False,
        description="Add a bot: it is marked as a bot, has no password, and signs in with the"
        " printed token",
    )
    reserved_names: _Names = Field(default=[], exclude=True)
    public_url: _Urls = Field(default=[], exclude=True)


class UserRoleSettings(OneUserSettings):
    """Change the role of an account."""

    positional = ("name", "role")
    examples = ("chat-server user role alice admin",)
    role: AccountRole = Field(description="Role: admin, member or bot")


class UserDisableSettings(OneUserSettings):
    """Disable an account: its sessions end at once, and it cannot sign in."""

    examples = ("chat-server user disable mallory",)


class UserEnableSettings(OneUserSettings):
    """Enable a disabled account."""

    examples = ("chat-server user enable mallory",)


class UserDevicesSettings(OneUserSettings):
    """List the devices of an account."""

    examples = ("chat-server user devices alice",)


class UserExportSettings(OneUserSettings):
    """Write the data and messages of an account to FILE, as lines of JSON."""

    positional = ("name", "file")
    examples = ("chat-server user export alice alice.jsonl",)
    file: _Path = Field(description="File to create; it must not exist")


class UserEraseSettings(OneUserSettings):
    """Erase an account permanently: its messages, its devices, and its name."""

    examples = ("chat-server user erase alice",)
    yes: bool = Field(False, description="Erase without asking")


class UserRevokeSettings(OneUserSettings):
    """Revoke a device of an account: its sessions end at once."""

    positional = ("name", "device")
    examples = ("chat-server user revoke alice 7",)
    device: int = Field(ge=1, description="Number of the device, from `user devices`")


class UserPasswordSettings(OneUserSettings):
    """Remove the password of an account (--remove); the user can set one in the client."""

    examples = ("chat-server user password alice --remove",)
    remove: bool = Field(False, description="Remove the password")


class InviteCreateSettings(DataSettings):
    """Create an invitation, and print its code and what to send."""

    examples = ("chat-server invite create --uses 10 --expires 2d --channel '#team'",)
    uses: int = Field(1, ge=1, le=10_000, description="Number of accounts that it can create")
    expires: _Duration = Field(
        timedelta(days=7), description="Duration until it expires, such as 12h or 2d"
    )
    role: AccountRole = Field("member", description="Role of the new accounts")
    channel: Annotated[list[Annotated[str, AfterValidator(_channel)]], BeforeValidator(_split)] = (
        Field(
            default=[],
            max_length=50,
            description="Public channel that the new accounts join; can be repeated",
        )
    )

    public_url: _Urls = Field(default=[], exclude=True)
    registration: Registration = Field("open", exclude=True)

    @field_validator("expires")
    @classmethod
    def _check_expires(cls, value: timedelta) -> timedelta:
        if not timedelta(minutes=1) <= value <= timedelta(days=365):
            raise ValueError("must be between 1m and 365d")
        return value


class InviteListSettings(DataSettings):
    """List the invitations, newest first."""

    examples = ("chat-server invite list",)


class InviteRevokeSettings(DataSettings):
    """Revoke an invitation; accounts that used it remain."""

    positional = ("number",)
    examples = ("chat-server invite revoke 3",)
    number: int = Field(ge=1, description="Number of the invitation, from `invite list`")


class LinkSettings(OneUserSettings):
    """Print a link code: another device can sign in with it within 10 minutes."""

    examples = ("chat-server link alice",)
    public_url: _Urls = Field(default=[], exclude=True)


class TokenSettings(OneUserSettings):
    """Issue a new token for a name: for another device, or to replace a lost token."""

    examples = ("chat-server token alice --label laptop > alice.token",)
    label: str = Field("", max_length=300, description="Name of the device, shown in lists")


class BanSettings(DataSettings):
    """Ban an account or an address from the server: its sessions end at once."""

    positional = ("target",)
    examples = ("chat-server ban 192.0.2.0/24 --for 7d --reason spam",)
    target: str = Field(description="Name of an account, address, or network")
    for_: _Duration | None = Field(None, description="Duration, such as 2h or 7d")
    reason: str = Field("", max_length=300, description="Reason, shown to the banned person")
    force: bool = Field(False, description="Ban loopback or a trusted proxy as well")
    trusted_proxy: _Networks = Field(default=[], exclude=True)


class UnbanSettings(DataSettings):
    """Lift a ban."""

    positional = ("target",)
    examples = ("chat-server unban mallory",)
    target: str = Field(description="Name of an account, address, or network")


class BansSettings(DataSettings):
    """List the current bans, newest first."""

    examples = ("chat-server bans",)


class AuditSettings(DataSettings):
    """Show the newest entries of the audit log, newest first."""

    examples = ("chat-server audit --account alice --act banned --since 7d",)
    limit: int = Field(50, ge=1, le=1_000_000, description="Number of entries")
    account: str | None = Field(None, description="Only entries by or about this account")
    act: str | None = Field(None, description="Only entries of this act, such as banned")
    since: _Duration | None = Field(None, description="Only entries as recent, such as 7d")

    @field_validator("act")
    @classmethod
    def _check_act(cls, value: str | None) -> str | None:
        if value is not None and value not in ACTS:
            raise ValueError(f"must be one of {', '.join(ACTS)}")
        return value


class BackupSettings(DataSettings):
    """Copy the database to FILE; the server may be running."""

    positional = ("file",)
    examples = ("chat-server backup monday.db",)
    file: _Path = Field(description="Backup to create; it must not exist")


class RestoreSettings(DataSettings):
    """Replace the database with a backup and keep the old one; stop the server first."""

    positional = ("file",)
    examples = ("chat-server restore monday.db",)
    file: _Path = Field(description="Backup made by `chat-server backup`")


class CheckSettings(DataSettings):
    """Verify all logs and the index, also while the server runs; exit code 1 on problems."""

    examples = ("chat-server check --file monday.db",)
    file: _Path | None = Field(None, description="Backup to check, without restoring it")


class CheckConfigSettings(ServerSettings):
    """Check the settings, the certificate and the data folder; print all settings."""

    examples = (
        "chat-server check-config",
        "chat-server check-config --tls-cert fullchain.pem --tls-key privkey.pem",
    )
    config: _Path | None = Field(
        None, description="File of settings to check instead of the one that the server reads"
    )


class ReindexSettings(DataSettings):
    """Rebuild the full-text index from the logs; stop the server first."""

    examples = ("chat-server reindex",)


class NewEpochsSettings(DataSettings):
    """Make clients load all channels again; needed after a restore with pg_restore."""

    examples = ("chat-server new-epochs --store postgresql://db.example.org/chat",)


class MigrateStoreSettings(DataSettings):
    """Copy the database from SQLite to an empty one on PostgreSQL; stop the server first."""

    positional = ("destination",)
    examples = ("chat-server migrate-store postgresql://chat@db.example.org/chat",)
    destination: Annotated[str, AfterValidator(_store)] = Field(
        description="Database to copy to: postgresql://USER@HOST/DATABASE"
    )

    @property
    def destination_name(self) -> str:
        """The address of the destination without the user."""
        return _without_user(self.destination)


class ExpireSettings(DataSettings):
    """Erase all messages older than the retention now, however many they are (--force)."""

    examples = ("chat-server expire --force",)
    force: bool = Field(False, description="Erase even more than a tenth of a channel at once")


COMMANDS: dict[str, type[DataSettings]] = {
    "user list": UserListSettings,
    "user show": UserShowSettings,
    "user add": UserAddSettings,
    "user role": UserRoleSettings,
    "user disable": UserDisableSettings,
    "user enable": UserEnableSettings,
    "user devices": UserDevicesSettings,
    "user export": UserExportSettings,
    "user erase": UserEraseSettings,
    "user revoke": UserRevokeSettings,
    "user password": UserPasswordSettings,
    "invite create": InviteCreateSettings,
    "invite list": InviteListSettings,
    "invite revoke": InviteRevokeSettings,
    "link": LinkSettings,
    "token": TokenSettings,
    "ban": BanSettings,
    "unban": UnbanSettings,
    "bans": BansSettings,
    "audit": AuditSettings,
    "backup": BackupSettings,
    "restore": RestoreSettings,
    "check": CheckSettings,
    "check-config": CheckConfigSettings,
    "reindex": ReindexSettings,
    "expire": ExpireSettings,
    "migrate-store": MigrateStoreSettings,
    "new-epochs": NewEpochsSettings,
}


def config_file() -> Path:
    """Return the path of the settings file."""
    return user_config_path("chat", appauthor=False) / "server.toml"


def load(kind: type[S], program: str, argv: list[str]) -> S:
    """Read settings of `kind` from all their sources.

    Raises:
        StartupError: a flag, a variable or the file is wrong; the message names it.
        SystemExit: after `--help` (0).
    """
    settings, parsed = _settings(kind), _flags(kind, program, argv)
    flags = [
        _Given(name, value, name.upper() if name in kind.positional else _flag(name))
        for name, value in parsed.items()
        if value is not None
    ]
    named = parsed.get("config")
    file = _in_file(Path(named or config_file()).expanduser(), must_exist=named is not None)
    given = {each.name: each for each in (*file, *_in_environment(), *flags)}
    values: dict[str, Any] = {}
    for each in given.values():
        if each.name in settings:
            group, dot, name = each.name.rpartition(".")
            (values.setdefault(group, {}) if dot else values)[name] = each.value
    try:
        return kind.model_validate(values)
    except ValidationError as exc:
        raise StartupError(_explain(exc.errors(include_url=False)[0], given)) from None


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
        if name in _KNOWN or f"limits.{name}" in _KNOWN:
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
            return _toml(_exact(value))
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
            return _exact(value)
        case float():
            return str(value).removesuffix(".0")
    return printable_line(str(value))


@dataclass(frozen=True, slots=True)
class _Given:
    """The value of a setting, and its source: `--port`, `CHAT_PORT`, or the file."""

    name: str
    value: Any
    where: str


def _settings(kind: type[BaseModel], prefix: str = "") -> dict[str, Any]:
    """Return the fields of `kind` by their names; those of a table as `limits.text`."""
    found: dict[str, Any] = {}
    for name, field in kind.model_fields.items():
        table = field.annotation
        if isinstance(table, type) and issubclass(table, BaseModel):
            found |= _settings(table, f"{prefix}{name}.")
        else:
            found[prefix + name] = field
    return found


_KNOWN = _settings(ServerSettings)
_TABLES = {name.partition(".")[0] for name in _KNOWN if "." in name}


def _in_environment() -> Iterator[_Given]:
    """Read the environment variables, in upper or lower case.

    Unknown variables are ignored: Kubernetes sets names such as CHAT_SERVICE_HOST.
    """
    names = {_variable(name): name for name in _KNOWN}
    for variable, value in sorted(os.environ.items()):
        upper = variable.upper()
        table = upper.removeprefix(PREFIX).lower()
        if not upper.startswith(PREFIX) or not value:
            continue
        if upper in names:
            yield _Given(names[upper], value, variable)
        elif table in _TABLES:
            yield from _in_json(table, value, variable)
        elif table.partition("__")[0] in _TABLES:
            raise StartupError(f"{variable} is not a setting{_similar(upper, names)}")
        elif near := _nearest(upper, names, SIMILAR_VARIABLE):
            tell(f"chat-server: {variable} is ignored; did you mean {near[0]}?")


def _in_json(table: str, value: str, variable: str) -> Iterator[_Given]:
    try:
        content = json.loads(value)
    except ValueError:
        content = None
    if not isinstance(content, dict):
        raise StartupError(f"{variable}: must be a JSON object; or set the {variable}__… variables")
    for name, each in content.items():
        dotted = f"{table}.{name.replace('-', '_')}"
        if dotted not in _KNOWN:
            raise StartupError(f"{variable}: {name!r} is not a setting{_similar(dotted, _KNOWN)}")
        yield _Given(dotted, each, f"{name} in {variable}")


def _in_file(file: Path, *, must_exist: bool) -> Iterator[_Given]:
    try:
        written = file.read_text("utf-8-sig")
        import tomllib  # lazy: many servers have no file

        content = tomllib.loads(written)
    except OSError as exc:
        if isinstance(exc, FileNotFoundError | NotADirectoryError) and not must_exist:
            return
        raise StartupError(f"cannot read {file}: {exc.strerror or exc}") from None
    except ValueError as exc:
        raise StartupError(f"cannot read {file}: {exc}") from None
    spelled: dict[str, str] = {}
    for key, value in _flat(content):
        name = key.replace("-", "_")
        if name in _TABLES:
            raise StartupError(f"{file}: {key} must be a table")
        if name not in _KNOWN:
            raise StartupError(f"{file}: {key} is not a setting{_similar(name, _KNOWN)}")
        if name in spelled:
            raise StartupError(f"{file}: {spelled[name]} and {key} are the same setting; keep one")
        spelled[name] = key
        yield _Given(name, value, f"{key} in {file}")


def _flat(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in table.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


def _nearest(word: str, known: Iterable[str], cutoff: float = SIMILAR) -> list[str]:
    """Return the most similar of the known words, or nothing."""
    from difflib import get_close_matches  # lazy: for errors only

    return get_close_matches(word, known, 1, cutoff)


def _similar(name: str, known: Mapping[str, Any]) -> str:
    found = _nearest(name, known)
    return f"; did you mean {found[0]}?" if found else ""


def _flag(name: str) -> str:
    return "--" + name.rstrip("_").replace("_", "-")


def _variable(name: str) -> str:
    return PREFIX + name.replace(".", "__").upper()


# Error messages

_RULES = {
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_parsing_size": "must be a whole number of fewer digits",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "finite_number": "must be a finite number",
    "greater_than": "must be more than {gt:,}",
    "greater_than_equal": "must be at least {ge:,}",
    "less_than": "must be less than {lt:,}",
    "less_than_equal": "must be at most {le:,}",
    "string_type": "must be text",
    "string_too_short": "must not be empty",
    "string_too_long": "must have at most {max_length:,} characters",
    "literal_error": "must be {expected}",
    "too_short": "must name at least one",
    "value_error": "{error}",
}


def _explain(fault: ErrorDetails, given: Mapping[str, _Given]) -> str:
    """Return the error message of a wrong setting: its source, its value, and the rule."""
    path = ".".join(part for part in fault["loc"] if isinstance(part, str))
    source = next((each for name, each in given.items() if f"{path}.".startswith(f"{name}.")), None)
    context = fault.get("ctx", {})
    reason = _RULES.get(fault["type"], "cannot be used").format_map(context)
    if fault["type"] == "literal_error":
        reason = reason.replace("'", "")
    if fault["type"] == "missing":
        return f"{_flag(path)} is missing"
    if source is None:
        return reason
    shown = fault["input"]
    if isinstance(shown, str):
        shown = _SECRET.sub(r"\1\3…\2", shown)
    text = f"{source.where} {quoted_value(shown)}: {reason}"
    if source.where == "CHAT_PORT" and str(source.value).startswith("tcp://"):
        text += (
            ". Kubernetes sets this variable for a service called chat: set enableServiceLinks to "
            "false, or use --port"
        )
    return text


# Flags

_METAVARS = {
    "config": "FILE",
    "data": "FOLDER",
    "store": "URL",
    "file": "FILE",
    "reserved_names": "NAME",
    "host": "ADDRESS",
    "port": "PORT",
    "server_name": "NAME",
    "metrics_listen": "HOST:PORT",
    "public_url": "URL",
    "tls_cert": "FILE",
    "tls_key": "FILE",
    "destination": "URL",
    "broker": "URL",
    "broker_credentials": "FILE",
    "broker_ca": "FILE",
    "allow_origin": "ORIGIN",
    "exempt_address": "NETWORK",
    "trusted_proxy": "NETWORK",
    "queue_bytes": "BYTES",
    "channel": "CHANNEL",
    "reserved_channels": "CHANNEL",
    "retention": "DURATION",
    "expires": "DURATION",
    "for_": "DURATION",
    "since": "DURATION",
    "account": "NAME",
    "act": "ACT",
    "label": "TEXT",
    "reason": "TEXT",
    "target": "NAME|ADDRESS",
    "address_rate": "NUMBER",
    "limits.frame": "BYTES",
    "limits.rate": "NUMBER",
    "limits.text": "CHARACTERS",
    "limits.topic": "CHARACTERS",
    "limits.name": "CHARACTERS",
    "limits.emoji": "CHARACTERS",
}
_BY_TYPE = {float: "SECONDS", int: "NUMBER", int | None: "NUMBER"}


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise StartupError(f"{message}; see {self.prog} --help")


def _flags(kind: type[DataSettings], program: str, argv: list[str]) -> dict[str, Any]:
    parsed, unknown = _parser(kind, program).parse_known_args(argv)
    if not unknown:
        return vars(parsed)
    first = unknown[0].partition("=")[0]
    if first.startswith("-"):
        known, what = [_flag(name) for name in _settings(kind)], "a flag"
    else:
        groups = {name.partition(" ")[0] for name in COMMANDS}
        known = [*COMMANDS, *groups, "schema"] if kind is ServerSettings else []
        what = "expected here"
    found = _nearest(first, known)
    if command := next((name for name in known if unknown == name.split()), None):
        at = argv.index(first)
        rest = " ".join([*argv[:at], *argv[at + len(unknown) :]])
        raise StartupError(f"put flags after the command: {program} {command} {rest}")
    offer = f"did you mean {found[0]}?" if found else f"see {program} --help"
    raise StartupError(f"{first} is not {what}; {offer}")


def _parser(kind: type[DataSettings], program: str) -> argparse.ArgumentParser:
    is_program = kind is ServerSettings
    parser = _Parser(
        prog=program,
        usage="%(prog)s [options]\n       %(prog)s COMMAND [options]" if is_program else None,
        description=kind.__doc__,
        epilog=_epilog(kind),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        add_help=False,
    )
    parser.add_argument("-h", "--help", action="help", help="Show this help and exit")
    if is_program:
        parser.add_argument(
            "--version",
            action="version",
            version=f"{program} {__version__}",
            help="Show the version and exit",
        )
        add_completion(parser, _command_parsers)
    limits = parser.add_argument_group("limits (sent to clients in `welcome`)")
    for name, field in _settings(kind).items():
        help_text = meaning_of(field).replace("%", "%%")
        if name in kind.positional:
            parser.add_argument(name, metavar=_METAVARS.get(name, name.upper()), help=help_text)
            continue
        if field.exclude:  # from the file and the environment only
            continue
        if field.annotation is bool:
            parser.add_argument(
                _flag(name), dest=name, action="store_true", default=None, help=help_text
            )
            continue
        is_list = isinstance(field.get_default(call_default_factory=True), list)
        choices = get_args(field.annotation) if field.annotation is not None else ()
        is_choice = bool(choices) and all(isinstance(choice, str) for choice in choices)
        metavar = _METAVARS.get(name) or _BY_TYPE.get(field.annotation, "VALUE")
        (limits if "." in name else parser).add_argument(
            _flag(name),
            dest=name,
            metavar="|".join(choices) if is_choice else metavar,
            action="append" if is_list else "store",
            help=help_text + _default(field.get_default(call_default_factory=True)),
        )
    return parser


def _command_parsers() -> dict[str, argparse.ArgumentParser]:
    found = {name: _parser(kind, f"chat-server {name}") for name, kind in COMMANDS.items()}
    schema = _Parser(description="Print the JSON Schema of the protocol", add_help=False)
    return {**found, "schema": schema}


def meaning_of(field: FieldInfo) -> str:
    """Return the description of a setting, without a final period."""
    return (field.description or "").rstrip(".")


def _default(value: object) -> str:
    if value is None or value in ([], ""):
        return ""
    shown = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    if isinstance(value, timedelta):
        shown = duration_text(value.total_seconds())
    return f" (default: {shown})".replace("%", "%%")


def _epilog(kind: type[DataSettings]) -> str:
    file = config_file()
    examples = example_lines(kind.examples)
    if kind is not ServerSettings:
        return f"{examples}\n--data can also be set as CHAT_DATA or in\n{file}."
    commands = command_lines(COMMANDS)
    return (
        f"commands (each has its own --help):\n{commands}"
        f"  {'schema':13}  Print the JSON Schema of the protocol\n\n{examples}\n"
        "Each flag can also be set as an environment variable (such as CHAT_PORT or\n"
        f"CHAT_LIMITS__TEXT) or in {file}."
    )


def example_lines(examples: Iterable[str]) -> str:
    """Return the part of a help page with these command lines."""
    return "".join(("examples:\n", *(f"  {each}\n" for each in examples)))


def command_lines(commands: Iterable[str]) -> str:
    """Return a line for each of the commands, with its description."""
    return "".join(
        f"  {name:13}  {(COMMANDS[name].__doc__ or '').splitlines()[0].rstrip('.')}\n"
        for name in commands
    )
