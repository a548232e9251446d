"""Secrets and what is known of servers: who may read them, and to whom they go."""

from __future__ import annotations

import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from chat.client.private import file_name
from chat.client.servers import KnownServers
from chat.client.tokens import TokenStore, read_token_file
from chat.errors import StartupError


@pytest.fixture
def tokens(tmp_path: Path) -> TokenStore:
    return TokenStore(tmp_path / "tokens")


def test_a_token_is_made_once_and_kept(tokens: TokenStore) -> None:
    token = tokens.get_or_make("s1", "alice")
    assert len(token) >= 43
    assert tokens.get_or_make("s1", "Alice") == token
    assert tokens.get_or_make("s1", "bob") != token
    assert tokens.get_or_make("s2", "alice") != token


def test_clients_that_start_together_make_one_token(tokens: TokenStore) -> None:
    begin = threading.Barrier(8)

    def make(_: int) -> str:
        begin.wait()
        return tokens.get_or_make("s1", "alice")

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(make, range(8)))) == 1


def test_only_the_owner_may_read_tokens(tokens: TokenStore, tmp_path: Path) -> None:
    tokens.get_or_make("s1", "alice")
    found = list((tmp_path / "tokens").rglob("*"))
    assert {stat.S_IMODE(p.stat().st_mode) for p in found if p.is_file()} == {0o600}
    assert {stat.S_IMODE(p.stat().st_mode) for p in found if p.is_dir()} == {0o700}
    assert not [path for path in found if path.name.startswith(".")]


@pytest.mark.parametrize("evil", ["../../etc", "/etc/passwd", "", ".", "..", "a/b", "x" * 300])
def test_a_servers_id_cannot_lead_out_of_the_directory(
    tokens: TokenStore, tmp_path: Path, evil: str
) -> None:
    assert "/" not in file_name(evil)
    assert file_name(evil) not in ("", ".", "..")
    tokens.put(evil, "alice", "t" * 40)
    assert tokens.get(evil, "alice") == "t" * 40
    assert [p.name for p in tmp_path.iterdir()] == ["tokens"]


def test_names_that_differ_never_share_a_file() -> None:
    names = ["a", "a.b", "a_b", "A.B", "con", "-", "a" * 65, "a" * 66]
    assert len({file_name(name) for name in names}) == len(names)


def test_an_operators_token_is_read_from_its_file(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("t" * 43 + "\n")
    assert read_token_file(path) == "t" * 43


@pytest.mark.parametrize("content", [b"", b"short", b"t" * 200, b"\xff\xfe", b"a b" * 20])
def test_a_file_without_a_token_is_refused_in_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "token"
    path.write_bytes(content)
    with pytest.raises(StartupError) as caught:
        read_token_file(path)
    assert "\n" not in str(caught.value)
    with pytest.raises(StartupError, match="No such file"):
        read_token_file(tmp_path / "none")


def test_servers_are_known_by_the_hosts_they_were_met_at(tmp_path: Path) -> None:
    servers = KnownServers(tmp_path)
    assert servers.id_at("ws://a:1") is None
    assert not servers.is_stranger("ws://a:1", "s1")
    servers.remember("ws://a:1", "s1")
    assert servers.id_at("ws://a:1") == "s1"
    assert not servers.is_stranger("ws://a:2", "s1")
    assert servers.is_stranger("ws://b:1", "s1")
    servers.remember("ws://b:1", "s1")
    assert servers.hosts_of("s1") == ("a", "b")


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]", "127.8.9.1"])
def test_this_machine_has_many_names(tmp_path: Path, host: str) -> None:
    servers = KnownServers(tmp_path)
    servers.remember("ws://127.0.0.1:3000", "s1")
    assert not servers.is_stranger(f"ws://{host}:4000", "s1")


def test_a_damaged_memory_of_servers_is_no_memory(tmp_path: Path) -> None:
    (tmp_path / "servers.json").write_text("{")
    servers = KnownServers(tmp_path)
    assert servers.last_name is None
    servers.remember_name("alice")
    assert KnownServers(tmp_path).last_name == "alice"
