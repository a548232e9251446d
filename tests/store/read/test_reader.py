"""Reads: pages, positions, members, the directory; each from one snapshot."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest

from chat.errors import CommandError, ErrorCode
from chat.protocol import values
from chat.protocol.commands import ResumeFrom
from chat.protocol.limits import FOLDED_KINDS
from chat.store.accounts import EraseAccount
from chat.store.channels import (
    BanFromChannel,
    ChangeSettings,
    CreateChannel,
    DeleteChannel,
    IgnoreUser,
    InviteToChannel,
    Kick,
    MuteMember,
    SetChannelRole,
)
from chat.store.operations import MemberPage, MemberRow, Muted, PageRead, Resumed, RunNextJob, User
from chat.store.read.reader import Reader
from chat.store.search.search import Wanted
from chat.tokenizer import terms_of
from tests.serving import PATIENCE
from tests.store.opened import OpenStore, delete, edit, items_of, message, react, topic


@pytest.fixture
def busy(store: OpenStore, alice: User, bob: User) -> OpenStore:
    """Return a store whose #general holds joins 1 and 2, messages 3 to 12, and folded events."""
    store.together([message(alice, f"m{number}") for number in range(3, 13)])
    store.append(react(bob, 4, "x"))
    store.append(edit(alice, 5, "edited"))
    store.append(topic(alice, "t"))
    store.append(delete(alice, 6))
    return store


def page(store: OpenStore, user: User, limit: int, **anchor: Any) -> PageRead:
    return store.read(lambda reader: reader.page(user, "#general", limit=limit, **anchor))


def seqs(read: PageRead | Resumed) -> list[int]:
    return [item.seq for item in items_of(read)]


class TestPages:
    def test_page_after_a_seq_has_events_of_every_kind(self, busy: OpenStore, alice: User) -> None:
        first = page(busy, alice, 10, after=0)
        assert (seqs(first), first.complete) == (list(range(1, 11)), False)
        rest = page(busy, alice, 10, after=10)
        assert (seqs(rest), rest.complete) == ([11, 12, 13, 14, 15, 16], True)
        assert rest.channel.head == 16
        assert (rest.channel.name, rest.channel.topic) == ("#general", "t")

    def test_full_last_page_is_complete(self, busy: OpenStore, alice: User) -> None:
        assert page(busy, alice, 6, after=10).complete
        for anchor in (16, 99):
            beyond = page(busy, alice, 6, after=anchor)
            assert (seqs(beyond), beyond.complete) == ([], True)

    def test_newest_page_has_lines_only(self, busy: OpenStore, alice: User) -> None:
        newest = page(busy, alice, 4)
        assert (seqs(newest), newest.complete) == ([10, 11, 12, 15], False)
        everything = page(busy, alice, 13)
        assert (seqs(everything), everything.complete) == ([*range(1, 13), 15], True)
        assert not {item.kind for item in items_of(everything)} & FOLDED_KINDS

    def test_page_before_a_seq(self, busy: OpenStore, alice: User) -> None:
        older = page(busy, alice, 4, before=10)
        assert (seqs(older), older.complete) == ([6, 7, 8, 9], False)
        oldest = page(busy, alice, 4, before=5)
        assert (seqs(oldest), oldest.complete) == ([1, 2, 3, 4], True)
        assert seqs(page(busy, alice, 4, before=1)) == []

    def test_page_around_a_seq(self, busy: OpenStore, alice: User) -> None:
        both = page(busy, alice, 4, around=8)
        assert (seqs(both), both.complete) == ([6, 7, 8, 9], False)
        at_the_end = page(busy, alice, 4, around=15)
        assert seqs(at_the_end) == [10, 11, 12, 15]
        at_the_start = page(busy, alice, 4, around=1)
        assert (seqs(at_the_start), at_the_start.complete) == ([1, 2], True)
        assert seqs(page(busy, alice, 1, around=8)) == [8]

    def test_messages_have_their_current_state(self, busy: OpenStore, alice: User) -> None:
        items = {item.seq: item for item in items_of(page(busy, alice, 50))}
        assert (items[4].reactions, items[4].rev) == ({"x": ("Bob",)}, 13)
        assert (items[5].text, items[5].edited, items[5].rev) == ("edited", True, 14)
        assert (items[6].text, items[6].erased, items[6].rev) == (None, True, 16)
        assert (items[7].text, items[7].rev, items[7].edited) == ("m7", 7, False)


