"""One run: clients talk while faults happen; afterwards the verdict checks the evidence."""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from dataclasses import field as member
from pathlib import Path

from websockets.exceptions import ConnectionClosed

from chat.client.config.settings import ClientSettings
from chat.client.model.fold import SHOWN_KINDS, message_of
from chat.client.model.state import Delivery
from chat.client.network.backoff import Backoff
from chat.protocol.commands import Create, Invite
from chat.protocol.commands import History as ReadHistory
from chat.protocol.frames import Joined, Page
from chat.protocol.items import Item
from chat.store.maintenance.check import check_database
from chat.store.store import look
from tests.client.screen import Screen
from tests.consistency.deployment import Deployment, OneServer
from tests.consistency.faults import ROOT
from tests.consistency.history import Append, History
from tests.consistency.operator import Operator
from tests.consistency.rooms import CLUB, DEN, KEEPER, ROOMS, Keeper, Spy
from tests.consistency.verdict import account_faults, verdict
from tests.consistency.worker import Worker
from tests.serving import ConnectionOver, Peer

__all__ = ["Plan", "Report", "run"]

CHANNELS = ("#general", "#ops", "#tea")
TYPED_LEAST = 50
"""Texts that each real client types, in total, before the run ends."""
DRAIN = 60.0
"""Seconds within which everything must be answered after the last fault."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The size of a run.

    Args:
        seconds: duration of the faults.
        seed: seed of the random decisions; the timing of the machine also has an influence.
        people: number of talking users; every second one has two devices.
        typists: real clients, which are killed and restarted.
        storm: light clients that reconnect at the same time at the end.
        pace: mean seconds between two appends of one device.
        faults: whether to inject faults.
        sabotage: the safeguard to disable.
    """

    seconds: float
    seed: int
    people: int = 6
    typists: int = 2
    storm: int = 100
    pace: float = 0.05
    faults: bool = True
    sabotage: str = ""


@dataclass(slots=True)
class Report:
    """The results of a run."""

    plan: Plan
    wrong: list[str]
    counts: dict[str, float] = member(default_factory=dict)

    def __str__(self) -> str:
        lines = [f"seed {self.plan.seed}", *(f"{k:>40}  {v:g}" for k, v in self.counts.items())]
        lines += [f"WRONG: {fault}" for fault in self.wrong[:40]]
        return "\n".join(lines)


