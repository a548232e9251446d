"""The `search` command: immediate results, pages, members only, typed errors."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from chat.protocol.commands import Delete, Search
from chat.protocol.frames import ErrorFrame, Results
from tests.serving import ChatServer, Peer

Fresh = Callable[[str], str]


async def test_search_finds_acknowledged_messages_and_no_deleted_ones(
    shared: ChatServer, fresh: Fresh
) -> None:
    room, name = fresh("#room"), fresh("alice")
    async with Peer.signed_in(shared.url, name) as alice:
        await alice.join(room)
        ok = await alice.say("where is the wombat?", room)
        results = await alice.call(Search(query="wombat*", channel=room), Results)
        (hit,) = results.hits
        assert (hit.channel, hit.seq, hit.ts, hit.author) == (room, ok.seq, ok.ts, name)
        assert hit.snippet[hit.marks[0] : hit.marks[1]] == "wombat"
        assert results.complete
        assert ok.seq is not None
        await alice.call(Delete(channel=room, seq=ok.seq))
        gone = await alice.call(Search(query="wombat", channel=room), Results)
        assert gone.hits == ()


async def test_search_results_are_paged(shared: ChatServer, fresh: Fresh) -> None:
    room = fresh("#room")
    async with Peer.signed_in(shared.url, fresh("alice")) as alice:
        await alice.join(room)
        sent = [(await alice.say("wombat", room)).seq for _ in range(5)]
        first = await alice.call(Search(query="wombat", channel=room, limit=3), Results)
        assert not first.complete
        asked = Search(query="wombat", channel=room, limit=3, cursor=first.cursor)
        second = await alice.call(asked, Results)
        assert second.complete
        assert [hit.seq for hit in (*first.hits, *second.hits)] == sent[::-1]


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ('"query":""', "query"),
        ('"query":"a*"', "query"),
        ('"query":"→"', "query"),
        ('"query":"x","has":"wings"', "has"),
        ('"query":"x","from":"a b"', "from"),
        ('"query":"x","channel":"#counter"', "channel"),
        ('"query":"x","channel":"#nowhere"', "channel"),
    ],
)
async def test_invalid_searches_are_refused(
    shared: ChatServer, fresh: Fresh, fields: str, field: str
) -> None:
    async with Peer.signed_in(shared.url, fresh("alice")) as alice:
        await alice.send_raw(f'{{"type":"search","id":"s",{fields}}}')
        error = await alice.next(ErrorFrame)
        assert (error.id, error.field, error.retryable) == ("s", field, False)
