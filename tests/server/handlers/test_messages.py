"""Messages: seqs, retries, edits, deletions, reactions, rights."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable

import pytest

from chat.protocol.commands import Delete, Edit, History, Leave, React, Send, SetTopic
from chat.protocol.frames import ErrorFrame, Page, Welcome
from chat.protocol.items import Event
from tests.serving import ChatServer, Peer, eventually

Fresh = Callable[[str], str]


@pytest.mark.promise(
    3,
    fault="several followers",
    result="the same number and bytes for all",
)
async def test_a_message_reaches_every_follower_with_the_same_number(
    shared: ChatServer, fresh: Fresh
) -> None:
    room = fresh("#room")
    async with (
        Peer.signed_in(shared.url, fresh("alice")) as alice,
        Peer.signed_in(shared.url, fresh("bob")) as bob,
    ):
        await alice.join(room)
        await bob.join(room)
        ok = await alice.say("hello", room, cid="c-1")
        seen = [await peer.next_event(room, "message") for peer in (alice, bob)]
        assert seen[0] == seen[1]
        assert (seen[0].seq, seen[0].mid, seen[0].ts) == (ok.seq, ok.mid, ok.ts)
        assert (seen[0].text, seen[0].cid) == ("hello", "c-1")


async def test_ok_follows_the_senders_own_event(shared: ChatServer, fresh: Fresh) -> None:
    room = fresh("#room")
    async with Peer.signed_in(shared.url, fresh("alice")) as alice:
        await alice.join(room)
        ok = await alice.say("hello", room)
        event = await alice.next_event(room, "message")
        position = alice.received.index
        assert position(event) < position(ok)


async def test_pipelined_sends_are_numbered_in_the_order_they_arrived(
    shared: ChatServer, fresh: Fresh
) -> None:
    room = fresh("#room")
    async with Peer.signed_in(shared.url, fresh("alice")) as alice:
        await alice.join(room)
        for number in range(200):
            await alice.post(Send(channel=room, text=str(number)))
        events = [await alice.next_event(room, "message") for _ in range(200)]
        assert [event.text for event in events] == [str(number) for number in range(200)]
        seqs = [event.seq for event in events]
        assert seqs == list(range(seqs[0], seqs[0] + 200))


@pytest.mark.promise(
    2,
    fault="the same `cid` again, from another device",
    result="the first answer again, `duplicate: true`; one event",
)
async def test_retry_with_the_same_cid_from_any_session_is_stored_once(
    shared: ChatServer, fresh: Fresh
) -> None:
    room, name, cid = fresh("#room"), fresh("alice"), uuid.uuid4().hex
    async with Peer.signed_in(shared.url, name) as phone:
        await phone.join(room)
        first = await phone.say("once", room, cid)
        async with Peer.signed_in(shared.url, name, phone.token) as laptop:
            again = await laptop.say("once", room, cid)
        assert again.duplicate
        assert (again.seq, again.mid, again.ts) == (first.seq, first.mid, first.ts)
        page = await phone.call(History(channel=room), Page)
        assert [item.text for item in page.items if item.kind == "message"] == ["once"]


async def test_a_duplicate_is_answered_before_rights_are_checked(
    shared: ChatServer, fresh: Fresh
) -> None:
    room = fresh("#room")
    async with Peer.signed_in(shared.url, fresh("alice")) as alice:
        await alice.join(room)
        first = await alice.say("said", room, "cid")
        await alice.call(Leave(channel=room))
        again = await alice.say("said", room, "cid")
        assert again.duplicate
        assert again.seq == first.seq


@pytest.mark.promise(
    2,
    fault="a `cid` used again for another message",
    result="`cid_reused`; nothing stored",
)
async def test_cid_of_a_different_command_is_refused(shared: ChatServer, fresh: Fresh) -> None:
    one, other = fresh("#room"), fresh("#room")
    async with Peer.signed_in(shared.url, fresh("alice")) as alice:
        await alice.join(one)
        await alice.join(other)
        ok = await alice.say("said", one, "cid")
        assert ok.seq is not None
        for command in (
            Send(channel=other, text="said", cid="cid"),
            Edit(channel=one, seq=ok.seq, text="x", cid="cid"),
            Delete(channel=one, seq=ok.seq, cid="cid"),
        ):
            assert (await alice.call(command, ErrorFrame)).code == "cid_reused"


async def test_only_members_send_messages(shared: ChatServer, fresh: Fresh) -> None:
    room = fresh("#room")
    async with (
        Peer.signed_in(shared.url, fresh("alice")) as alice,
        Peer.signed_in(shared.url, fresh("bob")) as bob,
    ):
        await alice.join(room)
        ok = await alice.say("mine", room)
        assert ok.seq is not None
        for command in (
            Send(channel=room, text="hi"),
            SetTopic(channel=room, topic="hi"),
            React(channel=room, seq=ok.seq, emoji="👍"),
            Delete(channel=room, seq=ok.seq),
        ):
            assert (await bob.call(command, ErrorFrame)).code == "not_a_member"
        absent = await bob.call(Send(channel=fresh("#none"), text="hi"), ErrorFrame)
        assert absent.code == "no_such_channel"


async def test_only_the_author_edits_a_message(shared: ChatServer, fresh: Fresh) -> None:
    room = fresh("#room")
    async with (
        Peer.signed_in(shared.url, fresh("alice")) as alice,
        Peer.signed_in(shared.url, fresh("bob")) as bob,
    ):
        await alice.join(room)
        await bob.join(room)
        ok = await bob.say("wrogn", room)
        assert ok.seq is not None
        refused = await alice.call(Edit(channel=room, seq=ok.seq, text="x"), ErrorFrame)
        assert refused.code == "forbidden"
        await bob.call(Edit(channel=room, seq=ok.seq, text="wrong"))
        edit = await alice.next_event(room, "edit")
        assert (edit.target, edit.text) == (ok.seq, "wrong")
        page = await alice.call(History(channel=room), Page)
        item = next(item for item in page.items if item.seq == ok.seq)
        assert (item.text, item.edited, item.rev) == ("wrong", True, edit.seq)


async def test_only_the_author_and_owners_delete_a_message(
    shared: ChatServer, fresh: Fresh
) -> None:
    room = fresh("#room")
    async with (
        Peer.signed_in(shared.url, fresh("owner")) as owner,
        Peer.signed_in(shared.url, fresh("bob")) as bob,
        Peer.signed_in(shared.url, fresh("carol")) as carol,
    ):
        for peer in (owner, bob, carol):
            await peer.join(room)
        seqs = [(await bob.say(text, room)).seq for text in ("one", "two")]
        assert seqs[0] is not None
        assert seqs[1] is not None
        refused = await carol.call(Delete(channel=room, seq=seqs[0]), ErrorFrame)
        assert refused.code == "forbidden"
        await bob.call(Delete(channel=room, seq=seqs[0]))
        await owner.call(Delete(channel=room, seq=seqs[1]))
        page = await carol.call(History(channel=room), Page)
        erased = {item.seq: item for item in page.items if item.seq in seqs}
        assert all(item.erased and item.text is None for item in erased.values())
        gone = await bob.call(Edit(channel=room, seq=seqs[0], text="x"), ErrorFrame)
        assert gone.code == "no_such_message"


async def test_deleted_text_is_removed_from_the_disk(server: ChatServer) -> None:
    secret = f"secret-{uuid.uuid4().hex}"

    def files_with_secret() -> list[str]:
        return [f.name for f in server.data.iterdir() if secret.encode() in f.read_bytes()]

    async with Peer.signed_in(server.url, "alice") as alice:
        ok = await alice.say(secret)
        assert ok.seq is not None
        assert files_with_secret()
        await alice.call(Edit(channel="#general", seq=ok.seq, text=secret + " edited"))
        await alice.call(Delete(channel="#general", seq=ok.seq))
        await asyncio.to_thread(eventually, lambda: not files_with_secret(), "it is gone")


async def test_reactions_are_one_per_person_and_emoji(shared: ChatServer, fresh: Fresh) -> None:
    room = fresh("#room")
    async with (
        Peer.signed_in(shared.url, fresh("alice")) as alice,
        Peer.signed_in(shared.url, fresh("bob")) as bob,
    ):
        await alice.join(room)
        await bob.join(room)
        seq = (await alice.say("nice?", room)).seq
        assert seq is not None
        for peer in (alice, bob):
            await peer.call(React(channel=room, seq=seq, emoji="👍"))
        assert (await bob.call(React(channel=room, seq=seq, emoji="👍"))).duplicate
        page = await bob.call(History(channel=room), Page)
        item = next(item for item in page.items if item.seq == seq)
        assert alice.welcome is not None
        assert bob.welcome is not None
        assert item.reactions == {"👍": (alice.welcome.user, bob.welcome.user)}
        await bob.call(React(channel=room, seq=seq, emoji="👍", remove=True))
        page = await bob.call(History(channel=room), Page)
        item = next(item for item in page.items if item.seq == seq)
        assert item.reactions == {"👍": (alice.welcome.user,)}


async def test_a_reply_must_answer_a_message(shared: ChatServer, fresh: Fresh) -> None:
    room = fresh("#room")
    async with Peer.signed_in(shared.url, fresh("alice")) as alice:
        joined = await alice.join(room)
        seq = (await alice.say("question", room)).seq
        await alice.call(Send(channel=room, text="answer", reply_to=seq))
        for bad in (joined.head, 999):  # the user's own join event; nothing
            command = Send(channel=room, text="answer", reply_to=bad)
            assert (await alice.call(command, ErrorFrame)).code == "no_such_message"


async def test_a_thread_is_its_first_message_and_all_replies(
    shared: ChatServer, fresh: Fresh
) -> None:
    room = fresh("#room")
    async with (
        Peer.signed_in(shared.url, fresh("alice")) as alice,
        Peer.signed_in(shared.url, fresh("bob")) as bob,
    ):
        await alice.join(room)
        first = (await alice.say("first", room)).seq
        assert first is not None
        seqs = [first]
        for answered in (0, 1, 0):
            reply = Send(channel=room, text="reply", reply_to=seqs[answered])
            ok = await alice.call(reply)
            assert ok.seq is not None
            seqs.append(ok.seq)
            await alice.say("beside it", room)
        threads = [(await alice.next_event(room, "message")).thread for _ in range(7)]
        assert threads == [None, seqs[0], None, seqs[0], None, seqs[0], None]
        await alice.call(Delete(channel=room, seq=seqs[0]))
        for named in seqs:
            page = await alice.call(History(channel=room, thread=named), Page)
            assert [item.seq for item in page.items] == seqs
            assert (page.complete, page.items[0].erased) == (True, True)
        onward = await alice.call(History(channel=room, thread=seqs[0], after=seqs[1]), Page)
        assert [item.seq for item in onward.items] == seqs[2:]
        refused = await bob.call(History(channel=room, thread=seqs[0]), ErrorFrame)
        assert refused.code == "not_a_member"


async def test_mentions_are_computed_by_the_server_for_members(
    shared: ChatServer, fresh: Fresh
) -> None:
    room, name = fresh("#room"), fresh("bob")
    async with (
        Peer.signed_in(shared.url, fresh("alice")) as alice,
        Peer.signed_in(shared.url, name) as bob,
    ):
        await alice.join(room)
        await bob.join(room)
        await alice.say(f"@{name.upper()}, @nobody: mail me at a@{name}", room)
        event = await bob.next_event(room, "message")
        assert event.mentions == (name,)


async def test_topic_is_an_event_and_part_of_the_channel_state(
    shared: ChatServer, fresh: Fresh
) -> None:
    room = fresh("#room")
    async with Peer.signed_in(shared.url, fresh("alice")) as alice:
        await alice.join(room)
        await alice.call(SetTopic(channel=room, topic="tea"))
        assert (await alice.next_event(room, "topic")).topic == "tea"
        assert (await alice.join(room)).topic == "tea"


async def test_malformed_frames_are_answered_and_the_connection_lives(
    shared: ChatServer, fresh: Fresh
) -> None:
    room = fresh("#room")
    async with Peer.signed_in(shared.url, fresh("alice")) as alice:
        await alice.join(room)
        cases: list[tuple[str | bytes, str, str | None]] = [
            ("{", "malformed", None),
            ("[]", "malformed", None),
            (b"\x00\x01", "malformed", None),
            ('{"type":"dance","id":"x"}', "unknown_type", "type"),
            (f'{{"type":"send","channel":"{room}","text":"a\\u001bb"}}', "invalid", "text"),
            (f'{{"type":"send","channel":"{room}","text":"x","extra":1}}', "invalid", "extra"),
            (f'{{"type":"send","channel":"{room}","text":"{"x" * 9000}"}}', "too_long", "text"),
            ('{"type":"send","channel":"general","text":"x"}', "invalid", "channel"),
        ]
        for data, code, field in cases:
            await alice.send_raw(data)
            error = await alice.next(ErrorFrame)
            assert (error.code, error.field) == (code, field), data
        await alice.say("still here", room)


async def test_websockets_own_limits_close_with_their_codes(shared: ChatServer) -> None:
    async with Peer.connect(shared.url) as big:
        await big.send_raw("x" * 70_000)
        assert await big.close_code() == 1009
    async with Peer.connect(shared.url) as garbled:
        await garbled.socket.send(b"\xff\xfe", text=True)
        assert await garbled.close_code() == 1007


async def test_a_fragmented_message_is_one_message(shared: ChatServer, fresh: Fresh) -> None:
    async with Peer.connect(shared.url) as peer:
        name = fresh("alice")
        await peer.socket.send(iter(['{"type":"he', 'llo","v":1,', f'"name":"{name}"}}']))
        assert (await peer.next(Welcome)).user == name


async def test_events_hold_only_the_fields_of_their_kind(shared: ChatServer, fresh: Fresh) -> None:
    room = fresh("#room")
    async with Peer.signed_in(shared.url, fresh("alice")) as alice:
        await alice.join(room)
        await alice.say("plain", room)
        event = await alice.next_event(room, "message")
        assert event.model_fields_set == {
            *("type", "channel", "seq", "mid", "ts", "author", "kind", "text"),
        }
        assert isinstance(event, Event)