class TestThreads:
    @pytest.fixture
    def thread(self, busy: OpenStore, alice: User, bob: User) -> list[int]:
        """Return the seqs of a thread: 4 and its direct and indirect replies."""
        numbers = [4]
        for number in range(6):
            answered = numbers[-1] if number % 2 else 4
            numbers.append(busy.send((alice, bob)[number % 2], "in it", reply_to=answered))
            busy.send(alice, "beside it")
        busy.send(bob, "in another one", reply_to=5)
        return numbers

    def test_any_message_of_a_thread_selects_it(
        self, busy: OpenStore, alice: User, thread: list[int]
    ) -> None:
        for seq in thread:
            assert seqs(page(busy, alice, 20, thread=seq)) == thread
        assert seqs(page(busy, alice, 20, thread=3)) == [3]

    def test_thread_is_read_forward_and_backward(
        self, busy: OpenStore, alice: User, thread: list[int]
    ) -> None:
        newest = page(busy, alice, 3, thread=4)
        assert (seqs(newest), newest.complete) == (thread[-3:], False)
        older = page(busy, alice, 3, thread=4, before=thread[-3])
        assert (seqs(older), older.complete) == (thread[1:4], False)
        first = page(busy, alice, 3, thread=4, before=thread[1])
        assert (seqs(first), first.complete) == ([4], True)
        onward = page(busy, alice, 3, thread=4, after=0)
        assert (seqs(onward), onward.complete) == (thread[:3], False)
        rest = page(busy, alice, 4, thread=4, after=thread[2])
        assert (seqs(rest), rest.complete) == (thread[3:], True)
        around = page(busy, alice, 4, thread=4, around=thread[2])
        assert seqs(around) == thread[:4]

    def test_deleted_root_remains_the_first_message(
        self, busy: OpenStore, alice: User, thread: list[int]
    ) -> None:
        busy.append(delete(alice, 4))
        busy.send(alice, "still", reply_to=4)
        items = items_of(page(busy, alice, 20, thread=4))
        assert (items[0].erased, items[0].text, len(items)) == (True, None, len(thread) + 1)

    def test_thread_of_a_seq_that_is_not_a_message_is_refused(
        self, busy: OpenStore, alice: User
    ) -> None:
        for seq in (1, 13, 99):
            with pytest.raises(CommandError) as refused:
                page(busy, alice, 5, thread=seq)
            assert (refused.value.code, refused.value.field) == ("no_such_message", "thread")


