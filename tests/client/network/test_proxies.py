"""Servers behind a proxy (real ones on loopback), and the choice among the variables."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from chat.client.network.proxies import proxy_for, shown_proxy
from tests.client.fake_server import FakeServer
from tests.client.forward_proxy import ForwardProxy
from tests.client.piped import Client
from tests.client.screen import Screen
from tests.serving import free_port

MakeClient = Callable[..., Client]
Report = Callable[[str], str]
StartProxy = Callable[..., ForwardProxy]


@pytest.fixture(autouse=True)
def no_proxies_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


@pytest.fixture
def start_proxy() -> Iterator[StartProxy]:
    with ExitStack() as running:

        def start(**options: object) -> ForwardProxy:
            proxy = ForwardProxy(**options)  # type: ignore[arg-type]  # passed on as they are
            return running.enter_context(proxy)

        yield start


@pytest.fixture
def report(
    open_client: Callable[..., Screen], fake: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> Report:
    """Return a function that connects through a proxy and returns the reported error."""

    def connect(proxy: str) -> str:
        monkeypatch.setenv("https_proxy", proxy)
        screen = open_client(f"ws://chat.test:{fake.port}")
        screen.wait(lambda: bool(screen.connection.detail), "the error is reported")
        return screen.connection.detail

    return connect


def sent_through(
    make_client: MakeClient, fake: FakeServer, **variables: str
) -> tuple[int, str, list[str | None]]:
    """Send to a server whose name only the proxy can resolve."""
    client = make_client(f"ws://chat.test:{fake.port}")
    client.variables = variables
    done = client.run("send", "#general", "hi", "--timeout", "60")
    return done.returncode, done.stderr, [each.text for each in fake.logs["#general"].events]


@pytest.mark.parametrize(
    ("variable", "scheme"),
    [
        ("https_proxy", "socks5h://"),
        ("ALL_PROXY", "socks5h://"),
        ("all_proxy", "socks://"),
        ("socks_proxy", ""),
        ("ws_proxy", "SOCKS5H://"),
        ("http_proxy", "http://"),
        ("HTTPS_PROXY", ""),
        ("ALL_PROXY", ""),
    ],
)
def test_every_proxy_variable_is_used(
    make_client: MakeClient,
    fake: FakeServer,
    start_proxy: StartProxy,
    variable: str,
    scheme: str,
) -> None:
    proxy = start_proxy()
    sent = sent_through(make_client, fake, **{variable: f"{scheme}{proxy.address}"})
    assert sent == (0, "", ["hi"])
    assert proxy.asked == [("chat.test", fake.port)]


def test_user_and_password_reach_the_socks_proxy(
    make_client: MakeClient, fake: FakeServer, start_proxy: StartProxy
) -> None:
    proxy = start_proxy(password="p:w")
    address = f"socks5h://me:p%3Aw@{proxy.address}"
    assert sent_through(make_client, fake, ALL_PROXY=address) == (0, "", ["hi"])
    assert proxy.users == ["me"]


@pytest.mark.parametrize("scheme", ["socks5h", "http"])
def test_a_rejecting_proxy_is_named_in_one_line_without_its_password(
    report: Report, start_proxy: StartProxy, scheme: str
) -> None:
    proxy = start_proxy(refuses=True)
    error = report(f"{scheme}://me:secret@{proxy.address}")
    assert f"through the proxy {scheme}://{proxy.address}: " in error
    assert "\n" not in error
    assert "refused" in error
    assert "secret" not in error


def test_a_wrong_proxy_password_is_reported(report: Report, start_proxy: StartProxy) -> None:
    proxy = start_proxy(password="right")
    error = report(f"socks5://me:wrong@{proxy.address}")
    assert proxy.address in error
    assert "wrong" not in error


@pytest.mark.parametrize(
    ("proxy", "says"),
    [
        ("ftp://proxy:21", "unknown scheme"),
        ("socks5h://", "has no host"),
        ("http://proxy:port", "not an address"),
        (
            "http://me:secret@127.0.0.1:1",
            "through the proxy http://127.0.0.1:1: connection refused",
        ),
        ("socks5h://127.0.0.1:1", "through the proxy socks5h://127.0.0.1:1: "),
        ("http://nowhere.invalid", "cannot find the host nowhere.invalid"),
    ],
)
def test_an_invalid_proxy_is_reported_in_one_line(report: Report, proxy: str, says: str) -> None:
    error = report(proxy)
    assert says in error
    assert "\n" not in error
    assert "secret" not in error


def test_send_names_the_proxy_that_failed(make_client: MakeClient, fake: FakeServer) -> None:
    client = make_client(f"ws://chat.test:{fake.port}")
    client.variables = {"https_proxy": "http://me:secret@127.0.0.1:1"}
    done = client.run("send", "#general", "hi", "--timeout", "3")
    assert done.returncode == 4
    assert "through the proxy http://127.0.0.1:1: connection refused" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("scheme", ["socks5h", "http", "ftp"])
def test_an_unreachable_proxy_is_retried(
    open_client: Callable[..., Screen],
    fake: FakeServer,
    monkeypatch: pytest.MonkeyPatch,
    scheme: str,
) -> None:
    port = free_port()
    monkeypatch.setenv("https_proxy", f"{scheme}://127.0.0.1:{port}")
    screen = open_client(f"ws://chat.test:{fake.port}")
    screen.wait(
        lambda: sum(f"127.0.0.1:{port}" in state.detail for state in screen.history) > 2,
        "it tries again",
    )
    monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{port}")
    with ForwardProxy(port):
        screen.wait_online()
        screen.stop()


def test_a_server_on_this_machine_needs_no_proxy(make_client: MakeClient, fake: FakeServer) -> None:
    for host in ("127.0.0.1", "localhost"):
        client = make_client(f"ws://{host}:{fake.port}", f"bot-{host}")
        client.variables = dict.fromkeys(("ALL_PROXY", "http_proxy"), "socks5h://127.0.0.1:1")
        assert client.run("send", "#general", "hi", "--timeout", "60").returncode == 0


@pytest.mark.parametrize(
    ("url", "variables", "proxy"),
    [
        ("wss://chat.org", {}, None),
        ("wss://chat.org", {"http_proxy": "p:1"}, None),
        ("ws://chat.org", {"http_proxy": "p:1"}, "http://p:1"),
        ("wss://chat.org", {"all_proxy": "p:1", "https_proxy": "q:2"}, "http://q:2"),
        ("wss://chat.org", {"https_proxy": "q:2", "wss_proxy": "r:3"}, "http://r:3"),
        ("wss://chat.org", {"https_proxy": "q:2", "no_proxy": "chat.org"}, None),
        ("wss://a.chat.org", {"all_proxy": "q:2", "NO_PROXY": ".chat.org"}, None),
        ("wss://chat.org", {"all_proxy": "q:2", "no_proxy": "*"}, None),
        ("wss://chat.org:7", {"all_proxy": "q:2", "no_proxy": "chat.org:7"}, None),
        ("wss://10.1.2.3", {"all_proxy": "q:2", "no_proxy": "chat.org, 10.0.0.0/8"}, None),
        ("wss://10.1.2.3:7", {"all_proxy": "q:2", "NO_PROXY": "10.1.2.3/8"}, None),
        ("wss://11.1.2.3", {"all_proxy": "q:2", "no_proxy": "10.0.0.0/8"}, "http://q:2"),
        ("wss://[fd00::7]", {"all_proxy": "q:2", "no_proxy": "10.0.0.0/8,fd00::/8"}, None),
        ("wss://chat.org", {"all_proxy": "q:2", "no_proxy": "10.0.0.0/8,nets/8"}, "http://q:2"),
        ("wss://chat.org", {"https_proxy": "socks5://p"}, "socks5://p:1080"),
        ("wss://chat.org", {"https_proxy": "https://p"}, "https://p"),
        ("wss://chat.org", {"https_proxy": "socks5h://[::1]:9"}, "socks5h://[::1]:9"),
        ("wss://chat.org", {"https_proxy": "http://me@p:1"}, "http://me:@p:1"),
        ("wss://chat.org", {"https_proxy": ""}, None),
    ],
)
def test_the_proxy_is_chosen_from_the_variables(
    monkeypatch: pytest.MonkeyPatch, url: str, variables: dict[str, str], proxy: str | None
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert proxy_for(url) == proxy


def test_proxy_user_and_password_are_never_shown() -> None:
    assert shown_proxy("http://me:p@ss@proxy:1") == "http://proxy:1"
