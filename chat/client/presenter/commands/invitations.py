"""Invitations: list, create, revoke.

These commands need a server with accounts; `Online.ask` refuses them on others.
"""

from __future__ import annotations

from time import time
from typing import TYPE_CHECKING

from chat.client.model.slash.parser import Invocation
from chat.client.presenter.commands.requests import minute, read_pages, request, run_reported
from chat.client.presenter.commands.users import ROLES
from chat.client.presenter.conversation import Conversation, Handler
from chat.client.presenter.view import Choice, Refused
from chat.client.sync.core import answer
from chat.durations import parse_duration
from chat.text import check_channel

if TYPE_CHECKING:
    from chat.protocol.frames import (
        Invitation,
        Invitations,
    )


__all__ = ["HANDLERS"]


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
        "Invitations",
        chosen,
        "Use /invitations create to create one, /invitations revoke NUMBER to revoke one",
        "create one, or choose one to revoke it",
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
        return f"valid until {minute(each.expires)}"
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
        elif word.lower() in ROLES:
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
                f"{joins}The code works until {minute(known.expires)}.",
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
        lambda: request(conversation, Revoke(invitation=id), f"Invitation {id} revoked."),
    )


HANDLERS: dict[str, Handler] = {
    "invitations": _invitations,
}
"""The handlers by command name."""
