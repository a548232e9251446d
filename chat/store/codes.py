"""Codes of invitations and devices: create, normalize, and hash them; hash tokens.

Codes use Crockford's base32, which has no letters that look like digits. Case, spaces and hyphens
do not matter, and O, I and L are read as digits.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets

from chat.text import is_link_code

__all__ = [
    "erased_name_hash",
    "hash_token",
    "invitation_hash",
    "link_mac",
    "new_invitation_code",
    "new_link_code",
    "normalize",
]

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_GROUP = 5
_INVITATION_LENGTH = 26
"""Characters for 128 bits."""
_LINK_LENGTH = 10
_READ_AS = str.maketrans("OIL", "011", " -")


def new_invitation_code() -> str:
    """Return a random code of 128 bits, such as `0Q8VB-KM4TS-W2XNA-7C9DE-H3JPR-6`."""
    number = secrets.randbits(128)
    characters = [
        _ALPHABET[number >> (5 * place) & 31] for place in reversed(range(_INVITATION_LENGTH))
    ]
    return _grouped("".join(characters))


def new_link_code() -> str:
    """Return a random code of almost 50 bits, such as `7K3QX-9MZ2T`; no name looks like it."""
    while True:
        code = _grouped("".join(secrets.choice(_ALPHABET) for _ in range(_LINK_LENGTH)))
        if is_link_code(code):  # 39 of 40 do
            return code


def normalize(code: str) -> str:
    """Return the form of a typed code in which equal codes are the same string."""
    return code.upper().translate(_READ_AS)


def invitation_hash(code: str) -> bytes:
    """Return the stored form of an invitation code: 128 random bits need no salt."""
    return hashlib.sha256(normalize(code).encode()).digest()


def hash_token(token: str) -> bytes:
    """Return the stored form of a token: 256 random bits need no salt and no stretching."""
    return hashlib.sha256(token.encode()).digest()


def link_mac(key: bytes, name_fold: str, code: str) -> bytes:
    """Return the stored form of a link code; 50 bits need a secret key."""
    return _mac(key, "link", name_fold, normalize(code))


def erased_name_hash(key: bytes, name_fold: str) -> bytes:
    """Return the stored form of the folded name of an erased account."""
    return _mac(key, "erased", name_fold)


def _mac(key: bytes, *parts: str) -> bytes:
    return hmac.digest(key, "\0".join(parts).encode(), "sha256")


def _grouped(code: str) -> str:
    return "-".join(code[at : at + _GROUP] for at in range(0, len(code), _GROUP))
