"""Create a channel, invite people, change its settings, archive it, delete it.

These commands need a server with rooms; `Online.ask` refuses them on others.
"""

from __future__ import annotations

from typing import Any

from chat.client.model.membership import Invitation
from chat.client.model.slash.parser import Invocation
from chat.client.model.state import ChannelInfo
from chat.client.presenter.acts import invitation_acts
from chat.client.presenter.commands import targets
from chat.client.presenter.commands.requests import named_user, request
from chat.client.presenter.conversation import Conversation, Handler
from chat.client.presenter.view import Choice, Refused
from chat.durations import duration_text, parse_duration
from chat.rights import RETENTION_MIN
from chat.text import is_direct

__all__ = ["HANDLERS", "open_invitation", "open_invitations"]


def _create(conversation: Conversation, asked: Invocation) -> None:
    from chat.protocol.commands import Create

    channel = targets.channel(conversation, asked)
    if is_direct(channel):
        raise Refused("Use /msg NAME to open a direct channel.")
    known = conversation.state.channels.get(channel)
    if known is not None and known.is_member:
        raise Refused(f"{channel} already exists. Use /join {channel} to open it.")
    topic = " ".join(asked.get("topic").split())
    create = Create(channel=channel, private=bool(asked.get("private")), topic=topic)
    conversation.join(channel, create=create)


# Invitations


def _invite(conversation: Conversation, asked: Invocation) -> None:
    from chat.protocol.commands import Invite

    name, channel = named_user(asked), _own(conversation, asked).name
    request(conversation, Invite(channel=channel, name=name), f"Invited {name} to {channel}.")


def _uninvite(conversation: Conversation, asked: Invocation) -> None:
    from chat.protocol.commands import Uninvite

    name, channel = named_user(asked), _own(conversation, asked).name
    done = f"Withdrew {name}'s invitation to {channel}."
    request(conversation, Uninvite(channel=channel, name=name), done)


def _accept(conversation: Conversation, asked: Invocation) -> None:
    conversation.join(_invited(conversation, asked))


def _decline(conversation: Conversation, asked: Invocation) -> None:
    from chat.protocol.commands import Decline

    channel = _invited(conversation, asked)
    request(conversation, Decline(channel=channel), f"Declined the invitation to {channel}.")


def _invited(conversation: Conversation, asked: Invocation) -> str:
    """Return the named channel that the user is invited to, or the only one."""
    invitations = conversation.state.invitations
    if asked.get("channel"):
        channel = targets.channel(conversation, asked)
        if channel not in invitations:
            raise Refused(f"You have no invitation to {channel}.")
        return channel
    if not invitations:
        raise Refused("You have no invitations.")
    if len(invitations) > 1:
        raise Refused(f"You have several invitations. Name the channel: {', '.join(invitations)}.")
    return next(iter(invitations))


def open_invitations(conversation: Conversation) -> None:
    """Open the menu of the user's invitation; of several, one is chosen first."""
    invitations = conversation.state.invitations
    if len(invitations) == 1:
        open_invitation(conversation, next(iter(invitations)))
    elif invitations:
        add = conversation.view.list_rows(
            "Invitations",
            lambda channel: open_invitation(conversation, channel),
            "Use /accept CHANNEL or /decline CHANNEL",
        )
        add(Choice(each.channel, each.channel, _inviter(each)) for each in invitations.values())
    else:
        conversation.view.say("You have no invitations.")


def open_invitation(conversation: Conversation, channel: str) -> None:
    """List what the user may do with an invitation."""
    invitation = conversation.state.invitations.get(channel)
    if invitation is None:
        return  # it was withdrawn meanwhile
    acts = {each.key: each for each in invitation_acts(channel)}
    add = conversation.view.list_rows(
        f"{channel}: {_inviter(invitation)}",
        lambda key: conversation.run_command(acts[key].command),
        "Use the command in each row",
    )
    add(Choice(each.key, each.label, each.command) for each in acts.values())


def _inviter(invitation: Invitation) -> str:
    kind = "private channel, " if invitation.private else ""
    topic = f" · {invitation.topic}" if invitation.topic else ""
    return f"{kind}invited by {invitation.by}{topic}"


# Settings

_SETTINGS = {
    "posting": ("Who may write", ("everyone", "moderators")),
    "invites": ("Who may invite people", ("members", "moderators")),
    "topic": ("Who may set the topic", ("members", "moderators")),
    "pins": ("Who may pin messages", ("members", "moderators")),
}
"""The settings with two values: their labels, and the values."""
_RETENTIONS = ("1d", "7d", "30d", "90d", "365d")
"""Retentions to choose from; others can be typed."""
_ACTS = {
    "bans": "Bans…",
    "archive": "Archive…",
    "unarchive": "Unarchive",
    "delete-channel": "Delete the channel…",
}
"""The labels of what an owner can do with a channel besides its settings."""
_USUAL = "off"
"""The value of a retention that is the server's."""


def _channel(conversation: Conversation, asked: Invocation) -> None:
    info = _own(conversation, asked)
    setting, value = asked.get("setting").lower(), asked.get("value").lower()
    if setting in _SETTINGS and value in _SETTINGS[setting][1]:
        done = f"{_SETTINGS[setting][0]} in {info.name}: {value}."
        _change(conversation, info, {setting: value}, done)
    elif setting == "private":
        _make_private(conversation, info)
    elif setting == "retention" and value:
        _set_retention(conversation, info, value)
    elif setting and setting not in (*_SETTINGS, "retention"):
        raise Refused(
            f"“{setting}” is not a setting. Use posting, invites, topic, pins, private or "
            "retention."
        )
    elif value:
        first, second = _SETTINGS[setting][1]
        raise Refused(f"“{value}” is not valid. Use {first} or {second}.")
    else:
        _list_settings(conversation, info)


