"""Encoding of lines and channels in the cache: nothing is lost, and damage is detected."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat.client.model.fold import merge_reactions
from chat.client.model.preferences import Preference
from chat.client.model.records import ChannelRecord
from chat.client.model.state import Delivery, Message, Moderation, Reaction
from chat.client.storage.codec import channel_from, channel_json, line_from, line_json
from chat.client.storage.json_values import InvalidValue
from chat.protocol.limits import TIME_MAX

NAMES = st.text(st.characters(codec="ascii"), min_size=1, max_size=8)
LINES = st.builds(
    Message,
    channel=NAMES,
    seq=st.integers(1, 2**53),
    cid=st.none() | NAMES,
    author=NAMES,
    ts=st.integers(0, TIME_MAX),
    text=st.text(),
    reply_to=st.none() | st.integers(1),
    thread=st.none() | st.integers(1),
    mentions=st.lists(NAMES).map(tuple),
    moderation=st.none() | st.builds(Moderation, NAMES, NAMES, user=NAMES),
    reactions=st.builds(
        merge_reactions,
        st.lists(st.tuples(st.text(), st.lists(NAMES, min_size=1).map(tuple))),
        st.dictionaries(st.text(), st.integers(0, 2**53 - 1)),
    ),
    rev=st.integers(1, 2**53),
    delivery=st.sampled_from(Delivery),
)
CHANNEL = ChannelRecord(
    *("#c", "e1", 9, "m9", ((1, 3), (5, 9)), "topic", "owner", 4, 2, 1, 3),
    preference=Preference(1, True, "all"),
    pins=(2, 3),
)


@given(LINES)
def test_a_line_is_decoded_as_it_was_encoded(line: Message) -> None:
    assert line_from(line_json(line)) == line


def test_a_line_with_all_default_fields_is_decoded() -> None:
    line = Message("#c", 1, None, "bob", 5, rev=1, mentions=("al",))
    assert line_from(json.dumps(asdict(line))) == line


def test_a_deleted_message_has_the_same_key_as_in_earlier_versions() -> None:
    line = Message("#c", 1, None, "bob", 5, rev=4, deleted=True)
    stored = json.loads(line_json(line))
    assert (stored.get("erased"), "deleted" in stored) == (True, False)
    assert line_from(json.dumps(stored)) == line


def test_decoded_lines_share_repeated_values() -> None:
    one, other = (line_from(line_json(Message("#c", n, None, "bob", 5, rev=n))) for n in (700, 701))
    assert one.author is other.author
    assert one.rev is one.seq


def test_a_channel_is_decoded_as_it_was_encoded() -> None:
    assert channel_from(channel_json(CHANNEL)) == CHANNEL


@pytest.mark.parametrize(
    "body",
    [
        *("", "nonsense", "[]", "null", "7", '{"seq": 1}', "[" * 100_000),
        '{"channel": "#c", "seq": "1", "cid": null, "author": "bob", "ts": 5}',
        '{"channel": "#c", "seq": 1, "cid": null, "author": ["bob"], "ts": 5}',
        '{"channel": "#c", "seq": 1, "cid": null, "author": "bob", "ts": 5, "mentions": "al"}',
        '{"channel": "#c", "seq": 1, "cid": null, "author": "bob", "ts": 5, "reactions": [["+"]]}',
        '{"channel": "#c", "seq": 1, "cid": null, "author": "bob", "ts": 5, "reactions": [7]}',
        '{"channel": "#c", "seq": 1, "cid": null, "author": "bob", "ts": 5, "delivery": "lost"}',
    ],
)
def test_an_invalid_line_is_rejected(body: str) -> None:
    with pytest.raises(InvalidValue):
        line_from(body)


@pytest.mark.parametrize("body", ["7", "{}", "nonsense"])
def test_an_invalid_channel_is_rejected(body: str) -> None:
    with pytest.raises(InvalidValue):
        channel_from(body)


@pytest.mark.parametrize("by_older", [True, False])
@pytest.mark.parametrize("kind", ["role", "mute"])
def test_the_user_of_an_event_is_read_where_older_clients_stored_it(
    kind: str, by_older: bool
) -> None:
    done = Moderation(kind, "alice", user="bob")
    line = Message("#c", 1, None, "alice", 5, kind, "owner", rev=1, moderation=done)
    stored = json.loads(line_json(line))
    if by_older:
        stored["user"] = stored["moderation"].pop("user")
    if by_older and kind == "role":
        del stored["moderation"]
    assert line_from(json.dumps(stored)) == line


def test_oversized_values_of_an_older_client_are_truncated() -> None:
    names = tuple(f"n{n}" for n in range(50_000))
    line = Message("#c", 1, None, "bob", 10**18, text="x" * 2_000_000, rev=1, mentions=names)
    many = tuple(Reaction(f"e{n}", names[:10]) for n in range(50_000))
    for reactions in (many, (Reaction("x", names),)):
        read = line_from(line_json(replace(line, reactions=reactions)))
        assert len(read.reactions) <= 1_000
        assert sum(len(each.names) for each in read.reactions) <= 5_000
        assert len(read.mentions) <= 10_000
        assert len(read.text) == 1_000_000
        datetime.fromtimestamp(read.ts / 1_000, UTC)
    counted = channel_from(channel_json(replace(CHANNEL, unread=10**4_000, mentions=-1)))
    assert (counted.unread, counted.mentions) == (2**53 - 1, 0)
