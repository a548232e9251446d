"""Themes: choosing one, custom colors, and the contrast of all text."""

from __future__ import annotations

import re

import pytest
from rich.color import Color as RichColor
from rich.style import Style
from textual.color import Color
from textual.theme import BUILTIN_THEMES
from textual.widgets import Input

from chat.client.config.settings import ClientSettings
from chat.client.model.state import ConnectionChanged, Link, ThreadChanged, TimelineChanged
from chat.client.platform.local_time import local_time
from chat.client.tui.app import ChatApp
from chat.client.tui.safe_text import show_emoji
from chat.client.tui.screens.picker import Picker
from chat.client.tui.themes import LIGHT, OWN, TEXT_CONTRAST, by_name, contrast, made_by_hand
from chat.client.tui.timeline import Timeline
from chat.client.tui.timeline.palette import INKS, Palette
from chat.errors import StartupError
from tests.client.presenter.fakes import FakeCore, info, said
from tests.client.tui.conftest import Desktop, Open
from tests.client.tui.pictures.picture import strips
from tests.client.tui.pictures.test_pictures import CHANNELS, PAGE, talk


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
async def test_no_text_has_the_color_of_its_background(open_desktop: Open, word: str) -> None:
    async with open_desktop(info("#general", head=1)) as desktop:
        desktop.app.theme = by_name(word)
        await desktop.pilot.pause()
        palette = Palette.of(desktop.main.query_one(Timeline))
        for name in INKS:
            style = palette[name]
            assert style.color is None or style.color != style.bgcolor, name


@pytest.mark.feature("around.themes")
async def test_a_custom_theme_can_be_chosen(open_desktop: Open) -> None:
    settings = ClientSettings(name="me", themes={"dusk": {"background": "#102030"}})
    async with open_desktop(info("#general"), settings=settings) as desktop:
        await desktop.type("/theme dusk", "enter")
        await desktop.until(lambda: desktop.app.theme == "dusk")
        assert desktop.app.theme_variables["background"].lower() == "#102030"


class RecordingCore(FakeCore):
    """A core that records saved preferences."""

    def save_pref(self, key: str, value: str) -> None:
        super().save_pref(key, value)
        self._note("save_pref", key, value)


async def test_a_stored_theme_does_not_overwrite_another_clients_choice() -> None:
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
        after = "chat-mono"
        await desktop.press("down")
        await desktop.until(lambda: desktop.app.theme == after, "a preview")
        assert desktop.core.prefs["theme"] == "chat-contrast"
        await desktop.press("escape")
        await desktop.until(lambda: desktop.app.theme == "chat-contrast", "it is restored")
        await desktop.type("/theme ", "enter")
        await desktop.until(lambda: isinstance(desktop.app.screen, Picker))
        await desktop.press("down", "enter")
        await desktop.until(lambda: desktop.core.prefs["theme"] == after, "the choice is saved")
        assert desktop.app.theme == after


@pytest.mark.parametrize("size", [(80, 24), (120, 36)])
async def test_the_theme_picker_leaves_the_conversation_in_view(
    open_desktop: Open, size: tuple[int, int]
) -> None:
    async with open_desktop(*CHANNELS, size=size) as desktop:
        await talk(desktop)
        await desktop.type("/theme ", "enter")
        await desktop.until(lambda: "atom-one-dark" in desktop.screen())
        await desktop.until(lambda: "I unplugged the router in" in desktop.screen())
        assert "catppuccin-macchiato" in desktop.screen()


async def test_the_picker_lists_the_programs_own_themes_first_by_their_short_names(
    open_desktop: Open,
) -> None:
    async with open_desktop(info("#general"), size=(80, 24)) as desktop:
        await desktop.type("/theme ", "enter")
        await desktop.until(lambda: "atom-one-dark" in desktop.screen())
        words = desktop.screen().split("Type to filter")[1].split()
        words = [word for word in words if word.isascii()]
        assert words[:6] == ["dark", "light", "contrast", "mono", "16", "ansi-light"]
        await desktop.press(*"16", "enter")
        await desktop.until(lambda: desktop.core.prefs.get("theme") == "ansi-dark")


