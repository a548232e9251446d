"""Passwords: hashing, verifying, limits of attempts, and the fair queue."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from chat.errors import CommandError, ErrorCode
from chat.server.passwords import Passwords, check_new_password

GOOD = "correct horse battery staple"


@pytest.fixture
async def passwords() -> AsyncIterator[Passwords]:
    made = Passwords(asyncio.get_running_loop(), tries=3, rate=0.001)
    yield made
    await asyncio.to_thread(made.close)


async def test_a_password_matches_its_hash_only(passwords: Passwords) -> None:
    stored = await passwords.hash(GOOD, address="192.0.2.1")
    assert stored.startswith("$argon2id$")
    assert GOOD not in stored
    assert await passwords.verify(stored, GOOD, account="a", address="192.0.2.1")
    assert not await passwords.verify(stored, GOOD + "x", account="a", address="192.0.2.1")


async def test_forms_of_the_same_characters_match(passwords: Passwords) -> None:
    stored = await passwords.hash("Ångström ﬁne", address="x")
    assert await passwords.verify(stored, "A\u030angstro\u0308m fine", account="a", address="x")


@pytest.mark.parametrize("stored", [None, "nonsense"])
async def test_nothing_matches_where_there_is_no_password(
    passwords: Passwords, stored: str | None
) -> None:
    assert not await passwords.verify(stored, "A" * 8, account="a", address="x")


async def test_a_name_without_an_account_takes_as_long(passwords: Passwords) -> None:
    stored = await passwords.hash(GOOD, address="x")

    async def seconds(known: str | None, account: str) -> float:
        since = time.perf_counter()
        await passwords.verify(known, "wrong", account=account, address="x")
        return time.perf_counter() - since

    pairs = [(await seconds(stored, "known"), await seconds(None, "unknown")) for _ in range(3)]
    known, unknown = map(min, zip(*pairs, strict=True))
    assert 0.3 < unknown / known < 3


async def test_attempts_are_limited_for_each_account_and_address(passwords: Passwords) -> None:
    for _ in range(3):
        assert not await passwords.verify(None, "wrong", account="a", address="x")
    with pytest.raises(CommandError) as refused:
        await passwords.verify(None, "wrong", account="a", address="x")
    assert refused.value.code is ErrorCode.RATE_LIMITED
    assert refused.value.retry_after
    assert not await passwords.verify(None, "wrong", account="b", address="x")
    assert not await passwords.verify(None, "wrong", account="a", address="y")


async def test_addresses_take_turns_and_waiting_is_bounded() -> None:
    passwords = Passwords(asyncio.get_running_loop(), waiting_max=12, waiting_per_address=8)
    done: list[str] = []

    async def attempt(account: str, address: str) -> None:
        await passwords.verify(None, "wrong", account=account, address=address)
        done.append(address)

    flood = [asyncio.create_task(attempt(f"a{n}", "flood")) for n in range(50)]
    await asyncio.sleep(0)
    honest = asyncio.create_task(attempt("b", "honest"))
    results: list[Any] = await asyncio.gather(*flood, return_exceptions=True)
    await honest
    refused = [each for each in results if isinstance(each, CommandError)]
    assert len(refused) == 50 - 2 - 8
    assert {each.code for each in refused} == {ErrorCode.RATE_LIMITED}
    assert done.index("honest") <= 4  # two were running, and addresses take turns
    await asyncio.to_thread(passwords.close)


async def test_a_full_queue_has_room_for_a_quiet_address() -> None:
    passwords = Passwords(asyncio.get_running_loop(), waiting_max=4, waiting_per_address=4)

    def attempt(account: str, address: str) -> asyncio.Task[bool]:
        work = passwords.verify(None, "wrong", account=account, address=address)
        return asyncio.create_task(work)

    flood = [attempt(f"a{n}", "flood") for n in range(6)]  # two run, four wait
    await asyncio.sleep(0)
    honest = attempt("b", "honest")
    assert not await honest
    results: list[Any] = await asyncio.gather(*flood, return_exceptions=True)
    assert [isinstance(each, CommandError) for each in results] == [False] * 5 + [True]
    await asyncio.to_thread(passwords.close)


async def test_one_address_cannot_try_all_accounts() -> None:
    passwords = Passwords(asyncio.get_running_loop(), address_tries=2, address_rate=0.001)
    for number in range(2):
        assert not await passwords.verify(None, "wrong", account=f"a{number}", address="x")
    with pytest.raises(CommandError, match="too many attempts"):
        await passwords.verify(None, "wrong", account="b", address="x")
    assert not await passwords.verify(None, "wrong", account="b", address="y")
    await asyncio.to_thread(passwords.close)


async def test_a_cancelled_attempt_gives_its_turn_away() -> None:
    passwords = Passwords(asyncio.get_running_loop())

    def attempt(number: int) -> asyncio.Task[bool]:
        work = passwords.verify(None, "wrong", account=f"a{number}", address=f"{number % 3}")
        return asyncio.create_task(work)

    tasks = [attempt(number) for number in range(9)]
    await asyncio.sleep(0)
    for task in tasks[::2]:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    for number in range(9, 12):
        assert not await attempt(number)
    await asyncio.to_thread(passwords.close)


def test_a_short_password_is_refused() -> None:
    with pytest.raises(CommandError) as refused:
        check_new_password("secret7")
    assert refused.value.field == "password"
    check_new_password("eight888")
