"""A name that is already in use: the running client asks for another one."""

from __future__ import annotations

import re
from pathlib import Path
from time import monotonic

import pytest
from textual import events
from textual.containers import Vertical
from textual.widgets import Input

from chat.client.config.paths import ClientPaths
from chat.client.config.settings import ClientSettings, Server
from chat.client.model.sign_in import Credential, SignInWay
from chat.client.model.state import ChannelsChanged, ConnectionChanged, Link
from chat.client.tui.screens.picker import Picker
from chat.client.tui.screens.secrets import AskSecret
from chat.client.tui.widgets.bars import Banner
from chat.errors import StartupError
from tests.client.presenter.fakes import FakeCore, info
from tests.client.tui.conftest import Open, PatientApp, Screens, at_once
from tests.serving import PATIENCE, ChatServer, Peer

TEA, WORK = "ws://tea:1", "ws://work:2"
FIRST = (info("#general", is_member=False),)
"""The channels before the first connection."""


def settings(tmp_path: Path, *further: Server) -> ClientSettings:
    return ClientSettings(name="me", url=TEA, servers=further, data=tmp_path)


def refuse(
    core: FakeCore, name: str = "me", ways: tuple[SignInWay, ...] = (SignInWay.NAME,)
) -> None:
    """Refuse the name: it is already in use."""
    why = f"the name {name} is already in use on this server"
    core.tell(ConnectionChanged(Link.CONNECTING, user=name))
    core.tell(ConnectionChanged(Link.REFUSED, why, user=name, reason=why, ways=ways))
    core.tell(ChannelsChanged(FIRST))


def is_asking(desktop: Screens) -> bool:
    return isinstance(desktop.app.screen, Picker)


async def asked(desktop: Screens, name: str, title: str = "The name {} is already") -> None:
    """Wait until the dialog accepts keys."""
    await desktop.until(lambda: is_asking(desktop) and title.format(name) in desktop.screen())
    field = desktop.app.screen.query_one(Input)
    await desktop.until(lambda: field.placeholder == "Type another name" or field.value)


async def answer(desktop: Screens, text: str) -> None:
    """Answer the dialog."""
    for letter in text:
        await desktop.press("space" if letter == " " else letter)
    await desktop.press("enter")


@pytest.mark.feature("around.first")
async def test_the_typed_name_is_used_from_then_on(open_desktop: Open, tmp_path: Path) -> None:
    async with open_desktop(settings=settings(tmp_path)) as desktop:
        refuse(desktop.core)
        await asked(desktop, "me")
        await answer(desktop, "alice2")
        await desktop.until(lambda: desktop.core.asked("sign_in") == [("alice2", None)])
        refuse(desktop.core, "alice2")
        desktop.core.futures["sign_in"].set_result(None)
        await asked(desktop, "alice2")
        await answer(desktop, "alice3")
        await desktop.until(lambda: len(desktop.core.asked("sign_in")) == 2)
        desktop.core.futures["sign_in"].set_result(None)
        desktop.core.go_online(info("#general"), user="alice3")
        await desktop.until(lambda: "already in use" not in desktop.screen())
        (server,) = desktop.main.workspace
        assert server.settings.name == "alice3"
        assert ClientPaths(tmp_path).servers.last_name == "alice3"
        assert not is_asking(desktop)


async def test_after_escape_the_banner_names_the_command_that_asks_again(
    open_desktop: Open, tmp_path: Path
) -> None:
    async with open_desktop(settings=settings(tmp_path)) as desktop:
        refuse(desktop.core)
        await asked(desktop, "me")
        await desktop.press("escape")
        await desktop.until(lambda: "Use /name NAME to sign in" in desktop.screen())
        await desktop.type("for later", "enter")
        assert [text for _, text, *_ in desktop.core.asked("send")] == ["for later"]
        await desktop.type("/name", "enter")
        await asked(desktop, "me")
        await desktop.press("escape")
        await desktop.type("/name alice2", "enter")
        await desktop.until(lambda: desktop.core.asked("sign_in") == [("alice2", None)])


