"""The operator's commands for accounts, invitations, bans, and the audit log.

They work beside a running server, which applies each change within a second. Codes and tokens go to
standard output and nothing else does, so a script can take them; tables have a line of titles.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from itertools import chain
from typing import Any, TypeVar

from chat.durations import duration_text
from chat.errors import CommandError, ErrorCode, StartupError, StoreUnavailable
from chat.program import tell
from chat.server.config.commands import (
    AuditSettings,
    BanSettings,
    InviteCreateSettings,
    InviteRevokeSettings,
    LinkSettings,
    OneUserSettings,
    TokenSettings,
    UnbanSettings,
    UserAddSettings,
    UserDevicesSettings,
    UserDisableSettings,
    UserEnableSettings,
    UserEraseSettings,
    UserExportSettings,
    UserPasswordSettings,
    UserRevokeSettings,
    UserRoleSettings,
    UserShowSettings,
)
from chat.server.config.settings import DataSettings
from chat.server.transport.limits import LOOPBACK, network_text
from chat.store import files
from chat.store.accounts import (
    BOT,
    CLOSED,
    MEMBER,
    Account,
    AddAccount,
    AddBan,
    AddDevice,
    Ban,
    ChangeAccount,
    CreateInvitation,
    CreateLink,
    Device,
    Invitation,
    LiftBan,
    LinkCode,
    Network,
    RecordAct,
    RevokeDevice,
    RevokeInvitation,
    SetPassword,
    network_of,
)
from chat.store.codes import hash_token
from chat.store.operations import AuditEntry, Operation
from chat.store.read.reader import Reader
from chat.store.store import erase_account, execute, look
from chat.text import counted, fold, printable_line

__all__ = ["WORK", "record_act"]

T = TypeVar("T")

ALL = 1_000_000_000
AUDIT_PAGE = 1_000
"""Entries of the audit log that are read at once."""
ERASE_PATIENCE = 60.0
"""Seconds that `user erase` waits for the running server."""
_ADDRESS = re.compile(r"[0-9.]+|.*[:/].*")
"""Text that was meant as an address or a network; names have no `:` and no `/`."""
ADDRESS_OF_SERVER = "ADDRESS-OF-YOUR-SERVER"


# Accounts


def _user_list(settings: DataSettings) -> int:
    accounts, _ = look(
        settings.store_url, lambda reader: reader.accounts.page(None, cursor=None, limit=ALL)
    )
    _print_table(
        ("NAME", "ROLE", "STATE", "CREATED", "LAST SIGN-IN"),
        (
            (each.user.name, each.role, _state(each), _time(each.created), _time(each.seen))
            for each in accounts
        ),
    )
    return 0


def _user_show(settings: UserShowSettings) -> int:
    account, devices = _read_user(settings)
    stopped = _stopped(settings, account)
    for title, value in (
        ("name", account.user.name),
        ("role", account.role),
        ("state", " and ".join(stopped) or "active"),
        ("created", _time(account.created)),
        ("last sign-in", _time(account.seen)),
        ("password", "yes" if account.has_password else "no"),
        ("devices", str(len(devices))),
    ):
        sys.stdout.write(f"{title:12}  {printable_line(value)}\n")
    if devices:
        sys.stdout.write("\n")
        _print_devices(devices)
    return 0


def _read_user(settings: OneUserSettings) -> tuple[Account, tuple[Device, ...]]:
    def query(reader: Reader) -> tuple[Account, tuple[Device, ...]]:
        account = reader.accounts.account(None, settings.name)
        return account, reader.accounts.devices(account.user)

    return look(settings.store_url, query)


def _user_add(settings: UserAddSettings) -> int:
    url, name = settings.store_url, settings.name
    role = BOT if settings.bot else MEMBER
    reserved = frozenset(map(fold, settings.reserved_names))
    account = execute(url, AddAccount(None, name, role, reserved))
    if settings.bot:
        token = secrets.token_urlsafe(32)
        execute(url, AddDevice(None, name, hash_token(token), "bot"))
        tell(f"Added the bot {account.user.name}. Keep its token secret:")
        sys.stdout.write(token + "\n")
    else:
        tell(f"Added {account.user.name}.")
        _print_link(settings, account.user.name, execute(url, CreateLink(None, name)))
    return 0


def _user_role(settings: UserRoleSettings) -> int:
    changed = execute(settings.store_url, ChangeAccount(None, settings.name, role=settings.role))
    tell(f"{changed.user.name} now has the role {changed.role}")
    _warn_if_stopped(settings, settings.name, "role")
    return 0


def _user_disable(settings: UserDisableSettings) -> int:
    before, _ = _read_user(settings)
    changed = execute(settings.store_url, ChangeAccount(None, settings.name, disabled=True))
    if before.disabled:
        tell(f"{changed.user.name} is already disabled")
        return 0
    tell(f"{changed.user.name} is disabled; their sessions end within a second")
    return 0


def _user_enable(settings: UserEnableSettings) -> int:
    before, _ = _read_user(settings)
    changed = execute(settings.store_url, ChangeAccount(None, settings.name, disabled=False))
    if not before.disabled:
        tell(f"{changed.user.name} is already enabled")
        return 0
    tell(f"{changed.user.name} is enabled")
    _warn_if_stopped(settings, settings.name, "account")
    return 0


def _user_devices(settings: UserDevicesSettings) -> int:
    _, devices = _read_user(settings)
    _print_devices(devices)
    return 0


def _user_revoke(settings: UserRevokeSettings) -> int:
    _, devices = _read_user(settings)
    execute(settings.store_url, RevokeDevice(None, settings.name, settings.device))
    if settings.device not in {each.id for each in devices}:
        tell(f"Device {settings.device} of {settings.name} is already revoked")
        return 0
    tell(f"Revoked device {settings.device} of {settings.name}; its sessions end within a second")
    return 0


def _user_password(settings: UserPasswordSettings) -> int:
    if not settings.remove:
        raise StartupError(
            "add --remove to remove the password; only the user can set one, with /password"
        )
    account, _ = _read_user(settings)
    name = account.user.name
    if not account.has_password:
        tell(f"{name} has no password")
        return 0
    execute(settings.store_url, SetPassword(None, name, None, None))
    tell(f"Removed the password of {name}; their devices stay signed in")
    return 0


def _user_export(settings: UserExportSettings) -> int:
    from chat.store.maintenance.export import export_account

    file, count = settings.file.absolute(), 0
    objects = export_account(settings.store_url, settings.name)
    first = next(objects)  # before the file is created: the account may not exist
    try:
        with os.fdopen(files.create(file), "w", encoding="utf-8") as output:
            for each in chain((first,), objects):
                output.write(json.dumps(each, ensure_ascii=False) + "\n")
                count += 1
    except FileExistsError:
        raise StartupError(f"{file} already exists; choose another file") from None
    except OSError as exc:
        raise StartupError(f"cannot write {file}: {exc.strerror or exc}") from None
    tell(f"{file}: {count:,} lines. The file contains private messages: keep it safe")
    record_act(settings, RecordAct(None, "exported", file.name, settings.name))
    return 0


def _user_erase(settings: UserEraseSettings) -> int:
    name = settings.name
    if not settings.yes and not _is_confirmed(settings):
        tell("Nothing was erased")
        return 1
    if not erase_account(settings.store_url, name, ERASE_PATIENCE):
        tell(f"{name} can no longer sign in; the server is still erasing their messages")
        return 0
    tell(f"Erased {name}. Earlier backups still contain everything: delete or replace them")
    return 0


def _is_confirmed(settings: UserEraseSettings) -> bool:
    if not sys.stdin.isatty():
        raise StartupError("erasing cannot be undone: add --yes to erase without asking")
    account, _ = _read_user(settings)
    name = account.user.name
    messages = look(settings.store_url, lambda reader: reader.accounts.count_messages(account.user))
    tell(
        f"{name}: role {account.role}, last sign-in {_time(account.seen)},"
        f" {counted(messages, 'message')}.\n"
        f"This erases everything that {name} wrote, and cannot be undone."
    )
    sys.stderr.write("Type the name to confirm: ")
    sys.stderr.flush()
    return fold(sys.stdin.readline().strip()) == fold(name)


def _link(settings: LinkSettings) -> int:
    link = execute(settings.store_url, CreateLink(None, settings.name))
    _warn_if_stopped(settings, settings.name, "code")
    _print_link(settings, settings.name, link)
    return 0


def _token(settings: TokenSettings) -> int:
    token = secrets.token_urlsafe(32)
    execute(settings.store_url, AddDevice(None, settings.name, hash_token(token), settings.label))
    _warn_if_stopped(settings, settings.name, "token")
    tell(f"New token for {settings.name}. Keep it secret:")
    sys.stdout.write(token + "\n")
    return 0


def _warn_if_stopped(settings: DataSettings, name: str, proof: str) -> None:
    """Say that the account cannot sign in, and which commands let it."""
    account = look(settings.store_url, lambda reader: reader.accounts.account(None, name))
    name, stopped = account.user.name, _stopped(settings, account)
    if stopped:
        remedies = [f"`chat-server unban {name}`"] if account.banned else []
        remedies += [f"`chat-server user enable {name}`"] if account.disabled else []
        tell(
            f"Warning: {name} is {' and '.join(stopped)}: the {proof} works only after"
            f" {' and '.join(remedies)}"
        )


def _stopped(settings: DataSettings, account: Account) -> list[str]:
    """Return how the account is stopped: `disabled`, and the ban with its end and its reason."""
    found = ["disabled"] if account.disabled else []
    if account.banned:
        bans, _ = look(
            settings.store_url, lambda reader: reader.accounts.bans(None, cursor=None, limit=ALL)
        )
        found += [
            "banned " + _terms(each)
            for each in bans
            if each.user is not None and each.user.id == account.user.id
        ]
    return found


# Invitations


def _invite_create(settings: InviteCreateSettings) -> int:
    created = execute(
        settings.store_url,
        CreateInvitation(
            None,
            uses=settings.uses,
            seconds=int(settings.expires.total_seconds()),
            role=settings.role,
            channels=tuple(settings.channel),
        ),
    )
    if "closed" in (settings.registration, _registration(settings)):
        tell(f"Warning: {CLOSED}")
    uses = f"{settings.uses:,} new account" + ("" if settings.uses == 1 else "s")
    invitation = created.invitation
    tell(
        f"Invitation {invitation.id} for {uses}, until {_time(invitation.expires)}. Send this:\n\n"
        f"  Run `chat-client --url {_address(settings.public_url)}`, choose a name,\n"
        f"  and enter this invitation code when it asks: {created.code}\n"
    )
    if not settings.public_url:
        tell(
            f"Replace {ADDRESS_OF_SERVER} with the address of your server. To have it filled in, "
            "set public_url.\n"
        )
    sys.stdout.write(created.code + "\n")
    return 0


def _invite_list(settings: DataSettings) -> int:
    invitations, _ = look(
        settings.store_url, lambda reader: reader.accounts.invitations(None, cursor=None, limit=ALL)
    )
    _print_table(
        ("NUMBER", "USED", "ROLE", "STATE", "EXPIRES", "BY", "CHANNELS"),
        (
            (
                str(each.id),
                f"{each.used}/{each.uses}",
                each.role,
                _invitation_state(each),
                _time(each.expires),
                each.by.name if each.by else "operator",
                " ".join(each.channels),
            )
            for each in invitations
        ),
    )
    return 0


def _invite_revoke(settings: InviteRevokeSettings) -> int:
    invitations, _ = look(
        settings.store_url, lambda reader: reader.accounts.invitations(None, cursor=None, limit=ALL)
    )
    execute(settings.store_url, RevokeInvitation(None, settings.number))
    if any(each.id == settings.number and each.revoked for each in invitations):
        tell(f"Invitation {settings.number} is already revoked")
        return 0
    tell(f"Revoked invitation {settings.number}; accounts that used it remain")
    return 0


# Bans


def _ban(settings: BanSettings) -> int:
    name, network = _target(settings.target)
    seconds = settings.for_.total_seconds() if settings.for_ else None
    until = None if seconds is None else time.time_ns() // 1_000_000 + int(seconds * 1_000)
    operation = AddBan(
        None,
        name,
        network,
        until,
        settings.reason,
        settings.force,
        protected=(*LOOPBACK, *settings.trusted_proxy),
    )
    replaced = _execute_ban(settings, operation)
    duration = "until it is lifted" if seconds is None else f"for {duration_text(seconds)}"
    shown = settings.target if network is None else network_text(network)
    tell(f"{shown} is banned {duration}; sessions end within a second")
    if replaced is not None:
        tell(f"This replaces the ban {_terms(replaced)}")
    if name is not None and _registration(settings) == "open":
        tell(
            "With `registration = open`, this person can sign up under a new name: ban their"
            " address as well, or set `registration = invite`"
        )
    return 0


def _registration(settings: DataSettings) -> str:
    """Return the setting `registration` of the server's last start; empty if it never ran."""
    recorded = look(settings.store_url, lambda reader: reader.accounts.settings())
    return recorded.get("registration", "")


