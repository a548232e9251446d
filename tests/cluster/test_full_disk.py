"""The disk of PostgreSQL is full: sends are refused until there is space, and nothing is lost.

A small library in PostgreSQL's processes refuses each write that would extend a file, with the
error of a full file system. Tests may not mount a small one in a container.
"""

from __future__ import annotations

import asyncio
import random
import shutil
import string
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from chat.protocol.commands import History, Send
from chat.protocol.frames import ErrorFrame, Page
from chat.protocol.items import Event
from chat.protocol.values import Limits
from chat.store.store import Store
from tests.cluster.test_failover import stored
from tests.cluster.test_faults import conversation
from tests.cluster.three_servers import Cluster, answer_to, pause
from tests.postgresql import PostgresqlServer
from tests.serving import PATIENCE, Peer

pytestmark = pytest.mark.cluster

ROOM = "#room"
SOURCE = Path(__file__).with_name("full_disk.c")
TEXT = 6_000
"""Characters of a message that does not fit into the pages of the database."""


@pytest.fixture
def full(tmp_path: Path) -> Path:
    """The file whose existence means that the disk is full."""
    return tmp_path / "full"


@pytest.fixture
def cluster(tmp_path: Path, full: Path) -> Iterator[Cluster]:
    """Three servers on a PostgreSQL of their own, whose disk can be full."""
    if shutil.which("cc") is None:
        pytest.skip("needs a C compiler (cc)")
    library = tmp_path / "full_disk.so"
    subprocess.run(
        ("cc", "-Wall", "-Werror", "-shared", "-fPIC", "-o", library, SOURCE, "-ldl"), check=True
    )
    environment = {"LD_PRELOAD": str(library), "FULL_DISK": str(full)}
    with PostgresqlServer(environment=environment) as postgresql:
        template = postgresql.create()
        Store.open(postgresql.url(template), limits=Limits(), committed=lambda _: None).close()
        with Cluster(tmp_path, postgresql, template) as running:
            yield running


def messages() -> Iterator[Send]:
    """Yield messages that cannot be compressed."""
    chance = random.Random(12)
    for number in range(1_000):
        text = "".join(chance.choices(string.ascii_letters, k=TEXT))
        yield Send(channel=ROOM, text=text, cid=f"large{number}")


async def test_full_disk_refuses_sends_serves_reads_and_recovers(
    cluster: Cluster, full: Path
) -> None:
    async with (
        Peer.signed_in(cluster.urls[0], "alice") as alice,
        Peer.signed_in(cluster.urls[1], "bob") as bob,
    ):
        for peer in (alice, bob):
            await peer.join(ROOM)
        acknowledged = []
        full.touch()
        for message in messages():
            answer = await answer_to(alice, message)
            if isinstance(answer, ErrorFrame):
                break
            acknowledged.append(message.text)
        assert isinstance(answer, ErrorFrame)
        assert answer.code == "unavailable"
        assert answer.retry_after is not None
        assert "No space left" in cluster.servers[0].text
        page = await bob.call(History(channel=ROOM, limit=50), Page)
        assert [item.text for item in page.items if len(item.text or "") == TEXT] == acknowledged
        full.unlink()
        async with asyncio.timeout(PATIENCE):
            while isinstance(await answer_to(alice, message), ErrorFrame):
                await asyncio.sleep(0.2)
        acknowledged.append(message.text)
        await bob.until(
            lambda: any(event.text == message.text for event in bob.kept(Event)), "the message"
        )
    texts = [text for _, text in stored(cluster.postgresql, cluster.name)[1]]
    assert [text for text in texts if len(text) == TEXT] == acknowledged


def fill_log(postgresql: PostgresqlServer) -> None:
    """Write until PostgreSQL needs another file for its write-ahead log, and stops itself."""
    while postgresql.is_running:
        try:
            postgresql.execute("SELECT pg_switch_wal(), txid_current()")
        except psycopg.Error:
            continue


async def test_full_write_ahead_log_stops_postgresql_and_loses_nothing(
    cluster: Cluster, full: Path
) -> None:
    async with conversation(cluster) as (writers, _):
        writing = asyncio.gather(*(writer.write(60, pause(0.0, 0.05)) for writer in writers))
        while sum(len(writer.acknowledged) for writer in writers) < 60:
            await asyncio.sleep(0.01)
        full.touch()
        await asyncio.to_thread(fill_log, cluster.postgresql)
        full.unlink()
        cluster.postgresql.start()  # it ends with the thread that starts it
        await writing
