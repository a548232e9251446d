"""The composer: Enter sends, typed text is kept, words are completed, typing is reported."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from textual import events

from chat.client.presenter.composer.completion import Sources
from tests.client.tui.writing import Harness


@pytest.fixture
def app() -> Harness:
    return Harness()


async def test_enter_sends_the_text_for_the_subject_it_was_written_for(app: Harness) -> None:
    async with app.run_test() as pilot:
        app.write_in("#tea")
        await pilot.press(*"hi", "enter")
        await pilot.pause()
        assert app.of("sent") == [("sent", "hi", "#tea")]
        assert app.composer.text == ""


async def test_white_space_is_not_sent_and_stays(app: Harness) -> None:
    async with app.run_test() as pilot:
        await pilot.press("space", "ctrl+j", "enter")
        await pilot.pause()
        assert app.of("sent") == [("sent", "", "")]
        assert app.composer.text == " \n"


@pytest.mark.parametrize("key", ["ctrl+j", "alt+enter", "shift+enter"])
async def test_enter_with_a_modifier_starts_a_new_line(app: Harness, key: str) -> None:
    async with app.run_test() as pilot:
        await pilot.press("a", key, "b", "enter")
        await pilot.pause()
        assert app.of("sent") == [("sent", "a\nb", "")]


async def test_keys_that_arrive_together_are_handled_in_order(app: Harness) -> None:
    async with app.run_test() as pilot:
        for key, char in [("a", "a"), ("backspace", None), ("b", "b"), ("enter", "\r"), ("c", "c")]:
            app.post_message(events.Key(key, char))
        await pilot.pause()
        assert app.of("sent") == [("sent", "b", "")]
        assert app.composer.text == "c"


async def test_the_composer_grows_with_its_text_up_to_eight_lines(app: Harness) -> None:
    async with app.run_test() as pilot:
        assert app.composer.size.height == 1
        await pilot.press("a", "ctrl+j", "b")
        await pilot.pause()
        assert app.composer.size.height == 2
        app.composer.load("\n" * 20)
        await pilot.pause()
        assert app.composer.size.height == 8


async def test_a_paste_gets_plain_line_breaks_and_loses_control_characters(app: Harness) -> None:
    async with app.run_test() as pilot:
        app.composer.post_message(events.Paste("one\rtwo\r\nthree\x1b[31m\x07\x9b\u202e\tfour\r"))
        await pilot.pause()
        assert app.composer.text == "one\ntwo\nthree[31m\u202e\tfour\n"
        assert app.of("sent") == []


@pytest.mark.feature("writing.undo")
async def test_escape_keeps_the_text_and_undo_restores_it(app: Harness) -> None:
    async with app.run_test() as pilot:
        await pilot.press(*"precious", "escape")
        await pilot.pause()
        assert app.composer.text == "precious"
        assert app.of("dismissed") == [("dismissed",)]
        await pilot.press("ctrl+u")
        assert app.composer.text == ""
        await pilot.press("ctrl+z")
        assert app.composer.text == "precious"


async def test_returned_text_comes_before_text_typed_since(app: Harness) -> None:
    async with app.run_test() as pilot:
        await pilot.press(*"later")
        app.composer.give_back("earlier")
        assert app.composer.text == "earlier\nlater"


async def test_typing_is_sent_at_most_every_three_seconds(app: Harness) -> None:
    async with app.run_test() as pilot:
        await pilot.press(*"abc")
        await pilot.pause()
        assert app.of("typing") == [("typing", True)]
        app.now = 3.5
        await pilot.press("d")
        await pilot.pause()
        assert app.of("typing") == [("typing", True)] * 2
        await pilot.press("ctrl+u")
        await pilot.pause()
        assert app.of("typing")[-1] == ("typing", False)


async def test_sending_ends_the_typing(app: Harness) -> None:
    async with app.run_test() as pilot:
        await pilot.press("a", "enter")
        await pilot.pause()
        assert app.of("typing") == [("typing", True), ("typing", False)]


async def test_commands_and_loaded_drafts_send_no_typing(app: Harness) -> None:
    async with app.run_test() as pilot:
        app.composer.load("a draft of yesterday")
        await pilot.pause()
        app.composer.load("")
        await pilot.press("slash", *"me")
        await pilot.pause()
        assert app.of("typing") == []


class TestCompletion:
    """The suggestions, and the keys that accept them."""

    @pytest.fixture
    def app(self) -> Harness:
        return Harness()

    async def ready(self, app: Harness) -> None:
        app.composer.sources = lambda: Sources(
            names=("bob", "alice"), channels=("#general", "#teapot")
        )

    @pytest.mark.feature("writing.completion")
    async def test_tab_accepts_the_first_suggestion(self, app: Harness) -> None:
        async with app.run_test() as pilot:
            await self.ready(app)
            await pilot.press(*"hi @", "tab")
            assert app.composer.text == "hi @bob "

    async def test_tab_waits_for_names_requested_from_the_server(self, app: Harness) -> None:
        asked: list[tuple[str, Callable[[], None]]] = []
        names = ["user0010"]

        def look_up(line: str, then: Callable[[], None]) -> bool:
            asked.append((line, then))
            return "user1" not in names

        async with app.run_test() as pilot:
            app.composer.sources = lambda: Sources(names=tuple(names))
            app.composer.look_up = look_up
            await pilot.press(*"hi @user1", "tab")
            assert app.composer.text == "hi @user1"
            names.extend(["user1", "user10"])
            _, then = next(each for each in reversed(asked) if each[0] == "hi @user1")
            then()
            assert app.composer.text == "hi @user1 "
            await pilot.press(*"@user10", "x")
            then()  # for a line that no longer exists
            assert app.composer.text == "hi @user1 @user10x"

    async def test_the_arrows_select_a_suggestion(self, app: Harness) -> None:
        async with app.run_test() as pilot:
            await self.ready(app)
            await pilot.press(*"@", "down", "enter")
            await pilot.pause()
            assert app.composer.text == "@alice "
            assert app.of("sent") == []

    async def test_enter_sends_a_word_that_is_complete(self, app: Harness) -> None:
        async with app.run_test() as pilot:
            await self.ready(app)
            await pilot.press(*"@bob", "enter")
            await pilot.pause()
            assert app.of("sent") == [("sent", "@bob", "")]

    async def test_enter_does_not_turn_a_new_channel_into_another(self, app: Harness) -> None:
        async with app.run_test() as pilot:
            await self.ready(app)
            await pilot.press("slash", *"join #tea", "enter")
            await pilot.pause()
            assert app.of("sent") == [("sent", "/join #tea", "")]

    async def test_escape_closes_the_suggestions_for_this_word_only(self, app: Harness) -> None:
        async with app.run_test() as pilot:
            await self.ready(app)
            await pilot.press(*"@b", "escape", "o", "enter")
            await pilot.pause()
            assert app.of("dismissed") == []
            assert app.of("sent") == [("sent", "@bo", "")]
            await pilot.press(*"@b", "tab")
            assert app.composer.text == "@bob "

    async def test_an_emoji_takes_the_place_of_its_name(self, app: Harness) -> None:
        async with app.run_test() as pilot:
            await pilot.press(*"well :tad", "tab")
            assert app.composer.text == "well 🎉 "

    async def test_a_completion_in_the_middle_keeps_the_text_after_it(self, app: Harness) -> None:
        async with app.run_test() as pilot:
            await self.ready(app)
            await pilot.press(*"@b and so on", *["left"] * 10, "tab")
            assert app.composer.text == "@bob and so on"

    async def test_undo_removes_a_completion(self, app: Harness) -> None:
        async with app.run_test() as pilot:
            await self.ready(app)
            await pilot.press(*"@b", "tab", "ctrl+z")
            assert app.composer.text.startswith("@b")
            assert app.composer.text != "@bob "
