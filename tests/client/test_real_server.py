"""The core against the real server, killed and restarted under it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from chat.client.model.state import Delivery, Link
from chat.protocol.commands import Join, Search
from tests.client.screen import Screen
from tests.serving import PATIENCE, ChatServer

Open = Callable[..., Screen]


def test_a_conversation_survives_kill_9_of_the_server(
    server: ChatServer, open_client: Open
) -> None:
    alice, bob = (open_client(server.url, name) for name in ("alice", "bob"))
    for screen in (alice, bob):
        screen.open()
    expected: list[str] = []
    for turn in range(3):
        for number in range(10):
            alice.core.send("#general", f"{turn}.{number}")
            expected.append(f"{turn}.{number}")
        server.restart(kill=True)
    for screen in (alice, bob):
        screen.wait_texts(*expected)
    assert [m.seq for m in alice.lines()] == [m.seq for m in bob.lines()]


def test_two_clients_see_the_same_after_edits_deletions_and_reactions(
    server: ChatServer, open_client: Open, tmp_path: Path
) -> None:
    alice, bob = (open_client(server.url, name) for name in ("alice", "bob"))
    for screen in (alice, bob):
        screen.open()
    for text in ("one", "two", "three"):
        alice.core.send("#general", text)
    bob.wait_texts("one", "two", "three")
    one, two, three = (m.seq or 0 for m in bob.lines() if m.kind == "message")
    alice.core.edit("#general", one, "1")
    alice.core.delete("#general", two)
    for screen in (alice, bob):
        screen.core.react("#general", three, "👍")
    for screen in (alice, bob):
        screen.wait(
            lambda screen=screen: (
                screen.texts() == ["1", "", "three"]  # type: ignore[misc]
                and [(r.emoji, r.count) for r in screen.lines()[-1].reactions] == [("👍", 2)]
                and not screen.pending()
            )
        )
    assert alice.lines() == bob.lines()
    other_device = tmp_path / "other-device"
    shutil.copytree(tmp_path / "data-bob" / "tokens", other_device / "tokens")
    anew = open_client(server.url, "bob", data=other_device)
    anew.open()
    anew.wait(lambda: anew.lines() == bob.lines())


def test_a_rejected_edit_keeps_its_text_and_leaves_the_line_unchanged(
    server: ChatServer, open_client: Open
) -> None:
    alice, bob = (open_client(server.url, name) for name in ("alice", "bob"))
    for screen in (alice, bob):
        screen.open()
    alice.core.send("#general", "mine")
    bob.wait_texts("mine")
    seq = bob.lines()[-1].seq or 0
    cid = bob.core.edit("#general", seq, "bob was here")
    bob.wait(lambda: [m.text for m in bob.lines() if m.delivery is Delivery.FAILED] != [])
    assert bob.texts() == ["mine", "bob was here"]
    bob.core.discard(cid)
    bob.wait_texts("mine")


def test_a_direct_message_opens_its_channel_for_both(server: ChatServer, open_client: Open) -> None:
    alice, bob = (open_client(server.url, name) for name in ("alice", "bob"))
    for screen in (alice, bob):
        screen.open()
    alice.core.open_channel("@alice,bob")
    alice.core.send("@alice,bob", "psst")
    alice.wait_texts("psst", channel="@alice,bob")
    bob.wait(lambda: "@alice,bob" in bob.channels)
    assert bob.channels["@alice,bob"].direct == ("alice",)
    bob.core.open_channel("@alice,bob")
    bob.wait_texts("psst", channel="@alice,bob")
    bob.wait(lambda: bob.channels["@alice,bob"].unread == 1)
    bob.core.mark("@alice,bob", bob.lines("@alice,bob")[-1].seq or 0)
    bob.wait(lambda: bob.channels["@alice,bob"].unread == 0)


@pytest.mark.feature("reading.gaps")
def test_all_messages_are_loaded_after_a_long_absence(
    server: ChatServer, open_client: Open
) -> None:
    alice, bob = (open_client(server.url, name) for name in ("alice", "bob"))
    bob.open()
    bob.stop()
    alice.open()
    texts = [f"while away {number}" for number in range(75)]
    for text in texts:
        alice.core.send("#general", text)
    alice.wait_texts(*texts)
    back = open_client(server.url, "bob")
    back.open()
    back.wait_texts(*texts)
    assert back.channels["#general"].unread == 75


def test_the_counter_channel_ticks_again_after_a_restart(
    server: ChatServer, open_client: Open
) -> None:
    alice = open_client(server.url)
    alice.open()
    alice.core.ask(Join(channel="#counter")).result(PATIENCE)
    alice.core.open_channel("#counter")
    alice.wait(lambda: [m.text for m in alice.lines("#counter")][:2] == ["0", "1"])
    server.restart(kill=True)
    alice.wait(lambda: [m.text for m in alice.lines("#counter")].count("0") == 2)


def test_lines_around_a_message_come_from_the_cache_or_the_server(
    start_server: Callable[..., ChatServer], open_client: Open
) -> None:
    server = start_server("--limits.burst", "1000")
    alice = open_client(server.url, "alice")
    alice.open()
    for number in range(130):
        alice.core.send("#general", f"{number}")
    alice.wait(lambda: not alice.pending() and "129" in alice.texts())
    bob = open_client(server.url, "bob")
    bob.open()
    bob.wait(lambda: "129" in bob.texts())
    seqs = {message.text: message.seq or 0 for message in alice.lines()}
    for text in ("20", "120"):  # the first is none of the newest, which are all that bob has
        near = [line.text for line in bob.core.near("#general", seqs[text]).result(PATIENCE)]
        at = near.index(text)
        assert near[at - 1 : at + 2] == [str(int(text) + step) for step in (-1, 0, 1)]
    server.kill()
    bob.wait(lambda: bob.connection.link is not Link.ONLINE)
    assert bob.core.near("#general", seqs["20"]).result(PATIENCE) == [], "nothing of it was kept"
    hits = bob.core.search_here(Search(query="12*")).result(PATIENCE).hits
    assert [hit.snippet for hit in hits] == [str(number) for number in range(129, 119, -1)]
