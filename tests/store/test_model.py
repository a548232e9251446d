"""Random histories: the store matches the model."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chat.errors import CommandError, ErrorCode, StoreUnavailable
from chat.protocol.codec import encode, encode_fields
from chat.protocol.items import Event, EventFields
from chat.rights import OWNER, RANKS
from chat.store.accounts import (
    ADMIN,
    Account,
    AddBan,
    AddDevice,
    ChangeAccount,
    CreateInvitation,
    Device,
    ForceExpiry,
    LiftBan,
    RevokeDevice,
    SignedIn,
    SignIn,
)
from chat.store.channels import (
    BanFromChannel,
    ChangeSettings,
    CreateChannel,
    DeclineInvitation,
    DeleteChannel,
    FollowThread,
    IgnoredUsers,
    IgnoreUser,
    Invited,
    InviteToChannel,
    Kick,
    LiftChannelBan,
    MarkedThread,
    MarkThread,
    MuteMember,
    SetChannelRole,
    UnmuteMember,
    WithdrawInvitation,
)
from chat.store.operations import (
    Appended,
    Commit,
    JoinChannel,
    LeaveChannel,
    Marked,
    MarkRead,
    Operation,
    Prefer,
    Preferred,
    RunNextJob,
    SendMessage,
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
    Sketch,
    fold,
    listed_threads,
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
        for _ in range(2)
    ],
    *[st.builds(edit, people, seqs, texts, channels, cid=cids) for _ in range(2)],
    *[
        st.builds(react, people, seqs, emoji, channels, remove=st.booleans(), cid=cids)
        for _ in range(2)
    ],
    *[
        st.builds(
            SendMessage,
            people,
            channels,
            texts,
            reply_to=st.none() | seqs,
            thread_only=st.just(True),
        )
        for _ in range(2)
    ],
    st.builds(MarkThread, people, channels, seqs, seqs),
    st.builds(FollowThread, people, channels, seqs, st.booleans()),
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
reasons = st.sampled_from(["", "spam"])
moderation: st.SearchStrategy[Operation[Any]] = st.one_of(
    *[st.builds(SetChannelRole, people, channels, names, st.sampled_from(RANKS)) for _ in range(2)],
    st.builds(Kick, people, channels, names),
    st.builds(BanFromChannel, people, channels, names, st.none(), reasons),
    st.builds(LiftChannelBan, people, channels, names),
    st.builds(MuteMember, people, channels, names, st.none(), reasons),
    st.builds(UnmuteMember, people, channels, names),
    st.builds(
        ChangeSettings,
        people,
        channels,
        posting=st.sampled_from([None, None, "everyone", "moderators"]),
        invites=st.sampled_from([None, None, "members", "moderators"]),
        topic=st.sampled_from([None, None, "members", "moderators"]),
        pins=st.sampled_from([None, None, "members", "moderators"]),
        private=st.sampled_from([None, None, None, True, False]),
        archived=st.sampled_from([None, None, None, True, False]),
    ),
    *[st.builds(InviteToChannel, people, channels, names) for _ in range(2)],
    st.builds(WithdrawInvitation, people, channels, names),
    st.builds(DeclineInvitation, people, channels),
    *[st.builds(JoinChannel, people, channels) for _ in range(2)],
    st.builds(CreateChannel, people, channels, st.booleans()),
    st.builds(LeaveChannel, people, channels),
    st.builds(DeleteChannel, people, channels),
    st.builds(IgnoreUser, people, names, st.booleans()),
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
    st.one_of(operations, operations, moderation, moderation, administration),
    min_size=1,
    max_size=20,
)
retentions = st.sampled_from([None, None, 1, 10, 50])
"""Seconds, of which each call of the store's clock takes one; None: nothing expires."""
histories = st.lists(st.tuples(commits, retentions), min_size=1, max_size=4)


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
    new_store: Callable[[], OpenStore],
    history: list[tuple[list[Operation[Any] | Accept], int | None]],
) -> None:
    live: list[tuple[str, list[Event]]] = []  # by channel; a new one begins with seq 1
    with new_store() as store:
        model, codes = begin(store)
        for planned, retention in ((beginnings, None), *history):
            commit = [each.sign_in(codes) if isinstance(each, Accept) else each for each in planned]
            predicted = [model.apply(operation) for operation in commit]
            outcomes = store.together(commit)
            for outcome, prediction in zip(outcomes, predicted, strict=True):
                assert prediction_of(outcome) in (prediction, None)
                assert isinstance(outcome, CommandError) == isinstance(prediction, ErrorCode)
            number = len(store.commits) - 1
            run_jobs(store, model)
            if retention is not None:
                expire(store, model, retention)
            receive(live, store.commits[number:])
            assert [(channel, [sketch(event) for event in log]) for channel, log in live] == [
                (channel, list(map(without_state, log.events))) for channel, log in model.every
            ]
            ended = [each for commit in store.commits for each in commit.uninvited]
            assert [(user.name, each.channel) for user, each in ended] == model.uninvited
        check_accounts(store, model)
        existing = {id(log) for log in model.logs.values()}
        for (channel, log), (_channel, events) in zip(model.every, live, strict=True):
            if id(log) in existing:
                check_channel(store, channel, events, log, model)


