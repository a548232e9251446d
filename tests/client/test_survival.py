"""Typed messages are never lost: crashes, first runs without a server, other servers."""

from __future__ import annotations

import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from chat.client.config.paths import ClientPaths
from chat.client.model.preferences import PreferenceChange
from chat.client.model.sign_in import SignInWay
from chat.client.model.state import Delivery, Link
from chat.errors import ErrorCode, StartupError
from chat.protocol.commands import Hello, Mark, Prefer, Send
from chat.protocol.frames import ErrorFrame
from tests.client.fake_log import FakeLog
from tests.client.fake_server import FakeServer
from tests.client.screen import Screen
from tests.serving import PATIENCE, ChatServer, free_port

Open = Callable[..., Screen]

TYPIST = """
import sys, time
from pathlib import Path
from chat.client.config.settings import ClientSettings
from chat.client.sync.core import Core
from chat.client.model.state import TimelineChanged

url, data = sys.argv[1:]
core = Core(ClientSettings(name="alice", url=url, data=Path(data)), wake=lambda: None)
core.start()
core.open_channel("#general")
for number in range(5):
    core.send("#general", f"typed {number}")
shown = 0
while shown < 5:
    time.sleep(0.01)
    for update in core.drain():
        if isinstance(update, TimelineChanged):
            shown += len(update.upserts)
print("shown", flush=True)
time.sleep(60)
"""


