"""Handle `prefer`: a member's settings of one channel."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chat.protocol.commands import Prefer
from chat.protocol.frames import Ok, Preferences
from chat.server.handlers import builtin
from chat.server.writes import Write
from chat.store import operations
from chat.store.operations import Preferred

if TYPE_CHECKING:
    from chat.server.session import Session

__all__ = ["prefer"]


def prefer(session: Session, command: Prefer) -> Write[Preferred]:
    """Store preferences, and send them to all sessions of the user."""
    builtin.refuse(command.channel)
    user, channels = session.user, session.context.channels

    def answer(preferred: Preferred) -> Ok:
        state = preferred.channel
        if preferred.changed:
            frame = Preferences(
                channel=state.name, hidden=preferred.hidden, **preferred.preference._asdict()
            )
            channels.preferences_changed(user.name, frame)
            if preferred.hidden:
                for each in channels.sessions_of(user.name):
                    each.hidden(state.name, state.head)
        if command.hidden is False:
            channels.add_to_lists((user.name,), state.name, state.head)
        return Ok.known(id=command.id)

    operation = operations.Prefer(
        user,
        command.channel,
        pinned=command.pinned,
        muted=command.muted,
        level=command.level,
        hidden=command.hidden,
    )
    return Write(operation, answer)
