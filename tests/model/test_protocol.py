"""The whole protocol, over real sockets and real databases, compared with a model."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import cast

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

from tests.model.machine import ProtocolMachine
from tests.model.world import World

EXAMPLES = int(os.environ.get("CHAT_MODEL_EXAMPLES", "1000"))


def explore(new_world: Callable[[], World], examples: int, steps: int) -> None:
    """Run the machine, with fresh data for each example."""
    run_state_machine_as_test(  # it asks for a class, and calls it
        cast("type[RuleBasedStateMachine]", lambda: ProtocolMachine(new_world())),
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            print_blob=True,
            report_multiple_bugs=False,
            suppress_health_check=list(HealthCheck),
        ),
    )


@pytest.mark.timeout(600)  # a busy disk makes each commit wait
@pytest.mark.promise(
    2,
    fault="retries and other uses of a `cid`, from any device, anywhere in random histories",
    result="the first answer again, or `cid_reused`; the log is the model's",
)
@pytest.mark.promise(
    3,
    fault="random histories of every command, by several devices, many at once, with restarts; "
    "while others talk, some clients start over, resume, or read history in either direction",
    result="every session receives the frames that a pure model predicts; each client's state "
    "equals that of a new session: lines, members, markers, counts, presence, typing",
)
@pytest.mark.promise(
    7,
    fault="random commands of users who are not, or no longer, in a channel; bans, disabled "
    "accounts, revoked devices, also in the middle of what their users send",
    result="refused as the model says; nothing else reaches them, and nothing after the answer",
)
def test_server_behaves_like_the_model(new_world: Callable[[], World]) -> None:
    explore(new_world, examples=30, steps=40)


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.promise(
    3,
    fault="the same random histories on three servers with one database, each client on another",
    result="the server of the client that acts sends what the model predicts at once, and the "
    "others the same frames soon after; then everything equals the model on all servers",
)
def test_three_servers_behave_like_the_model(new_cluster: Callable[[], World]) -> None:
    explore(new_cluster, examples=15, steps=40)


@pytest.mark.long
@pytest.mark.timeout(3_600)
def test_server_behaves_like_the_model_in_thousands_of_examples(
    new_world: Callable[[], World],
) -> None:
    explore(new_world, examples=EXAMPLES, steps=80)


@pytest.mark.long
@pytest.mark.timeout(3_600)
def test_three_servers_behave_like_the_model_in_hundreds_of_examples(
    new_cluster: Callable[[], World],
) -> None:
    explore(new_cluster, examples=max(1, EXAMPLES // 5), steps=80)
