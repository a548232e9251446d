"""Many clients and many faults of three servers, their database and their broker."""

from __future__ import annotations

import os
import random
import sys
from pathlib import Path

import pytest

from tests.cluster.deployment import ThreeServers
from tests.consistency.run import Plan, run
from tests.postgresql import PostgresqlServer

LONG = 1_200.0
"""Seconds of faults in the long run; `CHAT_TEST_SECONDS` overrides it."""


async def judge(folder: Path, plan: Plan, deployment: ThreeServers) -> None:
    report = await run(folder, plan, deployment)
    sys.stdout.write(f"\n{report}\n")
    assert not report.wrong, report
    assert report.counts["acknowledged"] > 100
    assert report.counts["server kills"] >= 3
    assert report.counts["claims"] >= 5


def chosen_seed() -> int:
    """Return the seed: `CHAT_TEST_SEED`, to repeat the choices of a run, or a random one."""
    return int(os.environ.get("CHAT_TEST_SEED") or random.SystemRandom().randrange(10**6))


@pytest.mark.long
@pytest.mark.timeout(300)
async def test_three_servers_lose_duplicate_and_reorder_nothing(
    tmp_path: Path, postgresql: PostgresqlServer, template: str
) -> None:
    servers = ThreeServers(tmp_path, postgresql, template, longest=1.0)
    plan = Plan(seconds=1, seed=chosen_seed(), typists=0, storm=0, pace=0.2)
    await judge(tmp_path, plan, servers)


@pytest.mark.long
@pytest.mark.timeout(LONG * 3)
async def test_three_servers_lose_nothing_in_a_long_run(
    tmp_path: Path, postgresql: PostgresqlServer, template: str
) -> None:
    seconds = float(os.environ.get("CHAT_TEST_SECONDS") or LONG)
    servers = ThreeServers(tmp_path, postgresql, template, longest=60.0)
    plan = Plan(seconds=seconds, seed=chosen_seed(), people=12, typists=2, storm=100, pace=0.3)
    await judge(tmp_path, plan, servers)
