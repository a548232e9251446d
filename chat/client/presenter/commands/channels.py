"""Join, leave, mark and list channels; list their members; open direct ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from chat.client.model.slash.parser import Invocation
from chat.client.model.state import ChannelInfo
from chat.client.presenter.commands import targets
from chat.client.presenter.commands.requests import read_pages, run_reported
from chat.client.presenter.commands.users import open_menu
from chat.client.presenter.conversation import Conversation, Handler, mark, peek
from chat.client.presenter.state import title_of
from chat.client.presenter.view import Choice, Refused
from chat.rights import GENERAL, OWNER
from chat.text import channel_title, check_channel, direct_channel, fold, is_direct

if TYPE_CHECKING:
    from chat.protocol.frames import (
        ChannelList,
        ChannelListing,
        Member,
        Members,
    )


__all__ = ["HANDLERS", "member_count"]


def _join(conversation: Conversation, asked: Invocation) -> None:
    conversation.join(targets.channel(conversation, asked))


def _leave(conversation: Conversation, asked: Invocation) -> None:
    channel = targets.channel(conversation, asked)
    if is_direct(channel):
        raise Refused("Cannot leave a direct channel. Use /hide to hide it until its next message.")
    if channel not in conversation.state.channels:
        raise Refused(f"You are not in {channel}.")
    from chat.protocol.commands import Leave

    def leave() -> None:
        conversation.ask(Leave(channel=channel))

    if loss := _loss_on_leaving(conversation.state.channels[channel]):
        conversation.view.confirm(f"Leave {channel}? {loss}", channel, leave)
    else:
        leave()


def _loss_on_leaving(info: ChannelInfo) -> str:
    """Return what the user cannot get back by joining again; empty for nothing."""
    is_owner = info.role == OWNER and fold(info.name) != GENERAL
    if not info.settings.private:
        return "Another member becomes the owner, if there is one." if is_owner else ""
    heir = " Another member becomes the owner; without one, it is deleted." if is_owner else ""
    return f"You need an invitation to return.{heir}"


def _hide(conversation: Conversation, asked: Invocation) -> None:
    info = targets.mine(conversation, asked)
    if not info.direct:
        raise Refused(f"Only direct channels can be hidden. Use /leave to leave {info.name}.")
    from chat.protocol.commands import Prefer

    conversation.ask(Prefer(channel=info.name, hidden=True))


def _msg(conversation: Conversation, asked: Invocation) -> None:
    names = [name.removeprefix("@") for name in asked.get("names").split(",") if name]
    if not conversation.state.user:
        raise Refused("Cannot open a direct channel before the first connection.")
    try:
        channel = check_channel(direct_channel([conversation.state.user, *names]))
    except ValueError as exc:
        raise Refused(f"“{asked.get('names')}” {exc}") from None
    conversation.join(channel, asked.get("text"))


def _topic(conversation: Conversation, asked: Invocation) -> None:
    info = targets.here(conversation)
    text = " ".join(asked.get("text").split())
    if text:
        from chat.protocol.commands import SetTopic

        topic = "" if text == "-" else text
        conversation.ask(SetTopic(channel=info.name, topic=topic), asked.text)
    else:
        conversation.view.say(
            info.topic or f"{title_of(info)} has no topic. Use /topic TEXT to set one."
        )


def _mark(conversation: Conversation, asked: Invocation) -> None:
    match asked.get("all").lower():
        case "":
            info = targets.here(conversation)
            mark(conversation, info.name)
            conversation.view.say(f"{title_of(info)} marked as read.")
        case "all":
            conversation.workspace.mark_all()
            conversation.view.say("All channels marked as read.")
        case other:
            raise Refused(f"“{other}” is not valid. Use /mark or /mark all.")


def _peek(conversation: Conversation, asked: Invocation) -> None:
    peek(conversation, targets.mine(conversation, asked).name)


def _channels(conversation: Conversation, asked: Invocation) -> None:
    list_channels(conversation)


def _who(conversation: Conversation, asked: Invocation) -> None:
    def chosen(name: str) -> None:
        open_menu(conversation, name)

    list_members(conversation, targets.channel(conversation, asked), chosen)


def list_channels(conversation: Conversation) -> None:
    """List the server's channels; choosing one joins it."""
    from chat.protocol.commands import Channels

    add = conversation.view.list_rows(
        "All channels", conversation.join, "Use /join NAME to join one"
    )

    def take(page: ChannelList) -> str | None:
        add(_channel(listing) for listing in page.channels)
        return page.cursor

    run_reported(
        conversation, read_pages(conversation, add, lambda cursor: Channels(cursor=cursor), take)
    )


def _channel(listing: ChannelListing) -> Choice:
    archived = "archived" if listing.archived else ""
    note = " · ".join(filter(None, (member_count(listing), archived, listing.topic)))
    return Choice(listing.channel, listing.channel, note)


def member_count(listing: ChannelListing) -> str:
    """Return the member count as text."""
    return "1 member" if listing.members == 1 else f"{listing.members:,} members"


def list_members(conversation: Conversation, channel: str, then: Callable[[str], None]) -> None:
    """List a channel's members; `then` gets the name of a chosen one."""
    from chat.protocol.commands import Who

    add = conversation.view.list_rows(
        f"Members of {channel_title(channel, conversation.state.user)}",
        then,
        "Use /msg NAME TEXT to send a direct message",
    )

    def take(page: Members) -> str | None:
        add(_member(each) for each in page.members)
        return page.cursor

    run_reported(
        conversation,
        read_pages(conversation, add, lambda cursor: Who(channel=channel, cursor=cursor), take),
    )


def _member(member: Member) -> Choice:
    role = "" if member.role == "member" else f" · {member.role}"
    muted = " · muted" if member.muted else ""
    return Choice(member.name, member.name, f"{member.presence}{role}{muted}")


HANDLERS: dict[str, Handler] = {
    "join": _join,
    "leave": _leave,
    "hide": _hide,
    "msg": _msg,
    "topic": _topic,
    "mark": _mark,
    "peek": _peek,
    "channels": _channels,
    "who": _who,
}
"""The handlers by command name."""
