"""Permission checks, one by one."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from chat.errors import CommandError, ErrorCode
from chat.rights import DEFAULT, Right
from chat.store import rights


def refusal(rule: Callable[..., object], *arguments: object) -> ErrorCode | None:
    try:
        rule(*arguments)
    except CommandError as exc:
        return exc.code if exc.message else None
    return None


@pytest.mark.parametrize(
    ("typed", "key"),
    [
        ("#General", "#general"),
        ("@bob,Alice", "@alice,bob"),
        ("@bob,alice,BOB", "@alice,bob"),
        ("#" + "x" * 60, "#" + "x" * 60),
    ],
)
def test_channel_key_is_the_same_for_all_spellings(typed: str, key: str) -> None:
    assert rights.channel_key(typed) == key


@pytest.mark.parametrize(
    ("channel", "code"),
    [
        ("#echo", ErrorCode.FORBIDDEN),
        ("#Counter", ErrorCode.FORBIDDEN),
        ("general", ErrorCode.INVALID),
        ("#", ErrorCode.INVALID),
        ("@alice", ErrorCode.INVALID),
        ("@", ErrorCode.INVALID),
    ],
)
def test_channels_without_storage_are_refused(channel: str, code: ErrorCode) -> None:
    assert refusal(rights.channel_key, channel) is code


def test_non_members_are_refused() -> None:
    assert rights.check_is_member("#dev", "owner") == "owner"
    assert refusal(rights.check_is_member, "#dev", None) is ErrorCode.NOT_A_MEMBER
    assert refusal(rights.check_is_member, "@a,b", None) is ErrorCode.NO_SUCH_CHANNEL


def test_only_participants_can_open_direct_channels() -> None:
    assert refusal(rights.check_may_open_direct, "@Alice,bob", "alice") is None
    assert refusal(rights.check_may_open_direct, "@alice,bob", "eve") is ErrorCode.NO_SUCH_CHANNEL


def test_only_the_author_can_edit() -> None:
    assert refusal(rights.check_can_edit, 1, 1) is None
    assert refusal(rights.check_can_edit, 1, 2) is ErrorCode.FORBIDDEN


def test_refusals_say_why() -> None:
    muted = rights.muted_in("#dev", "mod", 0, "noise")
    assert muted.message == "mod has muted you in #dev until 1970-01-01 00:00 UTC: noise"
    assert rights.banned_from("#dev", "mod", None, "").message == "mod has banned you from #dev"
    assert rights.archived("#dev").message == "#dev is archived: it can only be read"


@pytest.mark.parametrize(
    ("channel", "right", "words"),
    [
        ("#dev", "send", "only moderators of #dev may send messages"),
        ("#dev", "moderate", "only moderators of #dev may do this"),
        ("#dev", "roles", "only the owner of #dev may change roles"),
        ("#General", "settings", "only the admins of this server may change the channel in"),
        ("@alice,bob", "moderate", "this is not possible in a direct channel"),
    ],
)
def test_refusal_says_who_may(channel: str, right: Right, words: str) -> None:
    refused = rights.forbidden(channel, right, DEFAULT)
    assert (refused.code, refused.field) == (ErrorCode.FORBIDDEN, "channel")
    assert words in refused.message


def test_outsiders_of_a_private_channel_are_told_that_it_does_not_exist() -> None:
    missing = rights.no_such_channel("#dev")
    private = rights.not_a_member("#dev", is_private=True)
    assert (private.code, private.message, private.field) == (
        missing.code,
        missing.message,
        missing.field,
    )
