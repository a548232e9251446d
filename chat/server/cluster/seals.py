"""Messages between servers: subjects, and contents authenticated with a key of the database. Pure.

Anyone with access to the broker can publish. A seal says that a content comes from a server on
the same database, and that it was published on this subject. An old content may be repeated, so
receivers compare numbers.
"""

from __future__ import annotations

import hmac
import json
from typing import Any

from pydantic_core import to_json

__all__ = ["SEAL_BYTES", "BadSeal", "ForeignVersion", "Seal", "Subjects"]

VERSION = 1
"""The version of the contents; a server drops those of other versions."""
_MAC_BYTES = 16
SEAL_BYTES = 1 + _MAC_BYTES


class BadSeal(ValueError):
    """The content does not come from a server on this database, or was altered."""


class ForeignVersion(ValueError):
    """The content comes from a server of another version."""


class Subjects:
    """The subjects of one database's servers. They contain ids, never names."""

    def __init__(self, server_id: str) -> None:
        self._prefix = f"chat.{server_id}"
        self.notices = f"{self._prefix}.notices"
        self.presence = f"{self._prefix}.presence"

    def channel(self, channel_id: int) -> str:
        """Return the subject of a channel."""
        return f"{self._prefix}.{channel_id}"

    def user(self, user_id: int) -> str:
        """Return the subject of a user."""
        return f"{self._prefix}.user.{user_id}"


class Seal:
    """Seals contents with `key`, and opens them."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def close(self, subject: str, fields: dict[str, Any]) -> bytes:
        """Return the sealed content with these fields."""
        body = to_json(fields)
        return bytes((VERSION,)) + self._mac(subject, body) + body

    def open(self, subject: str, content: bytes) -> dict[str, Any]:
        """Return the fields of a content.

        Raises:
            ForeignVersion: it has another version.
            BadSeal: it was not sealed with this key for this subject.
        """
        if content[:1] != bytes((VERSION,)):
            raise ForeignVersion(subject)
        body = content[SEAL_BYTES:]
        if not hmac.compare_digest(content[1:SEAL_BYTES], self._mac(subject, body)):
            raise BadSeal(subject)
        fields = json.loads(body)
        if not isinstance(fields, dict):
            raise BadSeal(subject)
        return fields

    def _mac(self, subject: str, body: bytes) -> bytes:
        return hmac.digest(self._key, b"%b\0%b" % (subject.encode(), body), "sha256")[:_MAC_BYTES]