def test_missing_theme_colors_come_from_the_dark_or_light_theme() -> None:
    assert made_by_hand("mine", {"dark": False, "primary": "red"}).background == LIGHT.background


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"primary": "bluish"}, "themes.mine: primary = “bluish” is not a color"),
        ({"primry": "#ffffff"}, "themes.mine: unknown key “primry”"),
        ({"dark": "yes"}, "themes.mine: dark must be true or false"),
    ],
)
def test_an_invalid_color_is_reported_before_the_first_paint(
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


# xterm's palette, with which the 16-color themes are measured.
XTERM = (
    "#000000", "#cd0000", "#00cd00", "#cdcd00", "#0000ee", "#cd00cd", "#00cdcd", "#e5e5e5",
    "#7f7f7f", "#ff0000", "#00ff00", "#ffff00", "#5c5cff", "#ff00ff", "#00ffff", "#ffffff",
)  # fmt: skip
THEMES = {**BUILTIN_THEMES, **{theme.name: theme for theme in OWN}}


def as_seen(color: RichColor | None, default: str) -> Color:
    if color is None or color.is_default:
        return Color.parse(default)
    if color.number is not None and color.number < 16:
        return Color.parse(XTERM[color.number])
    return Color(*color.get_truecolor())


def unreadable(desktop: Desktop) -> list[str]:
    """Return the words on the screen with too little contrast, each with its contrast."""
    is_dark = desktop.app.current_theme.dark
    ink, ground = ("#ffffff", "#000000") if is_dark else ("#000000", "#ffffff")
    screen, found = desktop.app.screen, []
    # Text behind a dialog is dimmed on purpose.
    shown = screen.children[0].region if screen.is_modal else screen.region
    for strip in strips(desktop.app)[shown.y : shown.bottom]:
        for text, style, _ in strip.crop(shown.x, shown.right):
            if style is None or not any(char.isalnum() for char in text):
                continue
            one, other = as_seen(style.color, ink), as_seen(style.bgcolor, ground)
            if contrast(one, other) < TEXT_CONTRAST or (style.dim and not style.italic):
                found.append(f"{text.strip()!r} {contrast(one, other):.1f}")
    return found


async def look_at_all_themes(desktop: Desktop) -> None:
    faint = {}
    for name in THEMES:
        desktop.app.theme = name
        await desktop.pilot.pause()
        faint[name] = unreadable(desktop)
    assert {name: words for name, words in faint.items() if words} == {}


@pytest.mark.feature("around.themes")
class TestContrast:
    """All text of every theme has a contrast of at least 4.5."""

    def test_contrast_of_black_and_white(self) -> None:
        assert round(contrast(Color.parse("black"), Color.parse("white")), 1) == 21

    async def test_contrast_in_a_conversation(self, open_desktop: Open) -> None:
        async with open_desktop(*CHANNELS, size=(140, 40)) as desktop:
            await talk(desktop)
            await look_at_all_themes(desktop)

    async def test_contrast_of_a_selected_message(self, open_desktop: Open) -> None:
        async with open_desktop(*CHANNELS) as desktop:
            await talk(desktop)
            await desktop.press("ctrl+up", "up", "up", "up")
            await look_at_all_themes(desktop)

    async def test_contrast_in_a_thread_and_a_reply(self, open_desktop: Open) -> None:
        async with open_desktop(*CHANNELS) as desktop:
            await talk(desktop)
            await desktop.press("ctrl+up", "up", "up", "up", "r")
            await desktop.until(lambda: "Replying to" in desktop.screen())
            desktop.main.conversation.run_command("/thread 3")
            change = TimelineChanged("#general", PAGE[2:3], reset=True, complete=True)
            desktop.core.tell(ThreadChanged("#general", 3, 3, change))
            await desktop.until(lambda: "no replies yet" in desktop.screen())
            await look_at_all_themes(desktop)

    async def test_contrast_of_errors(self, open_desktop: Open) -> None:
        async with open_desktop(*CHANNELS) as desktop:
            trouble = ConnectionChanged(Link.REFUSED, "The server is full.", user="me")
            desktop.core.tell(trouble)
            await desktop.until(lambda: "is full" in desktop.screen())
            await look_at_all_themes(desktop)

    async def test_contrast_of_selected_text(self, open_desktop: Open) -> None:
        async with open_desktop(*CHANNELS) as desktop:
            await talk(desktop)
            await desktop.type("/nonsense with words")
            desktop.composer.select_all()
            await look_at_all_themes(desktop)
            await desktop.press("ctrl+k", *"words")
            await desktop.until(lambda: desktop.app.screen.is_modal)
            desktop.app.screen.query_one(Input).select_all()
            await look_at_all_themes(desktop)

    async def test_contrast_in_the_switcher(self, open_desktop: Open) -> None:
        async with open_desktop(*CHANNELS) as desktop:
            await talk(desktop)
            await desktop.press("ctrl+k")
            await desktop.until(lambda: desktop.app.screen.is_modal)
            await desktop.pilot.pause()
            await look_at_all_themes(desktop)


@pytest.mark.parametrize("word", ["contrast", "16", "ansi-light"])
async def test_panes_with_one_background_have_borders(open_desktop: Open, word: str) -> None:
    async with open_desktop(*CHANNELS, size=(140, 40)) as desktop:
        await talk(desktop)
        desktop.app.theme = by_name(word)
        await desktop.pilot.pause()
        row = desktop.screen().splitlines()[10]
        assert (row[27], row[-22]) == ("│", "│")
        await desktop.until(lambda: re.search("alice +owner", desktop.screen()), "no word is cut")
        desktop.app.theme = by_name("dark")
        await desktop.pilot.pause()
        assert "│" not in desktop.screen()


async def test_a_dialog_has_a_frame_in_16_colors(open_desktop: Open) -> None:
    async with open_desktop(*CHANNELS) as desktop:
        desktop.app.theme = by_name("16")
        await desktop.press("ctrl+k")
        await desktop.until(lambda: desktop.app.screen.is_modal)
        await desktop.until(lambda: "┌──" in desktop.screen() and "└──" in desktop.screen())


async def test_a_placeholder_is_fainter_than_text(open_desktop: Open) -> None:
    async with open_desktop(info("#general", head=1)) as desktop:
        desktop.composer.cursor_blink = False

        def style() -> Style:
            shown = (segment for strip in strips(desktop.app) for segment in strip)
            return next(style for text, style, _ in shown if "essage #gen" in text and style)

        for word in ("16", "ansi-light"):
            desktop.app.theme = by_name(word)
            await desktop.until(lambda: style().dim, "dim in 16 colors")
        desktop.app.theme = by_name("contrast")
        await desktop.until(
            lambda: contrast(as_seen(style().color, "#ffffff"), Color.parse("black")) < 9,
            "a darker gray",
        )


async def test_a_placeholder_does_not_look_like_text(open_desktop: Open) -> None:
    async with open_desktop(info("#general", head=1)) as desktop:
        desktop.composer.cursor_blink = False

        def is_italic(words: str) -> list[bool | None]:
            shown = (segment for strip in strips(desktop.app) for segment in strip)
            return [style.italic for text, style, _ in shown if words in text and style]

        for name in THEMES:
            desktop.app.theme = name
            await desktop.until(lambda: is_italic("essage #general") == [True], name)
        await desktop.type("a message #general is for")
        await desktop.until(lambda: is_italic("essage #general") in ([None], [False]))


@pytest.mark.parametrize("word", ["16", "ansi-light"])
async def test_selected_rows_are_in_reverse_video_in_16_colors(
    open_desktop: Open, word: str
) -> None:
    async with open_desktop(*CHANNELS, size=(140, 40)) as desktop:
        await talk(desktop)
        desktop.app.theme = by_name(word)

        def is_reversed(words: str) -> bool:
            shown = (segment for strip in strips(desktop.app) for segment in strip)
            return any(words in text and style and style.reverse for text, style, _ in shown)

        await desktop.until(lambda: is_reversed("general"), "the current channel")
        await desktop.press("ctrl+up", "up", "up")
        time = f"{local_time(PAGE[11].ts):%H:%M}"
        await desktop.until(lambda: is_reversed(time), "the selected message")
        await desktop.press("escape", "@", "c")
        await desktop.until(lambda: is_reversed("@carol"), "the completion")
        await desktop.press("escape", "ctrl+k", "t", "e", "a")
        await desktop.until(lambda: is_reversed("#tea"), "the row of the switcher")
