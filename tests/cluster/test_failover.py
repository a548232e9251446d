"""A database that loses commits: a standby that lags is promoted, or a backup is restored."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from chat.protocol.values import Limits
from chat.store.store import Store
from tests.cluster.three_servers import Cluster, Follower, LossyFollower, Writer, judge, pause
from tests.postgresql import PostgresqlServer
from tests.serving import PATIENCE, eventually

pytestmark = pytest.mark.cluster

ROOM = "#room"


@pytest.fixture
def replicated(tmp_path: Path) -> Iterator[tuple[Cluster, PostgresqlServer]]:
    """Three servers on a primary, and its standby, which the database's address names, too."""
    with PostgresqlServer() as primary:
        template = primary.create()
        Store.open(primary.url(template), limits=Limits(), committed=lambda _: None).close()
        with (
            PostgresqlServer(primary=primary) as standby,
            Cluster(tmp_path, primary, template, standby) as cluster,
        ):
            yield cluster, standby


def addresses(cluster: Cluster, first: int) -> list[str]:
    """Return the addresses of the servers, beginning with different ones."""
    urls = cluster.urls
    return [*urls[first % 3 :], *urls[: first % 3]]


def writers(cluster: Cluster, name: str, count: int = 3) -> list[Writer]:
    """Return writers on all servers."""
    return [Writer(addresses(cluster, n), f"{name}{n}", ROOM) for n in range(count)]


def lossy_followers(cluster: Cluster) -> list[LossyFollower]:
    """Return two followers on each server."""
    return [LossyFollower(addresses(cluster, n), f"follower{n}", ROOM) for n in range(6)]


@asynccontextmanager
async def following(followers: Sequence[Follower]) -> AsyncIterator[None]:
    """Run followers, once all of them have joined."""
    tasks = [asyncio.create_task(follower.run()) for follower in followers]
    try:
        async with asyncio.timeout(PATIENCE):
            while any(follower.first is None for follower in followers):
                await asyncio.sleep(0.02)
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def write(writing: Sequence[Writer], count: int) -> set[str]:
    """Send messages; return their texts, all of which are acknowledged."""
    await asyncio.gather(*(writer.write(count, pause(0.0, 0.03)) for writer in writing))
    return {text for writer in writing for text in writer.acknowledged}


def stored(server: PostgresqlServer, database: str) -> tuple[str, list[tuple[int, str]]]:
    """Return the epoch of the room, and the numbers and texts of its messages."""
    room = f"FROM channels WHERE name = '{ROOM}'"
    ((epoch,),) = server.execute(f"SELECT epoch {room}", database)
    texts = f"SELECT seq, text FROM events WHERE channel_id = (SELECT id {room}) AND text <> ''"
    return epoch, server.execute(f"{texts} ORDER BY seq", database)


async def judge_loss(
    followers: Sequence[LossyFollower],
    server: PostgresqlServer,
    database: str,
    kept: set[str],
    lost: set[str],
) -> None:
    """Check that the log has one new epoch, which has all of `kept` once and nothing of `lost`.

    No number has two texts in one epoch, whoever received it.
    """
    epoch, log = stored(server, database)
    head = log[-1][0]
    async with asyncio.timeout(PATIENCE):
        while any(list(each.logs)[-1:] != [epoch] or each.head < head for each in followers):
            await asyncio.sleep(0.05)
    texts = [text for _, text in log]
    assert sorted(texts) == sorted(kept)
    assert not lost.intersection(texts)
    for follower in followers:
        assert follower.faults == []
        assert len(follower.logs) == 2
    for name in next(iter(followers)).logs:
        seen = [pair for follower in followers for pair in follower.logs.get(name, ())]
        assert len(dict(seen)) == len(set(seen))
    received = {(seq, text) for seq, text in followers[0].log if text is not None}
    assert received
    assert received <= set(log)


