"""The search screen: results, further pages, and returning to the results."""

from __future__ import annotations

import pytest
from textual.content import Content
from textual.widgets import Input, OptionList

from chat.client.network.errors import Offline
from chat.client.tui.screens.search import SearchScreen
from chat.client.tui.timeline import Timeline
from chat.client.tui.widgets.bars import MessageBar
from chat.errors import CommandError, ErrorCode
from chat.protocol.commands import Search
from chat.protocol.frames import Hit, Results
from tests.client.presenter.fakes import NOON, said
from tests.client.tui.conftest import Desktop


def hit(seq: int, channel: str = "#tea", text: str = "a cup of tea") -> Hit:
    marks = (text.index("tea"), text.index("tea") + 3)
    ts = NOON + seq * 60_000
    return Hit(channel=channel, seq=seq, ts=ts, author="bob", snippet=text, marks=marks)


async def find(desktop: Desktop, *hits: Hit, typed: str = "tea", more: bool = False) -> None:
    await desktop.type(f"/search {typed}", "enter")
    await desktop.until(lambda: desktop.core.asked("search"))
    cursor = {"#tea": hits[-1].seq} if more else None
    desktop.core.futures["search"].set_result(Results(hits=hits, complete=not more, cursor=cursor))
    await desktop.until(lambda: isinstance(desktop.app.screen, SearchScreen))
    await desktop.pilot.pause()


@pytest.mark.feature("reading.search")
async def test_hits_are_listed_by_channel_and_enter_goes_there_and_back(desktop: Desktop) -> None:
    desktop.core.pages["#tea"] = tuple(said(n, "bob", f"cup {n}", "#tea") for n in range(1, 40))
    await find(desktop, hit(20), hit(7), hit(3, "#general"))
    # Three rows, and the full text of the first.
    await desktop.until(lambda: desktop.screen().count("a cup of tea") == 4)
    screen = desktop.screen()
    assert screen.index("#tea") < screen.index("#general", screen.index("3 messages"))
    await desktop.press("down", "enter")
    timeline = desktop.main.query_one(Timeline)
    await desktop.until(lambda: timeline.cursor is not None)
    assert timeline.cursor is not None
    assert (timeline.cursor.channel, timeline.cursor.seq) == ("#tea", 7)
    await desktop.press("alt+s")
    await desktop.until(lambda: isinstance(desktop.app.screen, SearchScreen))
    rows = desktop.app.screen.query_one(OptionList)
    await desktop.until(lambda: rows.highlighted_option is not None)
    assert rows.highlighted_option is not None
    assert rows.highlighted_option.id == "1"
    await desktop.press("escape", "alt+left")
    await desktop.until(lambda: desktop.conversation.state.current == "#general")


async def test_a_failed_search_says_why_and_keeps_the_former_results(desktop: Desktop) -> None:
    await find(desktop, hit(20))
    await desktop.press("slash", *"cup", "enter")
    await desktop.until(lambda: "Searching…" in desktop.screen())
    error = CommandError(ErrorCode.UNAVAILABLE, "the search index is being built")
    desktop.core.futures["search"].set_exception(error)
    await desktop.until(lambda: "The search index is being built." in desktop.screen())
    assert "a cup of tea" in desktop.screen()
    assert desktop.app.screen.query_one(Input).value == "cup"


async def test_letters_after_a_jump_to_a_hit_are_typed(desktop: Desktop) -> None:
    desktop.core.pages["#tea"] = tuple(said(n, "me", f"cup {n}", "#tea") for n in range(1, 40))
    await find(desktop, hit(20))
    await desktop.click_on("a cup of tea")
    timeline = desktop.main.query_one(Timeline)
    await desktop.until(lambda: timeline.cursor is not None)
    await desktop.press(*"deploy")
    await desktop.until(lambda: desktop.composer.text == "deploy")
    assert desktop.app.screen is desktop.main


async def test_keys_act_on_a_hit_that_was_opened_with_enter(desktop: Desktop) -> None:
    desktop.core.pages["#tea"] = tuple(said(n, "me", f"cup {n}", "#tea") for n in range(1, 40))
    await find(desktop, hit(20))
    await desktop.press("enter")
    timeline, bar = desktop.main.query_one(Timeline), desktop.main.query_one(MessageBar)
    await desktop.until(lambda: timeline.cursor is not None and timeline.has_focus)
    await desktop.until(lambda: bar.has_keys and "e edit" in str(bar.render()))
    await desktop.press("e")
    await desktop.until(lambda: desktop.composer.text == "cup 20")