def _unban(settings: UnbanSettings) -> int:
    name, network = _target(settings.target)
    _execute_ban(settings, LiftBan(None, name, network))
    shown = settings.target if network is None else network_text(network)
    tell(f"Lifted the ban on {shown}")
    if name is not None:
        _warn_if_stopped(settings, name, "account")
    return 0


def _execute_ban(settings: BanSettings | UnbanSettings, operation: Operation[T]) -> T:
    """Run the operation; explain a name that was meant as an address."""
    try:
        return execute(settings.store_url, operation)
    except CommandError as exc:
        if exc.code is ErrorCode.NEEDS_FORCE:
            text = exc.message.replace("use force", "add --force")
            raise CommandError(exc.code, text) from None
        if exc.code is not ErrorCode.NO_SUCH_USER or not _ADDRESS.fullmatch(settings.target):
            raise
        raise CommandError(
            exc.code,
            f"{settings.target} is not an address or a network, such as 192.0.2.7 or"
            " 2001:db8::/32, and there is no user of that name",
        ) from None


def _bans(settings: DataSettings) -> int:
    bans, _ = look(
        settings.store_url, lambda reader: reader.accounts.bans(None, cursor=None, limit=ALL)
    )
    _print_table(
        ("BANNED", "SINCE", "UNTIL", "BY", "REASON"),
        (
            (
                _banned(each),
                _time(each.created),
                _time(each.until) if each.until else "permanent",
                each.by.name if each.by else "operator",
                each.reason,
            )
            for each in bans
        ),
    )
    return 0


