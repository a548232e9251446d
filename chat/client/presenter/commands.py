"""Run slash commands.

A handler raises `Refused`, with a message for the user, when it cannot run the command. The text
then returns to the composer that it was typed in.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine
from typing import TYPE_CHECKING, TypeVar

from chat.client.model.emoji import resolve
from chat.client.model.preferences import PreferenceChange
from chat.client.model.slash.commands import find
from chat.client.model.slash.parser import Invocation
from chat.client.model.state import ChannelInfo
from chat.client.platform.local_time import local_time
from chat.client.presenter import targets
from chat.client.presenter.composer.draft import check_length
from chat.client.presenter.conversation import (
    Conversation,
    Handler,
    jump,
    mark,
    peek,
    search,
    show_unread,
)
from chat.client.presenter.markdown import gist, links_of
from chat.client.presenter.state import title_of
from chat.client.presenter.view import Choice, Refused
from chat.client.sync.core import Core, answer
from chat.protocol.limits import PLACE_MAX
from chat.text import channel_title, check_channel, direct_channel, is_direct

if TYPE_CHECKING:
    from chat.protocol.commands import AnsweredBy
    from chat.protocol.frames import ChannelList, ChannelListing, Member, Members
    from chat.protocol.items import Item

__all__ = [
    "HANDLERS",
    "LEVELS",
    "list_channels",
    "list_members",
    "list_pins",
    "members",
    "move",
    "mute",
    "notify",
    "star",
]


T = TypeVar("T")
_PAGES_MAX = 50
_PINS_PAGE = 1_000


def list_channels(conversation: Conversation) -> None:
    """List the server's channels; choosing one joins it."""
    from chat.protocol.commands import Channels

    add = conversation.view.list_rows(
        "All channels", conversation.join, "Use /join NAME to join one"
    )

    def take(page: ChannelList) -> str | None:
        add(_channel(listing) for listing in page.channels)
        return page.cursor

    _list(conversation, _pages(conversation, lambda cursor: Channels(cursor=cursor), take))


def list_members(conversation: Conversation, channel: str) -> None:
    """List a channel's members; choosing one opens the direct channel."""
    from chat.protocol.commands import Who

    add = conversation.view.list_rows(
        f"Members of {channel_title(channel, conversation.state.user)}",
        conversation.write_to,
        "Use /msg NAME TEXT to message one",
    )

    def take(page: Members) -> str | None:
        add(_member(each) for each in page.members)
        return page.cursor

    _list(
        conversation,
        _pages(conversation, lambda cursor: Who(channel=channel, cursor=cursor), take),
    )


def list_pins(conversation: Conversation, channel: str) -> None:
    """List a channel's pinned messages, newest first; choosing one goes to it."""

    def go(key: str) -> None:
        jump(conversation, channel, int(key))

    async def work() -> None:
        pins = [item async for item in _pins_of(conversation.core, channel)]
        if pins:
            add = conversation.view.list_rows("Pinned", go, "Use /unpin NUMBER to unpin one")
            add(map(_pin_choice, pins))
        else:
            conversation.view.say("No pinned messages here.")

    _list(conversation, work())


async def _pins_of(core: Core, channel: str) -> AsyncIterator[Item]:
    """Yield a channel's pinned messages, newest first, page by page."""
    from chat.protocol.commands import History

    before: int | None = None
    for _ in range(_PAGES_MAX):
        page = await answer(
            core.ask(History(channel=channel, pins=True, before=before, limit=_PINS_PAGE))
        )
        items = [item for item in reversed(page.items) if before is None or item.seq < before]
        for item in items:
            yield item
        if page.complete or not items:
            return
        before = items[-1].seq


def _list(conversation: Conversation, work: Coroutine[None, None, None]) -> None:
    async def reported() -> None:
        with conversation.telling():
            await work

    conversation.view.run_in_background(reported())


async def _pages(
    conversation: Conversation,
    page_after: Callable[[str | None], AnsweredBy[T]],
    take: Callable[[T], str | None],
) -> None:
    cursor: str | None = None
    for _ in range(_PAGES_MAX):
        cursor = take(await answer(conversation.core.ask(page_after(cursor))))
        if cursor is None:
            return


