"""The screens with a real core and a real server."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from chat.client.config.settings import ClientSettings, Server
from chat.client.model.state import Link
from chat.client.tui.app import ChatApp
from chat.protocol.commands import Delete, React, Send, SetTopic
from chat.protocol.frames import Joined
from tests.client.tui.conftest import PatientApp, Screens
from tests.serving import PATIENCE, ChatServer, Peer


@pytest.fixture
def server(start_server: Callable[..., ChatServer]) -> ChatServer:
    """Return a running server with new data and a high rate limit."""
    return start_server("--limits.rate", "100000", "--limits.burst", "100000")


@pytest.fixture
async def alice(server: ChatServer, tmp_path: Path) -> AsyncIterator[Screens]:
    """Return alice's client, connected, in `#general`."""
    app = PatientApp(ClientSettings(name="alice", url=server.url, data=tmp_path / "alice"))
    try:
        async with app.run_test(size=(110, 30), notifications=True) as pilot:
            screens = Screens(app, pilot)
            state = screens.conversation.state
            await screens.until(lambda: state.connection.link is Link.ONLINE, "online")
            await screens.until(lambda: state.current == "#general", "in #general")
            yield screens
    finally:
        app.cores.first.stop(PATIENCE)


async def test_a_conversation(server: ChatServer, alice: Screens) -> None:
    async with Peer.signed_in(server.url, "bob") as bob:
        await bob.join("#general")
        await alice.type("hello bob", "enter")
        event = await bob.next_event(kind="message")
        assert (event.author, event.text) == ("alice", "hello bob")
        said = await bob.say("hello alice")
        await alice.until(lambda: "hello alice" in alice.screen())
        assert said.seq is not None

        await alice.type("/react :tada:", "enter")
        reaction = await bob.next_event(kind="react")
        assert (reaction.target, reaction.emoji) == (said.seq, "🎉")
        await bob.call(React(channel="#general", seq=event.seq, emoji="👍"))
        await alice.until(lambda: "👍" in alice.screen())

        await alice.press("up")
        await alice.until(lambda: alice.composer.text == "hello bob")
        await alice.type("!", "enter")
        edit = await bob.next_event(kind="edit")
        assert (edit.target, edit.text) == (event.seq, "hello bob!")
        await alice.until(lambda: "hello bob!" in alice.screen())

        await bob.call(Delete(channel="#general", seq=said.seq))
        await alice.until(lambda: "hello alice" not in alice.screen())
        await bob.call(SetTopic(channel="#general", topic="green tea"))
        await alice.until(lambda: "#general  green tea" in alice.screen())


@pytest.mark.feature("reading.threads")
async def test_a_thread(server: ChatServer, alice: Screens) -> None:
    async with Peer.signed_in(server.url, "bob") as bob:
        await bob.join("#general")
        first = (await bob.say("tea?")).seq
        await bob.say("and something else")
        await alice.until(lambda: "and something else" in alice.screen())
        await alice.press("ctrl+up", "up", "t")
        await alice.until(lambda: "Thread in #general" in alice.screen(), "the thread is shown")
        composer = alice.main.thread.composer
        composer.insert("green, please")
        await alice.press("enter")
        reply = await bob.next_event(kind="message")
        while reply.text != "green, please":
            reply = await bob.next_event(kind="message")
        assert (reply.reply_to, reply.thread, reply.mentions) == (first, first, ("bob",))
        await bob.call(Send(channel="#general", text="here it is", reply_to=reply.seq))
        await alice.until(lambda: alice.screen().count("here it is") == 2, "it shows in both panes")
        await alice.until(lambda: "↳ 2 replies" in alice.screen(), "the count shows")
        await alice.press("escape")
        await alice.until(
            lambda: "Thread in #general" not in alice.screen(), "the thread is closed"
        )


async def test_channels_and_people(server: ChatServer, alice: Screens) -> None:
    state = alice.conversation.state
    async with Peer.signed_in(server.url, "bob") as bob:
        await bob.join("#general")
        await alice.until(lambda: "● bob" in alice.screen(), "bob is in the member list")
        await alice.type("/join tea", "enter")
        await alice.until(lambda: state.current == "#tea")
        await alice.type("/msg bob lunch?", "enter")
        await alice.until(lambda: state.current == "@alice,bob")
        opened = await bob.next(Joined, lambda frame: frame.channel == "@alice,bob")
        assert opened.items[-1].text == "lunch?"

        await bob.say("hi @alice", "#general")
        await alice.until(lambda: "@1" in alice.screen(), "the mention is counted")
        await alice.press("alt+a")
        await alice.until(lambda: state.current == "#general")
        await alice.until(
            lambda: not state.count_addressed(), "the visible messages are marked as read"
        )

        await alice.type("/channels", "enter")
        await alice.until(lambda: "All channels" in alice.screen() and "#tea" in alice.screen())
        await alice.press("escape")
        await alice.type("/leave tea", "enter")
        await alice.answer("y")
        await alice.until(lambda: "#tea" not in state.channels)


