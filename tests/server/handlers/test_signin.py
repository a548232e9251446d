"""The `hello` command: new names, tokens, refusals, and commands before sign-in."""

from __future__ import annotations

import asyncio
import secrets
import subprocess
from collections.abc import Callable

from chat.errors import CloseCode
from chat.protocol.commands import Hello, Ping, Send
from chat.protocol.frames import ErrorFrame, Welcome
from chat.protocol.values import Wire
from tests.serving import ChatServer, Peer

Fresh = Callable[[str], str]


async def test_new_name_is_claimed_with_a_new_token(shared: ChatServer, fresh: Fresh) -> None:
    name = fresh("alice")
    async with Peer.signed_in(shared.url, name) as alice:
        welcome = alice.welcome
        assert welcome is not None
        assert welcome.user == name
        assert len(alice.token) >= 43  # 256 bits
        assert [membership.channel for membership in welcome.channels] == ["#general"]
        assert welcome.limits.text == 8_000
        assert welcome.heartbeat > 0


async def test_token_signs_in_again_and_is_sent_only_once(shared: ChatServer, fresh: Fresh) -> None:
    name = fresh("alice")
    async with Peer.signed_in(shared.url, name) as first:
        token = first.token
    async with Peer.signed_in(shared.url, name.upper(), token) as again:
        assert again.welcome is not None
        assert again.welcome.user == name
        assert again.welcome.token is None


async def test_claiming_a_name_with_a_chosen_token_is_idempotent(
    shared: ChatServer, fresh: Fresh
) -> None:
    name, token = fresh("alice"), secrets.token_urlsafe(32)
    for _ in range(2):  # a lost welcome does not lock the user out
        async with Peer.signed_in(shared.url, name, token) as peer:
            assert peer.welcome is not None
            assert peer.welcome.token is None


async def test_taken_name_without_a_token_is_refused_and_another_name_can_be_tried(
    shared: ChatServer, fresh: Fresh
) -> None:
    name = fresh("alice")
    async with Peer.signed_in(shared.url, name), Peer.connect(shared.url) as other:
        error = await other.call(Hello(v=1, name=name), ErrorFrame)
        assert error.code == "name_taken"
        assert "chat-server link" in error.message
        await other.hello(fresh("bob"))


async def test_wrong_token_gets_an_error_with_advice_and_a_final_close(
    shared: ChatServer, fresh: Fresh
) -> None:
    name = fresh("alice")
    async with Peer.signed_in(shared.url, name), Peer.connect(shared.url) as thief:
        error = await thief.call(Hello(v=1, name=name, token="x" * 43), ErrorFrame)
        assert error.code == "bad_token"
        assert "chat-server link" in error.message
        assert not error.retryable
        code = await thief.close_code()
        assert code == CloseCode.BAD_TOKEN
        assert not CloseCode.tells_to_return(code)


async def test_operator_issues_an_additional_token(shared: ChatServer, fresh: Fresh) -> None:
    name = fresh("alice")
    async with Peer.signed_in(shared.url, name) as first:
        token = first.token
    command = shared.command("token", name, "--data", str(shared.data))
    issued = subprocess.run(command, capture_output=True, text=True, check=True)
    for good in (token, issued.stdout.strip()):
        async with Peer.signed_in(shared.url, name, good):
            pass


def test_no_token_is_issued_for_an_unknown_name(shared: ChatServer) -> None:
    command = shared.command("token", "nobody", "--data", str(shared.data))
    refused = subprocess.run(command, capture_output=True, text=True, check=False)
    assert refused.returncode == 1
    assert "nobody" in refused.stderr
    assert refused.stdout == ""


async def test_no_secret_is_stored_or_logged(shared: ChatServer, fresh: Fresh) -> None:
    async with Peer.signed_in(shared.url, fresh("alice")) as alice:
        token = alice.token
        await alice.settle()
    for file in shared.data.iterdir():
        assert token.encode() not in file.read_bytes(), file.name
    assert token not in shared.text


async def test_commands_before_hello_are_refused_and_the_connection_lives(
    shared: ChatServer, fresh: Fresh
) -> None:
    async with Peer.connect(shared.url) as peer:
        error = await peer.call(Send(channel="#general", text="hi"), ErrorFrame)
        assert error.code == "not_signed_in"
        await peer.hello(fresh("alice"))


async def test_a_second_hello_is_refused(shared: ChatServer, fresh: Fresh) -> None:
    async with Peer.signed_in(shared.url, fresh("alice")) as peer:
        error = await peer.call(Hello(v=1, name=fresh("bob")), ErrorFrame)
        assert error.code == "already_signed_in"
        await peer.settle()


async def test_unsupported_version_is_refused_and_closed(shared: ChatServer, fresh: Fresh) -> None:
    async with Peer.connect(shared.url) as peer:
        error = await peer.call(Hello(v=2, name=fresh("alice")), ErrorFrame)
        assert error.code == "unsupported_version"
        assert await peer.close_code() == CloseCode.UNSUPPORTED_VERSION


async def test_commands_sent_after_hello_wait_for_its_answer(
    shared: ChatServer, fresh: Fresh
) -> None:
    async with Peer.connect(shared.url) as peer:
        hello = await peer.post(Hello(v=1, name=fresh("alice")))
        ping = await peer.post(Ping())
        await peer.next(Welcome, lambda frame: frame.id == hello)
        await peer.settle()
        answers = [getattr(frame, "id", None) for frame in peer.received]
        assert answers.index(hello) < answers.index(ping)


async def test_two_hellos_in_a_row_sign_in_once(shared: ChatServer, fresh: Fresh) -> None:
    async with Peer.connect(shared.url) as peer:
        await peer.post(Hello(v=1, name=fresh("alice")))
        error = await peer.call(Hello(v=1, name=fresh("bob")), ErrorFrame)
        assert error.code == "already_signed_in"


async def test_only_one_of_many_concurrent_claims_gets_a_name(
    shared: ChatServer, fresh: Fresh
) -> None:
    name = fresh("alice")

    async def claim() -> bool:
        async with Peer.connect(shared.url) as peer:
            hello = await peer.post(Hello(v=1, name=name))
            answer = await peer.next(Wire, lambda frame: getattr(frame, "id", None) == hello)
            return isinstance(answer, Welcome)

    assert sum(await asyncio.gather(*(claim() for _ in range(8)))) == 1


async def test_connection_without_hello_is_closed(
    start_server: Callable[..., ChatServer],
) -> None:
    server = start_server("--hello-timeout", "0.3")
    async with Peer.connect(server.url) as silent:
        code = await silent.close_code()
        assert code == CloseCode.HELLO_TIMEOUT
        assert CloseCode.tells_to_return(code)
