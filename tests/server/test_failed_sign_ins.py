"""The log of failed sign-ins: what is logged, how often, and that it contains no secret."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from chat.errors import ErrorCode
from chat.protocol.commands import Hello
from chat.protocol.frames import ErrorFrame
from chat.server.failed_sign_ins import FailedSignIns
from chat.server.monitoring.metrics import LabeledCounter
from tests.serving import ChatServer, Peer

WRONG = ErrorCode.BAD_PASSWORD


@pytest.fixture
def counter() -> LabeledCounter:
    return LabeledCounter("chat_failed_sign_ins_total", "Failed sign-ins", "code")


@pytest.fixture
async def failed(counter: LabeledCounter) -> FailedSignIns:
    return FailedSignIns(asyncio.get_running_loop(), counter, addresses_max=3)


async def test_the_first_failure_is_logged_at_once_and_others_are_counted(
    failed: FailedSignIns, counter: LabeledCounter, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("alice", "alice", "bob"):
        failed.add("203.0.113.7", name, WRONG)
    failed.add("203.0.113.7", "bob", ErrorCode.RATE_LIMITED)
    failed.add("203.0.113.8", "carol", ErrorCode.BANNED)
    assert counter.values == {"bad_password": 3, "rate_limited": 1, "banned": 1}
    assert caplog.messages == [
        "203.0.113.7: failed sign-in as alice: bad_password",
        "203.0.113.8: failed sign-in as carol: banned",
    ]
    caplog.clear()
    failed.flush()
    assert caplog.messages == [
        "203.0.113.7: 3 more failed sign-ins as alice, bob: bad_password 2, rate_limited 1"
    ]
    caplog.clear()
    failed.flush()
    assert caplog.messages == []
    failed.add("203.0.113.7", "alice", WRONG)
    assert caplog.messages == ["203.0.113.7: failed sign-in as alice: bad_password"]


async def test_counted_failures_are_logged_after_the_interval(
    counter: LabeledCounter, caplog: pytest.LogCaptureFixture
) -> None:
    failed = FailedSignIns(asyncio.get_running_loop(), counter, interval=0.01)
    for _ in range(2):
        failed.add("203.0.113.7", "alice", WRONG)
    while len(caplog.messages) < 2:
        await asyncio.sleep(0.01)
    assert caplog.messages[1] == "203.0.113.7: 1 more failed sign-in as alice: bad_password 1"


async def test_a_flood_is_a_bounded_number_of_lines(
    failed: FailedSignIns, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(1_000):
        failed.add(f"203.0.113.{number % 250}", f"name{number}", WRONG)
    failed.flush()
    assert len(caplog.messages) == 3 + 3 + 1
    assert caplog.messages[-1] == (
        "other addresses: 988 more failed sign-ins as name3, name4, name5, name6, name7, …: "
        "bad_password 988"
    )


@pytest.mark.parametrize("code", [ErrorCode.NAME_TAKEN, ErrorCode.REGISTRATION_CLOSED])
async def test_mistakes_are_not_logged(
    failed: FailedSignIns, caplog: pytest.LogCaptureFixture, code: ErrorCode
) -> None:
    failed.add("203.0.113.7", "alice", code)
    failed.flush()
    assert caplog.messages == []


async def test_a_device_that_learns_that_a_name_is_taken_is_not_logged(
    failed: FailedSignIns, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("alice", "bob", "alice"):
        failed.add("203.0.113.7", name, ErrorCode.BAD_TOKEN)
    assert caplog.messages == ["203.0.113.7: failed sign-in as alice: bad_token"]


async def test_a_code_that_was_typed_as_a_name_is_not_logged(
    failed: FailedSignIns, caplog: pytest.LogCaptureFixture
) -> None:
    failed.add("203.0.113.7", "7K3QX-9MZ2T", ErrorCode.LINK_INVALID)
    failed.add("203.0.113.8", "0Q8VB-KM4TS-W2XNA-7C9DE-H3JPR-6", ErrorCode.LINK_INVALID)
    assert [each.split(" as ")[1] for each in caplog.messages] == ["(a code): link_invalid"] * 2


@pytest.mark.parametrize(
    "proof",
    [
        {"password": "not the password"},
        {"token": "not-the-token" * 4},
        {"link": "AAAAA-AAAA1"},
    ],
)
async def test_the_server_logs_a_failed_sign_in_without_its_proof(
    server: ChatServer, proof: dict[str, Any]
) -> None:
    async with Peer.signed_in(server.url, "alice"):
        for _ in range(2):  # the first unknown token is that of a new device
            async with Peer.connect(server.url) as peer:
                error = await peer.call(Hello(v=1, name="ALICE", **proof), ErrorFrame)
    server.wait_for_line(f"127.0.0.1: failed sign-in as ALICE: {error.code}")
    server.stop()
    assert next(iter(proof.values())) not in server.text