@pytest.mark.parametrize("is_in_thread", [False, True], ids=["channel", "thread"])
async def test_the_dialog_takes_no_letters_of_a_typed_message(
    open_desktop: Open, tmp_path: Path, is_in_thread: bool
) -> None:
    async with open_desktop(settings=settings(tmp_path)) as desktop:
        desktop.core.tell(ChannelsChanged(FIRST))
        await desktop.until(lambda: desktop.conversation.state.current)
        if is_in_thread:
            desktop.main.conversation.run_command("/thread 1")
            composer = desktop.main.channel.composer
            await desktop.until(
                lambda: monotonic() - composer.typed_at > 1, "the screen stops changing"
            )
            assert desktop.main.thread.composer.has_focus
        refuse(desktop.core)

        def types_on() -> bool:
            at_once(desktop, "o")
            return "is already in use" in desktop.screen()

        await desktop.until(types_on)
        assert not is_asking(desktop)
        at_once(desktop, "h")
        await asked(desktop, "me")
        await desktop.press("escape")
        pane = desktop.main.thread if is_in_thread else desktop.main.channel
        assert re.fullmatch("o+h", pane.composer.text)


async def test_the_question_covers_no_line_of_the_banner_and_keeps_the_order_of_its_rows(
    open_desktop: Open, tmp_path: Path
) -> None:
    async with open_desktop(settings=settings(tmp_path)) as desktop:
        for ways in ((SignInWay.LINK, SignInWay.PASSWORD), (SignInWay.PASSWORD, SignInWay.LINK)):
            refuse(desktop.core, ways=(*ways, SignInWay.NAME))
            await asked(desktop, "me")
            rows = [row.strip() for row in desktop.screen().splitlines()]
            link = next(at for at, row in enumerate(rows) if row.startswith("Use a link code"))
            assert rows[link + 1].startswith("Use your password")
            banner = desktop.main.query_one(Banner)
            dialog = desktop.app.screen.query_one(Vertical)
            assert banner.region.bottom <= dialog.region.y
            await desktop.press("escape")


async def test_keys_typed_right_after_the_question_opens_are_dropped(
    open_desktop: Open, tmp_path: Path
) -> None:
    async with open_desktop(settings=settings(tmp_path)) as desktop:
        early = [events.Key(letter, letter) for letter in "lunch"] + [events.Key("enter", None)]
        refuse(desktop.core)
        await desktop.until(lambda: is_asking(desktop))
        for key in early:
            desktop.app.post_message(key)
        await asked(desktop, "me")
        assert "lunch" not in desktop.screen()
        assert not desktop.core.asked("sign_in")
        await answer(desktop, "alice2")
        await desktop.until(lambda: desktop.core.asked("sign_in") == [("alice2", None)])


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a b", "must be one or more ASCII letters"),
        ("ME", "was refused"),
        ("x" * 40, "is 40 characters long"),
    ],
)
async def test_an_invalid_name_is_explained_and_stays(
    open_desktop: Open, tmp_path: Path, text: str, told: str
) -> None:
    async with open_desktop(settings=settings(tmp_path)) as desktop:
        refuse(desktop.core)
        await asked(desktop, "me")
        await answer(desktop, text)
        await desktop.until(lambda: told in desktop.screen())
        assert text in desktop.screen()
        await asked(desktop, "me")
        assert not desktop.core.asked("sign_in")
        await desktop.press("escape")
        await desktop.type(f"/name {text}", "enter")
        await desktop.until(lambda: desktop.notices)
        assert desktop.composer.text.startswith("/name")
        assert not desktop.core.asked("sign_in")