async def run(folder: Path, plan: Plan, deployment: Deployment | None = None) -> Report:
    """Run `plan` with files in `folder`: with one server, unless another deployment is given."""
    began = time.monotonic()
    chance = random.Random(plan.seed)
    history, typists = History(), [f"typist{n}" for n in range(plan.typists)]
    served = deployment or OneServer(folder / "data", plan.sabotage)
    async with served:
        url = ",".join(served.urls)
        idle = await served.burdens()
        injector = served.injector(random.Random(chance.random()))
        workers = await _people(plan, served, history, chance)
        people = sorted({worker.name for worker in workers})
        keeper = Keeper(served.way(1), people, history, random.Random(chance.random()))
        spy = Spy(served.way(3), history, random.Random(chance.random()))
        outcasts = [f"p{number}" for number in range(2, plan.people, 3)]
        operator = Operator(
            served.store,
            (served.way(0), served.way(1)),
            outcasts,
            history,
            random.Random(chance.random()),
            rest=20 * plan.pace,
        )
        async with (
            _running(workers),
            _acting(operator, keeper, spy),
            _typing(folder, url, typists, chance) as printed,
        ):
            if plan.faults:
                await injector.run(plan.seconds)
            else:
                await asyncio.sleep(plan.seconds)
            await _until(  # real clients are slow to start on a busy machine
                lambda: len(_typed(printed)) >= plan.typists * TYPED_LEAST,
                "real clients type",
                lambda: len(_typed(printed)),
            )
            for each in (operator, keeper, spy):
                each.finish()
            for worker in workers:
                worker.stop_talking()
            await _until(
                lambda: not _absent(workers),
                "everybody is in all channels again",
                lambda: _absent(workers),
            )
            await _until(
                lambda: not _waiting(workers),
                "all commands are answered",
                lambda: _waiting(workers),
            )
        owed = _typed(printed)
        await _until(lambda: not _unfinished(served, history), "all old texts are erased")
        screens = await _last_words(folder, url, typists)
        storm = await _storm(plan, served, history) if plan.storm else 0.0
        logs, unlike = await _logs(served)
        unlike += await _catch_up(workers, logs)
        wrong = unlike + verdict(history, logs, owed) + _wrong_states(workers, screens, logs)
        wrong += await _kept(served, idle)
        wrong += [line for line in served.output() if "Traceback" in line or "internal" in line]
        audit = look(
            served.store,
            lambda reader: reader.accounts.audit(None, before=None, limit=1_000_000),
        )
        wrong += account_faults(history, audit.entries[::-1])
        checked = check_database(served.store)
        wrong += [line for line in checked if isinstance(line, str)]
    counts: dict[str, float] = dict(sorted(history.counts.items()))
    counts |= {"bans and disabled accounts": len(history.stops), "claims": len(history.claims)}
    counts |= {"restrictions in channels": len(history.restrictions)}
    counts |= {"acts in channels": len(history.room_acts), "expiries": len(history.expiries)}
    counts |= {
        f"events: {kind}": n
        for kind, n in sorted(Counter(e.kind for log in logs.values() for e in log).items())
    }
    counts |= {"appends": len(history.appends), "typed by real clients": len(owed)}
    counts |= {"events in the logs": sum(map(len, logs.values()))}
    counts |= {f"fault: {kind}": n for kind, n in sorted(injector.counts.items())}
    counts |= {"server kills": injector.kills, "storm: seconds until all are live": storm}
    counts |= {"seconds": round(time.monotonic() - began)}
    return Report(plan, wrong, counts)


def _typed(printed: dict[str, list[str]]) -> list[str]:
    """Return the texts that real clients have typed and reported."""
    return [text for texts in printed.values() for text in texts]


def _waiting(workers: Sequence[Worker]) -> dict[str, list[str]]:
    """Return the devices' commands that have no answer yet."""
    return {worker.device: worker.unanswered for worker in workers if worker.unanswered}


def _absent(workers: Sequence[Worker]) -> dict[str, list[str]]:
    """Return the channels that each device does not follow."""
    return {worker.device: worker.absent for worker in workers if worker.absent}


def _unfinished(served: Deployment, history: History) -> list[int]:
    """Return the jobs that are not done."""
    jobs = history.expiries
    return look(
        served.store, lambda reader: [job for job in jobs if not reader.accounts.is_done(job)]
    )


async def _people(
    plan: Plan, served: Deployment, history: History, chance: random.Random
) -> list[Worker]:
    """Sign in all users once, open the channels, and return the devices."""
    names = [f"p{number}" for number in range(plan.people)]
    direct = f"@{names[0]},{names[1]}"
    devices: list[Worker] = []
    for number, name in enumerate(names):
        channels = [*CHANNELS, direct] if number < 2 else [*CHANNELS]
        known: list[Append] = []
        for device in range(1 + number % 2):
            way = served.way(number // 2 + device)
            own = random.Random(chance.random())
            rooms = ROOMS if device == 0 else ()
            devices.append(
                Worker(name, device, way, channels, history, own, plan.pace, known, rooms)
            )
    await _join(served.urls[0], KEEPER, [CLUB])
    for name in names[2:] + names[:2]:  # the operator bans the first owner of the others
        await _join(served.urls[0], name, [*CHANNELS, CLUB])
    async with Peer.signed_in(served.urls[0], KEEPER, Worker.token_of(KEEPER)) as keeper:
        await keeper.call(Create(channel=DEN, private=True), Joined)
        for name in names:
            await keeper.call(Invite(channel=DEN, name=name))
    for name in names:
        await _join(served.urls[0], name, [DEN])
    for name in names[:2]:
        await _join(served.urls[0], name, [direct])
    return devices


async def _join(url: str, name: str, channels: Sequence[str]) -> None:
    """Join channels; reconnect if this process was too busy for a heartbeat."""
    left = list(channels)
    while left:
        with suppress(ConnectionOver, ConnectionClosed):
            async with Peer.signed_in(url, name, Worker.token_of(name)) as peer:
                while left:
                    await peer.join(left[-1])
                    left.pop()


@asynccontextmanager
async def _running(workers: Sequence[Worker]) -> AsyncIterator[None]:
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(worker.run()) for worker in workers]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()