def run_jobs(store: OpenStore, model: Model) -> None:
    """Run the jobs of a commit, as the server does."""
    while not store.do(RunNextJob()).is_last:
        pass
    model.run_jobs()


def expire(store: OpenStore, model: Model, retention: int) -> None:
    """Erase old texts, and tell the model which."""
    number = len(store.commits)
    store.do(ForceExpiry(None, retention))
    model.acts.append("expiry_forced")
    run_jobs(store, model)
    events = [validated(fields) for commit in store.commits[number:] for fields in commit.events]
    for event in (event for event in events if event.channel in CHANNELS):
        model.expire(event)


def receive(live: list[tuple[str, list[Event]]], commits: Sequence[Commit]) -> None:
    """Add the events of commits to the logs of their channels."""
    for fields in (fields for commit in commits for fields in commit.events):
        event = validated(fields)
        if event.channel not in CHANNELS:
            continue
        if event.seq == 1:
            live.append((event.channel, []))
        log = next(log for channel, log in reversed(live) if channel == event.channel)
        assert event.seq == len(log) + 1
        log.append(event)


def sketch(event: Event) -> Sketch:
    """Return an event as the model has it."""
    return Sketch(
        event.kind,
        event.author,
        event.target,
        event.reply_to,
        event.thread,
        event.user,
        event.role,
        event.by,
        event.remove,
    )


def without_state(event: Sketch) -> Sketch:
    """Return an event of the model without what later events changed."""
    return replace(event, is_erased=False, is_pinned=False)


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


def check_channel(
    store: OpenStore, channel: str, live: list[Event], log: Log, model: Model
) -> None:
    """Check that a reader returns the items and unread counts of the model.

    It reads without a device, as devices may be revoked.
    """
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
            assert (membership.mute is not None) == (
                person.name in log.mutes and membership.role != OWNER
            )
            assert membership.channel.settings == log.settings
            ignored = [other for user, other in model.ignores if user == person.name]
            assert (membership.unread, membership.mentions) == unread(
                folded, person, membership.read, ignored
            )
            threads = [tuple(each) for each in membership.threads]
            assert threads == listed_threads(folded, person, log, ignored)
        else:
            is_private = log.settings.private
            expected = ErrorCode.NO_SUCH_CHANNEL if is_private else ErrorCode.NOT_A_MEMBER
            with pytest.raises(CommandError) as refused:
                store.membership(person, channel)
            assert refused.value.code is expected
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
    if isinstance(outcome, MarkedThread):
        return ("following" if outcome.following else "not following"), int(outcome.moved)
    if isinstance(outcome, Preferred | SignedIn | Account):
        return DONE
    if isinstance(outcome, IgnoredUsers):
        return ("changed" if outcome.changed else "nothing"), None
    if isinstance(outcome, Invited):
        return ("reached" if outcome.invitation is not None else "nothing"), None
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
