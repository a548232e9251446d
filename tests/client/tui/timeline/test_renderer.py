"""Blocks: the lines of each kind of message; any message is harmless."""

from __future__ import annotations

from datetime import datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chat.client.model.state import Delivery, Message, Moderation, Reaction
from chat.client.platform.local_time import local_time
from chat.client.tui.timeline.neighbors import Neighbors
from chat.client.tui.timeline.renderer import Block
from tests.client.texts import any_text
from tests.client.tui.timeline.lines import NOON, event, is_harmless, plain, plains, renderer, say

FOLLOWS = Neighbors(grouped=True)


def look(message: Message, near: Neighbors = FOLLOWS, width: int = 80) -> list[str]:
    return plains(renderer(width).block(message, near).lines)


def test_the_first_of_a_group_has_its_author_and_time() -> None:
    block = renderer().block(say(1, "hello"), Neighbors())
    assert plains(block.lines) == ["alice", "hello"]
    assert [line.gutter for line in block.lines] == ["12:01", ""]
    assert block.lead == 1
    assert look(say(2, "hello")) == ["hello"]


def test_in_a_narrow_timeline_the_time_follows_the_author() -> None:
    assert look(say(1, "hello"), Neighbors(), width=40) == ["alice  12:01", "hello"]


def test_rules_are_above_the_message() -> None:
    near = Neighbors(day=True, unread=True, gap=True)
    gap, day, new, author, text = look(say(1, "x"), near)
    assert gap.startswith("┄┄ loading missing messages… ┄")
    assert day.startswith("── Monday, 4 May 2020 ─")
    assert new.startswith("── new ─")
    assert {len(line) for line in (gap, day, new)} == {72}
    assert (author, text) == ("alice", "x")


def test_a_day_of_this_year_does_not_name_the_year() -> None:
    today = datetime.now()
    line = look(say(1, "x", ts=int(today.timestamp() * 1000)), Neighbors(day=True))[0]
    assert str(today.year) not in line


def test_the_channel_has_a_beginning() -> None:
    assert look(say(1, "x"), Neighbors(beginning=True))[0] == "This is the beginning of #general."
    assert look(say(9, "x"), Neighbors(older=True))[0].startswith("┄┄ loading older messages… ┄")


def test_replies_quote_their_target() -> None:
    answer = say(5, "yes", reply_to=3)
    assert look(answer) == ["┌ message 3", "yes"]
    for target, quote in [
        (say(3, "really?\nare you sure?", "bob"), "┌ bob: really? are you sure?"),
        (say(3, "> no\nyes", "bob"), "┌ bob: yes"),
        (say(3, "*really* `ok`, [see](https://a.b)", "bob"), "┌ bob: really ok, see"),
        (say(3, "```sh\nls\n```", "bob"), "┌ bob: ls"),
        (say(3, "", "bob", deleted=True), "┌ bob: message deleted"),
        (say(3, "waves", "bob", me=True), "┌ bob waves"),
    ]:
        assert look(answer, Neighbors(grouped=True, target=target)) == [quote, "yes"]
    long = look(answer, Neighbors(grouped=True, target=say(3, "word " * 99, "bob")))[0]
    assert long.endswith("…")
    assert len(long) <= 72


@pytest.mark.feature("writing.delivery")
def test_states_of_a_message() -> None:
    assert look(say(1, "x", edited=True)) == ["x (edited)"]
    assert look(say(1, "x", deleted=True, reactions=(Reaction("👍", ("bob",)),))) == [
        "message deleted"
    ]
    assert look(say(None, "x", delivery=Delivery.PENDING)) == ["x …"]
    failed = say(None, "x", delivery=Delivery.FAILED, reason="you are muted")
    assert look(failed) == ["x", "✗ not sent: you are muted   r\xa0resend  x\xa0discard"]
    assert look(say(1, "```\nx\n```", edited=True)) == [" x", " (edited)"]


def test_actions_and_events_take_one_line() -> None:
    waves = renderer().block(say(1, "waves", me=True), Neighbors())
    assert plains(waves.lines) == ["* alice waves"]
    assert waves.lines[0].gutter == "12:01"
    assert look(event(1, "topic", text="tea")) == ["alice set the topic: tea"]
    assert look(event(1, "topic")) == ["alice cleared the topic"]
    new_role = Moderation("role", "alice", user="bob")
    assert look(event(1, "role", text="owner", moderation=new_role)) == ["alice made bob the owner"]
    assert look(event(1, "join")) == ["alice joined"]
    assert look(event(1, "somersault", text="!")) == ["alice somersault !"]
    assert look(event(1, "tick", text="41 *42*")) == ["41 *42*"]


@pytest.mark.feature("reading.joins")
def test_joins_and_leaves_are_shown_in_one_line() -> None:
    run = (
        event(1, "join"),
        event(2, "join", "bob"),
        event(3, "leave", "carol"),
        event(4, "join", "eve"),
        event(5, "leave", "eve"),
        event(6, "join", "carol"),
    )
    assert look(run[-1], Neighbors(folded=run)) == [
        "alice, bob joined · eve joined and left · carol left and rejoined"
    ]
    crowd = tuple(event(seq, "join", f"n{seq}") for seq in range(1, 21))
    assert look(crowd[-1], Neighbors(folded=crowd)) == [
        "n1, n2, n3, n4, n5, n6, n7 and 13 others joined"
    ]