class TestResuming:
    def resume(
        self, store: OpenStore, user: User, position: ResumeFrom | None, window: int = 100
    ) -> Resumed:
        return store.read(
            lambda reader: reader.resume(user, "#general", position, limit=5, window=window)
        )

    def position(self, store: OpenStore, user: User, after: int) -> ResumeFrom:
        read = page(store, user, 100, after=0)
        mid = read.items[after - 1]["mid"] if after else None
        return ResumeFrom(epoch=read.channel.epoch, after=after, mid=mid)

    def test_resume_continues_from_a_position(self, busy: OpenStore, alice: User) -> None:
        for after, expected in ((13, [14, 15, 16]), (16, []), (3, [4, 5, 6, 7, 8])):
            resumed = self.resume(busy, alice, self.position(busy, alice, after))
            assert (seqs(resumed), resumed.recovered) == (expected, True)
            assert resumed.complete == (after > 10)
            assert (resumed.membership.channel.head, resumed.membership.unread) == (16, 0)

    def test_resume_works_without_a_mid(self, busy: OpenStore, alice: User) -> None:
        position = self.position(busy, alice, 13).model_copy(update={"mid": None})
        assert self.resume(busy, alice, position).recovered
        assert self.resume(busy, alice, self.position(busy, alice, 0)).recovered

    @pytest.mark.parametrize(
        "changes", [{"epoch": "another"}, {"mid": "another"}, {"after": 17, "mid": None}]
    )
    def test_position_of_another_log_returns_the_newest_page(
        self, busy: OpenStore, alice: User, changes: dict[str, Any]
    ) -> None:
        resumed = self.resume(
            busy, alice, self.position(busy, alice, 14).model_copy(update=changes)
        )
        assert not resumed.recovered
        assert resumed.complete
        assert seqs(resumed) == [9, 10, 11, 12, 15]

    def test_position_too_far_behind_returns_the_newest_page(
        self, busy: OpenStore, alice: User
    ) -> None:
        position = self.position(busy, alice, 13)
        assert self.resume(busy, alice, position, window=3).recovered
        assert not self.resume(busy, alice, position, window=2).recovered

    def test_missing_position_returns_the_newest_page(self, busy: OpenStore, alice: User) -> None:
        resumed = self.resume(busy, alice, None)
        assert (resumed.recovered, resumed.complete) == (False, True)


class TestRights:
    @staticmethod
    def everything(reader: Reader, user: User, channel: str) -> list[Callable[[], object]]:
        return [
            lambda: reader.membership(user, channel),
            lambda: reader.page(user, channel, limit=5),
            lambda: reader.resume(user, channel, None, limit=5, window=5),
            lambda: reader.members(user, channel, cursor=None, limit=5),
        ]

    @pytest.mark.parametrize(
        ("channel", "code"),
        [
            ("#dev", ErrorCode.NOT_A_MEMBER),
            ("#none", ErrorCode.NO_SUCH_CHANNEL),
            ("@alice,bob", ErrorCode.NO_SUCH_CHANNEL),
            ("@alice,carol", ErrorCode.NO_SUCH_CHANNEL),
            ("#echo", ErrorCode.FORBIDDEN),
        ],
    )
    def test_only_members_can_read(
        self, store: OpenStore, alice: User, bob: User, channel: str, code: ErrorCode
    ) -> None:
        carol = store.sign_in("carol")
        store.join(alice, "#dev")
        store.join(alice, "@alice,bob")

        def refusals(reader: Reader) -> list[ErrorCode]:
            found = []
            for query in self.everything(reader, carol, channel):
                with pytest.raises(CommandError) as refused:
                    query()
                found.append(refused.value.code)
            return found

        assert store.read(refusals) == [code] * 4


