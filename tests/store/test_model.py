"""Random histories: the store matches the model."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chat.errors import CommandError, ErrorCode, StoreUnavailable
from chat.protocol.codec import encode, encode_fields
from chat.protocol.items import Event, EventFields
from chat.store.accounts import (
    ADMIN,
    Account,
    AddBan,
    AddDevice,
    ChangeAccount,
    CreateInvitation,
    Device,
    LiftBan,
    RevokeDevice,
    SignedIn,
    SignIn,
)
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
from chat.store.read.reader import Reader
from tests.store.conftest import Backend
from tests.store.model import (
    DONE,
    Log,
    Model,
    ModelAccount,
    Prediction,
    fold,
    mentioned,
    unread,
)
from tests.store.opened import OpenStore, delete, edit, message, pin, react, topic

PEOPLE = [User(1, "alice", 1), User(2, "Bob", 2), User(3, "carol", 3)]
SECOND_DEVICES = [User(1, "alice", 4), User(2, "Bob", 5), User(3, "carol", 6)]
CHANNELS = ["#one", "#two"]
USES = (1, 2)
"""The uses of the two invitations."""


@dataclass(frozen=True)
class Accept:
    """A sign-in with one of the two invitations, whose codes are known when the test runs."""

    name: str
    invitation: int

    def sign_in(self, codes: list[str]) -> SignIn:
        token = self.name.encode()
        code = codes[self.invitation]
        return SignIn(self.name, token, token, invitation=code, registration="invite")


people = st.sampled_from([*PEOPLE, *PEOPLE, *SECOND_DEVICES])
actors = st.none() | st.sampled_from(PEOPLE)
names = st.sampled_from([person.name for person in PEOPLE])
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
administration: st.SearchStrategy[Operation[Any] | Accept] = st.one_of(
    st.builds(ChangeAccount, actors, names, st.sampled_from([None, ADMIN, "member"])),
    st.builds(ChangeAccount, actors, names, disabled=st.booleans()),
    st.builds(ChangeAccount, st.none(), names, disabled=st.just(False)),
    st.builds(AddBan, actors, names, st.none(), st.none(), st.just("")),
    st.builds(LiftBan, actors, names, st.none()),
    st.builds(LiftBan, st.none(), names, st.none()),
    st.builds(RevokeDevice, actors, names, st.integers(1, 6)),
    st.builds(Accept, st.sampled_from(["dave", "erin", "frank"]), st.integers(0, 1)),
)
beginnings: list[Operation[Any] | Accept] = [
    *(JoinChannel(person, "#one") for person in PEOPLE),
    *(message(person, "@alice @bob", "#one") for person in PEOPLE),
    *(react(person, 4, "+1", "#one") for person in PEOPLE),
    *(edit(person, seq, "edited", "#one", cid="x") for seq, person in enumerate(PEOPLE, 4)),
    *(Accept("dave", 0), Accept("erin", 0), Accept("erin", 1)),
]
commits = st.lists(
    st.one_of(operations, operations, operations, administration), min_size=1, max_size=20
)
histories = st.lists(commits, min_size=1, max_size=4)


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
    new_store: Callable[[], OpenStore], history: list[list[Operation[Any] | Accept]]
) -> None:
    live: dict[str, list[Event]] = {channel: [] for channel in CHANNELS}
    with new_store() as store:
        model, codes = begin(store)
        for planned in (beginnings, *history):
            commit = [each.sign_in(codes) if isinstance(each, Accept) else each for each in planned]
            predicted = [model.apply(operation) for operation in commit]
            outcomes = store.together(commit)
            for outcome, prediction in zip(outcomes, predicted, strict=True):
                assert prediction_of(outcome) in (prediction, None)
                assert isinstance(outcome, CommandError) == isinstance(prediction, ErrorCode)
            every = [validated(fields) for fields in store.commits[-1].events]
            events = [event for event in every if event.channel in CHANNELS]
            new = [each[1] for each in predicted if isinstance(each, tuple) and each[0] == "new"]
            assert [event.seq for event in events] == new
            for event in events:
                live[event.channel].append(event)
        check_accounts(store, model)
        for channel, log in model.logs.items():
            check_channel(store, channel, live[channel], log)


def validated(fields: EventFields) -> Event:
    """Return the event; it must have no other fields on the wire."""
    event = Event.model_validate(fields)
    assert json.loads(encode(event)) == json.loads(encode_fields(fields))
    return event


def begin(store: OpenStore) -> tuple[Model, list[str]]:
    """Add the people with two devices each, and two invitations; alice is an admin."""
    for person in PEOPLE:
        signed_in = store.sign_in(person.name)
        assert (signed_in, signed_in.device) == (person, person.device)
    for person in PEOPLE:
        store.do(AddDevice(None, person.name, b"second", ""))
    store.do(ChangeAccount(None, "alice", role=ADMIN))
    codes = [store.do(CreateInvitation(None, uses)).code for uses in USES]
    accounts = {
        person.name: ModelAccount({person.device: b"", person.device + 3: b"second"})
        for person in PEOPLE
    }
    accounts["alice"].role = ADMIN
    model = Model(accounts, dict(zip(codes, USES, strict=True)))
    model.acts = store.acts
    return model, codes


def account_and_devices(name: str, reader: Reader) -> tuple[Account, tuple[Device, ...]]:
    """Return an account, and its devices that are not revoked."""
    account = reader.accounts.account(None, name)
    return account, reader.accounts.devices(account.user)


def check_accounts(store: OpenStore, model: Model) -> None:
    """Check accounts, devices, invitations and the audit log; then lift all bans and disablings."""
    assert store.acts == model.acts
    for name, expected in model.accounts.items():
        account, devices = store.read(partial(account_and_devices, name))
        assert (account.role, account.disabled, account.banned) == (
            expected.role,
            expected.is_disabled,
            expected.is_banned,
        )
        assert len(devices) == len(expected.devices) - len(expected.revoked)
        if expected.is_banned:
            store.do(LiftBan(None, name, None))
        store.do(ChangeAccount(None, name, disabled=False))
    invitations, _ = store.read(
        lambda reader: reader.accounts.invitations(None, cursor=None, limit=2)
    )
    left = [each.uses - each.used for each in reversed(invitations)]
    assert left == list(model.invitations.values())
    assert not store.problems()


def check_channel(store: OpenStore, channel: str, live: list[Event], log: Log) -> None:
    """Check that a reader returns the items and unread counts of the model.

    It reads without a device, as devices may be revoked.
    """
    assert [event.seq for event in live] == list(range(1, len(live) + 1))
    folded = fold(live)
    for person in (User(each.id, each.name) for each in PEOPLE):
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


def prediction_of(outcome: object) -> Prediction | None:
    """Return an outcome as a prediction, or None if it has no prediction."""
    assert not isinstance(outcome, StoreUnavailable), outcome
    if isinstance(outcome, CommandError):
        return outcome.code
    if isinstance(outcome, Marked):
        return "nothing", outcome.read
    if isinstance(outcome, Preferred | SignedIn | Account):
        return DONE
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
