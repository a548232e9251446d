"""Erasing an account: what it wrote, its name, its memberships, in small steps."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from chat.errors import CommandError, ErrorCode
from chat.protocol.codec import encode_fields
from chat.protocol.items import EventFields
from chat.store.accounts import AddBan, AddDevice, EraseAccount, SignIn
from chat.store.channels import BanFromChannel, DeleteChannel, IgnoreUser, Kick, MuteMember
from chat.store.operations import JobStep, RunNextJob, User
from chat.store.store import erase_account
from tests.serving import PATIENCE, eventually
from tests.store.opened import OpenStore, delete, edit, message, pin, react, topic

TOKEN = b"hash of a token of 32 bytes long"


def erase(store: OpenStore, name: str) -> list[JobStep]:
    """Erase an account completely; return the steps."""
    store.do(EraseAccount(None, name))
    return finish(store)


def finish(store: OpenStore) -> list[JobStep]:
    steps: list[JobStep] = []
    while not (steps and steps[-1].is_last):
        steps.append(store.do(RunNextJob()))
    return steps


def files_contain(store: OpenStore, *strings: str) -> list[str]:
    contents = [path.read_bytes() for path in store.folder.iterdir()]
    return [each for each in strings if any(each.encode() in one for one in contents)]


def rows(store: OpenStore, statement: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(store.file)) as other:
        return other.execute(statement).fetchall()


@pytest.fixture
def mallory(store: OpenStore) -> User:
    return store.do(SignIn("mallory-the-leaver", None, TOKEN)).user


def test_texts_and_name_leave_the_disk(store: OpenStore, alice: User, mallory: User) -> None:
    store.join(mallory, "#secret-plans")
    seq = store.send(mallory, "the-first-text")
    store.append(edit(mallory, seq, "the-second-text"))
    store.append(topic(mallory, "the-topic-text", "#secret-plans"))
    other = store.send(alice, "kept-by-alice")
    store.append(react(mallory, other, "the-word"))
    store.append(message(mallory, "directly-said", "@alice,mallory-the-leaver"))
    store.wait_until_indexed()
    erase(store, "Mallory-The-Leaver")
    written = ("the-first-text", "the-second-text", "the-topic-text", "the-word", "directly-said")
    eventually(lambda: not files_contain(store, *written), "erased texts on the disk")
    eventually(lambda: not files_contain(store, "mallory-the-leaver"), "the name on the disk")
    assert files_contain(store, "kept-by-alice")
    assert rows(store, "SELECT name, fold FROM users WHERE id = " + str(mallory.id)) == [
        (f"deleted-{mallory.id}", f"deleted-{mallory.id}")
    ]
    assert store.problems() == []


def test_numbers_remain_without_text_and_with_the_placeholder_as_author(
    store: OpenStore, alice: User, mallory: User
) -> None:
    first = store.send(mallory, "one")
    store.append(pin(alice, first))
    store.append(react(alice, first, "👍"))
    second = store.send(alice, "two", reply_to=first)
    erase(store, mallory.name)
    log = store.log(alice)
    assert [item.seq for item in log] == list(range(1, len(log) + 1))
    name = f"deleted-{mallory.id}"
    erased = log[first - 1]
    assert (erased.author, erased.text, erased.erased, erased.reactions) == (name, None, True, {})
    assert log[second - 1].text == "two"
    assert [(item.kind, item.author) for item in log[-2:]] == [
        ("leave", name),
        ("erased_user", name),
    ]
    assert store.problems() == []


def test_every_channel_written_in_or_joined_gets_an_event(
    store: OpenStore, alice: User, mallory: User
) -> None:
    for channel in ("#left", "#only-joined"):
        store.join(alice, channel)
        store.join(mallory, channel)
    store.send(mallory, "hello", "#left")
    store.leave(mallory, "#left")
    store.join(alice, "#unrelated")
    before = len(store.commits)
    erase(store, mallory.name)
    events = [event for commit in store.commits[before:] for event in commit.events]
    assert sorted((event["channel"], event["kind"]) for event in events) == [
        ("#general", "erased_user"),
        ("#general", "leave"),
        ("#left", "erased_user"),
        ("#only-joined", "erased_user"),
        ("#only-joined", "leave"),
    ]
    assert not any(mentions(event, mallory.name) for event in events)
    assert (
        store.read(lambda reader: reader.members(alice, "#general", cursor=None, limit=9)).total
        == 1
    )


def mentions(event: EventFields, name: str) -> bool:
    return name in encode_fields(event).decode()


def test_direct_channels_are_renamed_and_keep_their_logs(
    store: OpenStore, alice: User, mallory: User
) -> None:
    old, new = "@alice,mallory-the-leaver", f"@alice,deleted-{mallory.id}"
    store.append(message(alice, "to mallory", old))
    store.append(message(mallory, "to alice", old))
    steps = erase(store, mallory.name)
    assert [step.renamed for step in steps if step.renamed] == [((old, new),)]
    assert [item.text for item in store.log(alice, new)] == ["to mallory", None, None]
    assert store.refused(message(alice, "again", old)) is ErrorCode.NO_SUCH_USER
    assert store.problems() == []


def test_account_ends_at_once_and_its_name_is_never_given_out_again(
    store: OpenStore, mallory: User
) -> None:
    store.do(EraseAccount(None, mallory.name))
    refused = {ErrorCode.NAME_UNAVAILABLE, ErrorCode.REVOKED}
    assert store.refused(SignIn(mallory.name, TOKEN, TOKEN)) in refused
    finish(store)
    assert store.refused(SignIn(mallory.name, None, b"new")) is ErrorCode.NAME_UNAVAILABLE
    assert store.refused(SignIn("MALLORY-the-leaver", TOKEN, TOKEN)) is ErrorCode.NAME_UNAVAILABLE
    taken = store.refused(SignIn(f"deleted-{mallory.id}", None, b"new"))
    assert taken is ErrorCode.NAME_TAKEN


def test_account_is_erased_once(store: OpenStore, mallory: User) -> None:
    erase(store, mallory.name)
    assert store.refused(EraseAccount(None, mallory.name)) is ErrorCode.NO_SUCH_USER
    assert store.refused(EraseAccount(None, f"deleted-{mallory.id}")) is ErrorCode.NO_SUCH_USER
    assert store.refused(EraseAccount(None, "nobody")) is ErrorCode.NO_SUCH_USER


def test_steps_are_small_and_others_write_between_them(
    store: OpenStore, alice: User, mallory: User
) -> None:
    batch = [message(mallory, f"line {number}") for number in range(450)]
    store.together(batch)
    store.do(EraseAccount(None, mallory.name))
    steps = [store.do(RunNextJob())]
    assert not steps[0].is_last
    between = store.send(alice, "in between")
    steps += finish(store)
    assert len(steps) > 5
    assert store.item(alice, between).text == "in between"
    texts = [item.text for item in store.log(alice) if item.author != "alice" and item.text]
    assert texts == []
    assert store.problems() == []


def test_erasure_continues_after_a_restart(open_store: Callable[[], OpenStore]) -> None:
    store = open_store()
    alice, mallory = store.sign_in("alice"), store.sign_in("mallory")
    store.together([message(mallory, f"line {number}") for number in range(250)])
    store.do(EraseAccount(None, "mallory"))
    store.do(RunNextJob())
    store.store.close()
    store = open_store()
    finish(store)
    assert not [item for item in store.log(alice) if item.text]
    assert store.problems() == []


def test_command_beside_a_server_starts_an_erasure_that_the_server_finishes(
    store: OpenStore, alice: User, mallory: User
) -> None:
    store.send(mallory, "hello")
    with ThreadPoolExecutor(1) as thread:
        command = thread.submit(erase_account, store.url, mallory.name, PATIENCE)
        eventually(lambda: rows(store, "SELECT 1 FROM jobs") != [], "the job is queued")
        assert not command.done()
        finish(store)
        assert command.result(PATIENCE)
    assert store.log(alice)[-1].kind == "erased_user"


def test_command_erases_by_itself_if_no_server_runs(open_store: Callable[[], OpenStore]) -> None:
    store = open_store()
    alice, mallory = store.sign_in("alice"), store.sign_in("mallory")
    store.send(mallory, "the-text-of-mallory")
    store.store.close()
    assert erase_account(store.url, "mallory", PATIENCE)
    assert files_contain(store, "the-text-of-mallory") == []
    store = open_store()
    assert store.log(alice)[-1].author == f"deleted-{mallory.id}"
    assert store.problems() == []


def test_server_can_be_restarted_while_a_command_waits_for_it(
    open_store: Callable[[], OpenStore],
) -> None:
    store = open_store()
    store.send(store.sign_in("mallory"), "hello")
    with ThreadPoolExecutor(1) as thread:
        command = thread.submit(erase_account, store.url, "mallory", PATIENCE)
        eventually(lambda: rows(store, "SELECT 1 FROM jobs") != [], "the job is queued")
        store.store.close()  # the next start must find the database unlocked
        store = open_store()
        finish(store)
        assert command.result(PATIENCE)
    assert rows(store, "SELECT count(result) FROM jobs") == [(1,)]


def test_command_erases_by_itself_if_the_server_does_not_return(
    open_store: Callable[[], OpenStore],
) -> None:
    store = open_store()
    store.send(store.sign_in("mallory"), "hello")
    with ThreadPoolExecutor(1) as thread:
        command = thread.submit(erase_account, store.url, "mallory", patience=1)
        eventually(lambda: rows(store, "SELECT 1 FROM jobs") != [], "the job is queued")
        store.store.close()
        assert command.result(PATIENCE)
    assert rows(store, "SELECT count(result) FROM jobs") == [(1,)]


def test_concurrent_commands_without_a_server_erase_everything(
    open_store: Callable[[], OpenStore],
) -> None:
    store = open_store()
    alice = store.sign_in("alice")
    names = [f"mallory{number}" for number in range(6)]
    for name in names:
        store.send(store.sign_in(name), f"the-text-of-{name}")
    store.store.close()
    with ThreadPoolExecutor(len(names)) as threads:
        commands = [threads.submit(erase_account, store.url, name, 1) for name in names]
        assert all(command.result(PATIENCE) for command in commands)
    assert files_contain(store, "the-text-of") == []
    store = open_store()
    assert not [item for item in store.log(alice) if item.text]
    assert store.problems() == []


def test_concurrent_commands_for_one_account_erase_it_once(
    open_store: Callable[[], OpenStore],
) -> None:
    store = open_store()
    store.send(store.sign_in("mallory"), "hello")
    store.store.close()
    with ThreadPoolExecutor(2) as threads:
        commands = [threads.submit(erase_account, store.url, "mallory", 1) for _ in range(2)]
        errors = [command.exception(PATIENCE) for command in commands]
    (refused,) = filter(None, errors)
    assert isinstance(refused, CommandError)
    assert refused.code is ErrorCode.NO_SUCH_USER
    assert rows(store, "SELECT count(result) FROM jobs") == [(1,)]


def test_command_ends_its_wait_and_a_server_continues(store: OpenStore, mallory: User) -> None:
    store.require_sqlite()  # elsewhere the command finishes the erasure beside the server
    assert not erase_account(store.url, mallory.name, patience=0)
    finish(store)
    assert rows(store, "SELECT count(result) FROM jobs") == [(1,)]


def test_shared_reactions_stay_and_own_reactions_are_removed(
    store: OpenStore, alice: User, bob: User, mallory: User
) -> None:
    seq = store.send(alice, "tea?")
    store.append(react(mallory, seq, "shared"))
    store.append(react(bob, seq, "shared"))
    store.append(react(mallory, seq, "own"))
    store.append(react(bob, seq, "of-bob"))
    store.append(react(mallory, seq, "of-bob"))
    store.append(react(mallory, seq, "of-bob", remove=True))
    store.append(react(mallory, seq, "of-bob"))
    erase(store, mallory.name)
    reactions = store.item(alice, seq).reactions
    assert reactions == {"shared": (f"deleted-{mallory.id}", bob.name), "of-bob": (bob.name,)}
    assert store.problems() == []


def test_deleted_messages_of_the_account_are_no_obstacle(
    store: OpenStore, alice: User, mallory: User
) -> None:
    seq = store.send(mallory, "gone")
    store.append(react(mallory, seq, "👍"))
    store.append(delete(mallory, seq))
    erase(store, mallory.name)
    assert store.log(alice)[-1].kind == "erased_user"
    assert store.problems() == []


def test_topic_that_another_user_replaced_stays(
    store: OpenStore, alice: User, mallory: User
) -> None:
    store.append(topic(mallory, "by mallory"))
    store.append(topic(alice, "by alice"))
    erase(store, mallory.name)
    assert store.membership(alice).channel.topic == "by alice"


def test_labels_of_devices_and_reasons_of_bans_are_erased_from_the_audit_log(
    store: OpenStore, mallory: User
) -> None:
    words = "the-laptop-of-mallory", "the-reason-for-mallory"
    store.do(AddDevice(None, mallory.name, b"t" * 32, words[0]))
    store.do(AddBan(None, mallory.name, None, None, words[1]))
    erase(store, mallory.name)
    eventually(lambda: not files_contain(store, *words), "the words on the disk")
    acts = [act for (act,) in rows(store, "SELECT act FROM audit ORDER BY seq")]
    assert acts[-1] == "erased"


def test_last_admin_is_not_erased(store: OpenStore, mallory: User) -> None:
    with closing(sqlite3.connect(store.file)) as other, other:
        other.execute("UPDATE users SET role = 'admin' WHERE id = ?", (mallory.id,))
    outcome = store.outcome(EraseAccount(None, mallory.name))
    assert isinstance(outcome, CommandError)
    assert outcome.code is ErrorCode.LAST_ADMIN


def test_reasons_that_the_account_gave_leave_the_disk(
    store: OpenStore, alice: User, mallory: User
) -> None:
    bob, carol, dave = (store.sign_in(name) for name in ("bob", "carol", "dave"))
    for user in (mallory, bob, carol, dave):
        store.join(user, "#dev")
    store.do(Kick(mallory, "#dev", "bob", "the-kick-reason"))
    store.do(BanFromChannel(mallory, "#dev", "bob", None, "the-ban-reason"))
    store.do(BanFromChannel(mallory, "#dev", "alice", None, "the-other-reason"))
    store.do(MuteMember(mallory, "#dev", "dave", None, "the-mute-reason"))
    store.do(IgnoreUser(mallory, "alice"))
    store.do(IgnoreUser(alice, "mallory-the-leaver"))
    erase(store, "mallory-the-leaver")
    store.store.close()
    assert not files_contain(store, "-reason")
    with OpenStore(store.url) as again:
        items = again.log(carol, "#dev")
        kick = next(item for item in items if item.act == "kick")
        assert (kick.author, kick.by, kick.reason) == ("bob", "deleted-2", None)
        mute = next(item for item in items if item.kind == "mute")
        assert (mute.author, mute.user, mute.reason) == ("deleted-2", "dave", None)
        refused = again.outcome(message(dave, "hi", "#dev"))
        assert isinstance(refused, CommandError)
        assert refused.message == "deleted-2 has muted you in #dev"
        assert again.read(lambda reader: reader.ignored(alice)) == ()
        assert again.membership(carol, "#dev").role == "owner"
        again.wait_until_indexed()
        assert not again.problems()


def test_reasons_that_others_gave_stay(store: OpenStore, alice: User, mallory: User) -> None:
    for user in (alice, mallory):
        store.join(user, "#dev")
    store.do(Kick(alice, "#dev", "mallory-the-leaver", "spam"))
    erase(store, "mallory-the-leaver")
    kick = store.log(alice, "#dev")[-2]
    assert (kick.author, kick.by, kick.reason) == ("deleted-2", "alice", "spam")


def test_channels_deleted_meanwhile_are_no_obstacle(
    store: OpenStore, alice: User, mallory: User
) -> None:
    for user in (alice, mallory):
        store.join(user, "#dev")
    store.send(mallory, "text", "#dev")
    store.do(EraseAccount(None, "mallory-the-leaver"))
    store.do(RunNextJob())
    store.do(DeleteChannel(alice, "#dev"))
    finish(store)
    store.wait_until_indexed()
    assert not store.problems()
