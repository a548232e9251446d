"""Who may do what: each rule by itself."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from chat.errors import CommandError, ErrorCode
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
def test_a_channel_has_one_key_however_it_is_typed(typed: str, key: str) -> None:
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
def test_what_is_no_stored_channel_is_refused(channel: str, code: ErrorCode) -> None:
    assert refusal(rights.channel_key, channel) is code


def test_membership() -> None:
    assert rights.check_is_member("#dev", "owner") == "owner"
    assert refusal(rights.check_is_member, "#dev", None) is ErrorCode.NOT_A_MEMBER
    assert refusal(rights.check_is_member, "@a,b", None) is ErrorCode.NO_SUCH_CHANNEL


def test_direct_channels_are_opened_by_participants() -> None:
    assert refusal(rights.check_may_open_direct, "@Alice,bob", "alice") is None
    assert refusal(rights.check_may_open_direct, "@alice,bob", "eve") is ErrorCode.NO_SUCH_CHANNEL


def test_only_the_author_edits() -> None:
    assert refusal(rights.check_can_edit, 1, 1) is None
    assert refusal(rights.check_can_edit, 1, 2) is ErrorCode.FORBIDDEN


def test_the_author_and_an_owner_delete() -> None:
    assert refusal(rights.check_can_delete, 1, 1, rights.MEMBER) is None
    assert refusal(rights.check_can_delete, 1, 2, rights.OWNER) is None
    assert refusal(rights.check_can_delete, 1, 2, rights.MEMBER) is ErrorCode.FORBIDDEN


def test_members_leave_but_not_a_direct_channel() -> None:
    assert refusal(rights.check_can_leave, "#dev", "owner") is None
    assert refusal(rights.check_can_leave, "#dev", None) is ErrorCode.NOT_A_MEMBER
    assert refusal(rights.check_can_leave, "@a,b", "member") is ErrorCode.FORBIDDEN
    assert refusal(rights.check_can_leave, "@a,b", None) is ErrorCode.NO_SUCH_CHANNEL
