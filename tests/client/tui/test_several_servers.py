"""Several servers in one window: one sidebar and one navigation; all else is separate."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from chat.client.config.paths import ClientPaths
from chat.client.config.settings import ClientSettings, Server, config_file
from chat.client.model.state import (
    ChannelRemoved,
    ChannelsChanged,
    ConnectionChanged,
    Link,
    Notice,
    ThreadChanged,
    TimelineChanged,
    TypingChanged,
)
from chat.client.storage.known_servers import DEFAULT_URL
from chat.client.sync.inbox import Unread, Waiting
from chat.client.tui.app import ChatApp
from chat.client.tui.timeline import Timeline
from chat.client.tui.widgets.bars import Banner
from chat.client.tui.widgets.sidebar import Sidebar
from chat.errors import StartupError
from chat.protocol.frames import Hit, Results
from tests.client.presenter.fakes import FakeCore, info, said
from tests.client.tui.conftest import Desktop, Open, PatientApp, Screens

TEA, WORK = "ws://tea:1", "ws://work:2"


class Both:
    """A client on two servers that both have `#general`; `tea` is shown."""

    def __init__(self, desktop: Desktop) -> None:
        self.desktop = desktop
        self.tea, self.work = desktop.cores[TEA], desktop.cores[WORK]

    @property
    def here(self) -> tuple[str, str]:
        """The shown server and channel."""
        server = self.desktop.main.workspace.front
        return server.title, server.conversation.state.current or ""

    def rows(self) -> list[str]:
        """Return the rows of the sidebar."""
        return [" ".join(line[:24].split()) for line in self.desktop.screen().splitlines()[:8]]


def tell(core: FakeCore, name: str, *channels: str, **counts: int) -> None:
    core.tell(ConnectionChanged(Link.ONLINE, user="me", server=name, text_limit=8_000))
    for channel in channels:
        core.pages[channel] = (said(1, "bob", f"{channel} of {name}", channel),)
    core.tell(ChannelsChanged(tuple(info(each, head=1, **counts) for each in channels)))


@pytest.fixture
async def both(open_desktop: Open, tmp_path: Path) -> AsyncIterator[Both]:
    settings = ClientSettings(name="me", url=TEA, servers=(Server(url=WORK),), data=tmp_path)
    async with open_desktop(settings=settings, size=(100, 24)) as desktop:
        both = Both(desktop)
        tell(both.tea, "tea", "#general", "#green")
        tell(both.work, "work", "#general")
        await desktop.until(lambda: both.here == ("tea", "#general"))
        await desktop.until(lambda: "#general of tea" in desktop.screen())
        yield both


@pytest.mark.feature("around.servers")
async def test_each_server_is_a_group_with_its_connection_state(both: Both) -> None:
    await both.desktop.until(
        lambda: (
            both.rows()[:6] == ["tea ●", "1 # general", "2 # green", "", "work ●", "3 # general"]
        )
    )
    both.work.tell(ConnectionChanged(Link.WAITING, "no route to it", retry_in=9.0, server="work"))
    await both.desktop.until(lambda: both.rows()[4] == "work ○")
    assert "no route" not in both.desktop.screen(), "the shown server is not affected"
    await both.desktop.press("alt+3")
    await both.desktop.until(lambda: "no route" in both.desktop.screen())
    assert "#general of work" in both.desktop.screen(), "its channels stay readable"
    assert re.search("offline.* · +work:2", both.desktop.screen()), (
        "the status bar names the server"
    )
    await both.desktop.press("alt+1")
    await both.desktop.until(lambda: not both.desktop.main.query_one(Banner).display)


@pytest.mark.feature("around.servers")
async def test_without_the_sidebar_the_status_bar_names_activity_on_other_servers(
    both: Both,
) -> None:
    await both.desktop.press("f2")
    tell(both.tea, "tea", "#general", "#green", unread=1)
    tell(both.work, "work", "#general", unread=2)
    await both.desktop.until(
        lambda: "#green 1 new   #general on work 2 new" in both.desktop.screen()
    )
    both.work.tell(ConnectionChanged(Link.WAITING, "no route to it", retry_in=9.0))
    await both.desktop.until(lambda: " ○ work   #green 1 new " in both.desktop.screen())


async def test_a_servers_name_is_known_before_it_reconnects(both: Both) -> None:
    both.work.tell(ConnectionChanged(Link.CONNECTING))
    await both.desktop.until(lambda: both.rows()[4] == "work ◌")


async def test_header_and_composer_name_the_server_of_the_channel(both: Both) -> None:
    await both.desktop.until(lambda: " #general on tea " in both.desktop.screen())
    assert "Message #general on tea" in both.desktop.screen()
    await both.desktop.press("alt+3")
    await both.desktop.until(lambda: " #general on work " in both.desktop.screen())
    assert "Message #general on work" in both.desktop.screen()


async def test_the_status_line_names_the_host_of_the_server(open_desktop: Open) -> None:
    settings = ClientSettings(name="me", url="wss://chat.example.org/path")
    async with open_desktop(info("#general"), settings=settings, size=(100, 24)) as desktop:
        await desktop.until(lambda: "me  ·  chat.example.org " in desktop.screen())
        assert "Message #general " in desktop.screen(), "a single server is not named"


async def test_a_single_server_has_no_heading(open_desktop: Open) -> None:
    async with open_desktop(info("#general"), size=(100, 24)) as desktop:
        await desktop.until(lambda: " Channels " in desktop.screen().splitlines()[0])


@pytest.mark.feature("around.servers")
async def test_the_keys_move_through_the_channels_of_all_servers(both: Both) -> None:
    visited = []
    for key in ("alt+down", "alt+down", "alt+down", "alt+up", "alt+l", "alt+2", "alt+left"):
        await both.desktop.press(key)
        visited.append(both.here)
    tea, green, work = ("tea", "#general"), ("tea", "#green"), ("work", "#general")
    assert visited == [green, work, tea, work, tea, green, tea]


async def test_a_heading_opens_the_servers_last_channel(both: Both) -> None:
    await both.desktop.pilot.click(Sidebar, offset=(3, 4))
    await both.desktop.until(lambda: both.here == ("work", "#general"))


async def test_equally_named_channels_of_two_servers_stay_apart(both: Both) -> None:
    desktop, work = both.desktop, both.work
    page = (said(1, "eve", "hidden", "#general"),)
    work.tell(TimelineChanged("#general", upserts=page), TypingChanged("#general", ("eve",)))
    await desktop.type("for tea")
    await desktop.press("alt+3")
    await desktop.until(lambda: "#general of work" in desktop.screen())
    assert desktop.composer.text == ""
    await desktop.type("for work", "enter")
    await desktop.until(lambda: work.asked("send") == [("#general", "for work", False, None)])
    await desktop.press("alt+1")
    assert desktop.composer.text == "for tea"
    assert "hidden" not in desktop.screen()
    assert both.tea.drafts == {"#general": "for tea"}
    assert both.tea.asked("send") == []
    told = [each.channel for (each,) in both.tea.asked("typing")]
    assert told == ["#general"] * 2, "the reply was begun, then the server was switched"


async def test_only_the_shown_server_is_marked_as_read(both: Both) -> None:
    both.work.pages["#general"] = (said(1, "bob", "one"), said(2, "bob", "two"))
    both.work.tell(TimelineChanged("#general", upserts=both.work.pages["#general"]))
    await both.desktop.pilot.pause()
    assert both.work.asked("mark") == []
    await both.desktop.press("alt+3")
    await both.desktop.until(lambda: ("#general", 2) in both.work.asked("mark"))


async def test_old_messages_of_a_hidden_server_are_dropped(both: Both) -> None:
    desktop, core = both.desktop, both.tea
    lines = tuple(said(seq, "bob", f"line {seq}") for seq in range(1, 1_501))
    core.pages["#general"] = lines[-100:]
    log = both.desktop.conversation.state.log("#general")
    core.tell(TimelineChanged("#general", upserts=lines[:750]))
    await desktop.until(lambda: "line 750" in desktop.screen())
    assert len(log) == 750, "it is on the screen"
    both.work.tell(ChannelRemoved("#general"))  # the timeline is empty
    await desktop.type("/server work", "enter")
    await desktop.until(lambda: both.here == ("work", ""))
    core.tell(TimelineChanged("#general", upserts=lines[750:]))
    await desktop.until(lambda: len(log) == 400)
    await desktop.pilot.resize_terminal(70, 20)
    await desktop.press("alt+1")
    await desktop.until(lambda: "line 1500" in desktop.screen())


async def test_switching_back_restores_the_scroll_position(both: Both) -> None:
    timeline = both.desktop.main.query_one(Timeline)
    both.tea.pages["#general"] = tuple(said(n, "bob", f"cup {n}") for n in range(1, 90))
    both.tea.open_channel("#general")
    await both.desktop.until(lambda: "cup 89" in both.desktop.screen())
    timeline.choose(20)
    await both.desktop.until(lambda: "cup 20 " in both.desktop.screen())
    await both.desktop.press("alt+3")
    await both.desktop.until(lambda: "#general of work" in both.desktop.screen())
    await both.desktop.press("alt+1")
    await both.desktop.until(lambda: "cup 20 " in both.desktop.screen())


async def test_next_unread_and_the_switcher_span_all_servers(both: Both) -> None:
    desktop = both.desktop
    tell(both.tea, "tea", "#general", "#green", unread=1)
    tell(both.work, "work", "#general", unread=1, mentions=1)
    await desktop.press("alt+a")
    await desktop.until(lambda: both.here == ("work", "#general"))
    await desktop.press("ctrl+k", *"green")
    await desktop.until(lambda: "tea · 1 unread" in desktop.screen())
    await desktop.press("enter")
    await desktop.until(lambda: both.here == ("tea", "#green"))


async def test_the_inbox_spans_all_servers_and_marks_each_by_itself(both: Both) -> None:
    desktop = both.desktop
    tell(both.work, "work", "#general", unread=1)
    both.tea.unread = (
        Unread("#green", (Waiting(said(1, "bob", "leaf", "#green"), "message"),), 0),
    )
    both.work.unread = (Unread("#general", (Waiting(said(1, "eve", "now!"), "mention"),), 0),)
    await desktop.press("alt+i")
    await desktop.until(lambda: "#green · tea" in desktop.screen())
    shown = desktop.screen()
    assert shown.index("#general · work") < shown.index("#green · tea"), "mentions come first"
    await desktop.press("r")
    await desktop.until(lambda: ("#general", 1) in both.work.asked("mark"))
    assert ("#green", 1) not in both.tea.asked("mark")
    await desktop.press("enter")
    await desktop.until(lambda: both.here == ("tea", "#green"))


async def test_notices_of_a_hidden_server_show_its_name(both: Both) -> None:
    both.work.tell(Notice("The file was set aside."))
    await both.desktop.until(lambda: both.desktop.notices)
    (told,) = both.desktop.notifications
    assert (told.title, told.message) == ("work", "The file was set aside.")


@pytest.mark.feature("around.servers")
async def test_a_server_is_added_remembered_and_removed(both: Both, tmp_path: Path) -> None:
    desktop, known = both.desktop, ClientPaths(tmp_path).servers
    config_file().parent.mkdir(parents=True)
    config_file().write_text(f'[[servers]]\nurl = "{WORK}"\nname = "me"\n')
    await desktop.type("/connect wss://third:3/ carol", "enter")
    await desktop.until(lambda: both.here == ("third:3", ""))
    third = desktop.cores["wss://third:3"]
    assert list(known.further) == [("wss://third:3", "carol")]
    tell(third, "third", "#den")
    await desktop.until(lambda: both.here == ("third", "#den"))
    await desktop.type("/connect wss://third:3 carol", "enter")
    assert len(desktop.main.workspace) == 3, "a server that was added before is shown"

    await desktop.type("/server wo", "enter")
    await desktop.until(lambda: both.here == ("work", "#general"))
    await desktop.type("/disconnect third", "enter")
    await desktop.until(lambda: len(desktop.main.workspace) == 2)
    assert third.asked("stop")
    assert list(known.further) == []
    assert "third" not in " ".join(both.rows())

    await desktop.type("/disconnect", "enter")
    await desktop.until(lambda: both.here == ("tea", "#general"))
    assert "It is in your settings" in " ".join(desktop.notices)
    await desktop.type("/disconnect", "enter")
    await desktop.until(lambda: "only server" in " ".join(desktop.notices))
    assert len(desktop.main.workspace) == 1


@pytest.mark.feature("around.servers")
async def test_a_server_given_for_one_start_is_removed_permanently(
    both: Both, tmp_path: Path
) -> None:
    known = ClientPaths(tmp_path).servers
    known.remember_use(WORK, "me")
    await both.desktop.type("/disconnect work", "enter")
    await both.desktop.until(lambda: both.desktop.notices == ["Removed work."])


async def test_the_first_server_can_be_removed_if_others_remain(
    open_desktop: Open, tmp_path: Path
) -> None:
    known = ClientPaths(tmp_path).servers
    known.remember_use(DEFAULT_URL, "me")
    async with open_desktop(settings=ClientSettings(name="me", data=tmp_path)) as desktop:
        desktop.core.go_online(info("#general"))
        await desktop.type(f"/connect {WORK} carol", "enter")
        await desktop.until(lambda: len(desktop.main.workspace) == 2)
        await desktop.type("/disconnect me", "enter")
        await desktop.until(lambda: desktop.notices == ["Removed test."])
        assert (known.chosen_url, known.last_name, known.further) == (WORK, "carol", ())


async def test_a_server_is_found_by_the_user_name(both: Both) -> None:
    desktop = both.desktop
    await desktop.type(f"/connect {WORK} carol", "enter")
    await desktop.until(lambda: both.here[0] == "work" and len(desktop.main.workspace) == 3)
    await desktop.type("/disconnect me", "enter")
    await desktop.until(
        lambda: "“me” matches tea or work · me. Type more" in " ".join(desktop.notices)
    )
    desktop.composer.clear()
    await desktop.type("/disconnect work:2", "enter")
    await desktop.until(lambda: "matches work · me or work · carol" in " ".join(desktop.notices))
    desktop.composer.clear()
    await desktop.type("/disconnect Carol", "enter")
    await desktop.until(lambda: len(desktop.main.workspace) == 2)
    assert [server.settings.name for server in desktop.main.workspace] == ["me", "me"]


@pytest.mark.parametrize("asked", ["/connect http://x", "/connect ws://x bö", "/server nope"])
async def test_an_unknown_server_is_reported(both: Both, asked: str) -> None:
    await both.desktop.type(asked, "enter")
    await both.desktop.until(lambda: both.desktop.notices)
    assert both.desktop.composer.text == asked
    assert len(both.desktop.main.workspace) == 2


class Unstartable(FakeCore):
    """A core that cannot open its file if its server is `work`."""

    def open(self) -> None:
        if self.settings and self.settings.url == WORK:
            raise StartupError("the disk says no")


async def test_a_server_that_cannot_start_does_not_affect_others(tmp_path: Path) -> None:
    def make_core(settings: ClientSettings, wake: Callable[[], None]) -> FakeCore:
        return Unstartable(settings, wake)

    settings = ClientSettings(name="me", url=WORK, servers=(Server(url=TEA),), data=tmp_path)
    app = PatientApp(settings, make_core=make_core)
    async with app.run_test(notifications=True) as pilot:
        await pilot.pause()
        assert Screens(app, pilot).notices == [f"{WORK}: the disk says no"]
        assert [each.url for each, _ in app.cores] == [TEA]
    with pytest.raises(StartupError, match="the disk says no"):
        ChatApp(ClientSettings(name="me", url=WORK, data=tmp_path), make_core=make_core).run()


async def test_thread_and_search_name_the_server(both: Both) -> None:
    desktop = both.desktop
    await desktop.press("alt+s")
    await desktop.until(lambda: "the channels you are in on tea." in desktop.screen())
    await desktop.press("x", "enter")
    await desktop.until(lambda: both.tea.asked("search"))
    found = Hit(channel="#green", seq=1, ts=0, author="bob", snippet="x")
    both.tea.futures["search"].set_result(Results(hits=(found,), complete=True))
    await desktop.until(lambda: "1 message on tea, newest first" in desktop.screen())
    await desktop.press("escape")
    await desktop.type("/thread 1", "enter")
    change = TimelineChanged("#general", (said(1, "bob", "tea?"),), reset=True, complete=True)
    both.tea.tell(ThreadChanged("#general", 1, 1, change))
    await desktop.until(lambda: "Thread in #general on tea" in desktop.screen())
    assert "Reply in thread on tea" in desktop.screen()
