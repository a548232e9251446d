"""Hostile text from a server reaches the terminal without markup, control characters or links."""

from __future__ import annotations

import re

import pytest

from chat.client.model.state import (
    ChannelInfo,
    ChannelsChanged,
    ConnectionChanged,
    Link,
    MembersChanged,
    Notice,
    TimelineChanged,
    TypingChanged,
)
from chat.client.presenter.view import Choice
from chat.client.tui.safe_text import elide, line, lines, sendable
from chat.client.tui.screens.picker import confirm_deletion, pick
from tests.client.presenter.fakes import said
from tests.client.tui.conftest import Desktop, Open
from tests.client.tui.pictures.picture import strips

EVIL = "[/b][@click=app.quit]x[/]\x1b]52;c;aGk=\x07\x1b[2J\x9b31m\u202e\r\n\x00\x7f[red]"
CONTROL = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
# The part that must be readable wherever there is room for it.
SHOWN = "[/b][@click=app.quit]x[/]␛]52;c;aGk=␇␛[2J"

FIELDS = ["channel", "topic", "direct", "member", "typing", "banner", "server", "user"]


def painted(desktop: Desktop) -> str:
    """Return the screen's text, after checking its characters and styles."""
    for strip in strips(desktop.app):
        for segment in strip:
            assert not CONTROL.search(segment.text), repr(segment.text)
            meta = segment.style.meta if segment.style else {}
            assert "app.quit" not in str(meta.get("@click", "")), meta
    return desktop.screen()


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.promise(
    6,
    fault="control sequences and markup in every field",
    result="shown as plain text",
)
async def test_every_field_shows_as_plain_text(open_desktop: Open, field: str) -> None:
    async with open_desktop(size=(200, 30)) as desktop:
        core = desktop.core
        core.tell(ConnectionChanged(Link.ONLINE, user="me", server="home"))
        channel = ChannelInfo("#general", topic=EVIL if field == "topic" else "tea")
        channels = [channel]
        if field == "channel":
            channels = [ChannelInfo(f"#{EVIL}")]
        if field == "direct":
            channels = [ChannelInfo("@a,me", direct=(EVIL,))]
        core.tell(ChannelsChanged(tuple(channels)))
        await desktop.until(lambda: desktop.conversation.state.current)
        name = channels[0].name
        if field == "member":
            evil = f"\x1b[2J{EVIL}"  # only the beginning: long names are truncated
            core.tell(MembersChanged(name, ((evil, evil, evil), (evil, "owner", "online")), 2))
        if field == "typing":
            core.tell(TypingChanged(name, (EVIL,)))
        if field == "banner":
            core.tell(ConnectionChanged(Link.REFUSED, EVIL))
        if field == "server":
            core.tell(ConnectionChanged(Link.ONLINE, user="me", server=EVIL))
            await desktop.type("/server ")  # suggests the servers by their names
        if field == "user":
            core.tell(ConnectionChanged(Link.ONLINE, user=EVIL, server="home"))
        shown = SHOWN[:11] if field in ("channel", "direct") else SHOWN
        shown = "␛[2J[/b]" if field == "member" else shown
        await desktop.until(lambda: shown in desktop.screen(), f"{field} is shown")
        painted(desktop)
        assert desktop.app.is_running


async def test_notices_and_dialogs_show_plain_text(desktop: Desktop) -> None:
    desktop.core.tell(Notice(EVIL, "error"))
    await desktop.until(lambda: "[/b][@click" in desktop.screen())
    painted(desktop)
    desktop.app.notify(EVIL, title=EVIL, markup=True)
    await desktop.until(lambda: desktop.screen().count("[/b][@click") > 1)
    painted(desktop)
    picker = pick(desktop.main, EVIL, [Choice("k", EVIL, EVIL)], lambda _: None)
    await desktop.until(lambda: desktop.screen().count("[/b][@click") >= 2)
    picker.add([Choice("k", EVIL), Choice("l", EVIL)])
    await desktop.pilot.pause()
    painted(desktop)
    await desktop.press("escape")
    confirm_deletion(desktop.main, said(1, "bob", EVIL), lambda: None)
    await desktop.until(lambda: "cannot be undone" in desktop.screen())
    painted(desktop)


async def test_replies_edits_and_completion_show_plain_text(desktop: Desktop) -> None:
    desktop.conversation.drafts.begin_reply(said(3, EVIL, EVIL))
    await desktop.until(lambda: "Replying to [/b]" in desktop.screen())
    painted(desktop)
    desktop.conversation.drafts.begin_edit(said(6, "me", EVIL))
    await desktop.until(lambda: "[/b][@click=app.quit]x" in desktop.screen())
    painted(desktop)
    desktop.composer.load("")
    evil = said(9, "bob\x1b[2J", "x")
    desktop.core.tell(TimelineChanged("#general", upserts=(evil,)))
    await desktop.pilot.pause()
    await desktop.press("@", "b")
    await desktop.until(lambda: "@bob␛[2J" in desktop.screen())
    painted(desktop)
    await desktop.press("tab")
    assert not CONTROL.search(desktop.composer.text)


async def test_the_switcher_shows_plain_text(open_desktop: Open) -> None:
    async with open_desktop(ChannelInfo(f"#{EVIL}", topic=EVIL), size=(120, 30)) as desktop:
        await desktop.press("ctrl+p")
        await desktop.until(lambda: "Go to" in desktop.screen())
        name = f"#{SHOWN[:20]}"  # in the header, the composer and the switcher
        await desktop.until(lambda: desktop.screen().count(name) > 2)
        painted(desktop)


def test_foreign_text_becomes_content_without_spans_of_its_own() -> None:
    assert line(EVIL, "bold").plain.startswith(SHOWN)
    assert "\n" not in line(EVIL).plain
    assert lines("a\x1b\nb\tc").plain == "a␛\nb   c"


def test_eliding_counts_cells() -> None:
    assert elide(line("日本語テキスト"), 5).plain == "日本…"
    assert elide(line("short"), 5).plain == "short"
    assert elide(line("x"), -3).plain in ("", "…")


@pytest.mark.parametrize(
    ("typed", "sent"),
    [
        ("one\r\ntwo\rthree\n", "one\ntwo\nthree\n"),
        ("tab\tstays", "tab\tstays"),
        ("\x1b[31mred\x07\x00\x7f\x9b", "[31mred"),
        ("lone \ud800 surrogate", "lone  surrogate"),
        ("שלום 👩‍👩‍👧 日本", "שלום 👩‍👩‍👧 日本"),
    ],
)
def test_sent_text_contains_no_control_characters(typed: str, sent: str) -> None:
    assert sendable(typed) == sent
