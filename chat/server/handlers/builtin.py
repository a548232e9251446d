"""Commands in `#counter` and `#echo`, which store nothing.

`Session.builtins` maps the joined ones to their counter, if they have one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from chat.errors import CommandError, ErrorCode
from chat.protocol.codec import encode
from chat.protocol.commands import Join, Leave, Send
from chat.protocol.frames import Joined, Member, Ok, Tick
from chat.server.channels.builtin import CLOSE, Counter
from chat.server.transport.outbound import text_frame
from chat.text import COUNTER, ECHO, fold, is_builtin

if TYPE_CHECKING:
    from chat.server.session import Session

__all__ = ["join", "leave", "refuse", "send"]

TOPICS = {
    COUNTER: "counts once a second; send close to stop",
    ECHO: "returns each message to its sender",
}


def join(session: Session, command: Join) -> None:
    """Join; each join starts `#counter` at 0."""
    name = fold(command.channel)
    _leave(session, name)
    me = Member(name=session.user.name, role="member", presence="online")
    topic = TOPICS[name]
    session.answer(  # sent before the first number
        Joined(
            id=command.id,
            channel=name,
            epoch=name[1:],
            head=0,
            topic=topic,
            role="member",
            read=0,
            unread=0,
            mentions=0,
            members=(me,),
            member_count=1,
            recovered=True,
            items=(),
            complete=True,
        )
    )
    loop = session.context.loop
    session.builtins[name] = (
        Counter(loop, lambda number: _send_tick(session, COUNTER, str(number)))
        if name == COUNTER
        else None
    )


def leave(session: Session, command: Leave) -> Ok:
    """Leave, and stop the counter."""
    channel = command.channel
    if not _leave(session, fold(channel)):
        raise CommandError(
            ErrorCode.NOT_A_MEMBER, f"you are not a member of {channel}", field="channel"
        )
    return Ok.known(id=command.id)


def send(session: Session, command: Send) -> Ok:
    """Return the message from `#echo`; stop `#counter` on `close`."""
    channel, text = command.channel, command.text
    name = fold(channel)
    if name not in session.builtins:
        raise CommandError(
            ErrorCode.NOT_A_MEMBER,
            f"you are not a member of {channel}; join it first",
            field="channel",
        )
    if name == ECHO:
        _send_tick(session, ECHO, text)
    elif text.strip() == CLOSE:
        _leave(session, COUNTER)
    return Ok.known(id=command.id)


def refuse(channel: str) -> None:
    """Refuse a command that needs a stored channel."""
    if is_builtin(channel):
        raise CommandError(
            ErrorCode.FORBIDDEN,
            f"{fold(channel)} is a built-in channel and stores nothing",
            field="channel",
        )


def _send_tick(session: Session, channel: str, text: str) -> None:
    frame = text_frame(encode(Tick(channel=channel, text=text)))
    session.connection.outlet.send_ephemeral(frame)


def _leave(session: Session, name: str) -> bool:
    if name not in session.builtins:
        return False
    counter = session.builtins.pop(name)
    if counter is not None:
        counter.stop()
    return True