def type_and_die(url: str, data: Path) -> None:
    """Run a client that types five messages, and kill it once they are on its screen."""
    with subprocess.Popen(
        [sys.executable, "-c", TYPIST, url, str(data)], stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "shown\n"
        finally:
            process.send_signal(signal.SIGKILL)


@pytest.mark.promise(
    4,
    fault="`kill -9` of a client that never reached its server",
    result="the next start sends it",
)
def test_messages_of_a_first_run_without_a_server_survive_kill_9(
    open_client: Open, start_fake: Callable[..., FakeServer], tmp_path: Path
) -> None:
    port = free_port()
    type_and_die(f"ws://127.0.0.1:{port}", tmp_path / "data")
    server = start_fake(port=port)
    screen = open_client(server.url, data=tmp_path / "data")
    screen.core.open_channel("#general")
    screen.wait_texts(*(f"typed {number}" for number in range(5)))
    assert not list((tmp_path / "data" / "unknown").rglob("*.db*"))


@pytest.mark.promise(
    4,
    fault="`kill -9` of a client that is offline",
    result="the next start sends it",
)
@pytest.mark.feature("writing.outbox")
def test_messages_typed_offline_survive_kill_9(
    open_client: Open, fake: FakeServer, tmp_path: Path
) -> None:
    screen = open_client(fake.url, data=tmp_path / "data")
    screen.wait_online()
    screen.stop()
    fake.stop()
    type_and_die(fake.url, tmp_path / "data")
    fake.start()
    again = open_client(fake.url, data=tmp_path / "data")
    again.core.open_channel("#general")
    again.wait_texts(*(f"typed {number}" for number in range(5)))


@pytest.mark.promise(
    2,
    fault="the client is killed between the server's `ok` and storing it",
    result="sent again, stored once",
)
def test_a_crash_between_the_ok_and_the_outbox_update_sends_nothing_twice(
    open_client: Open, fake: FakeServer, tmp_path: Path
) -> None:
    fake.sends_events = False
    fake.intercept = lambda command: fake.SILENCE if isinstance(command, Send) else None
    type_and_die(fake.url, tmp_path / "data")
    sent = [command for command in fake.commands if isinstance(command, Send)]
    for command in sent:
        fake.store("alice", command)
    fake.intercept = lambda _: None
    fake.sends_events = True
    again = open_client(fake.url, data=tmp_path / "data")
    again.core.open_channel("#general")
    again.wait_texts(*(f"typed {number}" for number in range(5)))
    assert fake.logs["#general"].head == 5


@pytest.mark.promise(
    4,
    fault="another server at the same address",
    result="the other server gets nothing; the first server gets the text",
)
def test_another_server_at_the_same_address_gets_nothing_meant_for_the_first(
    open_client: Open, fake: FakeServer
) -> None:
    screen = open_client(fake.url)
    screen.open()
    fake.say("bob", "on the first")
    screen.wait_texts("on the first")
    fake.stop()
    screen.core.send("#general", "for the first")
    screen.wait(lambda: screen.pending() == ["for the first"])
    fake.server_id = "server-2"
    fake.tokens.clear()
    fake.logs["#general"] = FakeLog("#general", epoch="other")
    fake.start()
    screen.wait(lambda: any("different server" in notice.text for notice in screen.notices))
    screen.wait_texts()
    assert not fake.count(Send)
    fake.stop()
    fake.server_id = "server-1"
    fake.tokens.clear()
    fake.logs["#general"] = FakeLog("#general")
    fake.start()
    screen.wait_texts("for the first")


def tokens_of(fake: FakeServer) -> set[str | None]:
    return {command.token for command in fake.commands if isinstance(command, Hello)}


def test_each_server_gets_its_own_token_and_the_same_one_every_time(
    open_client: Open, start_fake: Callable[..., FakeServer], tmp_path: Path
) -> None:
    one, two = start_fake(), start_fake(server_id="server-2")
    for server in (one, two, one):
        screen = open_client(server.url)
        screen.wait_online()
        screen.stop()
    assert len(tokens_of(one)) == len(tokens_of(two)) == 1
    assert tokens_of(one).isdisjoint(tokens_of(two))


def test_a_taken_name_is_rejected_with_instructions(
    open_client: Open, fake: FakeServer, tmp_path: Path
) -> None:
    fake.tokens["alice"] = "t" * 43
    screen = open_client(fake.url)
    screen.wait(lambda: screen.connection.link is Link.REFUSED)
    assert SignInWay.NAME in screen.connection.ways
    assert "chat-server token alice" in screen.connection.detail
    assert "--token-file" in screen.connection.detail
    screen.stop()
    issued = tmp_path / "issued"
    issued.write_text("t" * 43 + "\n")
    helped = open_client(fake.url, token_file=issued)
    helped.wait_online()
    issued.unlink()
    fake.cut()
    helped.wait(lambda: fake.count(Hello) == 3)
    helped.wait_online()
    helped.stop()
    open_client(fake.url).wait_online()


@pytest.mark.parametrize(("code", "link"), [(4501, Link.REFUSED), (4008, Link.WAITING)])
def test_the_close_code_decides_whether_to_reconnect(
    open_client: Open, fake: FakeServer, code: int, link: Link
) -> None:
    screen = open_client(fake.url)
    screen.wait_online()
    fake.end(code, "because")
    screen.wait(lambda: any(change.link is link for change in screen.history))
    assert any("because" in change.detail for change in screen.history)
    screen.core.reconnect_now()
    screen.wait(lambda: fake.count(Hello) == 2)
    screen.wait_online()


@pytest.mark.promise(
    4,
    fault="two clients of one user on one file, online and offline, and a third one later",
    result="each text is stored once and shown by all",
)
def test_two_clients_of_one_user_share_the_file(
    open_client: Open, fake: FakeServer, tmp_path: Path
) -> None:
    screens = [open_client(fake.url, data=tmp_path / "shared") for _ in range(2)]
    for screen in screens:
        screen.open()
    for number in range(10):
        screens[number % 2].core.send("#general", f"m{number}")
    for screen in screens:
        screen.wait(lambda screen=screen: len(screen.texts()) == 10 and not screen.pending())  # type: ignore[misc]
    assert fake.logs["#general"].head == 10
    fake.stop()
    for number in range(10, 20):
        screens[number % 2].core.send("#general", f"m{number}")
    for screen in screens:
        screen.wait(lambda screen=screen: len(screen.pending()) == 5)  # type: ignore[misc]
    third = open_client(fake.url, data=tmp_path / "shared")  # has the outboxes of both to send
    third.core.open_channel("#general")
    third.wait(lambda: len(third.pending()) >= 10)  # and what was just confirmed, perhaps
    fake.start()
    for screen in (*screens, third):
        screen.wait(lambda screen=screen: len(screen.texts()) == 20 and not screen.pending())  # type: ignore[misc]
    assert fake.logs["#general"].head == 20
    for screen in (*screens, third):
        screen.stop()
    fake.stop()
    alone = open_client(fake.url, data=tmp_path / "shared")
    alone.core.open_channel("#general")
    alone.wait(lambda: sorted(alone.texts()) == sorted(f"m{number}" for number in range(20)))
    assert not alone.pending()


def refused_in_two(open_client: Open, fake: FakeServer, data: Path) -> tuple[Screen, Screen, str]:
    """Return two offline clients on one file with one failed message, and its cid."""
    refusal = ErrorFrame(code=ErrorCode.FORBIDDEN, message="you are mute", retryable=False)
    fake.intercept = lambda command: refusal if isinstance(command, Send) else None
    first = open_client(fake.url, data=data)
    first.open()
    cid = first.core.send("#general", "hush")
    first.wait(lambda: [m.delivery for m in first.lines()] == [Delivery.FAILED])
    fake.stop()
    second = open_client(fake.url, data=data)
    second.core.open_channel("#general")
    second.wait(lambda: [m.delivery for m in second.lines()] == [Delivery.FAILED])
    fake.intercept = lambda _: None
    return first, second, cid


def test_a_message_discarded_in_one_client_is_removed_in_the_other(
    open_client: Open, fake: FakeServer, tmp_path: Path
) -> None:
    first, second, cid = refused_in_two(open_client, fake, tmp_path / "shared")
    first.core.discard(cid)
    second.wait(lambda: not second.pending(), "it is gone there, too")
    second.core.send("#general", "something else")
    fake.start()
    second.wait_texts("something else")
    assert [event.text for event in fake.logs["#general"].events] == ["something else"]


def test_a_message_just_discarded_in_another_client_is_not_sent(
    open_client: Open, fake: FakeServer, tmp_path: Path
) -> None:
    data = tmp_path / "shared"
    first = open_client(fake.url, data=data)
    first.open()
    first.stop()
    fake.stop()
    first, second = (open_client(fake.url, data=data) for _ in range(2))
    cid = first.core.send("#general", "hush")
    first.core.settled().result(PATIENCE)
    second.stop()
    second = open_client(fake.url, data=data)  # knows it as pending
    second.core.open_channel("#general")
    second.wait(lambda: second.pending() == ["hush"])
    first.core.discard(cid)
    first.core.settled().result(PATIENCE)
    fake.start()
    second.open()
    second.core.send("#general", "something else")
    second.wait_texts("something else")
    assert [event.text for event in fake.logs["#general"].events] == ["something else"]


def test_a_message_retried_in_one_client_is_pending_in_the_other(
    open_client: Open, fake: FakeServer, tmp_path: Path
) -> None:
    first, second, cid = refused_in_two(open_client, fake, tmp_path / "shared")
    first.core.retry(cid)
    second.wait(lambda: [m.delivery for m in second.lines()] == [Delivery.PENDING])
    fake.start()
    for screen in (first, second):
        screen.wait_texts("hush")
    assert fake.logs["#general"].head == 1


def test_drafts_and_preferences_of_one_client_reach_the_other(
    open_client: Open, fake: FakeServer, tmp_path: Path
) -> None:
    first, second = (open_client(fake.url, data=tmp_path / "shared") for _ in range(2))
    for screen in (first, second):
        screen.open()
    first.core.save_draft("#general", "half a thought")
    first.core.save_pref("theme", "dark")
    second.wait(lambda: second.core.draft("#general") == "half a thought")
    second.wait(lambda: second.core.pref("theme") == "dark")
    second.wait(lambda: second.channels["#general"].has_draft, "it is listed")
    second.channels.clear()
    first.core.save_pref("quiet-until", "on")
    second.wait(lambda: second.core.pref("quiet-until") == "on")
    second.wait(lambda: bool(second.channels), "the screens are drawn again")


def two_offline(open_client: Open, fake: FakeServer, data: Path) -> tuple[Screen, Screen]:
    """Return two offline clients on one file with nine unread messages."""
    first = open_client(fake.url, data=data)
    first.open()
    for number in range(9):
        fake.say("bob", f"m{number}")
    first.wait(lambda: first.channels["#general"].unread == 9)
    first.stop()
    fake.stop()
    screens = open_client(fake.url, data=data), open_client(fake.url, data=data)
    for screen in screens:
        screen.wait(lambda screen=screen: screen.connection.link is Link.WAITING)  # type: ignore[misc]
        assert screen.channels["#general"].unread == 9
    return screens


def preferred(fake: FakeServer) -> list[dict[str, object]]:
    """Return the preference commands that the server got."""
    sent = [command for command in fake.commands if isinstance(command, Prefer)]
    return [PreferenceChange(each.pinned, each.muted, each.level).fields() for each in sent]


def test_channel_preferences_changed_offline_in_two_clients_are_all_kept(
    open_client: Open, fake: FakeServer, tmp_path: Path
) -> None:
    first, second = two_offline(open_client, fake, tmp_path / "shared")
    first.core.prefer("#general", PreferenceChange(muted=True))
    second.core.prefer("#general", PreferenceChange(pinned=1))
    first.core.prefer("#general", PreferenceChange(level="none"))
    for screen in (first, second):
        screen.wait(
            lambda screen=screen: (
                screen.channels["#general"].muted  # type: ignore[misc]
                and screen.channels["#general"].pinned == 1
                and screen.channels["#general"].level == "none"
            ),
            "each client shows the changes of both",
        )
        screen.stop()
    fake.start()
    third = open_client(fake.url, data=tmp_path / "shared")
    third.wait(lambda: preferred(fake) != [])
    assert preferred(fake) == [{"muted": True, "pinned": 1, "level": "none"}]
    third.open()
    third.stop()
    fourth = open_client(fake.url, data=tmp_path / "shared")
    fourth.open()
    fourth.core.idle().result(PATIENCE)
    assert len(preferred(fake)) == 1, "the server got one command"


def test_a_later_change_of_the_same_preference_replaces_the_earlier_one_in_both_clients(
    open_client: Open, fake: FakeServer, tmp_path: Path
) -> None:
    first, second = two_offline(open_client, fake, tmp_path / "shared")
    first.core.prefer("#general", PreferenceChange(muted=True))
    second.wait(lambda: second.channels["#general"].muted)
    second.core.prefer("#general", PreferenceChange(muted=False))
    first.wait(lambda: not first.channels["#general"].muted)
    first.core.prefer("#general", PreferenceChange(pinned=2))
    second.wait(lambda: second.channels["#general"].pinned == 2)
    assert not second.channels["#general"].muted
    first.stop()
    fake.start()
    second.wait(lambda: preferred(fake) == [{"muted": False, "pinned": 2}])


def test_the_further_read_marker_of_two_offline_clients_is_kept_and_sent(
    open_client: Open, fake: FakeServer, tmp_path: Path
) -> None:
    first, second = two_offline(open_client, fake, tmp_path / "shared")
    first.core.mark("#general", 7)
    first.wait(lambda: first.channels["#general"].unread == 2)
    second.core.mark("#general", 2)
    second.core.prefer("#general", PreferenceChange(pinned=1))
    second.wait(lambda: second.channels["#general"].read == 7, "the further marker reaches it")
    assert second.channels["#general"].unread == 2
    first.stop()
    second.stop()
    third = open_client(fake.url, data=tmp_path / "shared")
    third.wait(lambda: bool(third.channels))
    assert (third.channels["#general"].read, third.channels["#general"].unread) == (7, 2)
    fake.start()
    third.wait(lambda: fake.logs["#general"].read.get("alice") == 7)
    assert fake.count(Mark) == 1


CHANGER = """
import sys, time
from pathlib import Path
from chat.client.config.settings import ClientSettings
from chat.client.sync.core import Core
from chat.client.model.preferences import PreferenceChange

url, data = sys.argv[1:]
core = Core(ClientSettings(name="alice", url=url, data=Path(data)), wake=lambda: None)
core.start()
core.mark("#general", 5)
core.prefer("#general", PreferenceChange(muted=True))
print("changed", flush=True)
time.sleep(60)
"""


@pytest.mark.promise(
    4,
    fault="two offline clients on one file change one channel, and one is killed with `kill -9`",
    result="the other client shows and sends the changes of both, once",
)
def test_channel_preferences_of_a_killed_client_are_shown_and_sent_by_the_other(
    open_client: Open, fake: FakeServer, tmp_path: Path
) -> None:
    data = tmp_path / "shared"
    first, second = two_offline(open_client, fake, data)
    second.stop()
    first.core.prefer("#general", PreferenceChange(pinned=3))
    with subprocess.Popen(
        [sys.executable, "-c", CHANGER, fake.url, str(data)], stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "changed\n"
            first.wait(lambda: first.channels["#general"].muted)
        finally:
            process.send_signal(signal.SIGKILL)
    first.wait(lambda: first.channels["#general"].read == 5)
    fake.start()
    first.wait(lambda: fake.count(Mark) == 1)
    first.core.idle().result(PATIENCE)
    assert preferred(fake) == [{"muted": True, "pinned": 3}]
    assert fake.logs["#general"].read["alice"] == 5


@pytest.mark.feature("reading.order")
def test_a_real_server_gets_the_changes_of_two_offline_clients_on_one_file(
    server: ChatServer, open_client: Open, tmp_path: Path
) -> None:
    data = tmp_path / "shared"
    first = open_client(server.url, data=data)
    first.open()
    bob = open_client(server.url, "bob")
    bob.open()
    bob.core.send("#general", "news")
    first.wait(lambda: first.channels["#general"].unread == 1)
    server.kill()
    second = open_client(server.url, data=data)
    for screen in (first, second):
        screen.wait(lambda screen=screen: screen.connection.link is Link.WAITING)  # type: ignore[misc]
    first.core.prefer("#general", PreferenceChange(muted=True))
    first.core.mark("#general", first.channels["#general"].head)
    second.core.prefer("#general", PreferenceChange(pinned=1, level="none"))
    second.wait(lambda: second.channels["#general"].muted)
    server.start()
    for screen in (first, second):
        screen.wait_online()
        screen.core.idle().result(PATIENCE)
    shutil.copytree(data / "tokens", tmp_path / "phone" / "tokens")
    phone = open_client(server.url, data=tmp_path / "phone")
    for screen in (phone, first, second):
        screen.wait(
            lambda screen=screen: (
                "#general" in screen.channels  # type: ignore[misc]
                and screen.channels["#general"].muted
                and screen.channels["#general"].pinned == 1
                and screen.channels["#general"].level == "none"
                and screen.channels["#general"].unread == 0
            ),
            "all devices show the changes of both",
        )


def test_a_message_that_one_client_could_not_send_is_sent_by_the_other(
    open_client: Open, fake: FakeServer, tmp_path: Path
) -> None:
    first, second = (open_client(fake.url, data=tmp_path / "shared") for _ in range(2))
    for screen in (first, second):
        screen.open()
    fake.stop()
    first.core.send("#general", "typed in the first")
    first.wait(lambda: first.pending() == ["typed in the first"])
    first.stop()
    second.wait(lambda: second.pending() == ["typed in the first"])
    fake.start()
    second.wait_texts("typed in the first")


def test_a_channel_reset_by_another_client_is_reset_here_too(
    open_client: Open, fake: FakeServer, tmp_path: Path
) -> None:
    first = open_client(fake.url, data=tmp_path / "shared")
    first.open()
    fake.say("bob", "old")
    first.wait_texts("old")
    first.stop()
    second, third = (open_client(fake.url, data=tmp_path / "shared") for _ in range(2))
    for screen in (second, third):
        screen.open()
    fake.logs["#general"] = FakeLog("#general", epoch="e2")
    fake.cut()
    fake.logs["#general"].append("bob", text="new")
    for screen in (second, third):
        screen.wait_texts("new")
    fake.say("bob", "newer")
    for screen in (second, third):
        screen.wait_texts("new", "newer")
        screen.stop()
    fake.stop()
    last = open_client(fake.url, data=tmp_path / "shared")
    last.core.open_channel("#general")
    last.wait_texts("new", "newer")


def test_the_file_of_a_newer_client_stays_unchanged(open_client: Open, tmp_path: Path) -> None:
    import sqlite3

    data = tmp_path / "data"
    path = ClientPaths(data).first_account("ws://127.0.0.1:9", "alice") / "outbox.db"
    path.parent.mkdir(parents=True)
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    before = path.read_bytes()
    with pytest.raises(StartupError, match="newer"):
        open_client("ws://127.0.0.1:9", data=data)
    assert path.read_bytes() == before
    assert [other.name for other in path.parent.iterdir()] == [path.name]


def test_an_unsaved_message_stays_visible_and_is_sent_when_the_disk_is_writable(
    open_client: Open, fake: FakeServer, tmp_path: Path
) -> None:
    screen = open_client(fake.url)
    screen.open()
    (path,) = tmp_path.rglob("outbox.db")
    with closing(sqlite3.connect(path, isolation_level=None)) as disk:
        disk.execute("BEGIN IMMEDIATE")
        screen.core.send("#general", "precious")
        screen.wait(lambda: [m.delivery for m in screen.lines()] == [Delivery.FAILED])
        assert "locked" in screen.lines()[0].reason
        assert fake.logs["#general"].head == 0, "what could be lost is not sent"
        disk.execute("ROLLBACK")
    screen.wait_texts("precious")


@pytest.mark.promise(
    4,
    fault="the client's files are deleted while it runs, or its cache is damaged",
    result="unsent text goes into a new file and to the server once; lines come from the server",
)
@pytest.mark.parametrize("harm", ["deleted", "damaged lines"])
def test_a_damaged_cache_is_replaced_while_running(
    open_client: Open, fake: FakeServer, harm: str
) -> None:
    for number in range(200):
        fake.say("bob", f"old {number} " + "x" * 300)
    screen = open_client(fake.url)
    screen.open()
    screen.wait(lambda: len(screen.texts()) > 1)
    assert screen.core._engine is not None
    folder = screen.core._engine.account.path
    if harm == "deleted":
        for path in folder.iterdir():
            path.unlink()
    else:
        screen.stop()
        path = folder / "cache.db"
        content = bytearray(path.read_bytes())
        page = content.index(b"old 199 ") // 4_096 * 4_096
        content[page : page + 8] = b"\xff" * 8
        path.write_bytes(content)
        screen = open_client(fake.url)
        screen.core.open_channel("#general")
    screen.core.send("#general", "precious")
    notice_text = "new file was created" if harm == "deleted" else "loaded again"
    screen.wait(lambda: any(notice_text in notice.text for notice in screen.notices))
    screen.wait(lambda: screen.texts()[-1:] == ["precious"] and not screen.pending())
    screen.wait(lambda: "old 199" in "".join(screen.texts()[-2:-1]))
    assert [e.text for e in fake.logs["#general"].events].count("precious") == 1
    screen.stop()
    fake.stop()
    again = open_client(fake.url)
    again.core.open_channel("#general")
    again.wait(lambda: again.texts()[-1:] == ["precious"] and not again.pending())


@pytest.mark.promise(
    4,
    fault="a page of the client's outbox is damaged while it is full",
    result="the file is renamed, a notice is shown, the texts of the other pages are sent once",
)
def test_the_outbox_of_a_damaged_file_is_recovered_and_sent(
    open_client: Open, fake: FakeServer, tmp_path: Path
) -> None:
    data = tmp_path / "data-alice"
    first = open_client(fake.url)
    first.open()
    first.stop()
    fake.stop()
    offline = open_client(fake.url)
    offline.core.open_channel("#general")
    for number in range(40):
        offline.core.send("#general", f"typed {number} " + "x" * 300)
    offline.wait(lambda: len(offline.pending()) == 40)
    assert offline.core._engine is not None
    path = offline.core._engine.account.path / "outbox.db"
    offline.stop()
    content = bytearray(path.read_bytes())
    page = content.index(b"typed 20 ") // 4_096 * 4_096
    content[page : page + 8] = b"\xff" * 8
    path.write_bytes(content)
    fake.start()
    screen = open_client(fake.url, data=data)
    screen.open()
    screen.wait(
        lambda: any("the damaged file was kept as" in notice.text for notice in screen.notices)
    )
    screen.wait(lambda: bool(screen.texts()) and not screen.pending())
    texts = [entry.text.split(" x")[0] for entry in fake.logs["#general"].events if entry.text]
    typed = [f"typed {number}" for number in range(40)]
    lost = [text for text in typed if text not in texts]
    assert texts == [text for text in typed if text not in lost], "in order, and once"
    assert "typed 20" in lost
    assert len(lost) <= 4_096 // 300, "only what was on one page"
    assert any(path.parent.glob("outbox.db.damaged-*")), "the file is kept"


KILLED_BETWEEN = """
import os, signal, sys
from chat.client.storage.outbox_db import OutboxDb

def killed(self, cids):
    os.kill(os.getpid(), signal.SIGKILL)

OutboxDb.drop_rows = killed  # the cache is committed, the outbox is not
"""


@pytest.mark.promise(
    2,
    fault="`kill -9` of a client between the commits of its cache and of its outbox",
    result="sent again under its id, stored once, shown once",
)
def test_a_crash_between_the_commits_of_the_two_files_only_causes_a_retry(
    open_client: Open, fake: FakeServer, tmp_path: Path
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", KILLED_BETWEEN + TYPIST, fake.url, str(tmp_path / "data")],
        stdout=subprocess.PIPE,
        timeout=PATIENCE,
    )
    assert done.returncode == -signal.SIGKILL
    before = fake.logs["#general"].head
    assert before > 0, "the server has some of it"
    again = open_client(fake.url, data=tmp_path / "data")
    again.core.open_channel("#general")
    again.wait_texts(*(f"typed {number}" for number in range(5)))
    again.wait(lambda: not again.pending())
    again.core.idle().result(PATIENCE)
    assert fake.logs["#general"].head == 5
