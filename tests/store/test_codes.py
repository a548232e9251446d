"""Codes: their form, their equality, and the hashes that the store keeps."""

from __future__ import annotations

import re

import pytest

from chat.store.codes import (
    erased_name_hash,
    invitation_hash,
    link_mac,
    new_invitation_code,
    new_link_code,
    normalize,
)
from chat.text import is_invitation_code, is_link_code

_CHARACTER = "[0-9A-HJKMNP-TV-Z]"


def test_invitation_code_has_128_bits_in_groups_of_5() -> None:
    codes = {new_invitation_code() for _ in range(100)}
    assert len(codes) == 100
    for code in codes:
        assert re.fullmatch(f"({_CHARACTER}{{5}}-){{5}}{_CHARACTER}", code)


def test_link_code_has_two_groups_of_5() -> None:
    codes = {new_link_code() for _ in range(100)}
    assert len(codes) == 100
    for code in codes:
        assert re.fullmatch(f"{_CHARACTER}{{5}}-{_CHARACTER}{{5}}", code)


def test_every_code_is_recognized_in_place_of_a_name() -> None:
    for _ in range(300):
        assert is_link_code(new_link_code())
        assert is_invitation_code(new_invitation_code())


@pytest.mark.parametrize(
    "typed", ["7K3QX-9MZ21", "7k3qx9mz21", " 7K3QX 9MZ2I ", "7k3qx-9mz2l", "7-K3QX9MZ-21"]
)
def test_case_spaces_hyphens_and_similar_letters_do_not_matter(typed: str) -> None:
    assert normalize(typed) == "7K3QX9MZ21"
    assert invitation_hash(typed) == invitation_hash("7K3QX-9MZ21")
    assert link_mac(b"key", "alice", typed) == link_mac(b"key", "alice", "7K3QX-9MZ21")


def test_o_is_read_as_0() -> None:
    assert normalize("oO0") == "000"


def test_hashes_depend_on_key_name_and_purpose() -> None:
    hashes = {
        link_mac(b"key", "alice", "CODE"),
        link_mac(b"other", "alice", "CODE"),
        link_mac(b"key", "bob", "CODE"),
        link_mac(b"key", "alice", "CODE2"),
        erased_name_hash(b"key", "alice"),
        erased_name_hash(b"key", "bob"),
    }
    assert len(hashes) == 6
