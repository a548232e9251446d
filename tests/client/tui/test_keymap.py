"""Key labels, custom keys, and their problems."""

from __future__ import annotations

import pytest
from textual.binding import Binding

from chat.client.config.settings import ClientSettings
from chat.client.model.slash.commands import available
from chat.client.tui.app import key_rows
from chat.client.tui.keymap import key_label, problems, together
from chat.protocol.commands import Join
from chat.protocol.frames import ChannelList, ChannelListing
from tests.client.presenter.fakes import info
from tests.client.tui.conftest import Desktop, Open


@pytest.mark.parametrize(
    ("key", "label"),
    [
        ("alt+down", "Alt+↓"),
        ("ctrl+k", "Ctrl+K"),
        ("pageup", "PgUp"),
        ("f1", "F1"),
        ("escape", "Esc"),
        ("r", "r"),
        ("plus", "+"),
    ],
)
def test_keys_are_labeled_as_on_keyboards(key: str, label: str) -> None:
    assert key_label(key) == label


def test_no_two_actions_share_an_id_and_every_key_of_a_group_does_one_thing() -> None:
    found = key_rows()
    ids = [row.id for row in found]
    assert len(ids) == len(set(ids))
    for group in {row.group for row in found}:
        keys = [key for row in found if row.group == group for key in row.keys]
        assert len(keys) == len(set(keys)), group


async def test_every_binding_has_an_id(desktop: Desktop) -> None:
    for cls in (type(desktop.app), type(desktop.main)):
        for binding in cls.BINDINGS:
            assert isinstance(binding, Binding)
            assert binding.id or binding.action == "write"


async def test_help_lists_all_keys_and_commands(open_desktop: Open) -> None:
    async with open_desktop(info("#general"), size=(100, 260)) as desktop:
        await desktop.press("f1")
        await desktop.until(lambda: "Commands" in desktop.screen())
        page = desktop.screen()
        assert all(row.help in page for row in together(key_rows()))
        assert "Alt+1 … Alt+9" in page
        assert all(row.usage in page for row in available(is_admin=False))
        assert "/audit" not in page
        await desktop.press("escape")
        await desktop.until(lambda: desktop.app.screen is desktop.main)


@pytest.mark.feature("around.keys")
async def test_custom_keys_work_and_are_shown(open_desktop: Open) -> None:
    keymap = {"channel.next": "f8", "composer.send": "ctrl+s"}
    async with open_desktop(info("#general"), info("#tea"), keymap=keymap) as desktop:
        await desktop.press("f8")
        assert desktop.conversation.state.current == "#tea"
        await desktop.type("one", "enter")
        await desktop.type("two", "ctrl+s")
        await desktop.until(lambda: desktop.core.asked("send"))
        assert desktop.core.asked("send")[0][1] == "one\ntwo"
        await desktop.press("f1")
        await desktop.until(lambda: "Ctrl+S" in desktop.screen())
        await desktop.press("slash", *"next channel")
        await desktop.until(lambda: "F8" in desktop.screen())


GROUPS = {
    "Anywhere": [Binding("ctrl+k", "x", "switch", id="a.switch"), Binding("escape", "y", "back")],
    "Writing": [Binding("enter", "z", "send", id="w.send")],
    "Timeline": [Binding("r", "z", "reply", id="t.reply"), Binding("e", "z", "edit", id="t.edit")],
}


@pytest.mark.parametrize(
    ("own", "said"),
    [
        ({}, None),
        ({"a.switch": "f8,alt+n", "t.reply": "e", "t.edit": "r"}, None),
        ({"t.reply": "e"}, "e is bound to both t.reply and t.edit"),
        ({"w.send": "ctrl+k"}, "Ctrl+K is bound to both w.send and a.switch"),
        ({"w.send": "escape"}, "Esc is bound to both w.send and “back”"),
        ({"a.swich": "f8"}, "unknown action name “a.swich” (did you mean a.switch?)"),
        ({"a.switch": "ctrl+"}, "“ctrl+” is not a key"),
        ({"a.switch": "control+x"}, "“control+x” is not a key"),
    ],
)
@pytest.mark.feature("around.keys")
def test_invalid_custom_keys_are_reported(own: dict[str, str], said: str | None) -> None:
    told = problems(GROUPS, own)
    assert len(told) == (said is not None)
    assert all(said in each for each in told if said)


