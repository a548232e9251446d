"""What the user may do here: with a member, a message, an invitation; and why not to write.

Menus are made from these rows in both interfaces. The rights are those of `chat.rights`; the server
checks each act again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from chat.client.model.describe import ending
from chat.client.model.state import ChannelInfo, Delivery, Message
from chat.client.platform.local_time import moment
from chat.client.presenter.state import ConversationState, title_of
from chat.rights import MEMBER, MODERATOR, OWNER, outranks
from chat.text import fold, is_direct

if TYPE_CHECKING:
    from chat.protocol.frames import AccountInfo

__all__ = [
    "Act",
    "account_acts",
    "invitation_acts",
    "member_acts",
    "message_acts",
    "why_silent",
]


@dataclass(frozen=True, slots=True)
class Act:
    """A row of a menu: its key, its label, and the slash command that does it.

    With `is_begun`, the command goes to the composer, for the user to complete.
    """

    key: str
    label: str
    command: str
    is_begun: bool = False


# Members


def member_acts(state: ConversationState, name: str) -> list[Act]:
    """Return what the user may do with someone: write, moderate in this channel, ignore."""
    if fold(name) == fold(state.user):
        return [
            Act("devices", "Your devices", "/devices"),
            Act("link", "Sign in on another device", "/link"),
            Act("password", "Set or change your password", "/password"),
            Act("whois", "Show account", f"/whois {name}"),
        ]
    acts = [
        Act("message", "Send a direct message", f"/msg {name}"),
        Act("whois", "Show account", f"/whois {name}"),
    ]
    if state.connection.has_rooms:
        acts += _in_channel(state, name)
        verb = "unignore" if state.ignores(name) else "ignore"
        acts.append(Act(verb, f"{verb.capitalize()} {name}", f"/{verb} {name}"))
    return acts


def _in_channel(state: ConversationState, name: str) -> list[Act]:
    """Return the acts on someone in the current channel."""
    info, rights = state.info, state.rights
    if info is None or info.builtin or is_direct(info.name):
        return []
    members, role = state.members.get(info.name), state.role_of(name, info.name)
    acts = []
    is_below = outranks(info.role, role)
    if role is not None and "moderate" in rights and is_below:
        is_muted = members is not None and any(fold(each) == fold(name) for each in members.muted)
        acts += [
            Act("unmute", f"Unmute in {info.name}", f"/unmute @{name}")
            if is_muted
            else Act("mute", f"Mute in {info.name}…", f"/mute @{name}"),
            Act("kick", f"Kick from {info.name}…", f"/kick {name}"),
        ]
    if "moderate" in rights and is_below:
        acts.append(Act("channel-ban", f"Ban from {info.name}…", f"/ban --channel {name}"))
    if role is None and "invite" in rights:
        acts.append(Act("invite", f"Invite to {info.name}", f"/invite {name}"))
    if role is not None and "roles" in rights and is_below:
        acts += _new_roles(name, role)
    return acts


def _new_roles(name: str, role: str) -> list[Act]:
    to = f"/role --channel {name} "
    other = MEMBER if role == MODERATOR else MODERATOR
    return [
        Act(other, f"Make a {other}", to + other),
        Act(OWNER, "Make the owner…", to + OWNER),
    ]


def account_acts(state: ConversationState, account: AccountInfo) -> list[Act]:
    """Return what an admin can do with an account as it is now."""
    name, flag = account.name, "--server " if state.connection.has_rooms else ""
    return [
        Act("unban", "Lift the ban", f"/unban {flag}{name}")
        if account.banned
        else Act("ban", "Ban from this server…", f"/ban {flag}{name} ", is_begun=True),
        Act(
            "role",
            f"Set role on this server (now {account.role})…",
            f"/role {flag}{name} ",
            is_begun=True,
        ),
        Act("enable", "Enable account", f"/enable {name}")
        if account.disabled
        else Act("disable", "Disable account…", f"/disable {name}"),
    ]


# Messages


def message_acts(state: ConversationState, message: Message) -> list[Act]:
    """Return what the user may do with a message; the keys are those of the timeline's actions."""
    seq = message.seq
    if message.delivery is not Delivery.SENT or seq is None:
        discard = Act("discard", "Discard", "/discard")
        if message.delivery is Delivery.FAILED:
            return [Act("retry", "Resend", "/retry"), discard]
        return [discard]
    if message.deleted or message.kind != "message":
        return []
    if state.is_folded(message):
        return [Act("show", "Show message", f"/show {seq}")]
    rights = state.rights_in(message.channel)
    is_own = fold(message.author) == fold(state.user)
    pin = "unpin" if message.pinned else "pin"
    acts = [
        ("send" in rights, Act("reply", "Reply", f"/reply {seq} ", is_begun=True)),
        (True, Act("thread", "Open thread", f"/thread {seq}")),
        ("send" in rights, Act("react", "React", "/react ", is_begun=True)),
        ("pin" in rights, Act(pin, pin.capitalize(), f"/{pin} {seq}")),
        (True, Act("copy", "Copy text", f"/copy {seq}")),
        (state.connection.has_rooms, _following(state, message, seq)),
        ("send" in rights and is_own, Act("edit", "Edit", f"/edit {seq}")),
        (state.may_delete(message), Act("delete", "Delete…", f"/delete {seq}")),
    ]
    return [act for is_allowed, act in acts if is_allowed]


def _following(state: ConversationState, message: Message, seq: int) -> Act:
    info, root = state.channels.get(message.channel), message.thread or seq
    verb = "unfollow" if info is not None and root in info.followed else "follow"
    return Act(verb, f"{verb.capitalize()} thread", f"/{verb} {seq}")


# Invitations


def invitation_acts(channel: str) -> list[Act]:
    """Return what the user may do with an invitation to a channel."""
    return [
        Act("accept", f"Join {channel}", f"/accept {channel}"),
        Act("decline", "Decline", f"/decline {channel}"),
    ]


# Writing


def why_silent(state: ConversationState, channel: str) -> str:
    """Return why the user may not write in a channel, as a sentence; empty if they may."""
    info = state.channels.get(channel)
    if info is None or not info.is_member:
        ended = state.ended.get(channel)
        return ending(ended, moment) if ended is not None else ""
    if not state.connection.has_rooms:
        return ""
    return "" if "send" in info.rights(state.now) else _silence(info, state.now)


def _silence(info: ChannelInfo, now: int) -> str:
    if info.settings.archived:
        return f"{title_of(info)} is archived: it is read-only."
    mute = info.mute
    if mute is None or mute.is_over(now):
        return f"Only moderators can write in {title_of(info)}."
    until = f" until {moment(mute.until)}" if mute.until is not None else ""
    reason = f": {mute.reason}" if mute.reason else ""
    return f"You were muted in {title_of(info)} by {mute.by or 'a moderator'}{until}{reason}."
