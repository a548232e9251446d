"""Moderate a channel: kick and mute members, set roles; and the scope of a ban or a role.

These commands need a server with rooms; `Online.ask` refuses them on others.
"""

from __future__ import annotations

from collections.abc import Callable
from time import time

from chat.client.model.slash.parser import Invocation
from chat.client.presenter.commands import targets
from chat.client.presenter.commands.requests import minute, named_user, request
from chat.client.presenter.conversation import Conversation, Handler
from chat.client.presenter.view import Choice, Question, Refused
from chat.durations import parse_duration
from chat.rights import Right
from chat.text import check_name, fold, is_direct

__all__ = [
    "HANDLERS",
    "check_duration",
    "check_is_other",
    "choose_scope",
    "mute_member",
    "until_of",
]


def _kick(conversation: Conversation, asked: Invocation) -> None:
    from chat.protocol.commands import Kick

    name, channel = named_user(asked), _channel_here(conversation)
    check_is_other(conversation, name, "kick")
    question = Question(
        f"Remove {name} from {channel}?",
        "They may join again; use /ban to keep them out.",
        " ".join(asked.get("reason").split()),
    )

    def kick(reason: str, _duration: str) -> None:
        command = Kick(channel=channel, name=name, reason=reason)
        request(conversation, command, f"Removed {name} from {channel}.")

    conversation.view.ask(question, kick)


def mute_member(conversation: Conversation, asked: Invocation, word: str) -> None:
    """Mute or unmute the member that `word` names; the first `@` is not part of the name."""
    from chat.protocol.commands import MuteUser, Unmute

    channel = _channel_here(conversation)
    try:
        name = check_name(word.removeprefix("@"))
    except ValueError as exc:
        raise Refused(f"“{word}” {exc}") from None
    check_is_other(conversation, name, asked.command.name)
    if asked.command.name == "unmute":
        done = f"Unmuted {name} in {channel}."
        request(conversation, Unmute(channel=channel, name=name), done)
        return
    check_duration(asked)
    question = Question(
        f"Mute {name} in {channel}?",
        "They can read, but not write.",
        " ".join(asked.get("reason").split()),
        asked.get("duration"),
    )

    def mute(reason: str, duration: str) -> None:
        until = until_of(duration)
        end = f" until {minute(until)}" if until else f". Use /unmute @{name} to lift it"
        command = MuteUser(channel=channel, name=name, until=until, reason=reason)
        request(conversation, command, f"Muted {name} in {channel}{end}.")

    conversation.view.ask(question, mute)


def until_of(duration: str) -> int | None:
    """Return when a duration that starts now ends, in milliseconds; None for an empty one."""
    if not duration:
        return None
    try:
        return int((time() + parse_duration(duration)) * 1000)
    except ValueError as exc:
        raise Refused(f"“{duration}” {exc}") from None


def check_duration(asked: Invocation) -> None:
    """Refuse an invalid duration before the question; also a reason that seems to begin with one.

    Without this, `/ban bob 7days` would be a ban without an end.
    """
    until_of(asked.get("duration"))
    word = asked.get("reason").partition(" ")[0]
    if not asked.get("duration") and word[:1].isdigit():
        raise Refused(
            f"“{word}” is not a duration. Use one such as 10m, 2h or 7d, or begin the reason with "
            "a word."
        )


def check_is_other(conversation: Conversation, name: str, verb: str) -> None:
    """Refuse an act on the user themselves."""
    if fold(name) == fold(conversation.state.user):
        raise Refused(f"You cannot {verb} yourself.")


def _channel_here(conversation: Conversation) -> str:
    """Return the current channel, which must have moderators."""
    info = targets.here(conversation)
    if is_direct(info.name) or info.builtin:
        raise Refused("Direct and built-in channels have no moderators. Open a channel first.")
    return info.name


def choose_scope(
    conversation: Conversation,
    asked: Invocation,
    title: str,
    right: Right,
    then: Callable[[str | None], None],
) -> None:
    """Call `then` with the current channel, or with None for the whole server.

    A flag decides. Without one, the user's rights do: an admin who also has `right` in the current
    channel is asked, so that no ban or role lands in the wrong place.
    """
    state, flag = conversation.state, asked.get("where").lower()
    if flag == "--server" or (not flag and not state.connection.has_rooms):
        conversation.check_admin(asked)
        then(None)
    elif flag or not state.is_admin:
        then(_channel_here(conversation))
    elif right not in state.rights or state.current is None:
        then(None)
    else:
        _ask_scope(conversation, asked, title, state.current, then)


def _ask_scope(
    conversation: Conversation,
    asked: Invocation,
    title: str,
    channel: str,
    then: Callable[[str | None], None],
) -> None:
    command, _, rest = asked.text.partition(" ")
    here, everywhere = (f"{command} {flag} {rest}".strip() for flag in ("--channel", "--server"))
    add = conversation.view.list_rows(
        title,
        lambda key: then(channel if key == "channel" else None),
        "Use --channel or --server to say where",
    )
    add([Choice("channel", channel, here), Choice("server", "This server", everywhere)])


HANDLERS: dict[str, Handler] = {"kick": _kick}
"""The handlers by command name; `channel_settings` has `/mute`, which is also for channels."""