@pytest.mark.parametrize("event", [events.AppFocus(), None])
async def test_a_question_that_opened_in_an_unfocused_terminal_takes_keys(
    open_desktop: Open, tmp_path: Path, event: events.Event | None
) -> None:
    async with open_desktop(settings=settings(tmp_path)) as desktop:
        desktop.app.post_message(events.AppBlur())
        await desktop.until(lambda: not desktop.app.app_focus)
        refuse(desktop.core)
        await asked(desktop, "me")
        if event is not None:  # not every terminal reports that it regained the focus
            desktop.app.post_message(event)
        await answer(desktop, "alice2")
        await desktop.until(lambda: desktop.core.asked("sign_in") == [("alice2", None)])


@pytest.mark.feature("accounts.link")
@pytest.mark.parametrize(
    ("code", "way", "offered"),
    [
        ("31XDM-YKKZQ", SignInWay.LINK, "Use this link code for me"),
        ("31xdmykkzq", SignInWay.LINK, "Use this link code for me"),
        ("31xdm ykkzq", SignInWay.LINK, "Use this link code for me"),
        (
            "0Q8VB-KM4TS-W2XNA-7C9DE-H3JPR-6",
            SignInWay.INVITATION,
            "Use this invitation for me",
        ),
    ],
)
async def test_a_code_typed_as_a_name_is_used_as_a_code(
    open_desktop: Open, tmp_path: Path, code: str, way: SignInWay, offered: str
) -> None:
    async with open_desktop(settings=settings(tmp_path)) as desktop:
        refuse(desktop.core, ways=(SignInWay.NAME, way))
        await asked(desktop, "me")
        await desktop.press(*("space" if letter == " " else letter for letter in code))
        await desktop.until(lambda: offered in desktop.screen())
        await desktop.press("enter")
        signed_in = [("me", Credential(way, code))]
        await desktop.until(lambda: desktop.core.asked("sign_in") == signed_in)


async def test_after_a_wrong_code_its_field_opens_again_with_the_reason(
    open_desktop: Open, tmp_path: Path
) -> None:
    def reopens() -> bool:
        screen = desktop.screen()
        return isinstance(desktop.app.screen, AskSecret) and "is wrong. Link code for me" in screen

    async with open_desktop(settings=settings(tmp_path)) as desktop:
        refuse(desktop.core, ways=(SignInWay.NAME, SignInWay.LINK))
        await asked(desktop, "me")
        await desktop.press(*"31XDM-YKKZQ", "enter")
        await desktop.until(lambda: len(desktop.core.asked("sign_in")) == 1)
        desktop.core.futures["sign_in"].set_result(None)
        ways = (SignInWay.LINK, SignInWay.NAME)
        desktop.core.tell(ConnectionChanged(Link.CONNECTING, user="me"))
        why = "this link code is wrong"
        desktop.core.tell(ConnectionChanged(Link.REFUSED, why, user="me", reason=why, ways=ways))
        await desktop.until(reopens)
        await desktop.press(*"31XDM-YKKZR", "enter")
        await desktop.until(lambda: len(desktop.core.asked("sign_in")) == 2)
        second = ("me", Credential(SignInWay.LINK, "31XDM-YKKZR"))
        assert desktop.core.asked("sign_in")[-1] == second


@pytest.mark.parametrize("command", ["{}", "/name {}", "/connect ws://tea:1 {}", "/signin {}"])
@pytest.mark.parametrize("code", ["31XDM-YKKZQ", "0Q8VB-KM4TS-W2XNA-7C9DE-H3JPR-6"])
async def test_a_code_becomes_neither_a_name_nor_a_message(
    open_desktop: Open, tmp_path: Path, code: str, command: str
) -> None:
    async with open_desktop(settings=settings(tmp_path)) as desktop:
        refuse(desktop.core)
        await asked(desktop, "me")
        await desktop.press(*code)
        await desktop.until(lambda: "looks like a link code" in desktop.screen())
        await desktop.press("enter", "escape")
        await desktop.type(command.format(code), "enter")
        await desktop.until(lambda: desktop.notices)
        assert not desktop.composer.text
        await desktop.press("up")
        assert not desktop.composer.text
        assert not any(desktop.core.drafts.values())
        assert not desktop.core.asked("sign_in")
        assert not desktop.core.asked("send")


