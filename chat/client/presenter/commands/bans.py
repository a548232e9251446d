"""Bans of users from a channel; bans of accounts, addresses and networks from the server.

These commands need a server with accounts, bans from channels one with rooms; `Online.ask` refuses
them on others.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from ipaddress import ip_network
from typing import TYPE_CHECKING

from chat.client.model.slash.parser import Invocation
from chat.client.presenter.commands.moderation import (
    check_duration,
    check_is_other,
    choose_scope,
    until_of,
)
from chat.client.presenter.commands.requests import (
    minute,
    read_pages,
    request,
    run_reported,
    when_known,
)
from chat.client.presenter.conversation import Conversation, Handler
from chat.client.presenter.view import Choice, Question, Refused
from chat.client.sync.core import answer
from chat.errors import CommandError, ErrorCode
from chat.text import check_name

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


def _scope(
    conversation: Conversation, asked: Invocation, title: str, then: Callable[[str | None], None]
) -> None:
    """Choose the channel or the server; only a server bans addresses."""
    address = _named(asked)[1] if asked.get("name|address") else None
    if address is None:
        choose_scope(conversation, asked, title, "moderate", then)
    elif asked.get("where").lower() == "--channel":
        raise Refused("Only names can be banned from a channel.")
    else:
        conversation.check_admin(asked)
        then(None)


def _ban(conversation: Conversation, asked: Invocation) -> None:
    name, address = _named(asked)
    if name is not None:
        check_is_other(conversation, name, "ban")
    check_duration(asked)

    def ban(channel: str | None) -> None:
        if name is None:
            _ban_from_server(conversation, asked, name, address)
        elif channel is None:
            then = partial(_ban_from_server, conversation, asked, name, address)
            when_known(conversation, name, then)
        else:
            then = partial(_ban_from_channel, conversation, asked, name, channel)
            when_known(conversation, name, then)

    _scope(conversation, asked, f"Ban {name} from …", ban)


def _ban_from_channel(
    conversation: Conversation, asked: Invocation, name: str, channel: str
) -> None:
    from chat.protocol.commands import Ban

    question = Question(
        f"Ban {name} from {channel}?",
        "They are removed, and cannot join until the ban ends.",
        " ".join(asked.get("reason").split()),
        asked.get("duration"),
    )

    def ban(reason: str, duration: str) -> None:
        command = Ban(channel=channel, name=name, until=until_of(duration), reason=reason)
        request(conversation, command, f"Banned {name} from {channel}.")

    conversation.view.ask(question, ban)


def _ban_from_server(
    conversation: Conversation, asked: Invocation, name: str | None, address: str | None
) -> None:
    from chat.protocol.commands import Ban

    until = until_of(asked.get("duration"))
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
        done = await answer(conversation.core.ask(command))
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
    before = f" This replaces the ban {_terms(done.replaced)}." if done.replaced else ""
    conversation.view.say(f"Banned {banned}.{before}")


def _unban(conversation: Conversation, asked: Invocation) -> None:
    from chat.protocol.commands import Unban

    name, address = _named(asked)

    def unban(channel: str | None) -> None:
        place = f" from {channel}" if channel is not None else ""
        command = Unban(channel=channel, name=name, address=address)
        request(conversation, command, f"Lifted the ban on {name or address}{place}.")

    _scope(conversation, asked, f"Lift the ban on {name} from …", unban)


def _bans(conversation: Conversation, asked: Invocation) -> None:
    _scope(conversation, asked, "Bans from …", lambda channel: _list_bans(conversation, channel))


def _list_bans(conversation: Conversation, channel: str | None) -> None:
    from chat.protocol.commands import ListBans, Unban

    known: dict[str, BanInfo] = {}

    def chosen(key: str) -> None:
        ban = known[key]
        banned = ban.name or ban.address
        address = None if ban.name else ban.address
        command = Unban(channel=channel, name=ban.name, address=address)
        conversation.view.confirm(
            f"Lift the ban on {banned}?",
            f"Reason: {ban.reason}" if ban.reason else "No reason",
            lambda: request(conversation, command, f"Lifted the ban on {banned}."),
        )

    def page_after(cursor: int | None) -> ListBans:
        return ListBans(channel=channel, cursor=cursor)

    async def work() -> None:
        add = conversation.view.list_rows(
            "Bans" if channel is None else f"Bans from {channel}",
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

        await read_pages(conversation, add, page_after, take)

    run_reported(conversation, work())


def _ban_choice(ban: BanInfo) -> Choice:
    return Choice(str(ban.id), ban.name or ban.address or "?", _terms(ban))


def _terms(ban: BanInfo) -> str:
    """Return the end, the author and the reason of a ban."""
    end = f"until {minute(ban.until)}" if ban.until else "until lifted"
    return " · ".join([end, f"by {ban.by or 'the operator'}", *filter(None, [ban.reason])])


HANDLERS: dict[str, Handler] = {
    "ban": _ban,
    "unban": _unban,
    "bans": _bans,
}
"""The handlers by command name."""
