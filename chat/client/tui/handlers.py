"""What each slash command does: one function per row of the registry, under the row's name.

A handler works on the `Bench`; it raises `Refused` with a sentence for a person when it cannot do
what was asked, and the text then goes back to where it was written.
"""

from __future__ import annotations

from collections.abc import Callable

from chat.client.emoji import resolve
from chat.client.slash import Invocation, find
from chat.client.tui import meant, preferring
from chat.client.tui.bench import Bench, Refused
from chat.client.tui.sheet import check_length
from chat.text import check_channel, direct_channel, is_direct

__all__ = ["HANDLERS", "Handler", "run"]

Handler = Callable[[Bench, Invocation], None]
_DAY = 24 * 60
HANDLERS: dict[str, Handler] = {}
"""Every command's handler, by the command's name."""


def run(bench: Bench, invocation: Invocation) -> None:
    """Do what a command says.

    Raises:
        ChatError: it cannot be done; the message is for a person.
    """
    HANDLERS[invocation.command.name](bench, invocation)


def _handles(*names: str) -> Callable[[Handler], Handler]:
    def register(handler: Handler) -> Handler:
        for name in names:
            HANDLERS[name] = handler
        return handler

    return register


@_handles("join")
def _join(bench: Bench, asked: Invocation) -> None:
    channel = meant.channel(bench, asked)
    if channel in bench.desk.channels:
        bench.open_channel(channel)
    else:
        bench.join(channel)


@_handles("leave")
def _leave(bench: Bench, asked: Invocation) -> None:
    channel = meant.channel(bench, asked)
    if is_direct(channel):
        raise Refused("A direct channel cannot be left: its members are its name.")
    if channel not in bench.desk.channels:
        raise Refused(f"You are not in {channel}.")
    bench.follow(bench.core.leave(channel))


@_handles("msg")
def _msg(bench: Bench, asked: Invocation) -> None:
    names = [name.removeprefix("@") for name in asked.get("names").split(",") if name]
    if not bench.desk.user:
        raise Refused("Your own name is not known yet: wait for the first connection.")
    try:
        channel = check_channel(direct_channel([bench.desk.user, *names]))
    except ValueError as exc:
        raise Refused(f"“{asked.get('names')}” {exc}") from None
    bench.join(channel, asked.get("text"))


@_handles("me")
def _me(bench: Bench, asked: Invocation) -> None:
    bench.post(asked.get("text"), me=True)


@_handles("topic")
def _topic(bench: Bench, asked: Invocation) -> None:
    info = meant.here(bench)
    text = " ".join(asked.get("text").split())
    if text:
        bench.follow(bench.core.topic(info.name, "" if text == "-" else text), asked.text)
    else:
        bench.view.say(info.topic or f"{info.name} has no topic. /topic TEXT sets one.")


@_handles("edit")
def _edit(bench: Bench, asked: Invocation) -> None:
    message = meant.own_message(bench, asked)
    if text := asked.get("text"):
        check_length(text, bench.text_limit)
        bench.core.edit(message.channel, meant.seq_of(message), text)
    else:
        bench.begin_edit(message)


@_handles("delete")
def _delete(bench: Bench, asked: Invocation) -> None:
    if asked.get("number").isdigit():
        # It may be somebody else's: an owner may delete it, and the server knows who is one.
        bench.core.delete(meant.here(bench).name, int(asked.get("number")))
    else:
        message = meant.own_message(bench, asked)
        bench.core.delete(message.channel, meant.seq_of(message))


@_handles("reply")
def _reply(bench: Bench, asked: Invocation) -> None:
    bench.post(asked.get("text"), reply_to=meant.target(bench, asked))


@_handles("thread")
def _thread(bench: Bench, asked: Invocation) -> None:
    bench.threads.show(meant.here(bench).name, meant.target(bench, asked))


@_handles("react", "unreact")
def _react(bench: Bench, asked: Invocation) -> None:
    emoji = resolve(asked.get("emoji"))
    remove = asked.command.name == "unreact"
    bench.core.react(meant.here(bench).name, meant.target(bench, asked), emoji, remove=remove)


@_handles("pin", "unpin")
def _pin(bench: Bench, asked: Invocation) -> None:
    remove = asked.command.name == "unpin"
    bench.core.pin(meant.here(bench).name, meant.target(bench, asked), remove=remove)


@_handles("pins")
def _pins(bench: Bench, asked: Invocation) -> None:
    bench.catching_up.list_pins(meant.here(bench).name)


@_handles("who")
def _who(bench: Bench, asked: Invocation) -> None:
    bench.list_members(meant.channel(bench, asked))


@_handles("channels")
def _channels(bench: Bench, asked: Invocation) -> None:
    bench.list_channels()