@pytest.mark.parametrize(
    "code",
    [
        "31XDM-YKKZQ",
        "31xdm ykkzq",
        "31xdmykkzq",
        "0q8vb km4ts w2xna 7c9de h3jpr 6",
        "0Q8VBKM4TSW2XNA7C9DEH3JPR6",
    ],
)
async def test_a_code_that_is_pasted_before_the_server_asks_is_no_message(
    open_desktop: Open, tmp_path: Path, code: str
) -> None:
    async with open_desktop(settings=settings(tmp_path)) as desktop:
        desktop.core.tell(ConnectionChanged(Link.CONNECTING, user="me"))
        await desktop.type(code, "enter")
        await desktop.until(lambda: desktop.notices)
        assert not desktop.composer.text
        await desktop.press("up")
        assert not desktop.composer.text
        assert not desktop.core.asked("send")
        assert not any(desktop.core.drafts.values())
        desktop.core.go_online(info("#general"))
        await desktop.type(code, "enter")
        await desktop.until(lambda: desktop.core.asked("send"))


async def test_a_code_left_in_the_composer_is_cleared_when_the_user_signs_in(
    open_desktop: Open, tmp_path: Path
) -> None:
    async with open_desktop(settings=settings(tmp_path)) as desktop:
        desktop.core.tell(ConnectionChanged(Link.CONNECTING, user="me"))
        await desktop.type("31xdm ykkzq")
        refuse(desktop.core, ways=(SignInWay.NAME, SignInWay.LINK))
        await asked(desktop, "me")
        await desktop.press(*"31XDM-YKKZQ", "enter")
        await desktop.until(lambda: desktop.core.asked("sign_in"))
        assert not desktop.composer.text
        assert not any(desktop.core.drafts.values())


async def test_a_hidden_server_asks_for_a_name_when_shown(
    open_desktop: Open, tmp_path: Path
) -> None:
    known = ClientPaths(tmp_path).servers
    known.add(WORK, "me")
    both = settings(tmp_path, Server(WORK, "me"))
    async with open_desktop(settings=both, size=(100, 24)) as desktop:
        tea, work = desktop.cores[TEA], desktop.cores[WORK]
        tea.go_online(info("#general"))
        refuse(work)
        await desktop.until(lambda: "work:2" in desktop.screen())
        await desktop.type("to tea", "enter")
        await desktop.until(lambda: tea.asked("send"))
        assert not is_asking(desktop)
        await desktop.type("/name other", "enter")
        await desktop.until(lambda: "belongs to your account" in " ".join(desktop.notices))
        desktop.composer.clear()
        await desktop.type("/server work", "enter")
        await asked(desktop, "me", "work:2: the name me is already")
        await answer(desktop, "other")
        await desktop.until(lambda: work.asked("sign_in") == [("other", None)])
        work.futures["sign_in"].set_result(None)
        await desktop.until(lambda: list(known.further) == [(WORK, "other")])
        assert not tea.asked("sign_in")
        assert [server.settings.name for server in desktop.main.workspace] == ["me", "other"]


async def test_another_refusal_asks_for_no_name(open_desktop: Open, tmp_path: Path) -> None:
    async with open_desktop(settings=settings(tmp_path)) as desktop:
        desktop.core.tell(ConnectionChanged(Link.REFUSED, "no longer accepts your token"))
        await desktop.until(lambda: "no longer accepts your token" in desktop.screen())
        await desktop.type("/name other", "enter")
        await desktop.until(lambda: "belongs to your account" in " ".join(desktop.notices))
        assert desktop.composer.text == "/name other"
        assert not is_asking(desktop)