@pytest.mark.feature("reading.inbox")
async def test_the_inbox_opens_an_old_message_without_marking_others(
    server: ChatServer, alice: Screens
) -> None:
    state = alice.conversation.state
    async with Peer.signed_in(server.url, "bob") as bob:
        await alice.type("/join tea", "enter")
        await alice.until(lambda: state.current == "#tea")
        await bob.join("#tea")
        await alice.press("alt+l")
        await alice.until(lambda: state.current == "#general")
        for number in range(160):
            await bob.post(Send(channel="#tea", text=f"cup {number} of tea"))
        await alice.until(lambda: state.channels["#tea"].unread == 160)
        await alice.press("alt+i")
        await alice.until(lambda: "cup 0 of tea" in alice.screen())
        await alice.press("enter")
        await alice.until(lambda: state.current == "#tea" and "cup 0 of tea" in alice.screen())
        await alice.until(
            lambda: state.channels["#tea"].unread < 160, "the visible messages are marked as read"
        )
        assert state.channels["#tea"].unread > 100
        assert "cup 159 of tea" not in alice.screen()
        await alice.press("escape")
        await alice.type("/mark all", "enter")
        await alice.until(lambda: state.channels["#tea"].unread == 0)


@pytest.mark.feature("reading.search")
async def test_a_search_opens_a_message_that_is_not_cached(
    server: ChatServer, alice: Screens
) -> None:
    """A message far above the loaded ones is shown with its neighbors, above a gap."""
    state = alice.conversation.state
    async with Peer.signed_in(server.url, "bob") as bob:
        await bob.join("#tea")
        for number in range(400):
            text = f"cup {number} of {'wombat' if number == 120 else 'tea'}"
            await bob.post(Send(channel="#tea", text=text))
        await bob.settle()
        await alice.type("/join tea", "enter")
        await alice.until(lambda: state.current == "#tea")
        await alice.press("alt+l")
        await alice.until(lambda: state.current == "#general")
        await alice.type("/search womb* from:bob", "enter")
        await alice.until(lambda: "1 message, newest first" in alice.screen())
        await alice.press("enter")
        await alice.until(lambda: state.current == "#tea" and "cup 120 of wombat" in alice.screen())
        await alice.until(lambda: "cup 119 of tea" in alice.screen())
        await alice.until(lambda: "cup 121 of tea" in alice.screen())
        assert "cup 399 of tea" not in alice.screen()


async def test_refused_requests_are_reported(alice: Screens) -> None:
    await alice.type("/msg nobody hello", "enter")
    await alice.until(lambda: alice.notices, "the error shows")
    await alice.until(lambda: alice.composer.text == "/msg nobody hello")


async def test_a_server_that_goes_away_and_comes_back(server: ChatServer, alice: Screens) -> None:
    state = alice.conversation.state
    server.kill()
    await alice.until(lambda: state.connection.link is not Link.ONLINE)
    await alice.type("for later", "enter")
    await alice.until(lambda: "for later" in alice.screen())
    server.start()
    alice.main.conversation.run_command("/reconnect")
    await alice.until(lambda: state.connection.link is Link.ONLINE)
    await alice.until(lambda: state.log("#general").latest("alice"), "it was sent")
    assert alice.screen().count("for later") == 1


@pytest.mark.feature("around.servers")
async def test_one_of_two_servers_is_killed_and_comes_back(
    start_server: Callable[..., ChatServer], tmp_path: Path
) -> None:
    tea, work = start_server("--server-name", "Tea"), start_server("--server-name", "Work")
    further = (Server(url=work.url, name="al"),)
    app = PatientApp(
        ClientSettings(name="alice", url=tea.url, servers=further, data=tmp_path / "me")
    )
    async with (
        Peer.signed_in(tea.url, "bob") as bob,
        Peer.signed_in(work.url, "eve") as eve,
        both_in(app) as screens,
    ):
        await bob.join("#general")
        await eve.join("#general")
        assert here(screens) == ("Tea", "#general")
        await eve.say("@al are you there?")
        await screens.until(lambda: "@1" in screens.screen(), "it waits to reconnect")
        await screens.press("alt+a")
        await screens.until(lambda: "are you there?" in screens.screen())
        assert here(screens) == ("Work", "#general")

        tea.kill()
        await screens.until(lambda: "Tea                 ○" in screens.screen())
        await screens.type("yes", "enter")
        while (answer := await eve.next_event(kind="message")).text != "yes":
            pass
        assert answer.author == "al"
        assert "no server" not in screens.screen(), "the shown server is not affected"

        await screens.press("alt+1")
        await screens.type("for later", "enter")
        await screens.until(lambda: "for later" in screens.screen())
        await screens.press("alt+2")
        tea.start()
        app.cores.first.reconnect_now()
        await screens.until(
            lambda: "Tea                 ●" in screens.screen(), "it is connected again"
        )
        await screens.press("alt+1")
        await screens.until(
            lambda: screens.conversation.state.log("#general").latest("alice"), "it was sent"
        )


@asynccontextmanager
async def both_in(app: ChatApp) -> AsyncIterator[Screens]:
    try:
        async with app.run_test(size=(100, 24), notifications=True) as pilot:
            screens = Screens(app, pilot)
            workspace = screens.main.workspace
            await screens.until(
                lambda: (
                    all(server.conversation.state.info for server in workspace)
                    and all(server.conversation.server for server in workspace)
                ),
                "in #general on both",
            )
            yield screens
    finally:
        app.cores.stop(PATIENCE)


def here(screens: Screens) -> tuple[str, str | None]:
    """Return the shown server and channel."""
    server = screens.main.workspace.front
    return server.title, server.conversation.state.current
