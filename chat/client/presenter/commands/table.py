"""The dispatch table: command names and their handlers.

A handler raises `Refused`, with a message for the user, when it cannot run the command. The text
then returns to the composer that it was typed in.
"""

from __future__ import annotations

from chat.client.presenter.commands import (
    account,
    audit,
    bans,
    channel_settings,
    channels,
    invitations,
    messages,
    moderation,
    own_channel,
    users,
    window,
)
from chat.client.presenter.conversation import Handler

__all__ = ["HANDLERS"]


HANDLERS: dict[str, Handler] = {
    **channels.HANDLERS,
    **channel_settings.HANDLERS,
    **own_channel.HANDLERS,
    **moderation.HANDLERS,
    **messages.HANDLERS,
    **window.HANDLERS,
    **account.HANDLERS,
    **users.HANDLERS,
    **invitations.HANDLERS,
    **bans.HANDLERS,
    **audit.HANDLERS,
}
"""The handlers by command name; each module has those of its commands."""