@_handles("mark")
def _mark(bench: Bench, asked: Invocation) -> None:
    match asked.get("all").lower():
        case "":
            bench.catching_up.mark(meant.here(bench).name)
        case "all":
            bench.seats.mark_all()
        case other:
            raise Refused(f"“{other}” cannot be marked. Write /mark, or /mark all.")


@_handles("inbox")
def _inbox(bench: Bench, asked: Invocation) -> None:
    bench.seats.show_inbox()


@_handles("search")
def _search(bench: Bench, asked: Invocation) -> None:
    bench.catching_up.search(asked.get("query"))


@_handles("peek")
def _peek(bench: Bench, asked: Invocation) -> None:
    bench.catching_up.peek(meant.mine(bench, asked).name)


@_handles("unread")
def _unread(bench: Bench, asked: Invocation) -> None:
    bench.catching_up.show_unread()


@_handles("star", "unstar")
def _star(bench: Bench, asked: Invocation) -> None:
    preferring.star(bench, meant.mine(bench, asked), asked.command.name == "star")


@_handles("move")
def _move(bench: Bench, asked: Invocation) -> None:
    match asked.get("where").lower():
        case "up" | "down" as where:
            preferring.move(bench, meant.here(bench), -1 if where == "up" else 1)
        case other:
            raise Refused(f"“{other}” is no direction. Write /move up, or /move down.")


@_handles("mute", "unmute")
def _mute(bench: Bench, asked: Invocation) -> None:
    preferring.mute(bench, meant.mine(bench, asked), asked.command.name == "mute")


@_handles("notify")
def _notify(bench: Bench, asked: Invocation) -> None:
    preferring.notify(bench, meant.here(bench), asked.get("level").lower())


@_handles("dnd")
def _dnd(bench: Bench, asked: Invocation) -> None:
    match asked.get("minutes").lower():
        case "":
            minutes = 0.0 if bench.calling.is_quiet else None
        case "on":
            minutes = None
        case "off":
            minutes = 0.0
        case word if word.isascii() and word.isdigit() and 0 < int(word[:6]) <= _DAY:
            minutes = float(word)
        case other:
            raise Refused(f"“{other}” is no time. Write /dnd on, off, or some minutes.")
    bench.calling.be_quiet(minutes, bench.redraw)
    note = bench.calling.note
    bench.view.say(f"{note.capitalize()}." if note else "You are called again.")


@_handles("away", "busy")
def _absent(bench: Bench, asked: Invocation) -> None:
    bench.set_status("away" if asked.command.name == "away" else "busy")


@_handles("back")
def _back(bench: Bench, asked: Invocation) -> None:
    bench.set_status("online")


@_handles("status")
def _status(bench: Bench, asked: Invocation) -> None:
    match asked.get("status").lower():
        case "online" | "away" | "busy" as status:
            bench.set_status(status)
        case other:
            raise Refused(f"“{other}” is no status. Write online, away or busy.")


@_handles("retry", "discard")
def _unsent(bench: Bench, asked: Invocation) -> None:
    failed = bench.desk.recent(meant.here(bench).name).failed()
    if not failed:
        raise Refused("Nothing here was refused; what waits is sent by itself.")
    act = bench.core.retry if asked.command.name == "retry" else bench.core.discard
    for message in failed:
        if message.cid is not None:
            act(message.cid)


@_handles("reconnect")
def _reconnect(bench: Bench, asked: Invocation) -> None:
    bench.core.reconnect_now()


@_handles("connect")
def _connect(bench: Bench, asked: Invocation) -> None:
    bench.seats.connect(asked.get("url"), asked.get("name"))


@_handles("disconnect")
def _disconnect(bench: Bench, asked: Invocation) -> None:
    bench.seats.disconnect(asked.get("server"))


@_handles("server")
def _server(bench: Bench, asked: Invocation) -> None:
    bench.seats.show(asked.get("server"))


@_handles("theme")
def _theme(bench: Bench, asked: Invocation) -> None:
    bench.view.set_theme(asked.get("theme"))


@_handles("members")
def _members(bench: Bench, asked: Invocation) -> None:
    bench.view.toggle("members")


@_handles("sidebar")
def _sidebar(bench: Bench, asked: Invocation) -> None:
    bench.view.toggle("sidebar")


@_handles("bare")
def _bare(bench: Bench, asked: Invocation) -> None:
    bench.view.show_bare()


@_handles("help")
def _help(bench: Bench, asked: Invocation) -> None:
    word = asked.get("command")
    if not word:
        bench.view.show_help()
        return
    command = find(word)
    if command is None:
        raise Refused(f"There is no command /{word.removeprefix('/')}. /help lists them all.")
    bench.view.say(f"{command.usage}: {command.help}. For example: {command.example}")


@_handles("quit")
def _quit(bench: Bench, asked: Invocation) -> None:
    bench.view.quit()