async def test_connecting_with_another_name_to_the_server_that_refuses_changes_the_name(
    open_desktop: Open, tmp_path: Path
) -> None:
    async with open_desktop(settings=settings(tmp_path)) as desktop:
        refuse(desktop.core)
        await asked(desktop, "me")
        await desktop.press("escape")
        await desktop.type(f"/connect {TEA} alice2", "enter")
        await desktop.until(lambda: desktop.core.asked("sign_in") == [("alice2", None)])
        assert len(desktop.main.workspace) == 1


async def test_an_unusable_name_is_reported(open_desktop: Open, tmp_path: Path) -> None:
    async with open_desktop(settings=settings(tmp_path)) as desktop:
        refuse(desktop.core)
        await asked(desktop, "me")
        await answer(desktop, "other")
        await desktop.until(lambda: "sign_in" in desktop.core.futures)
        desktop.core.futures["sign_in"].set_exception(StartupError("newer version"))
        await desktop.until(lambda: "Newer version" in " ".join(desktop.notices))
        (server,) = desktop.main.workspace
        assert server.settings.name == "me"


async def test_text_typed_under_a_taken_name_is_sent_under_the_next(
    server: ChatServer, tmp_path: Path
) -> None:
    data = tmp_path / "me"
    taken = ClientSettings(name="alice", url=server.url, data=data)
    app = PatientApp(taken)
    async with (
        Peer.signed_in(server.url, "alice") as alice,
        Peer.signed_in(server.url, "carol"),
    ):
        await alice.join("#general")
        try:
            async with app.run_test(size=(80, 24), notifications=True) as pilot:
                screens = Screens(app, pilot)
                await asked(screens, "alice")
                await screens.press("escape")
                await screens.type("first words", "enter")
                await screens.type("half a sentence")
                app.cores.save_pref("theme", "chat-light")
                screens.main.conversation.run_command("/name carol")
                await asked(screens, "carol")
                await answer(screens, "bob")
                event = await alice.next_event(kind="message")
                assert (event.author, event.text) == ("bob", "first words")
                await screens.until(lambda: "bob" in screens.screen().splitlines()[-1])
                await screens.until(lambda: screens.composer.text == "half a sentence")
                assert app.cores.pref("theme") == "chat-light"
                await screens.press("enter")
                event = await alice.next_event(kind="message")
                assert (event.author, event.text) == ("bob", "half a sentence")
                # The server says `ok` after it has delivered the event.
                await screens.until(lambda: app.cores.unsent() == 0)
        finally:
            app.cores.stop(PATIENCE)
    assert app.cores.unsent() == 0
    assert not list((data / "unknown").rglob("*.db"))
    assert ClientPaths(data).servers.last_name == "bob"


async def test_drafts_of_both_names_are_joined(server: ChatServer, tmp_path: Path) -> None:
    async def write_as(name: str, text: str, *then: str, shows: str) -> None:
        app = PatientApp(ClientSettings(name=name, url=server.url, data=tmp_path / "me"))
        try:
            async with app.run_test(size=(80, 24), notifications=True) as pilot:
                screens = Screens(app, pilot)
                await screens.until(lambda: screens.conversation.state.current == "#general")
                await screens.type(text)
                state = screens.conversation.state
                await screens.until(lambda: state.connection.link in (Link.ONLINE, Link.REFUSED))
                for command in then:
                    screens.main.conversation.run_command(command)
                await screens.until(lambda: screens.composer.text == shows)
                await screens.until(lambda: app.cores.first.draft("#general") == shows)
        finally:
            app.cores.stop(PATIENCE)

    async with Peer.signed_in(server.url, "alice"):
        await write_as("bob", "words of bob", shows="words of bob")
        both = "words of bob\nwords of alice"
        await write_as("alice", "words of alice", "/name bob", shows=both)
        await write_as("bob", "", shows=both)
