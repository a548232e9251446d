"""Listening sockets: a port is taken from the moment it is bound."""

from __future__ import annotations

import pytest

from chat.errors import StartupError
from chat.server.listening import bind


def test_of_two_that_start_together_only_one_gets_the_port() -> None:
    (first,) = bind(["127.0.0.1"], 0)
    with first, pytest.raises(StartupError, match="is taken"):
        bind(["127.0.0.1"], first.getsockname()[1])


def test_an_address_named_twice_is_bound_once() -> None:
    (only,) = bind(["127.0.0.1", "127.0.0.1"], 0)
    only.close()
