"""Tokens and known servers: file permissions, and which server gets which token."""

from __future__ import annotations

import json
import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from chat.client.storage.known_servers import KnownServers
from chat.client.storage.private_files import file_name
from chat.client.storage.tokens import TokenStore, read_token_file
from chat.errors import StartupError


@pytest.fixture
def tokens(tmp_path: Path) -> TokenStore:
    return TokenStore(tmp_path / "tokens")


def test_a_token_is_created_once_and_stored(tokens: TokenStore) -> None:
    token = tokens.get_or_make("s1", "alice")
    assert len(token) >= 43
    assert tokens.get_or_make("s1", "Alice") == token
    assert tokens.get_or_make("s1", "bob") != token
    assert tokens.get_or_make("s2", "alice") != token


def test_clients_that_start_together_share_one_token(tokens: TokenStore) -> None:
    begin = threading.Barrier(8)

    def make(_: int) -> str:
        begin.wait()
        return tokens.get_or_make("s1", "alice")

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(make, range(8)))) == 1


def test_only_the_owner_can_read_tokens(tokens: TokenStore, tmp_path: Path) -> None:
    tokens.get_or_make("s1", "alice")
    found = list((tmp_path / "tokens").rglob("*"))
    assert {stat.S_IMODE(p.stat().st_mode) for p in found if p.is_file()} == {0o600}
    assert {stat.S_IMODE(p.stat().st_mode) for p in found if p.is_dir()} == {0o700}
    assert not [path for path in found if path.name.startswith(".")]


@pytest.mark.parametrize("evil", ["../../etc", "/etc/passwd", "", ".", "..", "a/b", "x" * 300])
def test_a_server_id_cannot_escape_the_directory(
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
def test_a_file_without_a_token_is_rejected_in_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "token"
    path.write_bytes(content)
    with pytest.raises(StartupError) as caught:
        read_token_file(path)
    assert "\n" not in str(caught.value)
    with pytest.raises(StartupError, match="No such file"):
        read_token_file(tmp_path / "none")


def test_a_replaced_token_is_kept_beside_the_new_one(tokens: TokenStore, tmp_path: Path) -> None:
    tokens.put("s1", "alice", "a" * 40)
    for _ in range(2):  # the second time it is equal, and replaces nothing
        tokens.put("s1", "alice", "b" * 40)
    assert tokens.get("s1", "alice") == "b" * 40
    kept = {path.read_text().strip() for path in (tmp_path / "tokens").rglob("*") if path.is_file()}
    assert kept == {"a" * 40, "b" * 40}


def known_at(tmp_path: Path, *urls: str) -> KnownServers:
    """Return known servers with the server s1 at `urls`."""
    servers = KnownServers(tmp_path)
    for url in urls:
        servers.remember("s1", url, "s1")
    return servers


@pytest.mark.parametrize(
    ("known", "same"),
    [
        ("ws://127.0.0.1:3000", "ws://localhost:3000"),
        ("ws://127.0.0.1:3000", "ws://[::1]:3000/"),
        ("ws://127.0.0.1:3000", "ws://127.8.9.1:3000"),
        ("ws://127.0.0.1:3000", "ws://[::ffff:127.0.0.1]:3000"),
        ("ws://example.org", "ws://EXAMPLE.org:80"),
        ("wss://example.org:443/chat", "wss://example.org/chat/"),
        ("ws://[2001:db8::1]:3000", "ws://[2001:db8:0::1]:3000"),
    ],
)
def test_different_spellings_of_an_address_are_equal(tmp_path: Path, known: str, same: str) -> None:
    servers = known_at(tmp_path, known)
    assert servers.key_of(same, "s1") == "s1"


@pytest.mark.parametrize(
    ("known", "other"),
    [
        ("ws://127.0.0.1:3000", "ws://127.0.0.1.evil.test:3000"),
        ("ws://127.0.0.1:3000", "ws://localhost.evil.test:3000"),
        ("ws://127.0.0.1:3000", "ws://0x7f.1:3000"),
        ("ws://127.0.0.1:3000", "ws://127.1:3000"),
        ("ws://127.0.0.1:3000", "ws://127.0.0.1.:3000"),
        ("ws://127.0.0.1:3000", "ws://[::ffff:10.0.0.1]:3000"),
        ("ws://127.0.0.1:3000", "ws://127.0.0.1:3001"),
        ("ws://127.0.0.1:3000", "ws://127.0.0.1:3000/other"),
        ("wss://example.org", "ws://example.org"),
        ("wss://example.org", "ws://example.org:443"),
        ("wss://example.org", "wss://example.org:8443"),
        ("wss://example.org", "wss://example.org.evil.test"),
        ("wss://example.org", "wss://127.0.0.1"),
    ],
)
def test_another_host_port_scheme_or_path_is_another_server(
    tmp_path: Path, known: str, other: str
) -> None:
    servers = known_at(tmp_path, known)
    key = servers.key_of(other, "s1")
    assert key != "s1"
    assert servers.others(other, "s1") == []
    assert servers.others(other, "s1", f"{known},{other}") == ["s1"]
    assert servers.others(other, "s1", every=True) == ["s1"]
    assert file_name(key) != file_name("s1")


@pytest.mark.parametrize(
    ("known", "url", "is_upgrade"),
    [
        ("ws://example.org", "wss://example.org", True),
        ("ws://example.org:3000", "wss://example.org:3000", True),
        ("ws://example.org:3000", "wss://example.org", True),
        ("ws://example.org:3000", "wss://example.org:3001", False),
        ("ws://example.org", "wss://www.example.org", False),
        ("wss://example.org", "ws://example.org", False),
    ],
)
def test_a_token_is_sent_from_ws_to_wss_on_one_host_and_never_back(
    tmp_path: Path, known: str, url: str, is_upgrade: bool
) -> None:
    assert known_at(tmp_path, known).others(url, "s1") == (["s1"] if is_upgrade else [])


def test_servers_known_to_an_older_client_stay_known(tmp_path: Path) -> None:
    older = {
        "last_name": "alice",
        "ids": {"ws://a:1": "s1", "ws://b:1": "s2"},
        "hosts": {"s1": ["a"], "s3": ["b"]},
    }
    (tmp_path / "servers.json").write_text(json.dumps(older))
    servers = KnownServers(tmp_path)
    assert servers.key_at("ws://a:1") == servers.key_of("ws://a:1", "s1") == "s1"
    assert servers.key_of("ws://a:2", "s1") != "s1"
    assert servers.key_of("ws://b:7", "s3") == "s3"  # the port was not noted, so it is the next one
    servers.show("s3", "ws://b:7", "s3")
    assert servers.key_of("ws://b:8", "s3") != "s3"


def test_an_address_with_too_many_new_ids_is_rejected(tmp_path: Path) -> None:
    servers = KnownServers(tmp_path)
    shown = [servers.show(f"s{n}", "ws://a:1", f"s{n}") for n in range(50)]
    assert shown == [True] * 20 + [False] * 30
    assert servers.show("s0", "ws://a:1", "s0")
    assert servers.show("s100", "ws://b:1", "s100")


def test_a_damaged_servers_file_counts_as_empty(tmp_path: Path) -> None:
    (tmp_path / "servers.json").write_text("{")
    servers = KnownServers(tmp_path)
    assert servers.last_name is None
    servers.remember_use("ws://a", "alice")
    assert KnownServers(tmp_path).last_name == "alice"
