"""What each slash command does: one function per row of the registry, under the row's name.

A handler works on the conversation; it raises `Refused` with a sentence for a person when it
cannot do what was asked, and the text then goes back to where it was written.
"""

from __future__ import annotations

from collections.abc import Callable

from chat.client.emoji import resolve
from chat.client.presenter import catching_up, listings, meant, preferring
from chat.client.presenter.conversation import Conversation, Handler
from chat.client.presenter.desk import title_of
from chat.client.presenter.draft import check_length
from chat.client.presenter.links import links_of
from chat.client.presenter.view import Refused
from chat.client.slash import Invocation
from chat.client.slash_commands import find
from chat.text import check_channel, direct_channel, is_direct

__all__ = ["HANDLERS"]

_DAY = 24 * 60
HANDLERS: dict[str, Handler] = {}
"""Every command's handler, by the command's name."""


def _handles(*names: str) -> Callable[[Handler], Handler]:
    def register(handler: Handler) -> Handler:
        for name in names:
            HANDLERS[name] = handler
        return handler

    return register


@_handles("join")
def _join(conversation: Conversation, asked: Invocation) -> None:
    conversation.join(meant.channel(conversation, asked))


@_handles("leave")
def _leave(conversation: Conversation, asked: Invocation) -> None:
    channel = meant.channel(conversation, asked)
    if is_direct(channel):
        raise Refused("A direct channel cannot be left. /hide hides it until its next message.")
    if channel not in conversation.desk.channels:
        raise Refused(f"You are not in {channel}.")
    conversation.follow(conversation.core.leave(channel))


@_handles("hide")
def _hide(conversation: Conversation, asked: Invocation) -> None:
    info = meant.mine(conversation, asked)
    if not info.direct:
        raise Refused(f"Only a direct channel can be hidden. /leave leaves {info.name}.")
    conversation.follow(conversation.core.hide(info.name))


@_handles("msg")
def _msg(conversation: Conversation, asked: Invocation) -> None:
    names = [name.removeprefix("@") for name in asked.get("names").split(",") if name]
    if not conversation.desk.user:
        raise Refused("Your own name is not known yet: wait for the first connection.")
    try:
        channel = check_channel(direct_channel([conversation.desk.user, *names]))
    except ValueError as exc:
        raise Refused(f"“{asked.get('names')}” {exc}") from None
    conversation.join(channel, asked.get("text"))


@_handles("me")
def _me(conversation: Conversation, asked: Invocation) -> None:
    conversation.drafts.post(asked.get("text"), me=True)


@_handles("topic")
def _topic(conversation: Conversation, asked: Invocation) -> None:
    info = meant.here(conversation)
    text = " ".join(asked.get("text").split())
    if text:
        conversation.follow(
            conversation.core.topic(info.name, "" if text == "-" else text), asked.text
        )
    else:
        conversation.view.say(info.topic or f"{info.name} has no topic. /topic TEXT sets one.")


@_handles("edit")
def _edit(conversation: Conversation, asked: Invocation) -> None:
    message = meant.own_message(conversation, asked)
    if text := asked.get("text"):
        check_length(text, conversation.desk.text_limit)
        conversation.core.edit(message.channel, meant.seq_of(message), text)
    else:
        conversation.drafts.begin_edit(message)


@_handles("delete")
def _delete(conversation: Conversation, asked: Invocation) -> None:
    if asked.get("number").isdigit():
        # It may be somebody else's: an owner may delete it, and the server knows who is one.
        target = meant.target(conversation, asked)
        conversation.core.delete(meant.here(conversation).name, target)
    else:
        message = meant.own_message(conversation, asked)
        conversation.core.delete(message.channel, meant.seq_of(message))


@_handles("reply")
def _reply(conversation: Conversation, asked: Invocation) -> None:
    conversation.drafts.post(asked.get("text"), reply_to=meant.target(conversation, asked))


@_handles("thread")
def _thread(conversation: Conversation, asked: Invocation) -> None:
    conversation.threads.show(meant.here(conversation).name, meant.target(conversation, asked))


@_handles("react", "unreact")
def _react(conversation: Conversation, asked: Invocation) -> None:
    emoji = resolve(asked.get("emoji"))
    remove = asked.command.name == "unreact"
    if not remove and emoji[:1] == emoji[-1:] == ":":
        raise Refused(f"There is no emoji called {emoji}. Type : and letters to look for one.")
    conversation.core.react(
        meant.here(conversation).name, meant.target(conversation, asked), emoji, remove=remove
    )


@_handles("pin", "unpin")
def _pin(conversation: Conversation, asked: Invocation) -> None:
    remove = asked.command.name == "unpin"
    conversation.core.pin(
        meant.here(conversation).name, meant.target(conversation, asked), remove=remove
    )


