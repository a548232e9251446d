"""The arguments of the operator's commands."""

# Without `from __future__ import annotations`: pydantic would compile each annotation at the start.

from datetime import timedelta
from typing import ClassVar

from pydantic import Field, field_validator

from chat.server.config.settings import DataSettings, ServerSettings
from chat.server.config.values import (
    Channels,
    Duration,
    Names,
    Networks,
    PathSetting,
    Store,
    Urls,
    without_user,
)
from chat.store.accounts import ACTS, AccountRole, Registration

__all__ = [
    "COMMANDS",
    "AuditSettings",
    "BackupSettings",
    "BanSettings",
    "BansSettings",
    "CheckConfigSettings",
    "CheckSettings",
    "ExpireSettings",
    "InviteCreateSettings",
    "InviteListSettings",
    "InviteRevokeSettings",
    "LinkSettings",
    "MigrateStoreSettings",
    "NewEpochsSettings",
    "OneUserSettings",
    "ReindexSettings",
    "RestoreSettings",
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
]


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
    reserved_names: Names = Field(default=[], exclude=True)
    public_url: Urls = Field(default=[], exclude=True)


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
    file: PathSetting = Field(description="File to create; it must not exist")


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
    expires: Duration = Field(
        timedelta(days=7), description="Duration until it expires, such as 12h or 2d"
    )
    role: AccountRole = Field("member", description="Role of the new accounts")
    channel: Channels = Field(
        default=[],
        max_length=50,
        description="Public channel that the new accounts join; can be repeated",
    )

    public_url: Urls = Field(default=[], exclude=True)
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
    public_url: Urls = Field(default=[], exclude=True)


class TokenSettings(OneUserSettings):
    """Issue a new token for a name: for another device, or to replace a lost token."""

    examples = ("chat-server token alice --label laptop > alice.token",)
    label: str = Field("", max_length=300, description="Name of the device, shown in lists")


class BanSettings(DataSettings):
    """Ban an account or an address from the server: its sessions end at once."""

    positional = ("target",)
    examples = ("chat-server ban 192.0.2.0/24 --for 7d --reason spam",)
    target: str = Field(description="Name of an account, address, or network")
    for_: Duration | None = Field(None, description="Duration, such as 2h or 7d")
    reason: str = Field("", max_length=300, description="Reason, shown to the banned person")
    force: bool = Field(False, description="Ban loopback or a trusted proxy as well")
    trusted_proxy: Networks = Field(default=[], exclude=True)


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
    since: Duration | None = Field(None, description="Maximum age of the entries, such as 7d")

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
    file: PathSetting = Field(description="Backup to create; it must not exist")


class RestoreSettings(DataSettings):
    """Replace the database with a backup and keep the old one; stop the server first."""

    positional = ("file",)
    examples = ("chat-server restore monday.db",)
    file: PathSetting = Field(description="Backup made by `chat-server backup`")


class CheckSettings(DataSettings):
    """Verify all logs and the index, also while the server runs; exit code 1 on problems."""

    examples = ("chat-server check --file monday.db",)
    file: PathSetting | None = Field(None, description="Backup to check, without restoring it")


class CheckConfigSettings(ServerSettings):
    """Check the settings, the certificate and the data folder; print all settings."""

    examples = (
        "chat-server check-config",
        "chat-server check-config --tls-cert fullchain.pem --tls-key privkey.pem",
    )
    config: PathSetting | None = Field(
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
    destination: Store = Field(description="Database to copy to: postgresql://USER@HOST/DATABASE")

    @property
    def destination_name(self) -> str:
        """The address of the destination without the user."""
        return without_user(self.destination)


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