@asynccontextmanager
async def _acting(*actors: Operator | Keeper | Spy) -> AsyncIterator[None]:
    """Run the operator and others; at the end, wait until all users may act again."""
    async with asyncio.TaskGroup() as group:
        for actor in actors:
            group.create_task(actor.run())
        try:
            yield
        finally:
            for actor in actors:
                actor.finish()


@asynccontextmanager
async def _typing(
    folder: Path, url: str, names: Sequence[str], chance: random.Random
) -> AsyncIterator[dict[str, list[str]]]:
    """Run real clients that type, are killed with a full outbox, and continue."""
    printed: dict[str, list[str]] = {name: [] for name in names}
    own = [random.Random(chance.random()) for _ in names]
    tasks = [
        asyncio.create_task(_type(folder, url, name, printed[name], each))
        for name, each in zip(names, own, strict=True)
    ]
    try:
        yield printed
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _type(
    folder: Path, url: str, name: str, printed: list[str], chance: random.Random
) -> None:
    first = 0
    while True:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.consistency.typist", url, str(folder / name)),
            *(name, CHANNELS[0], str(first)),
            stdout=subprocess.PIPE,
            cwd=ROOT,
        )
        assert process.stdout is not None
        try:
            for _ in range(chance.randrange(5, 120)):
                line = await process.stdout.readline()
                printed += [line.decode().rstrip("\n")]
        finally:
            process.kill()
            rest = (await process.stdout.read()).decode()
            printed += [line for line in rest.split("\n")[:-1] if line]
            await process.wait()
        first += 10_000  # texts that were typed but not printed may or may not be in the log


async def _last_words(folder: Path, url: str, names: Sequence[str]) -> dict[str, Screen]:
    """Start each real client once more: it sends the rest of its outbox, and shows the channel."""
    screens = {}
    for name in names:
        settings = ClientSettings(name=name, url=url, data=folder / name)
        screen = screens[name] = Screen(settings, Backoff(0.1, 0.5))
        screen.core.start()
        screen.core.open_channel(CHANNELS[0])

        def unsent(screen: Screen = screen) -> list[str] | None:
            screen.catch_up()
            if not screen.texts(CHANNELS[0]):
                return None
            lines = screen.lines(CHANNELS[0])
            waiting = [line for line in lines if line.delivery is not Delivery.SENT]
            return [f"{line.text}: {line.delivery.name} {line.reason}" for line in waiting]

        await _until(lambda: unsent() == [], f"the outbox of {name} is empty", unsent)
    return screens


async def _storm(plan: Plan, served: Deployment, history: History) -> float:
    """Disconnect many clients at the same time; return the seconds until all follow again."""
    crowd = [
        Worker(f"s{n}", 0, served.way(2 * n), CHANNELS[1:2], history, random.Random(n), None, [])
        for n in range(plan.storm)
    ]

    def live() -> int:
        return sum(worker.is_live for worker in crowd)

    async with _running(crowd):
        await _until(lambda: live() == plan.storm, "all follow", live)
        await served.kill()
        await _until(lambda: not live(), "all are disconnected", live)
        await served.start()
        began = time.monotonic()
        await _until(lambda: live() == plan.storm, "all follow", live)
        return round(time.monotonic() - began, 1)


