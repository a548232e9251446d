"""Colors: every theme can be chosen, and a person's own are checked before the screen is taken."""

from __future__ import annotations

import pytest

from chat.client.config.settings import ClientSettings
from chat.client.tui.app import ChatApp
from chat.client.tui.safe_text import show_emoji
from chat.client.tui.screens.picker import Picker
from chat.client.tui.themes import LIGHT, by_name, made_by_hand
from chat.client.tui.timeline import Timeline
from chat.client.tui.timeline.palette import INKS, Palette
from chat.errors import StartupError
from tests.client.presenter.fakes import FakeCore, info, said
from tests.client.tui.conftest import Open


@pytest.mark.parametrize("word", ["dark", "light", "contrast", "mono", "16", "nord"])
@pytest.mark.feature("around.themes")
async def test_a_theme_is_chosen_by_a_short_name(open_desktop: Open, word: str) -> None:
    async with open_desktop(info("#general", head=1)) as desktop:
        desktop.core.pages["#general"] = (said(1, "bob", "hi"),)
        desktop.core.open_channel("#general")
        await desktop.until(lambda: "hi" in desktop.screen())
        await desktop.type(f"/theme {word}", "enter")
        await desktop.until(lambda: desktop.app.theme == by_name(word))
        assert "hi" in desktop.screen()


@pytest.mark.parametrize("word", ["dark", "light", "contrast", "mono", "16", "ansi-light"])
async def test_nothing_is_written_in_the_color_of_its_ground(open_desktop: Open, word: str) -> None:
    async with open_desktop(info("#general", head=1)) as desktop:
        desktop.app.theme = by_name(word)
        await desktop.pilot.pause()
        palette = Palette.of(desktop.main.query_one(Timeline))
        for name in INKS:
            style = palette[name]
            assert style.color is None or style.color != style.bgcolor, name


@pytest.mark.feature("around.themes")
async def test_a_theme_of_ones_own_is_offered_and_worn(open_desktop: Open) -> None:
    settings = ClientSettings(name="me", themes={"dusk": {"background": "#102030"}})
    async with open_desktop(info("#general"), settings=settings) as desktop:
        await desktop.type("/theme dusk", "enter")
        await desktop.until(lambda: desktop.app.theme == "dusk")
        assert desktop.app.theme_variables["background"].lower() == "#102030"


class RecordingCore(FakeCore):
    """Notes what is kept."""

    def save_pref(self, key: str, value: str) -> None:
        super().save_pref(key, value)
        self._note("save_pref", key, value)


async def test_a_kept_theme_is_not_written_back_over_another_clients_choice() -> None:
    core = RecordingCore()
    core.prefs["theme"] = "chat-light"
    app = ChatApp(ClientSettings(name="me"), make_core=lambda *_: core)
    async with app.run_test() as pilot:
        await pilot.pause()
        assert app.theme == "chat-light"
        await pilot.press(*"/theme mono", "enter")
        await pilot.pause()
        saved = [call for call in core.calls if call[:2] == ("save_pref", "theme")]
        assert saved == [("save_pref", "theme", "chat-mono")]


@pytest.mark.feature("around.themes")
async def test_the_picker_begins_at_the_current_theme_and_previews_others(
    open_desktop: Open,
) -> None:
    async with open_desktop(info("#general")) as desktop:
        await desktop.type("/theme contrast", "enter")
        await desktop.until(lambda: desktop.core.prefs.get("theme") == "chat-contrast")
        await desktop.type("/theme ", "enter")
        await desktop.until(lambda: isinstance(desktop.app.screen, Picker))
        themes = sorted(desktop.app.available_themes)
        after = themes[themes.index("chat-contrast") + 1]
        await desktop.press("down")
        await desktop.until(lambda: desktop.app.theme == after, "a preview")
        assert desktop.core.prefs["theme"] == "chat-contrast"
        await desktop.press("escape")
        await desktop.until(lambda: desktop.app.theme == "chat-contrast", "it is restored")
        await desktop.type("/theme ", "enter")
        await desktop.until(lambda: isinstance(desktop.app.screen, Picker))
        await desktop.press("down", "enter")
        await desktop.until(lambda: desktop.core.prefs["theme"] == after, "it is kept")
        assert desktop.app.theme == after


def test_what_a_theme_leaves_out_is_as_in_the_dark_or_the_light_one() -> None:
    assert made_by_hand("mine", {"dark": False, "primary": "red"}).background == LIGHT.background


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"primary": "bluish"}, "themes.mine: primary = “bluish” is not a color"),
        ({"primry": "#ffffff"}, "themes.mine: unknown key “primry”"),
        ({"dark": "yes"}, "themes.mine: dark must be true or false"),
    ],
)
def test_a_wrong_color_is_told_before_anything_is_drawn(
    values: dict[str, str | bool], said: str
) -> None:
    settings = ClientSettings(name="me", themes={"mine": values})
    with pytest.raises(StartupError) as refused:
        ChatApp(settings, make_core=FakeCore)
    assert str(refused.value).startswith(said)


@pytest.mark.feature("around.widths")
async def test_emoji_are_shown_by_name_everywhere(open_desktop: Open) -> None:
    settings = ClientSettings(name="me", emoji_names=True)
    try:
        async with open_desktop(info("#general", head=1, topic="🍵 only"), settings=settings) as d:
            d.core.pages["#general"] = (said(1, "bob", "done 🎉"),)
            d.core.open_channel("#general")
            await d.until(lambda: "done :tada:" in d.screen())
            assert ":tea: only" in d.screen()
    finally:
        show_emoji(None)