@_handles("copy")
def _copy(conversation: Conversation, asked: Invocation) -> None:
    conversation.view.copy(meant.message(conversation, asked).text)


@_handles("open")
def _open(conversation: Conversation, asked: Invocation) -> None:
    conversation.view.open_links(links_of(meant.message(conversation, asked).text))


@_handles("pins")
def _pins(conversation: Conversation, asked: Invocation) -> None:
    listings.list_pins(conversation, meant.here(conversation).name)


@_handles("who")
def _who(conversation: Conversation, asked: Invocation) -> None:
    listings.list_members(conversation, meant.channel(conversation, asked))


@_handles("channels")
def _channels(conversation: Conversation, asked: Invocation) -> None:
    listings.list_channels(conversation)


@_handles("mark")
def _mark(conversation: Conversation, asked: Invocation) -> None:
    match asked.get("all").lower():
        case "":
            info = meant.here(conversation)
            catching_up.mark(conversation, info.name)
            conversation.view.say(f"{title_of(info)} is marked as read.")
        case "all":
            conversation.seats.mark_all()
            conversation.view.say("Everything is marked as read.")
        case other:
            raise Refused(f"“{other}” cannot be marked. Write /mark, or /mark all.")


@_handles("inbox")
def _inbox(conversation: Conversation, asked: Invocation) -> None:
    conversation.seats.show_inbox()


@_handles("search")
def _search(conversation: Conversation, asked: Invocation) -> None:
    catching_up.search(conversation, asked.get("query"))


@_handles("peek")
def _peek(conversation: Conversation, asked: Invocation) -> None:
    catching_up.peek(conversation, meant.mine(conversation, asked).name)


@_handles("unread")
def _unread(conversation: Conversation, asked: Invocation) -> None:
    catching_up.show_unread(conversation)


@_handles("star", "unstar")
def _star(conversation: Conversation, asked: Invocation) -> None:
    preferring.star(conversation, meant.mine(conversation, asked), asked.command.name == "star")


@_handles("move")
def _move(conversation: Conversation, asked: Invocation) -> None:
    match asked.get("where").lower():
        case "up" | "down" as where:
            preferring.move(conversation, meant.here(conversation), -1 if where == "up" else 1)
        case other:
            raise Refused(f"“{other}” is no direction. Write /move up, or /move down.")


@_handles("mute", "unmute")
def _mute(conversation: Conversation, asked: Invocation) -> None:
    preferring.mute(conversation, meant.mine(conversation, asked), asked.command.name == "mute")


@_handles("notify")
def _notify(conversation: Conversation, asked: Invocation) -> None:
    preferring.notify(conversation, meant.here(conversation), asked.get("level").lower())


@_handles("dnd")
def _dnd(conversation: Conversation, asked: Invocation) -> None:
    match asked.get("minutes").lower():
        case "":
            minutes = 0.0 if conversation.calling.is_quiet else None
        case "on":
            minutes = None
        case "off":
            minutes = 0.0
        case word if word.isascii() and word.isdigit() and 0 < int(word[:6]) <= _DAY:
            minutes = float(word)
        case other:
            raise Refused(f"“{other}” is no time. Write /dnd on, off, or some minutes.")
    conversation.calling.be_quiet(minutes, conversation.redraw)
    note = conversation.calling.note
    conversation.view.say(f"{note.capitalize()}." if note else "You are called again.")


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
            raise Refused(f"“{other}” is no status. Write online, away or busy.")


@_handles("retry", "discard")
def _unsent(conversation: Conversation, asked: Invocation) -> None:
    failed = conversation.desk.recent(meant.here(conversation).name).failed()
    if not failed:
        raise Refused("Nothing here was refused; what waits is sent by itself.")
    act = conversation.core.retry if asked.command.name == "retry" else conversation.core.discard
    for message in failed:
        if message.cid is not None:
            act(message.cid)


@_handles("reconnect")
def _reconnect(conversation: Conversation, asked: Invocation) -> None:
    conversation.core.reconnect_now()


@_handles("connect")
def _connect(conversation: Conversation, asked: Invocation) -> None:
    conversation.seats.connect(asked.get("url"), asked.get("name"))


@_handles("name")
def _name(conversation: Conversation, asked: Invocation) -> None:
    conversation.rename(asked.get("name"))


@_handles("disconnect")
def _disconnect(conversation: Conversation, asked: Invocation) -> None:
    conversation.seats.disconnect(asked.get("server"))


@_handles("server")
def _server(conversation: Conversation, asked: Invocation) -> None:
    conversation.seats.show(asked.get("server"))


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
        raise Refused(f"There is no command /{word.removeprefix('/')}. /help lists them all.")
    conversation.view.say(f"{command.usage}: {command.help}. For example: {command.example}")


@_handles("quit")
def _quit(conversation: Conversation, asked: Invocation) -> None:
    conversation.view.quit()
