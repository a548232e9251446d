"""The rights of each standing, as the store applies them, compared to the table."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from chat.errors import CommandError, ErrorCode
from chat.rights import DEFAULT, RIGHTS, ChannelSettings, Right, Standing, rights_of
from chat.store.channels import (
    BanFromChannel,
    ChangeSettings,
    CreateChannel,
    InviteToChannel,
    Kick,
    MuteMember,
    SetChannelRole,
)
from chat.store.operations import JoinChannel, Operation, User
from tests.store.opened import OpenStore, delete, message, pin, topic

SETTINGS = [
    DEFAULT,
    DEFAULT._replace(archived=True),
    DEFAULT._replace(posting="moderators", invites="moderators"),
    DEFAULT._replace(topic="moderators", pins="moderators", private=True),
]
ACTS: dict[Right, Callable[[User, int, int], Operation[Any]]] = {
    "read": lambda user, _own, _other: message(user, "hi", "#room"),  # read is tested by readers
    "send": lambda user, _own, _other: message(user, "hi", "#room"),
    "leave": lambda user, own, _other: delete(user, own, "#room"),
    "pin": lambda user, _own, other: pin(user, other, "#room"),
    "topic": lambda user, _own, _other: topic(user, "tea", "#room"),
    "invite": lambda user, _own, _other: InviteToChannel(user, "#room", "guest"),
    "moderate": lambda user, _own, _other: Kick(user, "#room", "victim"),
    "roles": lambda user, _own, _other: SetChannelRole(user, "#room", "victim", "moderator"),
    "settings": lambda user, _own, _other: ChangeSettings(user, "#room", retention=86_400),
}
"""An operation that needs each right, for a user, with a message of their own and of another."""
REFUSALS = {ErrorCode.FORBIDDEN, ErrorCode.MUTED, ErrorCode.ARCHIVED}


@pytest.mark.parametrize("settings", SETTINGS, ids=range(len(SETTINGS)))
@pytest.mark.parametrize("standing", RIGHTS)
def test_store_grants_the_rights_of_the_table(
    store: OpenStore, standing: Standing, settings: ChannelSettings
) -> None:
    owner, user, victim = (store.sign_in(name) for name in ("owner", "user", "victim"))
    store.sign_in("guest")
    store.do(CreateChannel(owner, "#room"))
    other = store.send(owner, "text", "#room")
    store.join(victim, "#room")
    own = 0
    if standing not in ("invited", "banned", "outsider"):
        store.join(user, "#room")
        own = store.send(user, "text", "#room")
    for operation in _steps(owner, standing):
        store.do(operation)
    store.do(_settings(user if standing == "owner" else owner, settings))
    expected = rights_of(standing, settings)
    for right in ("send", "topic", "pin", "invite", "leave", "roles", "moderate", "settings"):
        outcome = store.outcome(ACTS[right](user, own, other))
        if right in expected:
            assert not isinstance(outcome, CommandError), (right, outcome)
        else:
            assert isinstance(outcome, CommandError), right
            hidden = ErrorCode.NO_SUCH_CHANNEL if settings.private else ErrorCode.NOT_A_MEMBER
            assert outcome.code in ({hidden} if own == 0 else REFUSALS), right


def _steps(owner: User, standing: Standing) -> list[Operation[Any]]:
    """Return the operations that give the user a standing."""
    match standing:
        case "owner" | "moderator":
            return [SetChannelRole(owner, "#room", "user", standing)]
        case "muted":
            return [MuteMember(owner, "#room", "user")]
        case "invited":
            return [InviteToChannel(owner, "#room", "user")]
        case "banned":
            return [BanFromChannel(owner, "#room", "user")]
        case _:
            return []


def _settings(owner: User, settings: ChannelSettings) -> ChangeSettings:
    return ChangeSettings(owner, "#room", **settings._asdict())


def test_banned_user_is_refused_whatever_else_is_true(store: OpenStore, alice: User) -> None:
    bob = store.sign_in("bob")
    store.join(alice, "#room")
    store.do(BanFromChannel(alice, "#room", "bob"))
    store.do(InviteToChannel(alice, "#room", "bob"))
    assert store.refused(JoinChannel(bob, "#room")) is ErrorCode.BANNED
