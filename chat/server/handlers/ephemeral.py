"""Handle `typing`, `status`, and `ping`, which are never stored."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

from chat.errors import CommandError, ErrorCode
from chat.protocol.commands import Ping, SetStatus, Typing
from chat.protocol.frames import Ok
from chat.server.handlers import builtin
from chat.text import is_direct

if TYPE_CHECKING:
    from chat.server.channels.live import LiveChannel
    from chat.server.session import Session

__all__ = ["ping", "status", "typing"]


def typing(session: Session, command: Typing) -> Ok | Coroutine[Any, Any, Ok]:
    """Note that the user started or stopped typing; the next presence round sends it.

    The answer waits until the right is known, so the order of the answers is that of the names.
    """
    builtin.refuse(command.channel)
    live = session.subscriptions.channel(command.channel)
    if live is None:
        code = ErrorCode.NO_SUCH_CHANNEL if is_direct(command.channel) else ErrorCode.NOT_A_MEMBER
        raise CommandError(code, f"you are not a member of {command.channel}", field="channel")
    if command.state == "stop":
        session.subscriptions.stop_typing(live)
    elif not session.subscriptions.start_typing(live):
        return _checked(session, live, command)
    return Ok.known(id=command.id)


async def _checked(session: Session, live: LiveChannel, command: Typing) -> Ok:
    await session.subscriptions.check_typing(live)
    return Ok.known(id=command.id)


def status(session: Session, command: SetStatus) -> Ok:
    """Set the status of this session; the user's presence combines all sessions."""
    session.context.presence.set(session.subscriptions, command.status)
    return Ok.known(id=command.id)


def ping(_session: Session, command: Ping) -> Ok:
    """Answer with `ok`."""
    return Ok.known(id=command.id)
