"""Passwords: hashing, verifying, limits of attempts, and the fair queue."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
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


async def verify(
    passwords: Passwords,
    stored: str | None,
    password: str,
    *,
    account: str = "a",
    address: str = "x",
) -> bool:
    attempt = passwords.attempt(account=account, address=address)
    return await passwords.verify(attempt, stored, password)


async def hashed(passwords: Passwords, password: str = GOOD) -> str:
    return await passwords.hash(password, account="a", address="x")


async def test_a_password_matches_its_hash_only(passwords: Passwords) -> None:
    stored = await hashed(passwords)
    assert stored.startswith("$argon2id$")
    assert GOOD not in stored
    assert await verify(passwords, stored, GOOD)
    assert not await verify(passwords, stored, GOOD + "x")


async def test_forms_of_the_same_characters_match(passwords: Passwords) -> None:
    stored = await hashed(passwords, "Ångström ﬁne")
    assert await verify(passwords, stored, "A\u030angstro\u0308m fine")


@pytest.mark.parametrize("stored", [None, "nonsense"])
async def test_no_password_matches_an_account_without_one(
    passwords: Passwords, stored: str | None
) -> None:
    assert not await verify(passwords, stored, "A" * 8)


async def test_a_name_without_an_account_takes_as_long(passwords: Passwords) -> None:
    stored = await hashed(passwords)

    async def seconds(known: str | None, account: str) -> float:
        since = time.perf_counter()
        await verify(passwords, known, "wrong", account=account, address=account)
        return time.perf_counter() - since

    pairs = [(await seconds(stored, "known"), await seconds(None, "unknown")) for _ in range(3)]
    known, unknown = map(min, zip(*pairs, strict=True))
    assert 0.3 < unknown / known < 3


async def test_attempts_are_limited_for_each_account_and_address(passwords: Passwords) -> None:
    for _ in range(3):
        assert not await verify(passwords, None, "wrong")
    with pytest.raises(CommandError) as refused:
        passwords.attempt(account="a", address="x")
    assert refused.value.code is ErrorCode.RATE_LIMITED
    assert refused.value.retry_after
    assert not await verify(passwords, None, "wrong", account="b")
    assert not await verify(passwords, None, "wrong", address="y")  # nobody is locked out


class TestAddresses:
    @pytest.fixture
    async def strict(self) -> AsyncIterator[Passwords]:
        made = Passwords(asyncio.get_running_loop(), address_tries=2, address_rate=0.001)
        yield made
        await asyncio.to_thread(made.close)

    async def test_one_address_cannot_try_all_accounts(self, strict: Passwords) -> None:
        for number in range(2):
            assert not await verify(strict, None, "wrong", account=f"a{number}")
        with pytest.raises(CommandError, match="too many attempts"):
            strict.attempt(account="b", address="x")
        assert not await verify(strict, None, "wrong", account="b", address="y")

    async def test_right_passwords_do_not_count(self, strict: Passwords) -> None:
        stored = await hashed(strict)
        for number in range(4):
            assert await verify(strict, stored, GOOD, account=f"a{number}")

    async def test_an_account_that_signed_in_there_is_not_refused_for_others(
        self, strict: Passwords
    ) -> None:
        strict.remember("a", "x")
        for number in range(2):
            assert not await verify(strict, None, "wrong", account=f"b{number}")
        with pytest.raises(CommandError):
            strict.attempt(account="b", address="x")
        assert not await verify(strict, None, "wrong", account="a")


class Queue:
    """Attempts that wait, and the order in which they were decided."""

    def __init__(self, **options: int) -> None:
        self.passwords = Passwords(asyncio.get_running_loop(), **options)
        self.decided: list[str] = []

    def start(self, account: str, address: str) -> asyncio.Task[None]:
        """Start an attempt with a wrong password."""
        return asyncio.create_task(self._attempt(account, address))

    async def _attempt(self, account: str, address: str) -> None:
        await verify(self.passwords, None, "wrong", account=account, address=address)
        self.decided.append(address)


@pytest.fixture
def queue() -> Iterator[Callable[..., Queue]]:
    """Return a function that makes a queue."""
    made: list[Queue] = []

    def make(**options: int) -> Queue:
        made.append(Queue(**options))
        return made[-1]

    yield make
    for each in made:
        each.passwords.close()


async def refused(tasks: list[asyncio.Task[None]]) -> list[bool]:
    """Wait for all attempts; return which ones were refused."""
    results: list[Any] = await asyncio.gather(*tasks, return_exceptions=True)
    errors = [each for each in results if isinstance(each, CommandError)]
    assert {each.code for each in errors} <= {ErrorCode.RATE_LIMITED}
    assert all(each.retry_after for each in errors)
    return [each in errors for each in results]


@pytest.mark.parametrize("addresses", [1, 40, 200])
async def test_a_flood_delays_another_address_by_one_hash_per_thread(
    queue: Callable[..., Queue], addresses: int
) -> None:
    many = queue()
    flood = [many.start(f"a{n}", f"flood{n % addresses}") for n in range(200)]
    await asyncio.sleep(0)
    honest = many.start("a0", "honest")
    await honest
    before = many.decided.index("honest")
    assert before <= 6, before  # one was running; the other thread may be a little faster
    waiting = [each for each in flood if not each.done()]
    assert len(waiting) <= 2 * (1 + 24)
    for each in waiting:
        each.cancel()
    assert set(await refused([each for each in flood if each not in waiting])) <= {True, False}


async def test_addresses_that_failed_wait_for_those_that_did_not(
    queue: Callable[..., Queue],
) -> None:
    few = queue()
    for number in range(2):
        await few.start(f"a{number}", "failed")
    running = few.start("b", "running")
    await asyncio.sleep(0)
    later = [few.start("a2", "failed"), few.start("c", "mistyped"), few.start("d", "new")]
    await asyncio.gather(running, *later)
    assert few.decided[2:] == ["running", "new", "mistyped", "failed"]


async def test_a_known_account_goes_before_new_addresses(queue: Callable[..., Queue]) -> None:
    few = queue(waiting_max=4)
    few.passwords.remember("alice", "home")
    flood = [few.start(f"a{n}", f"flood{n}") for n in range(5)]  # one runs, four wait
    await asyncio.sleep(0)
    honest = few.start("alice", "home")
    await asyncio.sleep(0)
    flood += [few.start(f"b{n}", f"later{n}") for n in range(5)]
    await honest
    assert few.decided.index("home") <= 1
    assert sum(await refused(flood)) == 6


async def test_an_attempt_that_is_refused_for_a_full_queue_does_not_count(
    queue: Callable[..., Queue],
) -> None:
    few = queue(waiting_max=1, tries=1)
    first = [few.start("a", "running"), few.start("b", "older"), few.start("c", "newer")]
    assert await refused(first) == [False, True, False]
    await few.start("b", "older")
    with pytest.raises(CommandError, match="too many attempts"):
        await few.start("c", "newer")


async def test_a_cancelled_attempt_passes_its_turn_on(queue: Callable[..., Queue]) -> None:
    some = queue()
    tasks = [some.start(f"a{number}", f"{number % 3}") for number in range(9)]
    await asyncio.sleep(0)
    for task in tasks[::2]:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    for number in range(9, 12):
        await some.start(f"a{number}", f"{number % 3}")
    assert len(some.decided) == 4 + 3


def test_a_short_password_is_refused() -> None:
    with pytest.raises(CommandError) as refused:
        check_new_password("secret7")
    assert refused.value.field == "password"
    check_new_password("eight888")