def _channel(listing: ChannelListing) -> Choice:
    note = " · ".join(filter(None, (members(listing), listing.topic)))
    return Choice(listing.channel, listing.channel, note)


def members(listing: ChannelListing) -> str:
    """Return the member count as text."""
    return "1 member" if listing.members == 1 else f"{listing.members:,} members"


def _member(member: Member) -> Choice:
    role = "" if member.role == "member" else f" · {member.role}"
    return Choice(member.name, member.name, f"{member.presence}{role}")


def _pin_choice(item: Item) -> Choice:
    label = f"{item.seq}. {item.author}, {local_time(item.ts):%d %b %Y %H:%M}"
    return Choice(str(item.seq), label, gist(item.text or ""))


LEVELS = {
    "all": "You will be notified of every message in {}.",
    "mentions": "You will be notified of mentions and keywords in {}.",
    "none": "Notifications are off in {}.",
}
"""Notification levels, each with its confirmation."""


def star(conversation: Conversation, info: ChannelInfo, is_starred: bool) -> None:
    """Star or unstar a channel; starred channels come first in the sidebar."""
    _check(info)
    last = max((each.pinned for each in conversation.state.channels.values()), default=0)
    if is_starred != bool(info.pinned):
        place = min(last + 1, PLACE_MAX) if is_starred else 0
        conversation.core.prefer(info.name, PreferenceChange(pinned=place))
    conversation.view.say(f"{title_of(info)} {'starred' if is_starred else 'unstarred'}.")


def move(conversation: Conversation, info: ChannelInfo, step: int) -> None:
    """Move a channel up (-1) or down (1) among the starred ones."""
    starred = [each for each in conversation.state.channels.values() if each.pinned]
    if info not in starred:
        raise Refused(f"{title_of(info)} is not starred. Use /star first.")
    at = starred.index(info)
    to = min(max(at + step, 0), len(starred) - 1)
    starred.insert(to, starred.pop(at))
    for place, each in enumerate(starred, 1):
        if each.pinned != place:
            conversation.core.prefer(each.name, PreferenceChange(pinned=place))


def mute(conversation: Conversation, info: ChannelInfo, is_muted: bool) -> None:
    """Mute or unmute a channel; a muted channel notifies only of mentions."""
    _check(info)
    conversation.core.prefer(info.name, PreferenceChange(muted=is_muted))
    what = "muted; mentions still notify you" if is_muted else "unmuted"
    conversation.view.say(f"{title_of(info)} {what}.")


def notify(conversation: Conversation, info: ChannelInfo, level: str) -> None:
    """Set the notification level of a channel; without a level, show it."""
    _check(info)
    if level and level not in LEVELS:
        raise Refused(f"“{level}” is not a notification level. Use all, mentions or none.")
    if level:
        conversation.core.prefer(info.name, PreferenceChange(level=level))
    chosen = level or info.level
    conversation.view.say(LEVELS.get(chosen, LEVELS["mentions"]).format(title_of(info)))


def _check(info: ChannelInfo) -> None:
    if info.builtin:
        raise Refused(f"{info.name} is a built-in channel and stores nothing; it has no settings.")


_DAY = 24 * 60
HANDLERS: dict[str, Handler] = {}
"""The handlers by command name."""


def _handles(*names: str) -> Callable[[Handler], Handler]:
    def register(handler: Handler) -> Handler:
        for name in names:
            HANDLERS[name] = handler
        return handler

    return register


@_handles("join")
def _join(conversation: Conversation, asked: Invocation) -> None:
    conversation.join(targets.channel(conversation, asked))


@_handles("leave")
def _leave(conversation: Conversation, asked: Invocation) -> None:
    channel = targets.channel(conversation, asked)
    if is_direct(channel):
        raise Refused("Cannot leave a direct channel. Use /hide to hide it until its next message.")
    if channel not in conversation.state.channels:
        raise Refused(f"You are not in {channel}.")
    from chat.protocol.commands import Leave

    conversation.ask(Leave(channel=channel))


@_handles("hide")
def _hide(conversation: Conversation, asked: Invocation) -> None:
    info = targets.mine(conversation, asked)
    if not info.direct:
        raise Refused(f"Only direct channels can be hidden. Use /leave to leave {info.name}.")
    from chat.protocol.commands import Prefer

    conversation.ask(Prefer(channel=info.name, hidden=True))