class TestPrivateChannels:
    """A private channel does not exist for outsiders, whoever they are."""

    NAME = "#secret"

    @pytest.fixture
    def outsiders(self, store: OpenStore, alice: User, bob: User) -> list[User]:
        """Return a stranger, an invited user, a former member, a banned one, and an admin."""
        former, banned = store.sign_in("former"), store.sign_in("banned")
        invited, admin = store.sign_in("invited"), store.admin("boss")
        store.do(CreateChannel(alice, self.NAME, private=True, topic="hidden topic"))
        for user in (former, banned, invited):
            store.do(InviteToChannel(alice, self.NAME, user.name))
        for user in (former, banned):
            store.join(user, self.NAME)
        store.leave(former, self.NAME)
        store.do(BanFromChannel(alice, self.NAME, banned.name))
        store.send(alice, "hidden needle", self.NAME)
        return [bob, former, banned, invited, admin]

    def test_outsiders_get_the_answers_of_a_missing_channel(
        self, store: OpenStore, outsiders: list[User]
    ) -> None:
        def refusals(reader: Reader, user: User, channel: str) -> list[str]:
            wanted = Wanted(terms_of("needle"))
            queries: list[Callable[[], object]] = [
                *TestRights.everything(reader, user, channel),
                lambda: reader.search(user, channel, wanted),
                lambda: reader.channel_bans(user, channel, cursor=None, limit=5),
                lambda: reader.page(user, channel, thread=1, limit=5),
            ]
            found = []
            for query in queries:
                with pytest.raises(CommandError) as refused:
                    query()
                error = refused.value
                found.append(f"{error.code} {error.field} {error.message} {error.retry_after}")
            return found

        for user in outsiders:
            hidden = store.read(lambda reader: refusals(reader, user, self.NAME))  # noqa: B023
            missing = store.read(lambda reader: refusals(reader, user, "#secrex"))  # noqa: B023
            assert hidden == [each.replace("#secrex", self.NAME) for each in missing]

    def test_lists_leave_it_out(self, store: OpenStore, outsiders: list[User]) -> None:
        for user in (*outsiders, None):
            listed, _ = store.read(
                lambda reader: reader.directory(user, cursor=None, limit=9)  # noqa: B023
            )
            assert [each.name for each in listed] == ["#general"]
        for user in outsiders:
            mine = store.read(lambda reader: reader.memberships(user))  # noqa: B023
            assert [each.channel.name for each in mine] == ["#general"]
            wanted = Wanted(terms_of("needle"))
            found = store.read(lambda reader: reader.search(user, None, wanted))  # noqa: B023
            assert found.hits == ()

    def test_members_read_it(self, store: OpenStore, alice: User, outsiders: list[User]) -> None:
        invited = outsiders[3]
        store.join(invited, self.NAME)
        assert [item.kind for item in store.log(invited, self.NAME)][:2] == ["join", "topic"]
        assert store.membership(invited, self.NAME).channel.settings.private
        found = store.read(
            lambda reader: reader.search(invited, self.NAME, Wanted(terms_of("needle")))
        )
        assert len(found.hits) == 1

    def test_channel_that_becomes_private_leaves_the_directory(
        self, store: OpenStore, alice: User, bob: User
    ) -> None:
        store.join(alice, "#tea")
        store.do(ChangeSettings(alice, "#tea", private=True))
        listed, _ = store.read(lambda reader: reader.directory(bob, cursor=None, limit=9))
        assert [each.name for each in listed] == ["#general"]
        with pytest.raises(CommandError) as refused:
            store.membership(bob, "#tea")
        assert refused.value.code is ErrorCode.NO_SUCH_CHANNEL


