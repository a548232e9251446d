"""The effect of each command: `perform` returns the frames that each session must get."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Any

from chat.errors import ErrorCode
from chat.protocol import commands
from chat.protocol.frames import (
    ChannelList,
    ChannelListing,
    Joined,
    Member,
    Members,
    Ok,
    Page,
    Preferences,
    Read,
    Tick,
)
from chat.rights import GENERAL
from tests.model.administration import ACCOUNT_RULES
from tests.model.chat import Chat, Outgoing, Refused, key_of, refusal
from tests.model.log import UNKNOWN, Log
from tests.model.rooms import ROOM_RULES, mark_thread
from tests.model.table import outranks

__all__ = ["USUAL", "perform"]

ECHO = "#echo"
USUAL = {"pinned": 0, "muted": False, "level": "mentions"}
"""The preferences of a member who has set none."""


def perform(chat: Chat, number: int, command: commands.BaseCommand) -> Outgoing:
    """Execute a command of a session."""
    chat.outgoing = defaultdict(list)
    heads = {key: log.head for key, log in chat.logs.items()}
    entries = len(chat.accounts.audit)
    try:
        if getattr(command, "channel", None) == ECHO and type(command) not in _FOR_ECHO:
            raise Refused(ErrorCode.FORBIDDEN)
        _RULES[type(command)](chat, number, command)
    except Refused as refused:
        assert {key: log.head for key, log in chat.logs.items()} == heads
        assert len(chat.accounts.audit) == entries
        chat.outgoing = {number: [refusal(refused.code, command.id)]}
    return chat.outgoing


def _join(chat: Chat, number: int, join: commands.Join) -> None:
    if join.channel == ECHO:
        _hear_echo(chat, number, join)
        return
    user = chat.sessions[number].user
    log = chat.logs.get(key_of(join.channel))
    if log is None and join.channel.startswith("@"):
        log = chat.open(user, join.channel)
    elif log is None:
        log = chat.logs[key_of(join.channel)] = Log(join.channel)
        chat.enter(log, user, chat.first_role(user))
    elif user not in log.roles:
        if log.is_direct:
            raise Refused(ErrorCode.NO_SUCH_CHANNEL)
        is_invited = not log.invited.get(user, ("", True))[1]
        if log.is_private and (user in log.bans or not is_invited):
            raise Refused(ErrorCode.NAME_UNAVAILABLE)
        if user in log.bans:
            raise Refused(ErrorCode.BANNED)
        is_owned = log.roles or key_of(log.name) == GENERAL
        chat.enter(log, user, "member" if is_owned else chat.first_role(user))
        chat.uninvite(log, user)
    log.hidden.discard(user)
    chat.follow(number, log, join.resume, join.id)
    chat.announce(log, [user])


def _hear_echo(chat: Chat, number: int, join: commands.Join) -> None:
    present = chat.sessions[number]
    present.hears_echo = True
    counts: dict[str, Any] = {"head": 0, "read": 0, "unread": 0, "mentions": 0, "member_count": 1}
    chat.outgoing[number].append(
        Joined(
            id=join.id,
            channel=ECHO,
            epoch=UNKNOWN,
            topic="returns each message to its sender",
            role="member",
            members=(Member(name=present.user, role="member", presence="online"),),
            recovered=True,
            items=(),
            complete=True,
            **counts,
        )
    )


def _leave(chat: Chat, number: int, leave: commands.Leave) -> None:
    if leave.channel == ECHO:
        if not chat.sessions[number].hears_echo:
            raise Refused(ErrorCode.NOT_A_MEMBER)
        chat.sessions[number].hears_echo = False
        chat.ok(number, leave)
        return
    user, log = chat.seat(number, leave.channel)
    if log.is_direct:
        raise Refused(ErrorCode.FORBIDDEN)
    chat.remove(log, user)
    chat.ok(number, leave)


def _send(chat: Chat, number: int, send: commands.Send) -> None:
    present = chat.sessions[number]
    if send.channel == ECHO:
        if not present.hears_echo:
            raise Refused(ErrorCode.NOT_A_MEMBER)
        chat.outgoing[number].append(Tick(channel=ECHO, text=send.text))
        chat.ok(number, send)
        return
    if (known := chat.logs.get(key_of(send.channel))) is not None:
        chat.stop_typing(known, present.user)  # also if it is refused
    if chat.is_repeated(number, send, None):
        return
    if send.channel.startswith("@") and key_of(send.channel) not in chat.logs:
        _open_for(chat, present.user, send)
    user, log = chat.seat(number, send.channel, "send")
    if send.thread_only and send.reply_to is None:
        raise Refused(ErrorCode.INVALID)
    if send.reply_to is not None and (
        send.reply_to > log.head or log.entries[send.reply_to - 1].kind != "message"
    ):
        raise Refused(ErrorCode.NO_SUCH_MESSAGE)
    body = {"text": send.text, "mentions": log.mentioned(user, send.text, send.reply_to)}
    entry = chat.append(
        log,
        user,
        "message",
        cid=send.cid,
        me=send.me,
        reply_to=send.reply_to,
        thread_only=send.thread_only,
        **body,
    )
    chat.done(number, send, entry)
    if log.is_direct:
        log.hidden = {each for each in log.hidden if user in chat.ignored[each]}
        chat.announce(log, log.roles.keys() - log.hidden)


def _open_for(chat: Chat, user: str, send: commands.Send) -> None:
    """Open a direct channel for its first message, which must be no reply."""
    chat.check_may_open(user, send.channel)
    if send.reply_to is not None:
        raise Refused(ErrorCode.NO_SUCH_MESSAGE)
    if send.thread_only:
        raise Refused(ErrorCode.INVALID)
    chat.open(user, send.channel)


def _change(chat: Chat, number: int, change: commands.Edit | commands.Delete) -> None:
    if chat.is_repeated(number, change, change.seq):
        return
    is_deletion = isinstance(change, commands.Delete)
    user, log = chat.seat(number, change.channel, "leave" if is_deletion else "send")
    message = log.message(change.seq)
    if message is None:
        raise Refused(ErrorCode.NO_SUCH_MESSAGE)
    if message.author != user:
        if not is_deletion:
            raise Refused(ErrorCode.FORBIDDEN)
        chat.check_may(log, user, "moderate")
        its_role = chat.role_of(log, message.author) if message.author in log.roles else None
        if not outranks(chat.role_of(log, user), its_role):
            raise Refused(ErrorCode.FORBIDDEN)
    fields: dict[str, Any] = {"target": change.seq, "cid": change.cid}
    if isinstance(change, commands.Edit):
        mentions = log.mentioned(user, change.text, message.reply_to)
        fields |= {"text": change.text, "mentions": mentions}
    chat.done(number, change, chat.append(log, user, change.type, **fields))


def _react(chat: Chat, number: int, react: commands.React) -> None:
    if chat.is_repeated(number, react, react.seq):
        return
    user, log = chat.seat(number, react.channel, "send")
    message = log.message(react.seq)
    if message is None:
        raise Refused(ErrorCode.NO_SUCH_MESSAGE)
    if react.remove != (user in message.reactions.get(react.emoji, ())):
        chat.outgoing[number].append(Ok(id=react.id, cid=react.cid, duplicate=True))
        return
    if len({*message.reactions, react.emoji}) > chat.limits.reactions:
        raise Refused(ErrorCode.LIMIT_REACHED)
    entry = chat.append(
        log,
        user,
        "react",
        target=react.seq,
        emoji=react.emoji,
        remove=react.remove,
        cid=react.cid,
    )
    chat.done(number, react, entry)


def _pin(chat: Chat, number: int, pin: commands.Pin) -> None:
    if chat.is_repeated(number, pin, pin.seq):
        return
    user, log = chat.seat(number, pin.channel, "pin")
    message = log.message(pin.seq)
    if message is None:
        raise Refused(ErrorCode.NO_SUCH_MESSAGE)
    if pin.remove != message.is_pinned:
        chat.outgoing[number].append(Ok(id=pin.id, cid=pin.cid, duplicate=True))
        return
    if not pin.remove and len(log.pins) >= chat.limits.pins:
        raise Refused(ErrorCode.LIMIT_REACHED)
    fields: dict[str, Any] = {"target": pin.seq, "remove": pin.remove, "cid": pin.cid}
    chat.done(number, pin, chat.append(log, user, "pin", **fields))


def _topic(chat: Chat, number: int, topic: commands.SetTopic) -> None:
    user, log = chat.seat(number, topic.channel, "topic")
    log.topic = topic.topic
    chat.done(number, topic, chat.append(log, user, "topic", topic=topic.topic))


def _history(chat: Chat, number: int, history: commands.History) -> None:
    _user, log = chat.seat(number, history.channel)
    limit = min(history.limit, chat.limits.page)
    lines = log.lines
    if history.thread is not None:
        if history.thread > log.head or log.entries[history.thread - 1].kind != "message":
            raise Refused(ErrorCode.NO_SUCH_MESSAGE)
        root = log.root(history.thread)
        lines = [line for line in lines if root in (line.seq, line.thread)]
    if history.pins:
        lines = [line for line in lines if line.is_pinned]
    if history.after is not None and history.thread is not None:
        later = [line for line in lines if line.seq > history.after]
        entries, complete = later[:limit], len(later) <= limit
    elif history.after is not None:
        entries, complete = chat.after(log, history.after, limit)
        if complete and key_of(log.name) in chat.sessions[number].entered:
            chat.sessions[number].following.add(key_of(log.name))
    else:
        anchor = log.head + 1 if history.before is None else history.before
        later = []
        if history.around is not None:
            anchor = history.around
            later = [line for line in lines if line.seq >= anchor][: limit - limit // 2]
        earlier = [line for line in lines if line.seq < anchor]
        count = limit - len(later)
        entries = [*(earlier[-count:] if count else ()), *later]
        complete = len(earlier) <= count
    chat.outgoing[number].append(
        Page(
            id=history.id,
            channel=log.name,
            epoch=UNKNOWN,
            items=tuple(entry.item() for entry in entries),
            complete=complete,
            head=log.head,
        )
    )


def _mark(chat: Chat, number: int, mark: commands.Mark) -> None:
    if mark.thread is not None:
        mark_thread(chat, number, mark)
        return
    user, log = chat.seat(number, mark.channel)
    if mark.seq > log.head:
        raise Refused(ErrorCode.INVALID)
    if mark.seq > log.read[user]:
        log.read[user] = mark.seq
        counts = chat.counts(log, user)
        read = Read(
            channel=log.name,
            version=mark.seq,
            seq=mark.seq,
            unread=counts["unread"],
            mentions=counts["mentions"],
            head=log.head,
        )
        for device in chat.sessions_of(user):
            chat.outgoing[device].append(read)
    chat.outgoing[number].append(Ok(id=mark.id, seq=log.read[user] or None))


def _prefer(chat: Chat, number: int, prefer: commands.Prefer) -> None:
    user, log = chat.seat(number, prefer.channel)
    if prefer.hidden and not log.is_direct:
        raise Refused(ErrorCode.FORBIDDEN)
    before = log.preferences.get(user, USUAL)
    was_hidden = user in log.hidden
    is_hidden = was_hidden if prefer.hidden is None else prefer.hidden
    (log.hidden.add if is_hidden else log.hidden.discard)(user)
    asked = prefer.model_dump(include={"pinned", "muted", "level"}, exclude_none=True)
    after = log.preferences[user] = before | asked
    if after != before or is_hidden != was_hidden:
        for device in chat.sessions_of(user):
            chat.outgoing[device].append(Preferences(channel=log.name, hidden=is_hidden, **after))
            if is_hidden:
                chat.sessions[device].following.discard(key_of(log.name))
                chat.sessions[device].entered.discard(key_of(log.name))
    if is_hidden:
        chat.stop_typing(log, user)
    chat.ok(number, prefer)
    if prefer.hidden is False:
        chat.announce(log, [user])


def _typing(chat: Chat, number: int, typing: commands.Typing) -> None:
    user = chat.sessions[number].user
    log = chat.logs.get(key_of(typing.channel))
    is_listed = key_of(typing.channel) in chat.sessions[number].entered
    if log is None or not is_listed:  # answered from memory, which has the user's own channels
        is_direct = typing.channel.startswith("@")
        raise Refused(ErrorCode.NO_SUCH_CHANNEL if is_direct else ErrorCode.NOT_A_MEMBER)
    if typing.state == "stop":
        chat.stop_typing(log, user)
    elif user not in log.typing and chat.may(log, user, "typing"):
        log.typing.append(user)
    chat.ok(number, typing)


def _status(chat: Chat, number: int, status: commands.SetStatus) -> None:
    chat.sessions[number].status = status.status
    chat.ok(number, status)


def _channels(chat: Chat, number: int, channels: commands.Channels) -> None:
    public = sorted(
        (key, log) for key, log in chat.logs.items() if not log.is_direct and not log.is_private
    )
    listed = tuple(
        ChannelListing(
            channel=log.name,
            topic=log.topic,
            members=len(log.roles),
            archived=log.settings["archived"],
        )
        for _key, log in public
    )
    chat.outgoing[number].append(ChannelList(id=channels.id, channels=listed))


def _who(chat: Chat, number: int, who: commands.Who) -> None:
    _user, log = chat.seat(number, who.channel)
    members = chat.members(log)
    chat.outgoing[number].append(Members(id=who.id, channel=log.name, members=members))


_FOR_ECHO = (commands.Join, commands.Leave, commands.Send)
_RULES: dict[type, Callable[[Chat, int, Any], None]] = {
    commands.Join: _join,
    commands.Leave: _leave,
    commands.Send: _send,
    commands.Edit: _change,
    commands.Delete: _change,
    commands.React: _react,
    commands.Pin: _pin,
    commands.SetTopic: _topic,
    commands.History: _history,
    commands.Mark: _mark,
    commands.Prefer: _prefer,
    commands.Typing: _typing,
    commands.SetStatus: _status,
    commands.Channels: _channels,
    commands.Who: _who,
    commands.Ping: lambda chat, number, ping: chat.ok(number, ping),
    **ROOM_RULES,
    **ACCOUNT_RULES,
}