async def test_custom_keys_come_from_the_settings_and_their_problems_are_shown(
    open_desktop: Open,
) -> None:
    settings = ClientSettings(name="me", keys={"channel.next": "f8", "no.such": "f9"})
    async with open_desktop(info("#general"), info("#tea"), settings=settings) as desktop:
        assert desktop.notices == [
            "Key bindings: unknown action name “no.such” (the help (F1) lists the actions)."
        ]
        await desktop.press("f8")
        assert desktop.conversation.state.current == "#tea"


async def test_ctrl_c_shows_how_to_quit(desktop: Desktop) -> None:
    await desktop.press("ctrl+c")
    await desktop.until(lambda: desktop.notices)
    assert desktop.notices[0].startswith("Press Ctrl+Q to quit")


class TestChoosing:
    """The switcher, opened by either of its keys."""

    @pytest.mark.feature("around.switcher")
    async def test_the_switcher_finds_a_channel_by_a_few_letters(self, desktop: Desktop) -> None:
        await desktop.press("ctrl+k")
        await desktop.until(lambda: "Go to" in desktop.screen())
        await desktop.press(*"al", "enter")
        await desktop.until(lambda: desktop.conversation.state.current == "@alice,me")

    async def test_escape_closes_the_switcher_without_a_change(self, desktop: Desktop) -> None:
        await desktop.type("draft", "ctrl+k")
        await desktop.until(lambda: "Go to" in desktop.screen())
        await desktop.press("down", "escape")
        await desktop.until(lambda: desktop.app.screen is desktop.main)
        assert desktop.conversation.state.current == "#general"
        assert desktop.composer.text == "draft"

    async def test_ctrl_p_opens_the_same_list(self, desktop: Desktop) -> None:
        await desktop.press("ctrl+k")
        await desktop.until(lambda: "Go to" in desktop.screen())
        first = desktop.screen()
        await desktop.press("escape", "ctrl+p")
        await desktop.until(lambda: desktop.screen() == first, "the same list")

    @pytest.mark.feature("around.switcher")
    async def test_words_of_its_help_find_a_command(self, desktop: Desktop) -> None:
        await desktop.press("ctrl+p")
        await desktop.press(*"to away", "enter")
        await desktop.until(lambda: desktop.core.asked("status") == [("away",)])

    @pytest.mark.feature("around.switcher")
    async def test_the_switcher_finds_channels_of_the_server_and_joins_on_enter(
        self, desktop: Desktop
    ) -> None:
        await desktop.press("ctrl+k")
        await desktop.until(lambda: "Go to" in desktop.screen())
        await desktop.press(*"coff")
        await desktop.until(lambda: desktop.core.asked("channels"))
        listed = (
            ChannelListing(channel="#coffee", topic="black", members=3),
            ChannelListing(channel="#tea", topic="", members=2),
        )
        desktop.core.futures["channels"].set_result(ChannelList(channels=listed))
        await desktop.until(
            lambda: "#coffee  Enter to join · 3 members · black" in desktop.screen()
        )
        await desktop.press("enter")
        await desktop.until(lambda: desktop.core.asked("join") == [(Join(channel="#coffee"),)])

    async def test_a_late_row_does_not_move_the_highlight(self, desktop: Desktop) -> None:
        await desktop.press("ctrl+k")
        await desktop.until(lambda: "Go to" in desktop.screen())
        await desktop.press(*"topic")
        await desktop.until(lambda: desktop.core.asked("channels"))
        listed = (ChannelListing(channel="#topic", topic="", members=1),)
        desktop.core.futures["channels"].set_result(ChannelList(channels=listed))
        await desktop.until(lambda: "Enter to join · 1 member" in desktop.screen())
        await desktop.press("enter")
        await desktop.until(lambda: desktop.app.screen is desktop.main)
        assert not desktop.core.asked("join")

    async def test_the_switcher_shows_the_usage_of_a_command(self, desktop: Desktop) -> None:
        await desktop.press("ctrl+p")
        await desktop.press(*"set the topic")
        await desktop.until(lambda: "/topic [TEXT]" in desktop.screen())

    async def test_a_command_that_needs_arguments_goes_to_the_composer(
        self, desktop: Desktop
    ) -> None:
        await desktop.press("ctrl+p")
        await desktop.press(*"send an action", "enter")
        await desktop.until(lambda: desktop.composer.text == "/me ")