class TestModeration:
    @pytest.fixture
    def tea(self, store: OpenStore, alice: User, bob: User) -> str:
        """Return a channel of alice with Bob."""
        store.join(alice, "#tea")
        store.join(bob, "#tea")
        return "#tea"

    def test_membership_and_members_have_the_mutes_in_force(
        self, open_store: Callable[..., OpenStore]
    ) -> None:
        now = [1_000]
        store = open_store(clock_ms=lambda: now[0])
        alice, bob = store.sign_in("alice"), store.sign_in("bob")
        for user in (alice, bob):
            store.join(user, "#tea")
        store.do(MuteMember(alice, "#tea", "bob", until=2_000, reason="calm down"))
        mute = Muted("alice", 2_000, "calm down")

        def seen() -> tuple[Muted | None, Muted | None, list[bool]]:
            listed = store.read(lambda reader: reader.memberships(bob))
            rows = store.read(lambda r: r.members(alice, "#tea", cursor=None, limit=9)).rows
            return (
                store.membership(bob, "#tea").mute,
                next(each.mute for each in listed if each.channel.name == "#tea"),
                [row.muted for row in rows],
            )

        assert seen() == (mute, mute, [False, True])
        now[0] = 2_000
        assert seen() == (None, None, [False, False])
        store.do(MuteMember(alice, "#tea", "bob"))
        assert store.membership(bob, "#tea").mute == Muted("alice", None, "")
        assert store.membership(bob).mute is None

    def test_mute_of_a_member_who_becomes_owner_is_not_in_force(
        self, store: OpenStore, alice: User, bob: User, tea: str
    ) -> None:
        store.do(MuteMember(alice, tea, "bob"))
        store.leave(alice, tea)
        rows = store.read(lambda reader: reader.members(bob, tea, cursor=None, limit=9)).rows
        listed = store.read(lambda reader: reader.memberships(bob))
        assert rows == (MemberRow("Bob", "owner"),)
        assert [each.mute for each in (*listed, store.membership(bob, tea))] == [None] * 3

    def test_moderators_page_through_the_bans_in_force(
        self, open_store: Callable[..., OpenStore]
    ) -> None:
        now = [1_000]
        store = open_store(clock_ms=lambda: now[0])
        alice, bob = store.sign_in("alice"), store.sign_in("bob")
        for user in (alice, bob):
            store.join(user, "#tea")
        for name in ("carol", "dave", "erin"):
            store.sign_in(name)
            until = 2_000 if name == "dave" else None
            store.do(BanFromChannel(alice, "#tea", name, until=until, reason=f"of {name}"))

        def page(user: User, cursor: int | None, limit: int) -> tuple[list[str], int | None]:
            name, bans, following = store.read(
                lambda reader: reader.channel_bans(user, "#TEA", cursor=cursor, limit=limit)
            )
            assert name == "#tea"
            return [f"{ban.name} {ban.reason} {ban.by}" for ban in bans], following

        first, cursor = page(alice, None, 2)
        assert first == ["erin of erin alice", "dave of dave alice"]
        assert page(alice, cursor, 2) == (["carol of carol alice"], None)
        now[0] = 2_000
        assert [each.split()[0] for each in page(alice, None, 9)[0]] == ["erin", "carol"]
        with pytest.raises(CommandError) as refused:
            page(bob, None, 9)
        assert refused.value.code is ErrorCode.FORBIDDEN
        store.do(SetChannelRole(alice, "#tea", "bob", "moderator"))
        assert len(page(bob, None, 9)[0]) == 2

    def test_admins_own_general_and_nobody_else_does(
        self, store: OpenStore, alice: User, bob: User
    ) -> None:
        boss = store.admin("boss")
        with closing(sqlite3.connect(store.file)) as other, other:
            other.execute("UPDATE members SET role = 'owner' WHERE user_id = ?", (bob.id,))
        roles = {
            row.name: row.role
            for row in store.read(
                lambda reader: reader.members(alice, "#general", cursor=None, limit=9)
            ).rows
        }
        assert roles == {"alice": "member", "Bob": "member", "boss": "owner"}
        for user, role in ((bob, "member"), (boss, "owner")):
            assert store.membership(user).role == role
            (listed,) = store.read(lambda reader: reader.memberships(user))  # noqa: B023
            assert listed.role == role

    def test_events_have_their_details_with_present_names(
        self, store: OpenStore, alice: User, bob: User, tea: str
    ) -> None:
        store.do(SetChannelRole(alice, tea, "bob", "moderator"))
        store.do(ChangeSettings(alice, tea, posting="moderators"))
        store.do(SetChannelRole(alice, tea, "bob", "member"))
        store.do(MuteMember(alice, tea, "bob", reason="calm down"))
        store.do(Kick(alice, tea, "bob", reason="enough"))
        store.do(EraseAccount(None, "bob"))
        while not store.do(RunNextJob()).is_last:
            pass
        name = f"deleted-{bob.id}"
        by_kind = {item.kind: item for item in store.log(alice, tea)}
        assert (by_kind["role"].user, by_kind["role"].role) == (name, "member")
        assert by_kind["settings"].settings == values.ChannelSettings(posting="moderators")
        assert (by_kind["mute"].user, by_kind["mute"].reason) == (name, "calm down")
        kick = by_kind["leave"]
        assert (kick.author, kick.by, kick.act, kick.reason) == (name, "alice", "kick", "enough")


