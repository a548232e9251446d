"""Users: the menu of one, roles, ignoring, disabling; the list of all accounts.

These commands need a server with accounts; `Online.ask` refuses them on others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING

from chat.client.model.slash.parser import Invocation
from chat.client.presenter.acts import Act, account_acts, member_acts
from chat.client.presenter.commands import targets
from chat.client.presenter.commands.moderation import check_is_other, choose_scope
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
from chat.rights import OWNER, RANKS
from chat.text import fold, is_direct

if TYPE_CHECKING:
    from chat.protocol.frames import (
        AccountInfo,
        Users,
    )


__all__ = ["HANDLERS", "ROLES", "open_menu", "read_account"]


ROLES = ("admin", "member", "bot")
"""The roles of accounts."""


def open_menu(conversation: Conversation, name: str) -> None:
    """List the actions for a user; see `acts.member_acts`, for admins also `acts.account_acts`.

    Without accounts on the server, the direct channel opens at once.
    """
    state = conversation.state
    is_me = fold(name) == fold(state.user)
    if not state.connection.has_accounts:
        conversation.write_to(name)
        return
    acts: dict[str, Act] = {}

    def chosen(key: str) -> None:
        if key == "message":
            conversation.write_to(name)
        elif acts[key].is_begun:
            conversation.view.begin_command(acts[key].command)
        else:
            conversation.run_command(acts[key].command)

    add = conversation.view.list_rows(
        f"{name} (you)" if is_me else name, chosen, "Use the command in each row"
    )

    def show(found: Iterable[Act]) -> None:
        found = tuple(found)
        acts.update((each.key, each) for each in found)
        add(Choice(each.key, each.label, each.command.strip()) for each in found)

    show(member_acts(state, name))
    if not is_me and state.is_admin:
        run_reported(conversation, _add_acts(conversation, name, add, show))


async def _add_acts(
    conversation: Conversation, name: str, add: AddRows, show: Callable[[Iterable[Act]], None]
) -> None:
    """Add what an admin can do with an account as it is now."""
    try:
        account = await read_account(conversation, name)
    except ChatError as exc:
        add([Choice("", sentence(str(exc)))])
        return
    show(account_acts(conversation.state, account))


def _whois(conversation: Conversation, asked: Invocation) -> None:
    name = named_user(asked)

    async def work() -> None:
        account = await read_account(conversation, name)
        notes = [_about(account), *_standing(conversation, account.name)]
        conversation.view.say(f"{account.name}: {' · '.join(notes)}")

    run_reported(conversation, work())


def _standing(conversation: Conversation, name: str) -> list[str]:
    """Return the role of a user in the current channel, and that the user ignores them."""
    state = conversation.state
    notes = ["ignored by you"] if state.ignores(name) else []
    role = state.role_of(name, state.current or "")
    if role is not None and not is_direct(state.current or ""):
        notes.insert(0, f"{role} of {state.current}")
    return notes


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
    name, role, where = named_user(asked), asked.get("role").lower(), asked.get("where").lower()
    if role not in (*ROLES, *RANKS):
        raise Refused(
            f"“{role}” is not a role. Use owner, moderator or member for this channel; admin, "
            "member or bot for this server."
        )
    then = partial(_set_role, conversation, name, role)
    if where or (role in ROLES and role in RANKS):
        choose_scope(conversation, asked, f"Make {name} a {role} of …", "roles", then)
    elif role in ROLES:
        conversation.check_admin(asked)
        then(None)
    else:
        then(targets.here(conversation).name)


def _set_role(conversation: Conversation, name: str, role: str, channel: str | None) -> None:
    """Set a role in a channel, or on the server."""
    from chat.protocol.commands import AccountCommand, SetRole

    if channel is None:
        if role not in ROLES:
            raise Refused(f"“{role}” is not a role on the server. Use admin, member or bot.")
        account = AccountCommand.model_validate({"name": name, "role": role})
        request(conversation, account, f"The role of {name} is now {role}.")
        return
    if role not in RANKS:
        raise Refused(f"“{role}” is not a role in a channel. Use owner, moderator or member.")
    command = SetRole.model_validate({"channel": channel, "name": name, "role": role})
    done = f"The role of {name} in {channel} is now {role}."
    if role != OWNER:
        request(conversation, command, done)
        return
    conversation.view.confirm(
        f"Make {name} the owner of {channel}? You will be a moderator.",
        "Only the new owner can undo this.",
        lambda: request(conversation, command, done),
    )


def _ignore(conversation: Conversation, asked: Invocation) -> None:
    """Ignore a user, or no longer."""
    from chat.protocol.commands import Ignore, Unignore

    name = named_user(asked)
    if asked.command.name == "unignore":
        request(conversation, Unignore(name=name), f"You no longer ignore {name}.")
        return
    check_is_other(conversation, name, "ignore")
    done = f"You now ignore {name}. They are not notified. Use /unignore {name} to stop."
    request(conversation, Ignore(name=name), done)


def _ignored(conversation: Conversation, asked: Invocation) -> None:
    names = conversation.state.ignored
    if not names:
        conversation.view.say("You ignore nobody. Use /ignore NAME to ignore someone.")
        return
    add = conversation.view.list_rows(
        "Ignored people",
        lambda name: conversation.run_command(f"/unignore {name}"),
        "Use /unignore NAME to stop ignoring one",
        "choose one to stop ignoring them",
    )
    add(Choice(name, name, f"/unignore {name}") for name in names)


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
    "ignore": _ignore,
    "unignore": _ignore,
    "ignored": _ignored,
    "disable": _disable,
    "enable": _enable,
}
"""The handlers by command name."""
