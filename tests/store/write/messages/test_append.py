"""Messages, edits, deletions, topics: effects, permissions, and duplicate cids."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from chat.errors import CommandError, ErrorCode
from chat.protocol.items import Event
from chat.store.operations import Appended, MarkRead, SendMessage, User
from tests.store.opened import OpenStore, delete, edit, items_of, message, react, topic


def test_seqs_rise_by_one_and_events_match_the_log(store: OpenStore, alice: User) -> None:
    first = store.append(message(alice, "one", cid="c1"))
    second = store.append(SendMessage(alice, "#General", "two", me=True))
    assert (first.seq, second.seq) == (2, 3)
    for done, commit in zip((first, second), store.commits[-2:], strict=True):
        event = Event.model_validate(commit.events[0])
        assert (done.seq, done.mid, done.ts) == (event.seq, event.mid, event.ts)
        item = store.item(alice, event.seq)
        assert item.model_dump(exclude={"rev", "edited", "reactions"}) == event.model_dump(
            exclude={"type", "channel"}
        )
        assert item.rev == item.seq
    assert first.mid != second.mid
    assert store.last_event is not None
    assert store.last_event.channel == "#general"
    assert store.last_event.me


def test_only_members_can_append(store: OpenStore, alice: User, bob: User) -> None:
    store.join(alice, "#dev")
    assert store.refused(message(bob, channel="#dev")) is ErrorCode.NOT_A_MEMBER
    assert store.refused(topic(bob, "mine", "#dev")) is ErrorCode.NOT_A_MEMBER
    assert store.refused(message(bob, channel="#nowhere")) is ErrorCode.NO_SUCH_CHANNEL
    store.leave(bob, "#general")
    assert store.refused(message(bob)) is ErrorCode.NOT_A_MEMBER


@pytest.mark.parametrize("channel", ["#counter", "#ECHO"])
def test_built_in_channels_store_nothing(store: OpenStore, alice: User, channel: str) -> None:
    assert store.refused(message(alice, channel=channel)) is ErrorCode.FORBIDDEN


def test_invalid_channel_name_is_refused(store: OpenStore, alice: User) -> None:
    for channel in ("general", "@alice", "#a b", ""):
        assert store.refused(message(alice, channel=channel)) is ErrorCode.INVALID


class TestReplies:
    def test_reply_names_a_message(self, store: OpenStore, alice: User) -> None:
        seq = store.send(alice)
        reply = store.send(alice, reply_to=seq)
        assert store.item(alice, reply).reply_to == seq

    def test_reply_can_name_a_message_of_the_same_commit(
        self, store: OpenStore, alice: User
    ) -> None:
        done = store.together([message(alice), message(alice, reply_to=2)])
        assert [getattr(each, "seq", None) for each in done] == [2, 3]

    def test_reply_to_a_seq_that_is_not_a_message_is_refused(
        self, store: OpenStore, alice: User
    ) -> None:
        join, absent = 1, 3
        store.append(topic(alice, "t"))
        for seq in (join, 2, absent):
            assert store.refused(message(alice, reply_to=seq)) is ErrorCode.NO_SUCH_MESSAGE

    def test_reply_names_the_root_of_its_thread(self, store: OpenStore, alice: User) -> None:
        first = store.send(alice)
        second = store.send(alice, reply_to=first)
        third, fourth = store.together(
            [message(alice, reply_to=second), message(alice, reply_to=second + 1)]
        )
        assert store.item(alice, first).thread is None
        for seq in (second, second + 1, second + 2):
            assert store.item(alice, seq).thread == first
        for done in (third, fourth):
            assert isinstance(done, Appended)
            assert store.last_event is not None
            assert store.last_event.thread == first

    def test_reply_survives_the_deletion_of_its_parent(self, store: OpenStore, alice: User) -> None:
        seq = store.send(alice)
        store.append(delete(alice, seq))
        assert store.item(alice, store.send(alice, reply_to=seq)).reply_to == seq


class TestThreadOnly:
    def test_reply_can_belong_to_its_thread_only(self, store: OpenStore, alice: User) -> None:
        root = store.send(alice, "root")
        done = store.append(
            SendMessage(alice, "#general", "reply", reply_to=root, thread_only=True)
        )
        assert store.commits[-1].events[0]["thread_only"]
        assert done.seq is not None
        item = store.item(alice, done.seq)
        assert (item.thread_only, item.thread) == (True, root)
        other = store.send(alice, "also in the channel", reply_to=root)
        assert "thread_only" not in store.commits[-1].events[0]
        assert not store.item(alice, other).thread_only

    def test_message_that_is_no_reply_belongs_to_the_channel(
        self, store: OpenStore, alice: User
    ) -> None:
        outcome = store.outcome(SendMessage(alice, "#general", "text", thread_only=True))
        assert isinstance(outcome, CommandError)
        assert (outcome.code, outcome.field) == (ErrorCode.INVALID, "thread_only")

    def test_a_refused_first_message_opens_no_direct_channel(
        self, store: OpenStore, alice: User, bob: User
    ) -> None:
        outcome = store.outcome(SendMessage(alice, "@alice,Bob", "text", thread_only=True))
        assert isinstance(outcome, CommandError)
        assert outcome.code is ErrorCode.INVALID
        assert not store.commits[-1].events
        missing = store.outcome(MarkRead(alice, "@alice,Bob", 1))
        assert isinstance(missing, CommandError)
        assert missing.code is ErrorCode.NO_SUCH_CHANNEL


class TestMentions:
    def test_mentions_have_the_spelling_of_the_name(
        self, store: OpenStore, alice: User, bob: User
    ) -> None:
        store.append(message(alice, "hey @BOB, @nobody. and @alice. and @bob"))
        assert store.last_event is not None
        assert store.last_event.mentions == ("Bob", "alice")
        assert store.item(bob, store.last_event.seq).mentions == ("Bob", "alice")

    def test_non_members_are_not_mentioned(self, store: OpenStore, alice: User, bob: User) -> None:
        store.join(alice, "#dev")
        assert store.item(alice, store.send(alice, "@bob", "#dev"), "#dev").mentions == ()
        store.join(bob, "#dev")
        assert store.item(alice, store.send(alice, "@bob", "#dev"), "#dev").mentions == ("Bob",)
        store.leave(bob, "#dev")
        assert store.item(alice, store.send(alice, "@bob", "#dev"), "#dev").mentions == ()

    def test_edit_replaces_the_mentions(self, store: OpenStore, alice: User, bob: User) -> None:
        seq = store.send(alice, "@bob")
        store.append(edit(alice, seq, "@alice"))
        assert store.item(alice, seq).mentions == ("alice",)
        assert store.item(alice, seq + 1).mentions == ("alice",)
        assert store.mark(bob, seq - 1).mentions == 0

    def test_reply_mentions_the_author_of_its_parent(
        self, store: OpenStore, alice: User, bob: User
    ) -> None:
        asked = store.send(alice, "tea?")
        store.mark(alice, asked)
        answer = store.send(bob, "@bob says yes", reply_to=asked)
        assert store.item(bob, answer).mentions == ("Bob", "alice")
        assert store.membership(alice).mentions == 1
        store.append(edit(bob, answer, "no"))
        assert store.item(bob, answer).mentions == ("alice",)
        assert store.item(bob, store.send(bob, "@alice", reply_to=asked)).mentions == ("alice",)
        assert store.item(alice, store.send(alice, reply_to=asked)).mentions == ()

    def test_reply_to_a_former_member_mentions_no_user(
        self, store: OpenStore, alice: User, bob: User
    ) -> None:
        store.join(alice, "#dev")
        store.join(bob, "#dev")
        asked = store.send(alice, "tea?", "#dev")
        store.leave(alice, "#dev")
        answer = store.send(bob, "yes", "#dev", reply_to=asked)
        assert store.item(bob, answer, "#dev").mentions == ()

    def test_only_the_first_hundred_names_of_a_text_are_resolved(
        self, store: OpenStore, alice: User
    ) -> None:
        names = [f"@n{number}" for number in range(2_000)]
        within, beyond = [*names[:99], "@alice"], [*names[:100], "@alice", *names[100:]]
        assert store.item(alice, store.send(alice, " ".join(within))).mentions == ("alice",)
        assert store.item(alice, store.send(alice, " ".join(beyond))).mentions == ()
        edited = store.append(edit(alice, 2, " ".join(beyond)))
        assert store.item(alice, edited.seq or 0).mentions == ()


class TestCids:
    def test_repeated_send_is_stored_once(self, store: OpenStore, alice: User) -> None:
        first = store.append(message(alice, "one", cid="c"))
        again = store.append(message(alice, "not even the text counts", cid="c", reply_to=99))
        assert again.duplicate
        assert store.last_event is None
        assert (again.seq, again.mid, again.ts) == (first.seq, first.mid, first.ts)

    def test_repeated_send_in_one_commit_is_stored_once(
        self, store: OpenStore, alice: User
    ) -> None:
        first, again = store.together([message(alice, cid="c"), message(alice, cid="c")])
        assert isinstance(first, Appended)
        assert isinstance(again, Appended)
        assert not first.duplicate
        assert again.duplicate
        assert (first.seq, first.mid) == (again.seq, again.mid)

    def test_repeated_send_after_reopening_is_stored_once(
        self, store: OpenStore, alice: User, open_store: Callable[[], OpenStore]
    ) -> None:
        store.send(alice, cid="c")
        store.store.close()
        assert open_store().append(message(alice, cid="c")).duplicate

    def test_users_can_use_the_same_cid(self, store: OpenStore, alice: User, bob: User) -> None:
        store.send(alice, cid="c")
        assert not store.append(message(bob, cid="c")).duplicate

    def test_cid_with_a_slash_does_not_collide_with_another_user(
        self, store: OpenStore, alice: User
    ) -> None:
        crowd = [store.sign_in(f"n{number}") for number in range(10)]
        eleventh = crowd[-1]
        assert f"{eleventh.id}".startswith(f"{alice.id}")
        store.send(alice, cid="1/c")
        assert not store.append(message(eleventh, cid="c")).duplicate
        assert store.log(alice)[-2].cid == "1/c"

    def test_cid_reused_for_another_operation_is_refused(
        self, store: OpenStore, alice: User
    ) -> None:
        store.join(alice, "#dev")
        seq = store.send(alice, cid="c")
        other = store.send(alice)
        for operation in (
            message(alice, channel="#dev", cid="c"),
            message(alice, channel="#nowhere", cid="c"),
            edit(alice, seq, "new", cid="c"),
            topic(alice, "new", cid="c"),
        ):
            assert store.refused(operation) is ErrorCode.CID_REUSED
        store.append(edit(alice, seq, "new", cid="e"))
        assert store.append(edit(alice, seq, "newer", cid="e")).duplicate
        assert store.refused(edit(alice, other, "new", cid="e")) is ErrorCode.CID_REUSED

    def test_repeated_send_is_answered_before_checking_permissions(
        self, store: OpenStore, alice: User, bob: User
    ) -> None:
        seq = store.send(bob, cid="c")
        store.append(delete(bob, seq, cid="d"))
        store.leave(bob, "#general")
        assert store.append(message(bob, cid="c")).seq == seq
        assert store.append(delete(bob, seq, cid="d")).duplicate
        assert store.refused(message(bob, cid="new")) is ErrorCode.NOT_A_MEMBER

    def test_refused_send_does_not_use_up_its_cid(self, store: OpenStore, alice: User) -> None:
        assert store.refused(message(alice, channel="#dev", cid="c"))
        store.join(alice, "#dev")
        assert not store.append(message(alice, channel="#dev", cid="c")).duplicate


class TestEdits:
    def test_edited_message_has_the_new_text(
        self, store: OpenStore, alice: User, bob: User
    ) -> None:
        seq = store.send(alice, "old")
        done = store.append(edit(alice, seq, "new"))
        assert store.last_event is not None
        assert (store.last_event.target, store.last_event.text) == (seq, "new")
        item = store.item(bob, seq)
        assert (item.text, item.edited, item.rev) == ("new", True, done.seq)
        assert store.item(bob, store.last_event.seq).text == "new"

    def test_earlier_edit_loses_its_text(self, store: OpenStore, alice: User) -> None:
        seq = store.send(alice, "old")
        for text in ("first @alice", "second", "third"):
            store.append(edit(alice, seq, text))
        first, second, third = store.log(alice)[-3:]
        assert (first.text, first.erased, first.mentions) == (None, True, ())
        assert (second.text, second.erased) == (None, True)
        assert (third.text, third.erased) == ("third", False)
        assert store.item(alice, seq).text == "third"

    def test_only_the_author_can_edit(self, store: OpenStore, alice: User, bob: User) -> None:
        store.join(alice, "#dev")
        store.join(bob, "#dev")
        seq = store.send(bob, "mine", "#dev")
        assert store.refused(edit(alice, seq, "yours", "#dev")) is ErrorCode.FORBIDDEN
        assert store.item(bob, seq, "#dev").text == "mine"

    def test_only_messages_can_be_edited(self, store: OpenStore, alice: User) -> None:
        seq = store.send(alice)
        store.append(edit(alice, seq, "new"))
        for target in (1, seq + 1, 99):
            assert store.refused(edit(alice, target, "x")) is ErrorCode.NO_SUCH_MESSAGE

    def test_several_edits_in_one_commit(self, store: OpenStore, alice: User) -> None:
        store.together([message(alice, "a"), edit(alice, 2, "b"), edit(alice, 2, "c")])
        assert [item.text for item in store.log(alice)[1:]] == ["c", None, "c"]


class TestDeletions:
    def test_deletion_erases_everything_about_the_message(
        self, store: OpenStore, alice: User, bob: User
    ) -> None:
        seq = store.send(alice, "text @bob")
        store.append(edit(alice, seq, "edited @bob"))
        store.append(react(bob, seq, "+1"))
        done = store.append(delete(alice, seq))
        _join, _join, target, an_edit, reaction, deletion = store.log(bob)
        assert target.erased
        assert (target.text, target.mentions, target.reactions) == (None, (), {})
        assert (target.rev, target.edited) == (done.seq, True)
        assert an_edit.erased
        assert (an_edit.text, an_edit.mentions) == (None, ())
        assert reaction.erased
        assert reaction.emoji is None
        assert (deletion.kind, deletion.target, deletion.erased) == ("delete", seq, False)

    def test_deleted_message_keeps_its_seq(self, store: OpenStore, alice: User) -> None:
        seq = store.send(alice)
        store.append(delete(alice, seq))
        newest = store.read(lambda reader: reader.page(alice, "#general", limit=10))
        assert [item.seq for item in items_of(newest)] == [1, seq]

    def test_owner_can_delete_messages_of_others(
        self, store: OpenStore, alice: User, bob: User
    ) -> None:
        store.join(alice, "#dev")
        store.join(bob, "#dev")
        mine, yours = store.send(alice, channel="#dev"), store.send(bob, channel="#dev")
        assert store.refused(delete(bob, mine, "#dev")) is ErrorCode.FORBIDDEN
        assert not store.append(delete(alice, yours, "#dev")).duplicate

    def test_general_has_no_owner(self, store: OpenStore, alice: User, bob: User) -> None:
        seq = store.send(bob)
        assert store.refused(delete(alice, seq)) is ErrorCode.FORBIDDEN

    def test_deleted_message_cannot_be_changed(self, store: OpenStore, alice: User) -> None:
        seq = store.send(alice)
        store.append(delete(alice, seq))
        for operation in (delete(alice, seq), edit(alice, seq, "x"), react(alice, seq, "x")):
            assert store.refused(operation) is ErrorCode.NO_SUCH_MESSAGE


class TestTopics:
    def test_any_member_can_set_the_topic(self, store: OpenStore, alice: User, bob: User) -> None:
        store.append(topic(bob, "news"))
        assert store.last_event is not None
        assert store.last_event.topic == store.membership(alice).channel.topic == "news"
        assert store.item(alice, store.last_event.seq).topic == "news"
        store.append(topic(alice, ""))
        membership = store.membership(bob)
        assert membership.channel.topic == ""
        assert store.log(bob)[-1].topic == ""


class TestDirectChannels:
    def test_first_message_opens_a_direct_channel(
        self, store: OpenStore, alice: User, bob: User
    ) -> None:
        store.append(message(alice, "psst @bob", "@BOB,alice"))
        assert store.last_event is not None
        assert (store.last_event.channel, store.last_event.seq) == ("@alice,Bob", 1)
        assert store.last_event.mentions == ("Bob",)
        store.append(message(bob, "yes?", "@bob,alice"))
        assert [item.seq for item in store.log(bob, "@alice,bob")] == [1, 2]

    def test_other_operations_do_not_open_a_direct_channel(
        self, store: OpenStore, alice: User, bob: User
    ) -> None:
        for operation in (topic(alice, "t", "@alice,bob"), react(alice, 1, "x", "@alice,bob")):
            assert store.refused(operation) is ErrorCode.NO_SUCH_CHANNEL
        reply = message(alice, channel="@alice,bob", reply_to=1)
        assert store.refused(reply) is ErrorCode.NO_SUCH_MESSAGE
        assert len(store.read(lambda reader: reader.memberships(alice))) == 1

    def test_outsider_cannot_tell_whether_a_direct_channel_exists(
        self, store: OpenStore, alice: User, bob: User
    ) -> None:
        carol = store.sign_in("carol")
        before = store.outcome(message(carol, channel="@alice,bob"))
        store.send(alice, channel="@alice,bob")
        after = store.outcome(message(carol, channel="@alice,bob"))
        assert isinstance(before, CommandError)
        assert isinstance(after, CommandError)
        assert (before.code, before.message) == (after.code, after.message)
        assert before.code is ErrorCode.NO_SUCH_CHANNEL

    def test_all_participants_must_exist(self, store: OpenStore, alice: User) -> None:
        outcome = store.outcome(message(alice, channel="@alice,ghost"))
        assert isinstance(outcome, CommandError)
        assert outcome.code is ErrorCode.NO_SUCH_USER
        assert "ghost" in outcome.message