def _list_settings(conversation: Conversation, info: ChannelInfo) -> None:
    settings = info.settings
    may_change = "settings" in conversation.state.rights_in(info.name)
    archive = "unarchive" if settings.archived else "archive"
    acts = {
        "bans": "/bans --channel",
        archive: f"/{archive} {info.name}",
        "delete-channel": f"/delete-channel {info.name}",
    }

    def chosen(key: str) -> None:
        if not may_change:
            conversation.view.say("Only the owner of the channel can change its settings.")
        elif key in _SETTINGS:
            first, second = _SETTINGS[key][1]
            value = second if getattr(settings, key) == first else first
            conversation.run_command(f"/channel {key} {value}")
        elif key == "retention":
            _choose_retention(conversation, info)
        else:
            conversation.run_command(acts.get(key, f"/channel {key}"))

    add = conversation.view.list_rows(
        f"Settings of {info.name}",
        chosen,
        "Use /channel SETTING VALUE to change one" if may_change else "The owner can change them",
        "choose one to change it" if may_change else "",
    )
    for name, (label, values) in _SETTINGS.items():
        add([Choice(name, f"{label}: {getattr(settings, name)}", f"{name}: {' or '.join(values)}")])
    invited = "only invited people see it"
    if settings.private:
        add([Choice("", "Privacy: private", invited)])
    else:
        add([Choice("private", "Privacy: public", f"private: {invited}")])
    kept = duration_text(settings.retention) if settings.retention else "server default"
    add([Choice("retention", f"Messages are kept: {kept}", "retention: 30d, or off")])
    if may_change:
        add(Choice(key, _ACTS[key], command) for key, command in acts.items())
    elif settings.archived:
        add([Choice("", "Archived: nobody can write", "")])


def _choose_retention(conversation: Conversation, info: ChannelInfo) -> None:
    """Ask for how long the messages of a channel are kept."""
    add = conversation.view.list_rows(
        f"How long {info.name} keeps messages",
        lambda key: conversation.run_command(f"/channel retention {key}"),
        "Use /channel retention DURATION, or off",
    )
    add(Choice(each, duration_text(parse_duration(each)), "") for each in _RETENTIONS)
    add([Choice(_USUAL, "Server default", "")])


def _change(
    conversation: Conversation, info: ChannelInfo, fields: dict[str, Any], done: str
) -> None:
    from chat.protocol.commands import ChangeChannel

    command = ChangeChannel.model_validate({"channel": info.name, **fields})
    request(conversation, command, done)


def _make_private(conversation: Conversation, info: ChannelInfo) -> None:
    if info.settings.private:
        raise Refused(f"{info.name} is already private.")
    conversation.view.confirm(
        f"Make {info.name} private? Only invited people will see it. This cannot be undone.",
        info.name,
        lambda: _change(conversation, info, {"private": True}, f"{info.name} is now private."),
    )


def _set_retention(conversation: Conversation, info: ChannelInfo, value: str) -> None:
    seconds = 0
    if value != _USUAL:
        try:
            seconds = parse_duration(value)
        except ValueError as exc:
            raise Refused(f"“{value}” {exc}, or off") from None
        if seconds < RETENTION_MIN:
            raise Refused("The retention must be 1 day or longer.")
    if not seconds:
        done = f"{info.name} keeps messages as long as the server."
        _change(conversation, info, {"retention": 0}, done)
        return
    length = duration_text(seconds)
    conversation.view.confirm(
        f"Delete messages in {info.name} that are older than {length}? The first ones are deleted "
        "in 24 hours.",
        info.name,
        lambda: _change(
            conversation, info, {"retention": seconds}, f"{info.name} keeps messages for {length}."
        ),
    )


def _archive(conversation: Conversation, asked: Invocation) -> None:
    from chat.protocol.commands import Archive

    channel, remove = _own(conversation, asked).name, asked.command.name == "unarchive"
    command = Archive(channel=channel, remove=remove)
    if remove:
        request(conversation, command, f"{channel} is no longer archived.")
        return
    conversation.view.confirm(
        f"Archive {channel}? Everyone can read it, nobody can write in it.",
        f"Use /unarchive {channel} to undo this.",
        lambda: request(conversation, command, f"Archived {channel}."),
    )


def _delete_channel(conversation: Conversation, asked: Invocation) -> None:
    from chat.protocol.commands import DeleteChannel

    channel = _own(conversation, asked).name
    conversation.view.confirm(
        f"Delete {channel} with all its messages, for everyone? This cannot be undone.",
        channel,
        lambda: request(conversation, DeleteChannel(channel=channel), f"Deleted {channel}."),
    )


def _own(conversation: Conversation, asked: Invocation) -> ChannelInfo:
    """Return the named channel, which the user must be in, or the current one; not a direct one."""
    info = targets.mine(conversation, asked)
    if is_direct(info.name) or info.builtin:
        raise Refused(f"/{asked.command.name} is not for direct and built-in channels.")
    return info


HANDLERS: dict[str, Handler] = {
    "create": _create,
    "invite": _invite,
    "uninvite": _uninvite,
    "accept": _accept,
    "decline": _decline,
    "channel": _channel,
    "archive": _archive,
    "unarchive": _archive,
    "delete-channel": _delete_channel,
}
"""The handlers by command name."""