class TestPeople:
    def test_open_invitations_are_listed_newest_first(
        self, store: OpenStore, alice: User, bob: User
    ) -> None:
        for name in ("#one", "#two", "#three"):
            store.do(CreateChannel(alice, name, private=name == "#two", topic=f"of {name}"))
            store.do(InviteToChannel(alice, name, "bob"))
        store.join(bob, "#three")

        def invitations(user: User) -> list[tuple[str, str, str, bool]]:
            found = store.read(lambda reader: reader.channel_invitations(user))
            return [(each.channel, each.by, each.topic, each.private) for each in found]

        assert invitations(bob) == [
            ("#two", "alice", "of #two", True),
            ("#one", "alice", "of #one", False),
        ]
        assert invitations(alice) == []
        store.do(DeleteChannel(alice, "#two"))
        assert [each[0] for each in invitations(bob)] == ["#one"]

    def test_invitation_of_an_ignored_user_is_not_listed(
        self, store: OpenStore, alice: User, bob: User
    ) -> None:
        store.do(IgnoreUser(bob, "alice"))
        store.do(CreateChannel(alice, "#one"))
        store.do(InviteToChannel(alice, "#one", "bob"))
        assert store.read(lambda reader: reader.channel_invitations(bob)) == ()

    def test_ignored_users_are_listed_by_name(
        self, store: OpenStore, alice: User, bob: User
    ) -> None:
        for name in ("zoe", "Carol"):
            store.sign_in(name)
            store.do(IgnoreUser(alice, name))
        assert store.read(lambda reader: reader.ignored(alice)) == ("Carol", "zoe")
        assert store.read(lambda reader: reader.ignored(bob)) == ()


class TestLists:
    def test_archived_channels_are_marked_in_the_directory(
        self, store: OpenStore, alice: User
    ) -> None:
        store.join(alice, "#old")
        store.do(ChangeSettings(alice, "#old", archived=True))
        listed, _ = store.read(lambda reader: reader.directory(alice, cursor=None, limit=9))
        assert [(each.name, each.archived) for each in listed] == [
            ("#general", False),
            ("#old", True),
        ]

    def test_members_are_paged_by_name(self, store: OpenStore, alice: User) -> None:
        for name in ("dave", "Carol", "bob"):
            store.sign_in(name)
        store.join(alice, "#dev")

        def page(cursor: str | None) -> MemberPage:
            return store.read(
                lambda reader: reader.members(alice, "#general", cursor=cursor, limit=2)
            )

        first = page(None)
        assert [row.name for row in first.rows] == ["alice", "bob"]
        second = page(first.cursor)
        assert [row.name for row in second.rows] == ["Carol", "dave"]
        assert (second.cursor, first.total) == (None, 4)

    def test_directory_lists_public_channels(
        self, store: OpenStore, alice: User, bob: User
    ) -> None:
        for channel in ("#b", "#A", "@alice,bob"):
            store.join(alice, channel)
        store.join(bob, "#b")
        store.append(topic(bob, "bees", "#b"))
        first, cursor = store.read(lambda reader: reader.directory(alice, cursor=None, limit=2))
        rest, end = store.read(lambda reader: reader.directory(alice, cursor=cursor, limit=2))
        listed = [(each.name, each.topic, each.members) for each in (*first, *rest)]
        assert listed == [("#A", "", 1), ("#b", "bees", 2), ("#general", "", 2)]
        assert end is None

    def test_memberships_are_ordered_by_name(
        self, store: OpenStore, alice: User, bob: User
    ) -> None:
        for channel in ("#z", "#B", "@alice,bob"):
            store.join(alice, channel)
        listed = store.read(lambda reader: reader.memberships(alice))
        assert [each.channel.name for each in listed] == ["#B", "#general", "#z", "@alice,Bob"]
        assert [each.role for each in listed] == ["owner", "member", "owner", "member"]

    def test_users_are_found_by_name_in_any_case(self, store: OpenStore, bob: User) -> None:
        assert store.read(lambda reader: reader.user("BOB")) == bob
        assert store.read(lambda reader: reader.user("eve")) is None


