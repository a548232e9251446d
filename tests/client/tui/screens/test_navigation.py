"""Navigation keys: unread messages, mentions, history, and channels by number."""

from __future__ import annotations

from concurrent.futures import Future

import pytest

from chat.client.model.membership import FollowedThread
from chat.client.model.state import ChannelsChanged, TimelineChanged
from chat.client.presenter import conversation
from chat.client.tui.timeline import Timeline
from tests.client.presenter.fakes import info, said
from tests.client.tui.conftest import Desktop

CHANNELS = (info("#general", head=90), info("#tea", head=2), info("@alice,me", head=1))


@pytest.mark.feature("around.ways")
async def test_alt_left_and_right_go_back_and_forward(desktop: Desktop) -> None:
    state = desktop.conversation.state
    await desktop.press("alt+down", "alt+down")
    assert state.current == "@alice,me"
    visited = []
    for key in ("alt+left", "alt+left", "alt+left", "alt+right", "alt+right", "alt+right"):
        await desktop.press(key)
        visited.append(state.current)
    assert visited == ["#tea", "#general", "#general", "#tea", "@alice,me", "@alice,me"]


@pytest.mark.feature("around.ways")
async def test_alt_l_switches_between_two_channels(desktop: Desktop) -> None:
    state = desktop.conversation.state
    await desktop.press("alt+3", "alt+l")
    assert state.current == "#general"
    await desktop.press("alt+l")
    assert state.current == "@alice,me"


@pytest.mark.parametrize(("key", "channel"), [("alt+2", "#tea"), ("alt+9", "#general")])
async def test_alt_and_a_digit_show_the_channel_with_that_number(
    desktop: Desktop, key: str, channel: str
) -> None:
    await desktop.press(key)
    assert desktop.conversation.state.current == channel


@pytest.mark.feature("reading.rule")
async def test_alt_u_shows_the_first_unread_message(desktop: Desktop) -> None:
    desktop.core.tell(ChannelsChanged((info("#general"), info("#tea", read=5, unread=75))))
    desktop.core.pages["#tea"] = tuple(
        said(seq, "bob", f"cup {seq}", "#tea") for seq in range(1, 81)
    )
    await desktop.press("alt+2")
    await desktop.until(lambda: "cup 80" in desktop.screen())
    assert "cup 6" not in desktop.screen().split()
    await desktop.press("alt+u")
    await desktop.until(lambda: "cup 6 " in desktop.screen())
    assert desktop.core.asked("reach") == [("#tea", 6)]
    assert desktop.composer.has_focus


@pytest.mark.feature("reading.rule")
async def test_alt_a_shows_the_first_unread_and_leaves_the_rest_unread(desktop: Desktop) -> None:
    tea = info("#tea", head=80, read=5, unread=75)
    desktop.core.tell(ChannelsChanged((info("#general"), tea)))
    desktop.core.pages["#tea"] = tuple(
        said(seq, "bob", f"cup {seq}", "#tea") for seq in range(1, 81)
    )
    await desktop.press("alt+a")
    await desktop.until(lambda: "── new ──" in desktop.screen() and "cup 6 " in desktop.screen())
    await desktop.until(lambda: desktop.core.asked("mark"))
    assert all(seq < 80 for _, seq in desktop.core.asked("mark"))
    await desktop.press("ctrl+end")
    await desktop.until(lambda: ("#tea", 80) in desktop.core.asked("mark"))


async def test_alt_u_without_unread_messages_shows_a_notice(desktop: Desktop) -> None:
    desktop.core.tell(ChannelsChanged((info("#general", head=6, read=6), info("#tea"))))
    await desktop.press("alt+2", "alt+1", "alt+u")
    await desktop.until(lambda: desktop.notices == ["No unread messages here."])


@pytest.mark.feature("reading.mentions")
async def test_mentions_are_found_here_and_then_elsewhere(desktop: Desktop) -> None:
    core, state = desktop.core, desktop.conversation.state
    page = [said(seq, "bob", f"line {seq}") for seq in range(1, 91)]
    for seq in (10, 70):
        page[seq - 1] = said(seq, "bob", f"@me line {seq}", mentions=("me",))
    core.pages["#general"] = tuple(page)
    core.open_channel("#general")
    tea = (said(1, "bob", "@me tea", "#tea", mentions=("me",)), said(2, "bob", "no", "#tea"))
    core.pages["#tea"] = tea
    core.tell(TimelineChanged("#tea", upserts=tea))
    timeline = desktop.main.query_one(Timeline)
    await desktop.until(lambda: "line 90" in desktop.screen())
    found = []
    for key in ("alt+comma", "alt+comma", "alt+full_stop", "alt+full_stop"):
        await desktop.press(key)
        await desktop.until(lambda: timeline.cursor)
        found.append((state.current, timeline.cursor and timeline.cursor.seq))
    assert found == [("#general", 70), ("#general", 10), ("#general", 70), ("#tea", 1)]
    await desktop.press("alt+full_stop")
    await desktop.until(lambda: timeline.cursor and timeline.cursor.seq == 10, "it wraps around")
    assert desktop.notices == []


async def test_jumping_marks_no_skipped_messages_as_read(
    desktop: Desktop, monkeypatch: pytest.MonkeyPatch
) -> None:
    core, answer = desktop.core, Future[bool]()
    monkeypatch.setattr(core, "reach", lambda channel, seq: answer)
    core.pages["#tea"] = tuple(said(n, "bob", f"cup {n}", "#tea") for n in range(1, 81))
    conversation.jump(desktop.conversation, "#tea", 20)
    await desktop.until(lambda: desktop.main.query_one(Timeline).seen == 80)
    await desktop.pilot.pause()
    answer.set_result(True)
    await desktop.until(lambda: "cup 20 " in desktop.screen())
    await desktop.until(lambda: "#tea" in [call[0] for call in core.asked("mark")])
    assert max(seq for name, seq in core.asked("mark") if name == "#tea") < 60


async def test_alt_a_opens_an_unread_thread_of_the_shown_channel(desktop: Desktop) -> None:
    threads = (FollowedThread(1, unread=2),)
    desktop.core.tell(ChannelsChanged((info("#general", threads=threads), info("#tea"))))
    await desktop.press("alt+a")
    await desktop.until(lambda: desktop.core.asked("open_thread") == [("#general", 1)])
    await desktop.press("alt+a")
    await desktop.until(lambda: desktop.notices == ["No unread messages."], "it is open already")