@_handles("msg")
def _msg(conversation: Conversation, asked: Invocation) -> None:
    names = [name.removeprefix("@") for name in asked.get("names").split(",") if name]
    if not conversation.state.user:
        raise Refused("Cannot open a direct channel before the first connection.")
    try:
        channel = check_channel(direct_channel([conversation.state.user, *names]))
    except ValueError as exc:
        raise Refused(f"“{asked.get('names')}” {exc}") from None
    conversation.join(channel, asked.get("text"))


@_handles("me")
def _me(conversation: Conversation, asked: Invocation) -> None:
    key = targets.written_in(conversation, asked)
    conversation.drafts.send(asked.get("text"), key, me=True)


@_handles("topic")
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


@_handles("edit")
def _edit(conversation: Conversation, asked: Invocation) -> None:
    message = targets.own_message(conversation, asked)
    if text := asked.get("text"):
        check_length(text, conversation.state.text_limit)
        conversation.core.edit(message.channel, targets.seq_of(message), text)
    else:
        conversation.drafts.begin_edit(message, asked.thread)


@_handles("delete")
def _delete(conversation: Conversation, asked: Invocation) -> None:
    if asked.get("number").isdigit():
        # The message may be another user's: owners may delete it, and the server checks that.
        target = targets.target(conversation, asked)
        conversation.core.delete(targets.here(conversation).name, target)
    else:
        message = targets.own_message(conversation, asked)
        conversation.core.delete(message.channel, targets.seq_of(message))


@_handles("reply")
def _reply(conversation: Conversation, asked: Invocation) -> None:
    key, number = targets.written_in(conversation, asked), targets.target(conversation, asked)
    conversation.drafts.send(asked.get("text"), key, reply_to=number)


@_handles("thread")
def _thread(conversation: Conversation, asked: Invocation) -> None:
    conversation.threads.show(targets.here(conversation).name, targets.target(conversation, asked))


@_handles("react", "unreact")
def _react(conversation: Conversation, asked: Invocation) -> None:
    emoji = resolve(asked.get("emoji"))
    remove = asked.command.name == "unreact"
    if not remove and emoji[:1] == emoji[-1:] == ":":
        raise Refused(f"Unknown emoji {emoji}. Type : and letters to find one.")
    conversation.core.react(
        targets.here(conversation).name, targets.target(conversation, asked), emoji, remove=remove
    )


@_handles("pin", "unpin")
def _pin(conversation: Conversation, asked: Invocation) -> None:
    remove = asked.command.name == "unpin"
    conversation.core.pin(
        targets.here(conversation).name, targets.target(conversation, asked), remove=remove
    )


@_handles("copy")
def _copy(conversation: Conversation, asked: Invocation) -> None:
    conversation.view.copy(targets.message(conversation, asked).text)


@_handles("open")
def _open(conversation: Conversation, asked: Invocation) -> None:
    conversation.view.open_links(links_of(targets.message(conversation, asked).text))


@_handles("pins")
def _pins(conversation: Conversation, asked: Invocation) -> None:
    list_pins(conversation, targets.here(conversation).name)


@_handles("who")
def _who(conversation: Conversation, asked: Invocation) -> None:
    list_members(conversation, targets.channel(conversation, asked))


@_handles("channels")
def _channels(conversation: Conversation, asked: Invocation) -> None:
    list_channels(conversation)


@_handles("mark")
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


@_handles("inbox")
def _inbox(conversation: Conversation, asked: Invocation) -> None:
    conversation.workspace.show_inbox()


@_handles("search")
def _search(conversation: Conversation, asked: Invocation) -> None:
    search(conversation, asked.get("query"))


@_handles("peek")
def _peek(conversation: Conversation, asked: Invocation) -> None:
    peek(conversation, targets.mine(conversation, asked).name)


@_handles("unread")
def _unread(conversation: Conversation, asked: Invocation) -> None:
    show_unread(conversation)


@_handles("star", "unstar")
def _star(conversation: Conversation, asked: Invocation) -> None:
    star(conversation, targets.mine(conversation, asked), asked.command.name == "star")


