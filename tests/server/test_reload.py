"""SIGHUP changes the settings of a running server."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from chat.errors import CloseCode, ErrorCode
from chat.protocol.commands import Hello, Join, Send
from chat.protocol.frames import ErrorFrame, LimitsFrame, Ok, Welcome
from tests.serving import ChatServer, Peer

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="needs SIGHUP")

DONE = "reloaded the settings"


@pytest.fixture
def reload(server: ChatServer) -> Callable[..., str]:
    """Return a function that writes `server.toml`, sends SIGHUP, and returns the log's line."""

    def write_and_reload(toml: str, line: str = DONE) -> str:
        known = len(server.output)
        write(server, toml)
        os.kill(server.pid, signal.SIGHUP)
        return server.wait_for_line(line, since=known)

    return write_and_reload


def write(server: ChatServer, toml: str) -> None:
    file = server.data.parent / "home" / "chat" / "server.toml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(toml, "utf-8")


@pytest.mark.feature("server.reload")
async def test_new_limits_apply_to_a_connected_client_and_are_sent_to_it(
    server: ChatServer, reload: Callable[..., str]
) -> None:
    async with Peer.signed_in(server.url, "alice") as alice:
        await alice.join("#general")
        long = Send(channel="#general", text="x" * 30, cid="1")
        await alice.call(long)
        line = reload("[limits]\ntext = 20\nchannels = 1\n")
        assert "limits.text is 20 (was 8000), limits.channels is 1 (was 500)\n" in line
        assert (await alice.next(LimitsFrame)).limits.text == 20
        error = await alice.call(Send(channel="#general", text="x" * 30, cid="2"), ErrorFrame)
        assert error.code == ErrorCode.TOO_LONG
        error = await alice.call(Join(channel="#second"), ErrorFrame)  # a rule of the writer
        assert error.code == ErrorCode.LIMIT_REACHED
        async with Peer.signed_in(server.url, "bob") as bob:
            assert bob.welcome is not None
            assert bob.welcome.limits.text == 20
        reload("")
        assert (await alice.next(LimitsFrame)).limits.text == 8_000
        await alice.call(Send(channel="#general", text="x" * 30, cid="2"))
        await alice.join("#second")


async def test_a_new_rate_limit_applies_to_connected_clients(
    server: ChatServer, reload: Callable[..., str]
) -> None:
    async with (
        Peer.signed_in(server.url, "alice") as alice,
        connect(server.url + "/echo", proxy=None) as echo,
        Peer.connect(server.url) as newcomer,
    ):
        await alice.join("#general")
        reload("[limits]\nrate = 0.001\nburst = 3\n")
        await alice.next(LimitsFrame)
        for number in range(4):
            await alice.post(Send(channel="#general", text="hi", cid=str(number)))
        assert (await alice.next(ErrorFrame)).code == ErrorCode.RATE_LIMITED
        await newcomer.hello("carol")
        reload("[limits]\nrate = 100000\nburst = 100000\n")
        for number in range(100):
            await alice.post(Send(channel="#general", text="hi", cid=f"b{number}"))
            await echo.send("hi")
        await alice.until(lambda: len(alice.kept(Ok)) >= 103, "an answer to each message")
        for _ in range(100):
            assert await echo.recv() == "hi"


async def test_a_smaller_frame_limit_closes_a_connected_client_that_exceeds_it(
    server: ChatServer, reload: Callable[..., str]
) -> None:
    async with Peer.signed_in(server.url, "alice") as alice:
        await alice.join("#general")
        await alice.call(Send(channel="#general", text="é" * 4_000, cid="1"))
        reload("[limits]\ntext = 2000\nframe = 5000\n")
        await alice.next(LimitsFrame)
        await alice.post(Send(channel="#general", text="é" * 4_000, cid="2"))
        assert await alice.close_code() == CloseCode.TOO_BIG


async def test_registration_changes_without_a_restart_and_is_recorded(
    server: ChatServer, reload: Callable[..., str]
) -> None:
    async with Peer.signed_in(server.url, "alice") as alice:
        line = reload('registration = "closed"\nserver_name = "Tea room"\n')
        assert "registration is closed (was open)" in line
        async with Peer.connect(server.url) as bob:
            error = await bob.call(Hello(v=1, name="bob"), ErrorFrame)
            assert error.code == ErrorCode.REGISTRATION_CLOSED
        await alice.settle()
        async with Peer.connect(server.url) as again:
            welcome = await again.hello("alice", alice.token)
            assert welcome.server.name == "Tea room"
    assert "registration" in server.administer("audit", "--act", "settings").stdout


async def test_a_broken_file_keeps_the_settings_and_is_explained(
    server: ChatServer, reload: Callable[..., str]
) -> None:
    async with Peer.signed_in(server.url, "alice") as alice:
        reload('server_name = "Tea room"\n')
        line = reload("[limits]\ntxt = 20\n", "cannot reload the settings")
        assert "limits.txt is not a setting; did you mean limits.text?; keeping the old" in line
        line = reload('server_name = "unfinished', "cannot reload the settings")
        assert "server.toml" in line
        await alice.settle()
        async with Peer.connect(server.url) as again:
            welcome: Welcome = await again.hello("alice", alice.token)
            assert welcome.server.name == "Tea room"
    assert "Traceback" not in server.text


async def test_a_setting_that_needs_a_restart_is_named_until_the_restart(
    server: ChatServer, reload: Callable[..., str]
) -> None:
    line = reload("heartbeat = 5\nresume_window = 7\n")
    assert line.endswith(
        f"{DONE}: resume_window is 7 (was 1000); a restart is needed for: heartbeat is 5 (was 20)\n"
    )
    line = reload("heartbeat = 5\nresume_window = 7\n")
    assert line.endswith(
        f"{DONE}: nothing has changed; a restart is needed for: heartbeat is 5 (was 20)\n"
    )
    async with Peer.signed_in(server.url, "alice") as alice:
        assert alice.welcome is not None
        assert alice.welcome.heartbeat == 20
    server.restart()
    assert reload("heartbeat = 5\nresume_window = 7\n").endswith(f"{DONE}: nothing has changed\n")


def test_flags_still_win_over_the_file(
    start_server: Callable[..., ChatServer],
) -> None:
    server = start_server("--server-name", "from a flag", env={"CHAT_RESUME_WINDOW": "8"})
    write(server, 'server_name = "from the file"\nresume_window = 7\nsign_ups = 4\n')
    os.kill(server.pid, signal.SIGHUP)
    assert "settings: sign_ups is 4 (was 30)\n" in server.wait_for_line(DONE)


async def test_the_log_level_changes_without_a_restart(
    server: ChatServer, reload: Callable[..., str]
) -> None:
    assert "log_level is error (was info)" in reload('log_level = "error"')
    assert "log_level is debug (was error)" in reload('log_level = "debug"')


async def test_a_web_page_is_accepted_once_its_origin_is_allowed(
    server: ChatServer, reload: Callable[..., str]
) -> None:
    page = "https://chat.example.org"
    assert await status_for(server, page) == 403
    reload(f'allow_origin = "{page}"')
    assert await status_for(server, page) == 101


async def status_for(server: ChatServer, origin: str) -> int:
    """Return the status of the handshake with a web page's origin."""
    try:
        async with connect(server.url, origin=origin, proxy=None):  # type: ignore[arg-type]
            return 101
    except InvalidStatus as exc:
        return exc.response.status_code
