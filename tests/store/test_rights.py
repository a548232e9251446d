"""Permission checks, one by one."""

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


def test_only_the_author_and_owners_can_delete() -> None:
    assert refusal(rights.check_can_delete, 1, 1, rights.MEMBER) is None
    assert refusal(rights.check_can_delete, 1, 2, rights.OWNER) is None
    assert refusal(rights.check_can_delete, 1, 2, rights.MEMBER) is ErrorCode.FORBIDDEN


def test_members_can_leave_all_but_direct_channels() -> None:
    assert refusal(rights.check_can_leave, "#dev", "owner") is None
    assert refusal(rights.check_can_leave, "#dev", None) is ErrorCode.NOT_A_MEMBER
    assert refusal(rights.check_can_leave, "@a,b", "member") is ErrorCode.FORBIDDEN
    assert refusal(rights.check_can_leave, "@a,b", None) is ErrorCode.NO_SUCH_CHANNEL