@_handles("move")
def _move(conversation: Conversation, asked: Invocation) -> None:
    match asked.get("where").lower():
        case "up" | "down" as where:
            move(conversation, targets.here(conversation), -1 if where == "up" else 1)
        case other:
            raise Refused(f"“{other}” is not a direction. Use /move up or /move down.")


@_handles("mute", "unmute")
def _mute(conversation: Conversation, asked: Invocation) -> None:
    mute(conversation, targets.mine(conversation, asked), asked.command.name == "mute")


@_handles("notify")
def _notify(conversation: Conversation, asked: Invocation) -> None:
    notify(conversation, targets.here(conversation), asked.get("level").lower())


@_handles("dnd")
def _dnd(conversation: Conversation, asked: Invocation) -> None:
    match asked.get("minutes").lower():
        case "":
            minutes = 0.0 if conversation.notifier.is_quiet else None
        case "on":
            minutes = None
        case "off":
            minutes = 0.0
        case word if word.isascii() and word.isdigit() and 0 < int(word[:6]) <= _DAY:
            minutes = float(word)
        case other:
            raise Refused(f"“{other}” is not valid. Use on, off, or 1 to 1440 minutes.")
    conversation.notifier.be_quiet(minutes, conversation.view.redraw)
    note = conversation.notifier.note
    conversation.view.say(f"Notifications are off ({note})." if note else "Notifications are on.")


@_handles("away", "busy")
def _absent(conversation: Conversation, asked: Invocation) -> None:
    conversation.set_status("away" if asked.command.name == "away" else "busy")


@_handles("back")
def _back(conversation: Conversation, asked: Invocation) -> None:
    conversation.set_status("online")


@_handles("status")
def _status(conversation: Conversation, asked: Invocation) -> None:
    match asked.get("status").lower():
        case "online" | "away" | "busy" as status:
            conversation.set_status(status)
        case other:
            raise Refused(f"“{other}” is not a status. Use online, away or busy.")


@_handles("retry", "discard")
def _unsent(conversation: Conversation, asked: Invocation) -> None:
    failed = conversation.state.log(targets.here(conversation).name).failed()
    if not failed:
        raise Refused("No failed messages here. Waiting messages are sent automatically.")
    act = conversation.core.retry if asked.command.name == "retry" else conversation.core.discard
    for message in failed:
        if message.cid is not None:
            act(message.cid)


@_handles("reconnect")
def _reconnect(conversation: Conversation, asked: Invocation) -> None:
    conversation.core.reconnect_now()


@_handles("connect")
def _connect(conversation: Conversation, asked: Invocation) -> None:
    conversation.workspace.connect(asked.get("url"), asked.get("name"))


@_handles("name")
def _name(conversation: Conversation, asked: Invocation) -> None:
    conversation.rename(asked.get("name"))


@_handles("disconnect")
def _disconnect(conversation: Conversation, asked: Invocation) -> None:
    conversation.workspace.disconnect(asked.get("server"))


@_handles("server")
def _server(conversation: Conversation, asked: Invocation) -> None:
    conversation.workspace.show(asked.get("server"))


@_handles("theme")
def _theme(conversation: Conversation, asked: Invocation) -> None:
    conversation.view.set_theme(asked.get("theme"))


@_handles("members")
def _members(conversation: Conversation, asked: Invocation) -> None:
    conversation.view.toggle("members")


@_handles("sidebar")
def _sidebar(conversation: Conversation, asked: Invocation) -> None:
    conversation.view.toggle("sidebar")


@_handles("bare")
def _bare(conversation: Conversation, asked: Invocation) -> None:
    conversation.view.show_bare()


@_handles("help")
def _help(conversation: Conversation, asked: Invocation) -> None:
    word = asked.get("command")
    if not word:
        conversation.view.show_help()
        return
    command = find(word)
    if command is None:
        raise Refused(f"Unknown command /{word.removeprefix('/')}. Use /help to list all commands.")
    conversation.view.say(f"{command.usage}: {command.help}. Example: {command.example}")


@_handles("quit")
def _quit(conversation: Conversation, asked: Invocation) -> None:
    conversation.view.quit()
