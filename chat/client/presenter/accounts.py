"""Commands for accounts and administration: devices, passwords, invitations, bans, the audit log.

They need a server with accounts; `Online.ask` refuses them on others.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from ipaddress import ip_network
from time import time
from typing import TYPE_CHECKING

from chat.client.model.sign_in import SignInWay
from chat.client.model.slash.parser import Invocation
from chat.client.platform.local_time import local_time
from chat.client.presenter.conversation import Conversation, Handler
from chat.client.presenter.lists import read_pages, run_reported
from chat.client.presenter.view import Choice, Refused
from chat.client.sync.core import answer
from chat.durations import parse_duration
from chat.errors import CommandError, ErrorCode
from chat.text import PASSWORD_MIN, check_channel, check_name, fold, is_long_enough

if TYPE_CHECKING:
    from chat.protocol.commands import AnsweredBy, Ban
    from chat.protocol.frames import (
        AccountInfo,
        AuditEntry,
        BanInfo,
        Bans,
        Device,
        Invitation,
        Invitations,
        Users,
    )

__all__ = ["HANDLERS", "entry_text", "open_menu"]

_ROLES = ("admin", "member", "bot")
_AUDIT_PAGE = 200


def _day(ts: int) -> str:
    return f"{local_time(ts):%d %b %Y}"


def _minute(ts: int) -> str:
    return f"{local_time(ts):%d %b %Y %H:%M}"


def _user(asked: Invocation) -> str:
    """Return the named user; a first `@` is optional."""
    word = asked.get("name").removeprefix("@")
    try:
        return check_name(word)
    except ValueError as exc:
        raise Refused(f"“{word}” {exc}") from None


def _do(conversation: Conversation, command: AnsweredBy[object], done: str) -> None:
    """Send a command, and show `done` if it succeeds."""

    async def work() -> None:
        await answer(conversation.core.ask(command))
        conversation.view.say(done)

    run_reported(conversation, work())


# The menu of a user


def open_menu(conversation: Conversation, name: str) -> None:
    """List what one may do with a user: write, see the account; for administrators, more.

    Without accounts on the server there is only one thing: the direct channel opens at once.
    """
    state = conversation.state
    is_me = fold(name) == fold(state.user)
    if not state.connection.has_accounts:
        conversation.write_to(name)
        return
    add = conversation.view.list_rows(
        f"{name} (you)" if is_me else name,
        partial(_act_on, conversation, name),
        "Use the command in each row",
    )
    if is_me:
        add([Choice("devices", "Your devices", "/devices")])
        add([Choice("link", "Sign in on another device", "/link")])
        add([Choice("password", "Set or change your password", "/password")])
    else:
        add([Choice("message", "Send a direct message", f"/msg {name}")])
    add([Choice("whois", "Show account", f"/whois {name}")])
    if not is_me and state.is_admin:
        add([Choice("ban", "Ban from this server…", f"/ban {name}")])
        add([Choice("role", "Set role…", f"/role {name}")])
        add([Choice("disable", "Disable account…", f"/disable {name}")])
        add([Choice("enable", "Enable account", f"/enable {name}")])


def _act_on(conversation: Conversation, name: str, key: str) -> None:
    if key == "message":
        conversation.write_to(name)
    elif key in ("ban", "role"):
        conversation.view.begin_command(f"/{key} {name} ")
    elif key in ("devices", "link", "password"):
        conversation.run_command(f"/{key}")
    else:
        conversation.run_command(f"/{key} {name}")


# Everybody


def _devices(conversation: Conversation, asked: Invocation) -> None:
    match asked.get("act").lower(), asked.get("id"):
        case "", "":
            run_reported(conversation, _list_devices(conversation))
        case "revoke", word if word.isascii() and word.isdigit():
            run_reported(conversation, _ask_to_revoke(conversation, int(word[:16])))
        case _:
            raise Refused("Use /devices to list your devices, or /devices revoke ID to revoke one.")


async def _read_devices(conversation: Conversation) -> tuple[Device, ...]:
    from chat.protocol.commands import ListDevices

    return (await answer(conversation.core.ask(ListDevices()))).devices


async def _list_devices(conversation: Conversation) -> None:
    devices = {str(each.id): each for each in await _read_devices(conversation)}
    add = conversation.view.list_rows(
        "Your devices: choose one to revoke it",
        lambda key: _revoke_device(conversation, devices[key]),
        "Use /devices revoke ID",
    )
    add(map(_device_choice, devices.values()))


def _device_choice(device: Device) -> Choice:
    seen = f"signed in {_minute(device.seen)}" if device.seen else "never signed in"
    notes = ["this device"] if device.current else []
    notes += [seen, f"added {_day(device.created)}"]
    return Choice(str(device.id), f"{device.id}. {device.label or 'unnamed'}", " · ".join(notes))


async def _ask_to_revoke(conversation: Conversation, id: int) -> None:
    found = [each for each in await _read_devices(conversation) if each.id == id]
    if not found:
        raise Refused(f"You have no device {id}. Use /devices to list them.")
    _revoke_device(conversation, found[0])


def _revoke_device(conversation: Conversation, device: Device) -> None:
    from chat.protocol.commands import Revoke

    label = f"{device.id} ({device.label or 'unnamed'})"
    what = "You are using it: you" if device.current else "It"
    conversation.view.confirm(
        f"Revoke this device? {what} will be signed out at once.",
        f"Device {label}",
        lambda: _do(conversation, Revoke(device=device.id), f"Revoked device {label}."),
    )


def _link(conversation: Conversation, asked: Invocation) -> None:
    async def work() -> None:
        from chat.protocol.commands import CreateLink

        link = await answer(conversation.core.ask(CreateLink()))
        conversation.close_link = conversation.view.show_code(
            f"Link code for {conversation.state.user}",
            link.code,
            (
                f"On the other device, start chat-client with the name {conversation.state.user}, "
                "choose “Use a link code”, and type this code.",
                f"The code works once, until {local_time(link.expires):%H:%M}.",
            ),
        )

    run_reported(conversation, work())


def _password(conversation: Conversation, asked: Invocation) -> None:
    act = asked.get("act").lower()
    if act not in ("", "set", "change", "remove"):  # it may be the password: do not repeat it
        raise Refused(
            f"Usage: {asked.command.usage}. Do not type the password here: it is asked for."
        )
    run_reported(conversation, _ask_passwords(conversation, is_removed=act == "remove"))


async def _ask_passwords(conversation: Conversation, *, is_removed: bool) -> None:
    """Ask for the present password, if there is one, then twice for the new one."""
    account = await _read_account(conversation, conversation.state.user)
    if is_removed and not account.has_password:
        raise Refused("You have no password.")

    def set_password(current: str | None, new: str | None) -> None:
        from chat.protocol.commands import SetPassword

        done = "Password set." if new is not None else "Password removed."
        _do(conversation, SetPassword(password=new, current=current), done)

    def go_on(current: str | None = None) -> None:
        if is_removed:
            set_password(current, None)
        else:
            _ask_new_password(conversation, partial(set_password, current))

    if account.has_password:
        conversation.view.ask_secret("Your current password", go_on)
    else:
        go_on()


def _ask_new_password(
    conversation: Conversation, then: Callable[[str], None], problem: str = ""
) -> None:
    """Ask twice for a new password; ask again, with the `problem`, until it can be used."""

    def again(problem: str) -> None:
        _ask_new_password(conversation, then, problem)

    def typed(new: str) -> None:
        if not is_long_enough(new):
            again("That is too short. ")
            return
        conversation.view.ask_secret(
            "Repeat the new password",
            lambda same: then(new) if same == new else again("The two passwords differ. "),
        )

    question = f"{problem}New password, at least {PASSWORD_MIN} characters"
    conversation.view.ask_secret(question, typed)


async def _read_account(conversation: Conversation, name: str) -> AccountInfo:
    from chat.protocol.commands import AccountCommand

    return (await answer(conversation.core.ask(AccountCommand(name=name)))).account


def _whois(conversation: Conversation, asked: Invocation) -> None:
    name = _user(asked)

    async def work() -> None:
        account = await _read_account(conversation, name)
        conversation.view.say(f"{account.name}: {_about(account)}")

    run_reported(conversation, work())


def _about(account: AccountInfo) -> str:
    notes = [account.role, f"created {_day(account.created)}"]
    notes.append(f"last sign-in {_minute(account.seen)}" if account.seen else "never signed in")
    notes += ["disabled"] if account.disabled else []
    notes += ["banned"] if account.banned else []
    return " · ".join(notes)


# Administrators


def _users(conversation: Conversation, asked: Invocation) -> None:
    from chat.protocol.commands import ListUsers

    add = conversation.view.list_rows(
        "Accounts of this server",
        partial(open_menu, conversation),
        "Use /whois NAME, /role NAME ROLE, /disable NAME or /ban NAME",
    )

    def take(page: Users) -> str | None:
        add(Choice(each.name, each.name, _about(each)) for each in page.users)
        return page.cursor

    work = read_pages(conversation, add, lambda cursor: ListUsers(cursor=cursor), take)
    run_reported(conversation, work)


def _invitations(conversation: Conversation, asked: Invocation) -> None:
    details = asked.get("details")
    match asked.get("act").lower():
        case "" if not details:
            _list_invitations(conversation)
        case "create":
            _create_invitation(conversation, details)
        case "revoke" if details.isascii() and details.isdigit():
            _revoke_invitation(conversation, int(details[:16]))
        case _:
            raise Refused(
                "Use /invitations to list them, /invitations create [USES] [DURATION] [ROLE] "
                "[#CHANNEL …], or /invitations revoke NUMBER."
            )


def _list_invitations(conversation: Conversation) -> None:
    from chat.protocol.commands import ListInvitations

    known: dict[str, Invitation] = {}

    def chosen(key: str) -> None:
        if key == "create":
            conversation.view.begin_command("/invitations create ")
        elif _is_open(known[key]):
            _revoke_invitation(conversation, known[key].id)
        else:
            conversation.view.say(f"Invitation {key} is already {_state(known[key])}.")

    add = conversation.view.list_rows(
        "Invitations: choose one to revoke it", chosen, "Use /invitations revoke NUMBER"
    )
    add([Choice("create", "Create an invitation…", "/invitations create 10 2d #team")])

    def take(page: Invitations) -> int | None:
        known.update((str(each.id), each) for each in page.invitations)
        add(map(_invitation_choice, page.invitations))
        return page.cursor

    work = read_pages(conversation, add, lambda cursor: ListInvitations(cursor=cursor), take)
    run_reported(conversation, work)


def _is_open(each: Invitation) -> bool:
    return not each.revoked and each.used < each.uses and each.expires > time() * 1000


def _state(each: Invitation) -> str:
    if _is_open(each):
        return f"valid until {_minute(each.expires)}"
    if each.revoked:
        return "revoked"
    return "used up" if each.used >= each.uses else "expired"


def _invitation_choice(each: Invitation) -> Choice:
    notes = [_state(each), f"{each.used} of {each.uses} used", *_grants(each)]
    return Choice(
        str(each.id), f"{each.id}. Created by {each.by or 'the operator'}", " · ".join(notes)
    )


def _grants(invitation: Invitation) -> list[str]:
    role = [] if invitation.role == "member" else [invitation.role]
    return [*role, *invitation.channels]


def _create_invitation(conversation: Conversation, details: str) -> None:
    from chat.protocol.commands import CreateInvitation

    fields: dict[str, object] = {}
    channels: list[str] = []
    for word in details.split():
        if word.isascii() and word.isdigit():
            fields["uses"] = _within(word, int(word[:9]), 1, 10_000, "1 and 10,000 uses")
        elif word.lower() in _ROLES:
            fields["role"] = word.lower()
        elif word.startswith("#"):
            try:
                channels.append(check_channel(word.removesuffix(",")))
            except ValueError as exc:
                raise Refused(f"“{word}” {exc}") from None
        else:
            try:
                seconds = parse_duration(word)
            except ValueError:
                raise Refused(
                    f"“{word}” is not a number of uses, a duration such as 2d, a role (admin, "
                    "member, bot) or a #channel."
                ) from None
            fields["expires"] = _within(word, seconds, 60, 31_536_000, "1m and 365d")
    command = CreateInvitation.model_validate({**fields, "channels": tuple(channels)})

    async def work() -> None:
        created = await answer(conversation.core.ask(command))
        known = created.invitation
        people = "one person" if known.uses == 1 else f"{known.uses:,} people"
        role = "" if known.role == "member" else f" with the role {known.role}"
        joins = f"They join {', '.join(known.channels)}. " if known.channels else ""
        conversation.view.show_code(
            f"Invitation for {people}{role}",
            created.code,
            (
                "Send this code with the address of the server. A new user starts chat-client, "
                "types a name, and chooses “Use an invitation”.",
                f"{joins}The code works until {_minute(known.expires)}.",
            ),
        )

    run_reported(conversation, work())


def _within(word: str, value: int, least: int, most: int, bounds: str) -> int:
    if not least <= value <= most:
        raise Refused(f"“{word}” must be between {bounds}.")
    return value


def _revoke_invitation(conversation: Conversation, id: int) -> None:
    from chat.protocol.commands import Revoke

    conversation.view.confirm(
        "Revoke this invitation? Accounts that used it remain.",
        f"Invitation {id}",
        lambda: _do(conversation, Revoke(invitation=id), f"Invitation {id} revoked."),
    )


def _named(asked: Invocation) -> tuple[str | None, str | None]:
    """Return the named account, or the address or network; `@` marks a name that looks like one."""
    word = asked.get("name|address")
    if not word.startswith("@"):
        try:
            ip_network(word, strict=False)
        except ValueError:
            pass
        else:
            return None, word
    try:
        return check_name(word.removeprefix("@")), None
    except ValueError as exc:
        raise Refused(f"“{word}” {exc}") from None


def _ban(conversation: Conversation, asked: Invocation) -> None:
    from chat.protocol.commands import Ban

    name, address = _named(asked)
    if name is not None and fold(name) == fold(conversation.state.user):
        raise Refused("You cannot ban yourself.")
    until: int | None = None
    if word := asked.get("duration"):
        try:
            until = int((time() + parse_duration(word)) * 1000)
        except ValueError as exc:
            raise Refused(f"“{word}” {exc}") from None
    reason = " ".join(asked.get("reason").split())
    command = Ban(name=name, address=address, until=until, reason=reason)
    end = f"until {_minute(until)}" if until is not None else "until you lift the ban"
    conversation.view.confirm(
        f"Ban {name or address} from this server {end}? Sessions end at once.",
        f"Reason: {reason}" if reason else "No reason",
        lambda: run_reported(conversation, _place_ban(conversation, command)),
    )


async def _place_ban(conversation: Conversation, command: Ban) -> None:
    banned = command.name or command.address
    try:
        await answer(conversation.core.ask(command))
    except CommandError as exc:
        if exc.code is not ErrorCode.NEEDS_FORCE or command.force:
            raise
        forced = command.model_copy(update={"force": True})
        conversation.view.confirm(
            f"Ban {banned} anyway? This can lock out you or other people.",
            exc.message,
            lambda: run_reported(conversation, _place_ban(conversation, forced)),
        )
        return
    conversation.view.say(f"Banned {banned}.")


def _unban(conversation: Conversation, asked: Invocation) -> None:
    from chat.protocol.commands import Unban

    name, address = _named(asked)
    _do(conversation, Unban(name=name, address=address), f"Lifted the ban on {name or address}.")


def _bans(conversation: Conversation, asked: Invocation) -> None:
    from chat.protocol.commands import ListBans, Unban

    known: dict[str, BanInfo] = {}

    def chosen(key: str) -> None:
        ban = known[key]
        banned = ban.name or ban.address
        command = Unban(name=ban.name, address=None if ban.name else ban.address)
        conversation.view.confirm(
            f"Lift the ban on {banned}?",
            f"Reason: {ban.reason}" if ban.reason else "No reason",
            lambda: _do(conversation, command, f"Lifted the ban on {banned}."),
        )

    async def work() -> None:
        add = conversation.view.list_rows(
            "Bans: choose one to lift it", chosen, "Use /unban NAME or /unban ADDRESS"
        )

        def take(page: Bans) -> int | None:
            known.update((str(each.id), each) for each in page.bans)
            add(map(_ban_choice, page.bans))
            if not known:
                add([Choice("", "No bans")])
            return page.cursor

        await read_pages(conversation, add, lambda cursor: ListBans(cursor=cursor), take)

    run_reported(conversation, work())


def _ban_choice(ban: BanInfo) -> Choice:
    end = f"until {_minute(ban.until)}" if ban.until else "until lifted"
    notes = [end, f"by {ban.by or 'the operator'}", *filter(None, [ban.reason])]
    return Choice(str(ban.id), ban.name or ban.address or "?", " · ".join(notes))


def _role(conversation: Conversation, asked: Invocation) -> None:
    from chat.protocol.commands import AccountCommand

    name, role = _user(asked), asked.get("role").lower()
    if role not in _ROLES:
        raise Refused(f"“{role}” is not a role. Use admin, member or bot.")
    command = AccountCommand.model_validate({"name": name, "role": role})
    _do(conversation, command, f"The role of {name} is now {role}.")


def _disable(conversation: Conversation, asked: Invocation) -> None:
    from chat.protocol.commands import AccountCommand

    name = _user(asked)
    conversation.view.confirm(
        f"Disable the account {name}? Its sessions end at once.",
        f"Use /enable {name} to enable it again.",
        lambda: _do(conversation, AccountCommand(name=name, disabled=True), f"Disabled {name}."),
    )


def _enable(conversation: Conversation, asked: Invocation) -> None:
    from chat.protocol.commands import AccountCommand

    name = _user(asked)
    _do(conversation, AccountCommand(name=name, disabled=False), f"Enabled {name}.")


def _audit(conversation: Conversation, asked: Invocation) -> None:
    word = asked.get("before")
    if word and not (word.isascii() and word.isdigit() and int(word[:16]) > 0):
        raise Refused(
            f"“{word}” is not an entry number. Use /audit, or /audit NUMBER for older entries."
        )
    run_reported(conversation, _list_audit(conversation, int(word[:16]) if word else None))


async def _list_audit(conversation: Conversation, before: int | None) -> None:
    from chat.protocol.commands import ReadAudit

    page = await answer(conversation.core.ask(ReadAudit(before=before, limit=_AUDIT_PAGE)))
    entries = {str(each.seq): each for each in page.entries}

    def chosen(key: str) -> None:
        if key == "older":
            conversation.run_command(f"/audit {page.entries[-1].seq}")
        else:
            conversation.view.say(_whole_entry(entries[key]))

    add = conversation.view.list_rows("Audit log", chosen, "Newest first")
    add(_entry_choice(each) for each in page.entries)
    if page.entries and not page.complete:
        add([Choice("older", "Older entries…", f"/audit {page.entries[-1].seq}")])
    if not page.entries:
        add([Choice("", "No entries")])


def _entry_choice(entry: AuditEntry) -> Choice:
    details = _details(entry)
    more = f" ({details})" if details else ""
    return Choice(str(entry.seq), f"{local_time(entry.ts):%d %b %H:%M}  {entry_text(entry)}{more}")


def _whole_entry(entry: AuditEntry) -> str:
    details = filter(None, (f"from {entry.address}" if entry.address else "", _details(entry)))
    more = f" ({', '.join(details)})"
    told = f"{entry.seq}. {_minute(entry.ts)}: {entry_text(entry)}"
    return told if more == " ()" else told + more


_SENTENCES = {
    "created": "{by} created the account {user}",
    "role": "{by} set the role of {user} to {role}",
    "disabled": "{by} disabled {user}",
    "enabled": "{by} enabled {user}",
    "erased": "{by} erased {user}",
    "device_added": "{by} added {label} for {user}",
    "device_revoked": "{by} revoked {label} of {user}",
    "link_created": "{by} created a link code for {user}",
    "password_set": "{user} set a password",
    "password_removed": "{by} removed the password of {user}",
    "invitation_created": "{by} created invitation {invitation}",
    "invitation_used": "{user} used invitation {invitation}",
    "invitation_revoked": "{by} revoked invitation {invitation}",
    "banned": "{by} banned {banned}",
    "unbanned": "{by} lifted the ban on {banned}",
    "settings": "the settings changed",
}
"""A sentence for each act."""
_OWN_ACTS = {
    "created": "{user} signed up",
    "device_added": "{user} added {label}",
    "device_revoked": "{by} revoked {label}",
    "link_created": "{by} created a link code",
    "password_removed": "{by} removed the password",
}
"""A shorter sentence for acts of users on their own accounts."""
_SAID = ("role", "label", "invitation", "network")
"""Details that the sentence has already."""
_MOMENTS = ("until", "expires")
_HOW = {
    "open": "without an invitation",
    "invitation": "with an invitation",
    "operator": "on the command line",
    "link": "with a link code",
    "password": "with a password",
}
"""Ways to create an account or add a device."""
_DETAILS = {"before": "before that"}


def entry_text(entry: AuditEntry) -> str:
    """Return what an audit entry says, as a short sentence."""
    by, user = entry.by or "the operator", entry.user or "?"
    sentence = _SENTENCES.get(entry.act)
    if entry.by is not None and entry.by == entry.user:
        sentence = _OWN_ACTS.get(entry.act, sentence)
    if sentence is None:
        return f"{by}: {entry.act.replace('_', ' ')}"
    details = entry.details
    return sentence.format(
        by=by,
        user=user,
        role=details.get("role", "?"),
        label=f"the device “{details['label']}”" if details.get("label") else "a device",
        invitation=details.get("invitation", "?"),
        banned=entry.user or details.get("network", "?"),
    )


def _details(entry: AuditEntry) -> str:
    said = _SAID if entry.act in _SENTENCES else ()
    left = {key: value for key, value in entry.details.items() if key not in said}
    return ", ".join(_detail(key, value) for key, value in left.items())


def _detail(key: str, value: str) -> str:
    if key in _MOMENTS and value.isascii() and value.isdigit():
        return f"{key} {_minute(int(value))}"
    if key == "how":
        return _HOW.get(value, value)
    return f"{_DETAILS.get(key, key)}: {value}"


def _sign_in(conversation: Conversation, asked: Invocation) -> None:
    match asked.get("how").lower():
        case "":
            conversation.choose_sign_in()
        case "invitation" | "link" | "password" as way:
            conversation.sign_in(SignInWay(way))
        case _:  # it may be a code: do not repeat it
            raise Refused(f"Usage: {asked.command.usage}. A dialog asks for the secret.")


HANDLERS: dict[str, Handler] = {
    "signin": _sign_in,
    "devices": _devices,
    "link": _link,
    "password": _password,
    "whois": _whois,
    "users": _users,
    "invitations": _invitations,
    "ban": _ban,
    "unban": _unban,
    "bans": _bans,
    "role": _role,
    "disable": _disable,
    "enable": _enable,
    "audit": _audit,
}
"""The handlers by command name."""