def _audit(settings: AuditSettings) -> int:
    entries = look(settings.store_url, lambda reader: _audit_entries(settings, reader))
    _print_table(
        ("ENTRY", "TIME", "ACT", "BY", "ACCOUNT", "ADDRESS", "DETAILS"),
        (
            (
                str(each.seq),
                datetime.fromtimestamp(each.ts / 1_000).astimezone().isoformat(" ", "minutes"),
                each.act,
                each.actor.name if each.actor else "operator",
                each.user.name if each.user else "-",
                each.address or "-",
                " ".join(f"{key}={_detail(key, value)}" for key, value in each.details.items()),
            )
            for each in entries
        ),
    )
    return 0


def _audit_entries(settings: AuditSettings, reader: Reader) -> list[AuditEntry]:
    """Return the newest entries that match the settings, newest first."""
    since = 0.0
    if settings.since is not None:
        since = (time.time() - settings.since.total_seconds()) * 1_000
    found: list[AuditEntry] = []
    before: int | None = None
    while True:
        page = reader.accounts.audit(None, before=before, limit=AUDIT_PAGE)
        for entry in page.entries:
            if entry.ts < since or len(found) == settings.limit:
                return found
            if _matches(settings, entry):
                found.append(entry)
        if page.complete:
            return found
        before = page.entries[-1].seq