async def _logs(served: Deployment) -> tuple[dict[str, list[Item]], list[str]]:
    """Read every log from its start, through the protocol; return what differs on a server."""
    readers = {**dict.fromkeys(CHANNELS, "auditor"), "@p0,p1": "p0"}
    readers |= dict.fromkeys(ROOMS, KEEPER)
    for channel, name in readers.items():  # the auditor's joins are part of the logs
        await _join(served.urls[0], name, [channel])
    first, *others = [
        {channel: await _log(url, name, channel) for channel, name in readers.items()}
        for url in served.urls
    ]
    return first, [
        f"{channel} differs on another server"
        for other in others
        for channel, log in other.items()
        if log != first[channel]
    ]


async def _log(url: str, name: str, channel: str) -> list[Item]:
    """Read one log; reconnect if this process was too busy for a heartbeat."""
    items: list[Item] = []
    is_whole = False
    while not is_whole:
        with suppress(ConnectionOver, ConnectionClosed):
            async with Peer.signed_in(url, name, Worker.token_of(name)) as peer:
                await peer.join(channel)
                while not is_whole:
                    after = items[-1].seq if items else 0
                    command = ReadHistory(channel=channel, after=after, limit=200)
                    page = await peer.call(command, Page)
                    items += page.items
                    is_whole = page.complete
    return items


async def _catch_up(workers: Sequence[Worker], logs: dict[str, list[Item]]) -> list[str]:
    """Let all followers read up to the heads; return those that do not reach them."""

    def behind() -> list[str]:
        return [
            f"{worker.name} stays at {follower.position} of {len(logs[channel])} in {channel}"
            for worker in workers
            for channel, follower in worker.followers.items()
            if follower.position != len(logs[channel])
        ]

    async with _running(workers):
        with suppress(AssertionError):
            await _until(lambda: not behind(), "all followers are at the head")
    return behind()


async def _kept(served: Deployment, idle: list[object]) -> list[str]:
    """Wait until all servers have released all resources; return what they keep."""
    end = asyncio.get_running_loop().time() + DRAIN
    while (burdens := await served.burdens()) != idle:
        if asyncio.get_running_loop().time() > end:
            return [f"the servers keep {burdens}, not {idle}"]
        await asyncio.sleep(0.1)
    return []


def _wrong_states(
    workers: Sequence[Worker], screens: dict[str, Screen], logs: dict[str, list[Item]]
) -> list[str]:
    """Check that state plus events equals the state read from the start."""
    truth = {
        channel: {
            item.seq: replace(message_of(channel, item), rev=0)
            for item in log
            if item.kind in SHOWN_KINDS
        }
        for channel, log in logs.items()
    }
    wrong = []
    for worker in workers:
        for channel, follower in worker.followers.items():
            for seq, line in follower.lines.items():
                if replace(line, rev=0) != truth[channel].get(seq):
                    wrong.append(f"{worker.name} sees {line}, not {truth[channel].get(seq)}")
    for name, screen in screens.items():
        screen.catch_up()
        screen.stop()
        wrong += [
            f"{name}'s screen shows {line}, not {truth[CHANNELS[0]].get(line.seq)}"
            for line in screen.lines(CHANNELS[0])
            if line.seq is not None and replace(line, rev=0) != truth[CHANNELS[0]].get(line.seq)
        ]
    return wrong


async def _until(
    condition: Callable[[], bool], what: str, left: Callable[[], object] = lambda: None
) -> None:
    """Wait until `condition` holds; fail if `left` does not change for a long time."""
    loop = asyncio.get_running_loop()
    end, before = loop.time() + DRAIN, left()
    while not condition():
        if (now := left()) != before:
            end, before = loop.time() + DRAIN, now
        assert loop.time() < end, f"no step within {DRAIN:g} s: {what}; left: {now}"
        await asyncio.sleep(0.05)
