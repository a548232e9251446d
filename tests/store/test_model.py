"""Random histories: the store matches the model."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chat.errors import CommandError, StoreUnavailable
from chat.protocol.codec import encode, encode_fields
from chat.protocol.items import Event, EventFields
from chat.store.accounts import SignedIn
from chat.store.operations import (
    Appended,
    JoinChannel,
    LeaveChannel,
    Marked,
    MarkRead,
    Operation,
    Prefer,
    Preferred,
    User,
)
from tests.store.conftest import Backend
from tests.store.model import Log, Model, Prediction, fold, mentioned, unread
from tests.store.opened import OpenStore, delete, edit, message, pin, react, topic

PEOPLE = [User(1, "alice"), User(2, "Bob"), User(3, "carol")]
CHANNELS = ["#one", "#two"]

people = st.sampled_from(PEOPLE)
# Mostly the first channel and its first messages, so that operations affect the same data.
channels = st.sampled_from(["#one", "#one", "#one", "#two"])
seqs = st.sampled_from([4, 5, 6]) | st.integers(1, 12)
cids = st.none() | st.sampled_from("xy")
texts = st.sampled_from(["hello", "@alice hi", "@bob, @carol.", "ünï 👋", "a" * 300])
emoji = st.sampled_from(["+1", "👍🏽", "heart"])

# Weighted, so that most histories have messages to change.
operations: st.SearchStrategy[Operation[Any]] = st.one_of(
    st.builds(JoinChannel, people, channels),
    *[
        st.builds(message, people, texts, channels, cid=cids, reply_to=st.none() | seqs)
        for _ in range(3)
    ],
    *[st.builds(edit, people, seqs, texts, channels, cid=cids) for _ in range(2)],
    *[
        st.builds(react, people, seqs, emoji, channels, remove=st.booleans(), cid=cids)
        for _ in range(2)
    ],
    st.builds(delete, people, seqs, channels, cid=cids),
    st.builds(pin, people, seqs, channels, remove=st.booleans(), cid=cids),
    st.builds(topic, people, texts, channels, cid=cids),
    st.builds(MarkRead, people, channels, seqs),
    st.builds(
        Prefer,
        people,
        channels,
        st.none() | st.integers(0, 2),
        st.none() | st.booleans(),
        st.sampled_from([None, "all", "mentions", "none"]),
    ),
    st.builds(LeaveChannel, people, channels),
)
beginnings: list[Operation[Any]] = [
    *(JoinChannel(person, "#one") for person in PEOPLE),
    *(message(person, "@alice @bob", "#one") for person in PEOPLE),
    *(react(person, 4, "+1", "#one") for person in PEOPLE),
    *(edit(person, seq, "edited", "#one", cid="x") for seq, person in enumerate(PEOPLE, 4)),
]
histories = st.lists(st.lists(operations, min_size=1, max_size=20), min_size=1, max_size=4)


@pytest.fixture
def new_store(backend: Backend, tmp_path: Path) -> Callable[[], OpenStore]:
    """Return a function that opens a store with fresh data each time."""
    numbers = itertools.count()
    return lambda: OpenStore(backend.fresh(tmp_path / str(next(numbers))))


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(histories)
def test_store_matches_the_model(
    new_store: Callable[[], OpenStore], history: list[list[Operation[Any]]]
) -> None:
    model = Model()
    live: dict[str, list[Event]] = {channel: [] for channel in CHANNELS}
    with new_store() as store:
        assert [store.sign_in(person.name) for person in PEOPLE] == PEOPLE
        for commit in (beginnings, *history):
            predicted = [model.apply(operation) for operation in commit]
            outcomes = store.together(commit)
            for outcome, prediction in zip(outcomes, predicted, strict=True):
                assert told(outcome) in (prediction, None)
            events = [validated(fields) for fields in store.commits[-1].events]
            new = [each[1] for each in predicted if isinstance(each, tuple) and each[0] == "new"]
            assert [event.seq for event in events] == new
            for event in events:
                live[event.channel].append(event)
        for channel, log in model.logs.items():
            check_channel(store, channel, live[channel], log)


def validated(fields: EventFields) -> Event:
    """Return the event; it must have no other fields on the wire."""
    event = Event(**fields)
    assert json.loads(encode(event)) == json.loads(encode_fields(fields))
    return event


def check_channel(store: OpenStore, channel: str, live: list[Event], log: Log) -> None:
    """Check that a reader returns the items and unread counts of the model."""
    assert [event.seq for event in live] == list(range(1, len(live) + 1))
    folded = fold(live)
    for person in PEOPLE:
        if person.name in log.roles:
            assert list(store.log(person, channel)) == folded
            membership = store.membership(person, channel)
            assert (membership.role, membership.read) == (
                log.roles[person.name],
                log.markers[person.name],
            )
            assert membership.preference == log.preferences[person.name]
            assert (membership.unread, membership.mentions) == unread(
                folded, person, membership.read
            )
    for item in folded:
        answered = folded[item.reply_to - 1] if item.reply_to is not None else None
        assert item.thread == (answered and (answered.thread or answered.seq))
    rows = [(item.seq, item.cid) for item in folded if item.cid is not None]
    assert len({(folded[seq - 1].author, cid) for seq, cid in rows}) == len(rows)


def told(outcome: object) -> Prediction | None:
    """Return an outcome as a prediction, or None if it has no prediction."""
    assert not isinstance(outcome, StoreUnavailable | SignedIn), outcome
    if isinstance(outcome, CommandError):
        return outcome.code
    if isinstance(outcome, Marked):
        return "nothing", outcome.read
    if isinstance(outcome, Preferred):
        return "nothing", None
    if not isinstance(outcome, Appended):
        return None
    if not outcome.duplicate:
        return "new", outcome.seq
    return ("repeated" if outcome.seq is not None else "nothing"), outcome.seq


def test_mentions_match_the_model(store: OpenStore) -> None:
    everyone = [store.sign_in(person.name) for person in PEOPLE]
    for text in ("@alice @BOB", "@bob. @carol-", "(@Carol)", "x@bob @dave @@alice"):
        item = store.item(everyone[0], store.send(everyone[0], text))
        assert item.mentions == mentioned(text, [person.name for person in PEOPLE])