def renewals(cluster: Cluster) -> int:
    """Return how many servers have given a channel a new epoch."""
    return sum(server.text.count("the database has lost at least") for server in cluster.servers)


async def test_promotion_of_a_lagging_standby_gives_the_channel_one_new_epoch(
    replicated: tuple[Cluster, PostgresqlServer],
) -> None:
    cluster, standby = replicated
    followers = lossy_followers(cluster)
    async with following(followers), asyncio.timeout(4 * PATIENCE):
        kept = await write(writers(cluster, "early"), 5)
        eventually(
            lambda: len(stored(standby, cluster.name)[1]) == 15, "the standby has all messages"
        )
        standby.cut_from_primary()
        lost = await write(writers(cluster, "lost"), 10)
        await asyncio.to_thread(cluster.postgresql.crash)
        writing = asyncio.create_task(write(writers(cluster, "after"), 10))
        await asyncio.to_thread(standby.promote)
        kept |= await writing
        await judge_loss(followers, standby, cluster.name, kept, lost)
    assert renewals(cluster) == 1


async def test_synchronous_standby_loses_nothing(
    replicated: tuple[Cluster, PostgresqlServer],
) -> None:
    cluster, standby = replicated
    cluster.postgresql.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
    cluster.postgresql.execute("SELECT pg_reload_conf()")
    followers = [Follower(addresses(cluster, n), f"follower{n}", ROOM) for n in range(6)]
    async with following(followers), asyncio.timeout(4 * PATIENCE):
        writing = writers(cluster, "writer", 6)
        done = asyncio.create_task(write(writing, 60))
        while sum(len(writer.acknowledged) for writer in writing) < 60:
            await asyncio.sleep(0.01)
        await asyncio.to_thread(cluster.postgresql.crash)
        await asyncio.to_thread(standby.promote)
        await done
        await judge(writing, followers)
    assert renewals(cluster) == 0


async def test_restored_backup_gives_the_channel_a_new_epoch(cluster: Cluster) -> None:
    database = cluster.postgresql
    followers = lossy_followers(cluster)
    async with following(followers), asyncio.timeout(4 * PATIENCE):
        kept = await write(writers(cluster, "early"), 5)
        backup = database.folder / f"{cluster.name}.dump"
        database.run("pg_dump", "-Fc", "-f", backup, cluster.name)
        lost = await write(writers(cluster, "lost"), 5)
        for server in cluster.servers:
            await asyncio.to_thread(server.stop)
        database.drop(cluster.name)
        database.execute(f"CREATE DATABASE {cluster.name}")
        database.run("pg_restore", "-d", cluster.name, backup)
        renewed = cluster.servers[0].administer("new-epochs", "--store", cluster.url)
        assert renewed.returncode == 0, renewed
        for server in cluster.servers:
            await asyncio.to_thread(server.start)
        kept |= await write(writers(cluster, "after"), 5)
        await judge_loss(followers, database, cluster.name, kept, lost)


async def test_backup_restored_under_running_servers_is_noticed(cluster: Cluster) -> None:
    database = cluster.postgresql
    followers = lossy_followers(cluster)
    async with following(followers), asyncio.timeout(4 * PATIENCE):
        kept = await write(writers(cluster, "early"), 5)
        backup, restored = database.folder / f"{cluster.name}.dump", f"{cluster.name}_restored"
        database.run("pg_dump", "-Fc", "-f", backup, cluster.name)
        lost = await write(writers(cluster, "lost"), 5)
        database.execute(f"CREATE DATABASE {restored}")
        database.run("pg_restore", "-d", restored, backup)
        database.drop(cluster.name)
        database.execute(f"ALTER DATABASE {restored} RENAME TO {cluster.name}")
        for server in cluster.servers:
            await asyncio.to_thread(server.wait_for_line, "the server delivers messages again")
        kept |= await write(writers(cluster, "after"), 5)
        await judge_loss(followers, database, cluster.name, kept, lost)
    assert renewals(cluster) == 1
