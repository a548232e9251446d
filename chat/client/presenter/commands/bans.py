"""Bans of accounts and networks from the whole server.

These commands need a server with accounts; `Online.ask` refuses them on others.
"""

from __future__ import annotations

from ipaddress import ip_network
from time import time
from typing import TYPE_CHECKING

from chat.client.model.slash.parser import Invocation
from chat.client.presenter.commands.requests import minute, read_pages, request, run_reported
from chat.client.presenter.conversation import Conversation, Handler
from chat.client.presenter.view import Choice, Refused
from chat.client.sync.core import answer
from chat.durations import parse_duration
from chat.errors import CommandError, ErrorCode
from chat.text import check_name, fold

if TYPE_CHECKING:
    from chat.protocol.commands import Ban
    from chat.protocol.frames import (
        BanInfo,
        Bans,
    )


__all__ = ["HANDLERS"]


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
    end = f"until {minute(until)}" if until is not None else "until you lift the ban"
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
    request(
        conversation, Unban(name=name, address=address), f"Lifted the ban on {name or address}."
    )


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
            lambda: request(conversation, command, f"Lifted the ban on {banned}."),
        )

    async def work() -> None:
        add = conversation.view.list_rows(
            "Bans",
            chosen,
            "Use /unban NAME or /unban ADDRESS to lift one",
            "choose one to lift it",
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
    end = f"until {minute(ban.until)}" if ban.until else "until lifted"
    notes = [end, f"by {ban.by or 'the operator'}", *filter(None, [ban.reason])]
    return Choice(str(ban.id), ban.name or ban.address or "?", " · ".join(notes))


HANDLERS: dict[str, Handler] = {
    "ban": _ban,
    "unban": _unban,
    "bans": _bans,
}
"""The handlers by command name."""