async def test_one_escape_leaves_a_result_opened_with_enter(desktop: Desktop) -> None:
    desktop.core.pages["#tea"] = tuple(said(n, "me", f"cup {n}", "#tea") for n in range(1, 40))
    await find(desktop, hit(20))
    await desktop.press("enter")
    timeline = desktop.main.query_one(Timeline)
    await desktop.until(lambda: timeline.cursor is not None and timeline.has_focus)
    await desktop.press("escape")
    await desktop.until(lambda: timeline.cursor is None and desktop.composer.has_focus)


async def test_an_empty_page_is_not_the_end(desktop: Desktop) -> None:
    await desktop.type("/search tea", "enter")
    await desktop.until(lambda: desktop.core.asked("search"))
    first = desktop.core.futures["search"]
    first.set_result(Results(hits=(), complete=False, cursor={"#tea": 9}))
    await desktop.until(lambda: len(desktop.core.asked("search")) == 2)
    desktop.core.futures["search"].set_result(Results(hits=(hit(7),), complete=True))
    await desktop.until(lambda: "1 message, newest first" in desktop.screen())
    ((asked,),) = desktop.core.asked("search")[1:]
    assert asked.cursor == {"#tea": 9}


async def test_more_results_are_requested_near_the_end(desktop: Desktop) -> None:
    await find(desktop, *(hit(100 - n) for n in range(30)), more=True)
    assert len(desktop.core.asked("search")) == 1
    assert "First 30 messages; there are more" in desktop.screen()
    await desktop.press("end")
    await desktop.until(lambda: len(desktop.core.asked("search")) == 2)
    ((asked,),) = desktop.core.asked("search")[1:]
    assert asked.cursor == {"#tea": 71}
    desktop.core.futures["search"].set_result(Results(hits=(hit(5),), complete=True))
    await desktop.until(lambda: "31 messages, newest first" in desktop.screen())


async def test_the_field_searches_for_something_else(desktop: Desktop) -> None:
    await find(desktop, hit(1))
    await desktop.press("/")
    await desktop.until(lambda: desktop.app.screen.query_one(Input).has_focus)
    await desktop.press(*"from", "colon", *"bob", "enter")
    await desktop.until(lambda: len(desktop.core.asked("search")) == 2)
    assert desktop.core.asked("search")[1] == (Search(author="bob", limit=50),)
    desktop.core.futures["search"].set_result(Results(hits=(), complete=True))
    await desktop.until(lambda: "No message has all these words" in desktop.screen())


async def test_a_letter_typed_in_the_results_begins_another_query(desktop: Desktop) -> None:
    await find(desktop, hit(20), hit(7))
    await desktop.press("enter")
    await desktop.until(lambda: desktop.app.screen is desktop.main)
    await desktop.press("alt+s")
    await desktop.until(lambda: isinstance(desktop.app.screen, SearchScreen))
    results = desktop.app.screen
    await desktop.until(lambda: results.query_one(OptionList).has_focus)
    await desktop.press(*"milk")
    assert results.query_one(Input).value == "milk"
    await desktop.until(lambda: "Below: results for “tea”" in desktop.screen())
    assert "2 messages" not in desktop.screen()
    await desktop.press("enter")
    await desktop.until(lambda: len(desktop.core.asked("search")) == 2)
    assert desktop.core.asked("search")[1] == (Search(query="milk", limit=50),)
    desktop.core.futures["search"].set_result(Results(hits=(hit(9),), complete=True))
    await desktop.until(lambda: "1 message, newest first" in desktop.screen())
    await desktop.until(lambda: results.query_one(OptionList).has_focus)


async def test_search_without_words_opens_an_empty_field(desktop: Desktop) -> None:
    await desktop.press("alt+s")
    await desktop.until(lambda: "Searches the channels" in desktop.screen())
    await desktop.press(*"in", "colon", *"tea", "enter")
    await desktop.until(lambda: "Enter a word" in desktop.screen())
    await desktop.press("escape")
    await desktop.until(lambda: desktop.app.screen is desktop.main)


