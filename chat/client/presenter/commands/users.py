"""Accounts of users: the menu of a user, roles, disabling; the list of all users.

These commands need a server with accounts; `Online.ask` refuses them on others.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from chat.client.model.slash.parser import Invocation
from chat.client.presenter.commands.requests import (
    day,
    minute,
    named_user,
    read_pages,
    request,
    run_reported,
)
from chat.client.presenter.conversation import Conversation, Handler
from chat.client.presenter.view import AddRows, Choice, Refused, sentence
from chat.client.sync.core import answer
from chat.errors import ChatError
from chat.text import fold

if TYPE_CHECKING:
    from chat.protocol.frames import (
        AccountInfo,
        Users,
    )


__all__ = ["HANDLERS", "ROLES", "open_menu", "read_account"]


ROLES = ("admin", "member", "bot")
"""The roles of accounts."""


def open_menu(conversation: Conversation, name: str) -> None:
    """List the actions for a user: send a message, show the account, and more for admins.

    Without accounts on the server, the direct channel opens at once.
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
        run_reported(conversation, _add_acts(conversation, name, add))


async def _add_acts(conversation: Conversation, name: str, add: AddRows) -> None:
    """Add what an admin can do with an account as it is now."""
    try:
        account = await read_account(conversation, name)
    except ChatError as exc:
        add([Choice("", sentence(str(exc)))])
        return
    lift = Choice("unban", "Lift the ban", f"/unban {name}")
    enable = Choice("enable", "Enable account", f"/enable {name}")
    add([lift if account.banned else Choice("ban", "Ban from this server…", f"/ban {name}")])
    add([Choice("role", f"Set role (now {account.role})…", f"/role {name}")])
    disable = Choice("disable", "Disable account…", f"/disable {name}")
    add([enable if account.disabled else disable])


def _act_on(conversation: Conversation, name: str, key: str) -> None:
    if key == "message":
        conversation.write_to(name)
    elif key in ("ban", "role"):
        conversation.view.begin_command(f"/{key} {name} ")
    elif key in ("devices", "link", "password"):
        conversation.run_command(f"/{key}")
    else:
        conversation.run_command(f"/{key} {name}")


def _whois(conversation: Conversation, asked: Invocation) -> None:
    name = named_user(asked)

    async def work() -> None:
        account = await read_account(conversation, name)
        conversation.view.say(f"{account.name}: {_about(account)}")

    run_reported(conversation, work())


async def read_account(conversation: Conversation, name: str) -> AccountInfo:
    """Return what the server says of an account."""
    from chat.protocol.commands import AccountCommand

    return (await answer(conversation.core.ask(AccountCommand(name=name)))).account


def _about(account: AccountInfo) -> str:
    notes = [account.role, f"created {day(account.created)}"]
    notes.append(f"last sign-in {minute(account.seen)}" if account.seen else "never signed in")
    notes += ["disabled"] if account.disabled else []
    notes += ["banned"] if account.banned else []
    return " · ".join(notes)


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


def _role(conversation: Conversation, asked: Invocation) -> None:
    from chat.protocol.commands import AccountCommand

    name, role = named_user(asked), asked.get("role").lower()
    if role not in ROLES:
        raise Refused(f"“{role}” is not a role. Use admin, member or bot.")
    command = AccountCommand.model_validate({"name": name, "role": role})
    request(conversation, command, f"The role of {name} is now {role}.")


def _disable(conversation: Conversation, asked: Invocation) -> None:
    from chat.protocol.commands import AccountCommand

    name = named_user(asked)
    conversation.view.confirm(
        f"Disable the account {name}? Its sessions end at once.",
        f"Use /enable {name} to enable it again.",
        lambda: request(
            conversation, AccountCommand(name=name, disabled=True), f"Disabled {name}."
        ),
    )


def _enable(conversation: Conversation, asked: Invocation) -> None:
    from chat.protocol.commands import AccountCommand

    name = named_user(asked)
    request(conversation, AccountCommand(name=name, disabled=False), f"Enabled {name}.")


HANDLERS: dict[str, Handler] = {
    "whois": _whois,
    "users": _users,
    "role": _role,
    "disable": _disable,
    "enable": _enable,
}
"""The handlers by command name."""
