"""Many clients and many faults: nothing is lost, duplicated, or out of order."""

from __future__ import annotations

import os
import random
import sys
from pathlib import Path

import pytest

from tests.consistency.failing_server import SABOTAGES
from tests.consistency.run import Plan, Report, run

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the faults need Linux")

LONG = 1_200.0
"""Seconds of faults in the long run; `CHAT_TEST_SECONDS` overrides it."""


def chosen_seed() -> int:
    """Return the seed: `CHAT_TEST_SEED`, to repeat a run, or a random one."""
    return int(os.environ.get("CHAT_TEST_SEED") or random.SystemRandom().randrange(10**6))


def show(report: Report) -> None:
    """Print the results of a run; pytest shows them with `-s`, and after a failure."""
    sys.stdout.write(f"\n{report}\n")


@pytest.mark.timeout(300)
@pytest.mark.promise(
    1,
    fault="`kill -9` before a commit, between commit and acknowledgement, and at random moments; "
    "a full disk, a stopped process, clock jumps of an hour, network faults; 9 devices and 2 real "
    "clients that are killed as well; an operator bans users, disables accounts, invites, and lets "
    "old texts expire; an owner kicks, bans and mutes members, changes roles and settings, and "
    "removes and invites people in a private channel; at last 100 clients reconnect at once",
    result="lost 0, duplicated 0, out of order 0; every follower's state is the log's; each claim "
    "and act is recorded once, no stopped user acts, no invitation is used too often; nobody acts "
    "without the right, or receives what happens after their removal; an outsider gets nothing of "
    "the private channel",
)
async def test_nothing_is_lost_duplicated_or_out_of_order(tmp_path: Path) -> None:
    report = await run(tmp_path, Plan(seconds=20, seed=chosen_seed()))
    show(report)
    assert not report.wrong, report
    assert report.counts["acknowledged"] > 100
    assert report.counts["typed by real clients"] >= 100
    assert report.counts["server kills"] >= 3
    assert report.counts["bans and disabled accounts"] >= 5
    assert report.counts["claims"] >= 10
    assert report.counts["acts in channels"] >= 10
    assert report.counts["events: expire"] >= 1
    assert report.counts["questions of the spy"] >= 10


@pytest.mark.long
@pytest.mark.timeout(LONG * 3)
@pytest.mark.promise(
    1,
    fault="the same for 20 minutes, with 100 kills of the server and more; at last 2,000 "
    "clients reconnect at once",
    result="lost 0, duplicated 0, out of order 0; every follower's state is the log's",
)
async def test_nothing_is_lost_in_a_long_run(tmp_path: Path) -> None:
    seconds = float(os.environ.get("CHAT_TEST_SECONDS") or LONG)
    plan = Plan(seconds=seconds, seed=chosen_seed(), people=12, typists=4, storm=2_000, pace=0.2)
    report = await run(tmp_path, plan)
    show(report)
    assert not report.wrong, report
    assert report.counts["server kills"] >= seconds / 12


@pytest.mark.long
@pytest.mark.timeout(300)
@pytest.mark.parametrize("sabotage", SABOTAGES)
async def test_verdict_reports_a_server_that_breaks_its_promises(
    tmp_path: Path, sabotage: str
) -> None:
    plan = Plan(seconds=12, seed=1, typists=0, storm=0, sabotage=sabotage)
    report = await run(tmp_path, plan)
    show(report)
    assert report.wrong