@pytest.mark.parametrize("width", [12, 40, 73, 80, 95, 120])
def test_lines_never_break_inside_a_chip(width: int) -> None:
    emojis = ("👍", "❤️", "日本語", "👩‍👩‍👧", "🇩🇪", "👍🏽", "two words", "é", "🎉🎉🎉") * 4
    counts = [number % 12 + 1 for number in range(len(emojis))]
    reactions = tuple(
        Reaction(emoji, ("bob",) * count) for emoji, count in zip(emojis, counts, strict=True)
    )
    rows = look(say(1, "x", reactions=reactions), width=width)[1:]
    chips = [chip for row in rows for chip in row.strip("\xa0").split("\xa0 \xa0")]
    assert [int(chip.rpartition("\xa0")[2]) for chip in chips] == counts
    assert all("\xa0" in chip for chip in chips)


def test_reactions_are_chips_which_never_break() -> None:
    reactions = tuple(Reaction(f"so {number}", ("bob",) * number) for number in range(1, 12))
    first, second = look(say(1, "x", reactions=reactions), width=80)[1:]
    assert first.startswith("\xa0so\xa01\xa01\xa0 \xa0so\xa02\xa02\xa0 ")
    assert second.startswith("\xa0so\xa0")


def test_a_chip_counts_people_who_are_not_named() -> None:
    crowded = say(1, "x", reactions=(Reaction("+1", ("bob",), 1_203),))
    assert look(crowded) == ["x", "\xa0+1\xa01,204\xa0"]


def test_quotes_and_code() -> None:
    text = "look\n> said\n```py\nx = 1\n```\n- end"
    assert look(say(1, text)) == ["look", "▎ said", " x = 1", "- end"]


def test_a_mention_of_the_reader_is_marked() -> None:
    assert renderer(user="Bob").block(say(1, "x", mentions=("bob",)), FOLLOWS).accent
    assert not renderer(user="bo").block(say(1, "x", mentions=("bob",)), FOLLOWS).accent
    assert not renderer(user="").block(say(1, "x", mentions=("",)), FOLLOWS).accent


def test_links_carry_their_address_and_nothing_that_textual_would_act_upon() -> None:
    block = renderer().block(say(1, "[@click=app.quit]x[/] https://example.org"), FOLLOWS)
    metas = [segment.style.meta for segment in block.lines[0].ink if segment.style]
    assert [meta for meta in metas if meta] == [{"url": "https://example.org"}]
    links = {segment.style.link for segment in block.lines[0].ink if segment.style}
    assert links - {None} == {"https://example.org"}


def test_a_hyperlink_is_ascii_and_a_long_link_has_none() -> None:
    def links(url: str) -> set[str | None]:
        lines = renderer().block(say(1, url), FOLLOWS).lines
        return {segment.style.link for line in lines for segment in line.ink if segment.style}

    assert links("https://example.org/é") == {"https://example.org/%C3%A9"}
    assert links("mailto:a@example.org") <= {None}
    assert links("[a](mailto:a@example.org)") == {"mailto:a@example.org"}
    assert links("https://example.org/" + "a" * 3_000) == {None}


def test_an_address_is_as_harmless_as_its_text() -> None:
    text = "https://example.org/\x1b]52;c;aGk=\x07\u202e [a](https://x.y/\x9b2J)"
    block = renderer().block(say(1, text), FOLLOWS)
    metas = [segment.style.meta for segment in block.lines[0].ink if segment.style]
    urls = {meta["url"] for meta in metas if meta}
    assert len(urls) == 2
    assert all(is_harmless(url) for url in urls)


@pytest.mark.parametrize("ts", [-(10**18), -1, 0, NOON, 10**15, 10**18, 10**30])
def test_any_timestamp_has_a_time(ts: int) -> None:
    assert 1970 <= local_time(ts).year <= 3000
    assert look(say(1, "x", ts=ts), Neighbors(day=True))


messages = st.builds(
    Message,
    channel=any_text,
    seq=st.none() | st.integers(1, 99),
    cid=st.none(),
    author=any_text,
    ts=st.integers(),
    kind=st.sampled_from(["message", "topic", "join", "leave", "role", "tick", "new\x1bkind"]),
    text=any_text,
    me=st.booleans(),
    reply_to=st.none() | st.just(3),
    mentions=st.tuples(any_text),
    moderation=st.none() | st.builds(Moderation, any_text, any_text, user=any_text),
    edited=st.booleans(),
    deleted=st.booleans(),
    reactions=st.lists(st.builds(Reaction, any_text, st.tuples(any_text)), max_size=3).map(tuple),
    delivery=st.sampled_from(Delivery),
    reason=any_text,
)
arounds = st.builds(
    Neighbors,
    older=st.booleans(),
    beginning=st.booleans(),
    day=st.booleans(),
    unread=st.booleans(),
    gap=st.booleans(),
    grouped=st.booleans(),
    spaced=st.booleans(),
    folded=st.just(()) | st.tuples(messages),
    target=st.none() | messages,
)


@settings(max_examples=60, deadline=None)
@given(messages, arounds, st.integers(1, 140), st.booleans())
def test_any_message_is_drawn_harmless_and_within_the_width(
    message: Message, near: Neighbors, width: int, airy: bool
) -> None:
    made = renderer(width, user="bob", airy=airy)
    block: Block = made.block(message, near)
    assert len(block.lines) > block.lead
    for line in block.lines:
        assert is_harmless(plain(line) + line.gutter)
        if width >= 20:
            assert line.indent_width + line.width <= made.column
