"""Tokens that prove a name: one file for each server and name.

The client creates a token and stores it before it sends it, so a lost `welcome` does not lock the
user out.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from chat.client.storage.private_files import (
    file_name,
    make_private_directory,
    open_private,
    write_first,
    write_private,
)
from chat.errors import StartupError
from chat.text import check_name, fold

__all__ = ["TokenStore", "read_token_file"]

TOKEN_LENGTHS = range(32, 129)


class TokenStore:
    """Tokens under `directory`."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def get(self, key: str, name: str) -> str | None:
        """Return the token of `name`, if there is one."""
        try:
            handle = open_private(self._path(key, name), os.O_RDONLY)
        except FileNotFoundError:
            return None
        with os.fdopen(handle, encoding="utf-8") as file:
            return file.read().strip() or None

    def put(self, key: str, name: str, token: str) -> None:
        """Store `token` on disk; the previous token is kept in a second file."""
        path = self._prepare_path(key, name)
        before = None if path.is_symlink() else self.get(key, name)  # a link is replaced unread
        if before == token:
            return
        if before is not None:
            write_private(path.with_name(f"{path.name}.old"), before + "\n")
        write_private(path, token + "\n")

    def get_or_make(self, key: str, name: str) -> str:
        """Return the token of `name`; create and store one if there is none.

        Two clients that start at the same time get the same token.
        """
        token = self.get(key, name)
        if token is None:
            token = _new_token()
            if not write_first(self._prepare_path(key, name), token + "\n"):
                token = self.get(key, name) or token
        return token

    def renew(self, key: str, name: str) -> str:
        """Create and store a new token in the place of one that the server refused."""
        token = _new_token()
        self.put(key, name, token)
        return token

    def _prepare_path(self, key: str, name: str) -> Path:
        path = self._path(key, name)
        make_private_directory(self._directory)
        make_private_directory(path.parent)
        return path

    def _path(self, key: str, name: str) -> Path:
        return self._directory / file_name(key) / file_name(fold(name))


def _new_token() -> str:
    return secrets.token_urlsafe(32)


def read_token_file(path: Path) -> str:
    """Return the token in a file from the server's operator.

    Raises:
        StartupError: the file contains no token.
    """
    try:
        token = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as exc:
        reason = getattr(exc, "strerror", None) or "it is not text"
        raise StartupError(f"cannot read the token file {path}: {reason}") from exc
    try:
        check_name(token, max(TOKEN_LENGTHS))
        if len(token) not in TOKEN_LENGTHS:
            raise ValueError
    except ValueError:
        raise StartupError(
            f"the token file {path} contains no token: it must be one line of 32 to 128 letters, "
            "digits, '_', '-' or '.', as chat-server token NAME prints it"
        ) from None
    return token