def _matches(settings: AuditSettings, entry: AuditEntry) -> bool:
    if settings.act is not None and entry.act != settings.act:
        return False
    names = [each.name for each in (entry.user, entry.actor) if each is not None]
    return settings.account is None or fold(settings.account) in map(fold, names)


def record_act(settings: DataSettings, operation: RecordAct) -> None:
    """Add an entry to the audit log; warn if the database does not accept it."""
    try:
        execute(settings.store_url, operation)
    except (CommandError, StartupError, StoreUnavailable) as exc:
        tell(f"Warning: this is missing in the audit log: {exc}")


# Output


def _print_table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print rows in columns; an empty value is `-`, so that columns can be counted."""
    shown = [titles, *([printable_line(value) or "-" for value in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*shown, strict=True)]
    for row in shown:
        line = "  ".join(f"{value:{width}}" for value, width in zip(row, widths, strict=True))
        sys.stdout.write(line.rstrip() + "\n")


def _print_devices(devices: Iterable[Device]) -> None:
    _print_table(
        ("DEVICE", "LABEL", "CREATED", "LAST SIGN-IN"),
        ((str(each.id), each.label, _time(each.created), _time(each.seen)) for each in devices),
    )


def _print_link(settings: LinkSettings | UserAddSettings, name: str, link: LinkCode) -> None:
    if link.has_replaced:
        tell(f"Earlier codes of {name} no longer work.")
    tell(
        f"To sign in as {name} on a new device, run\n"
        f"`chat-client --name {name} --url {_address(settings.public_url)}`\n"
        "there, and enter this link code when it asks. The code can be used once, until"
        f" {_time(link.expires)}:"
    )
    sys.stdout.write(link.code + "\n")


def _address(public_url: Sequence[str]) -> str:
    return public_url[0] if public_url else ADDRESS_OF_SERVER


def _state(account: Account) -> str:
    stopped = ["disabled"] * account.disabled + ["banned"] * account.banned
    return ",".join(stopped) or "active"


def _terms(ban: Ban) -> str:
    """Return the end and the reason of a ban."""
    end = "until it is lifted" if ban.until is None else f"until {_time(ban.until)}"
    return f"{end} ({ban.reason})" if ban.reason else end


def _invitation_state(invitation: Invitation) -> str:
    if invitation.revoked:
        return "revoked"
    if invitation.used >= invitation.uses:
        return "used up"
    return "expired" if invitation.expires <= time.time_ns() // 1_000_000 else "valid"


def _banned(ban: Ban) -> str:
    if ban.user is not None:
        return ban.user.name
    return network_text(ban.network) if ban.network is not None else "-"


def _time(ts: int | None) -> str:
    """Return milliseconds since 1970 as local time; `never` if there is none."""
    if ts is None:
        return "never"
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(ts / 1_000))


def _detail(key: str, value: str) -> str:
    """Return a detail of an audit entry; times are stored in milliseconds since 1970."""
    is_time = key in ("expires", "until") and value.isdecimal()
    return _time(int(value)).replace(" ", "T") if is_time else value


def _target(text: str) -> tuple[str | None, Network | None]:
    """Return the name or the network that `text` names; an address wins."""
    try:
        return None, network_of(text)
    except ValueError:
        return text, None


WORK: dict[str, Callable[[Any], int]] = {
    "user list": _user_list,
    "user show": _user_show,
    "user add": _user_add,
    "user role": _user_role,
    "user disable": _user_disable,
    "user enable": _user_enable,
    "user devices": _user_devices,
    "user export": _user_export,
    "user erase": _user_erase,
    "user revoke": _user_revoke,
    "user password": _user_password,
    "invite create": _invite_create,
    "invite list": _invite_list,
    "invite revoke": _invite_revoke,
    "link": _link,
    "token": _token,
    "ban": _ban,
    "unban": _unban,
    "bans": _bans,
    "audit": _audit,
}