def test_reader_sees_one_snapshot(store: OpenStore, alice: User) -> None:
    store.send(alice)
    looked, written = threading.Event(), threading.Event()

    def query(reader: Reader) -> tuple[int, int, int]:
        before = reader.membership(alice, "#general").channel.head
        looked.set()
        assert written.wait(PATIENCE)
        after = reader.page(alice, "#general", after=0, limit=100)
        return before, after.channel.head, len(after.items)

    reading = store.store.read(query)
    assert looked.wait(PATIENCE)
    store.send(alice)
    written.set()
    assert reading.result(PATIENCE) == (2, 2, 2)
    assert store.read(lambda reader: reader.membership(alice, "#general")).channel.head == 3


def test_users_who_resume_a_channel_together_share_its_page(
    busy: OpenStore, alice: User, bob: User
) -> None:
    def come(reader: Reader, user: User) -> tuple[Resumed, tuple[MemberRow, ...]]:
        resumed = reader.resume(user, "#general", None, limit=5, window=5)
        return resumed, reader.members(user, "#general", cursor=None, limit=5).rows

    (first, members), (second, same) = busy.read(lambda r: [come(r, alice), come(r, bob)])
    assert first.items is second.items
    assert members is same
    assert (first.membership.unread, second.membership.unread) == (0, 9)


def test_page_size_is_bounded_in_bytes(store: OpenStore, alice: User) -> None:
    root = store.send(alice, "é" * 8_000)
    for _ in range(20):
        store.send(alice, "é" * 8_000, reply_to=root)
    head = store.send(alice, "x" * 70_000)
    middle = root + 10

    def page(**where: Any) -> tuple[list[int], bool]:
        found = store.read(lambda reader: reader.page(alice, "#general", limit=200, **where))
        return seqs(found), found.complete

    assert page(after=root - 1) == ([*range(root, root + 4)], False)
    assert page(after=head - 1) == ([head], True)
    assert page() == ([head], False)
    assert page(before=head) == ([*range(head - 4, head)], False)
    assert page(before=root + 2) == ([*range(1, root + 2)], True)
    assert page(around=middle) == ([*range(middle - 2, middle + 2)], False)
    assert page(thread=root) == ([*range(head - 4, head)], False)
    assert page(thread=root, after=root) == ([*range(root + 1, root + 5)], False)
    resumed = store.read(
        lambda reader: reader.resume(alice, "#general", None, limit=100, window=1_000)
    )
    assert (seqs(resumed), resumed.complete) == ([head], True)


def test_servers_read_the_events_after_a_position_as_they_are_delivered(
    store: OpenStore, alice: User
) -> None:
    channel = store.membership(alice).channel
    first = store.send(alice, "one", cid="a cid")
    store.append(edit(alice, first, "two"))
    store.append(react(alice, first, "👍"))
    events = store.read(lambda reader: reader.events_after(channel.id, first - 1, 2))
    delivered = [event for commit in store.commits for event in commit.events][-3:]
    assert [*events] == [{**delivered[0], "text": "two"}, delivered[1]]
    assert store.read(lambda reader: reader.events_after(channel.id, first + 1, 9)) == (
        delivered[2],
    )
    (head,) = store.read(lambda reader: reader.heads([channel.id, 99])).values()
    assert head == (channel.name, channel.epoch, first + 2)
    mids = store.read(lambda reader: [reader.mid_at(channel.id, seq) for seq in (first, 99)])
    assert mids == [delivered[0]["mid"], None]
    assert [*store.commits[-1].channel_ids] == [channel.id]


def test_servers_on_one_database_share_a_secret(open_store: Callable[..., OpenStore]) -> None:
    store = open_store()
    secret = store.store.secret()
    assert len(secret) == 32
    store.store.close()
    assert open_store().store.secret() == secret