@pytest.mark.feature("reading.search")
async def test_offline_search_uses_the_cache_and_shows_this(desktop: Desktop) -> None:
    await desktop.type("/search tea", "enter")
    await desktop.until(lambda: desktop.core.asked("search"))
    desktop.core.futures["search"].set_exception(Offline("not connected"))
    await desktop.until(lambda: desktop.core.asked("search_here"))
    desktop.core.futures["search_here"].set_result(Results(hits=(hit(1),), complete=True))
    told = "1 message on this computer (offline)"
    await desktop.until(lambda: told in desktop.screen())
    await desktop.press("/", "enter")
    await desktop.until(lambda: len(desktop.core.asked("search")) == 2)
    desktop.core.futures["search"].set_result(Results(hits=(hit(1), hit(2)), complete=True))
    await desktop.until(
        lambda: "2 messages, newest first" in desktop.screen(), "it is connected again"
    )


@pytest.mark.feature("reading.search")
async def test_a_result_is_shown_between_the_messages_around_it(desktop: Desktop) -> None:
    await find(desktop, hit(20), hit(7))
    await desktop.until(lambda: desktop.core.asked("near"), "its neighbors are requested")
    assert desktop.core.asked("near") == [("#tea", 20)]
    lines = [
        said(17, "ann", "long before", "#tea"),
        said(18, "ann", "*Earl Grey* or green?", "#tea"),
        said(19, "dan", "", "#tea", kind="join"),
        said(20, "bob", "a cup of tea", "#tea"),
        said(21, "ann", "", "#tea", deleted=True),
        said(23, "eve", "with milk", "#tea"),
    ]
    desktop.core.futures["near"].set_result(lines)
    await desktop.until(lambda: "eve: with milk" in desktop.screen())
    rows = [row.strip() for row in desktop.screen().splitlines()]
    at = next(number for number, row in enumerate(rows) if "bob: a cup of tea" in row)
    assert "ann: Earl Grey or green?" in rows[at - 1]
    assert "eve: with milk" in rows[at + 1]
    await desktop.press("down", "up")
    await desktop.until(lambda: "eve: with milk" in desktop.screen(), "it is remembered")
    assert ("#tea", 20) not in desktop.core.asked("near")[1:]


async def test_a_result_is_formatted_like_a_message(desktop: Desktop) -> None:
    texts = ("a *cup of tea*, `tea`", "**tea** [page](https://tea.example)", "\ue000tea\ue001")
    await find(desktop, *(hit(9 - n, text=text) for n, text in enumerate(texts)))
    for shown in ("a cup of tea, tea", "tea page", "?tea?"):
        assert shown in desktop.screen()
    rows = desktop.app.screen.query_one(OptionList)
    row = rows.get_option("0").prompt
    assert isinstance(row, Content)
    lit = [row.plain[span.start : span.end] for span in row.spans if "accent" in str(span.style)]
    assert lit == ["tea"]


async def test_a_hit_in_a_code_block_is_shown_without_the_fences(desktop: Desktop) -> None:
    text = "so:\n```python\n__tea__.clear()\n```\nand *done*"
    await find(desktop, hit(9, text=text), hit(8, text="…```python\ntea()"))
    rows = [row.strip() for row in desktop.screen().splitlines()]
    assert not [row for row in rows if "python" in row or "```" in row]
    assert [row for row in rows if "bob" in row and "__tea__.clear()" in row and "done" in row]
    assert [row for row in rows if "bob" in row and row.endswith("tea()")]
    at = next(number for number, row in enumerate(rows) if row.endswith("bob: so:"))
    assert [row.split()[-1] for row in rows[at + 1 : at + 3]] == ["__tea__.clear()", "done"]


async def test_the_keys_of_the_field_or_of_the_results_are_shown(desktop: Desktop) -> None:
    await desktop.press("alt+s")
    await desktop.until(lambda: "Enter search   Esc close" in desktop.screen())
    await desktop.press("escape")
    await find(desktop, hit(9))
    await desktop.until(lambda: "Enter open   ↑ ↓ select" in desktop.screen())
    await desktop.press("/")
    await desktop.until(lambda: "Enter search   ↓ results   Esc close" in desktop.screen())


async def test_a_long_row_begins_with_a_whole_word(desktop: Desktop) -> None:
    await find(desktop, hit(9, text="nobody remembers the afternoon without a cup of tea here"))
    assert "…without a cup of tea here" in desktop.screen()


async def test_results_contain_no_control_characters(desktop: Desktop) -> None:
    await find(desktop, hit(1, text="[bold]\x1b]0;x\x07tea[/] \u202e" + "x" * 100))
    assert "[bold]␛]0;x␇tea[/]" in desktop.screen()
