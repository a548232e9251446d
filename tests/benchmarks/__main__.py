"""`python -m tests.benchmarks`: run the server and its peers; print a table, draw a plot."""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

from tests.benchmarks.generator import quantile
from tests.benchmarks.peers import BUN, CORE, OURS, PEERS, Peer
from tests.benchmarks.report import Cell, plot, table
from tests.benchmarks.workloads import AGAIN, LENGTHS, LOADS, fill, load_peer, read_log, scrape

ECHO = "echo, 50 x 16"
SENDS = "durable sends, 50 x 16"
IDLE = "10,000 idle connections"
PLOT = Path(__file__).with_name("plot.svg")


def main() -> None:
    """Measure, keep the results in a file, and print the table."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peers", help="names, by commas (default: all that are here)")
    parser.add_argument("--workloads", help="beginnings of names, by semicolons (default: all)")
    parser.add_argument("--logs", action="store_true", help="read logs of any length, and no loads")
    parser.add_argument("--scrape", action="store_true", help="scrape the metrics, and no loads")
    parser.add_argument("--cluster", action="store_true", help="several servers, and no loads")
    parser.add_argument("--seen", type=Path, help="file of measurements; what is there is kept")
    parser.add_argument("--plot", action="store_true", help=f"draw {PLOT.name} anew")
    asked = parser.parse_args()
    if asked.logs:
        _logs(asked.rounds)
        return
    if asked.cluster:
        from tests.benchmarks.cluster import measure  # needs psycopg and nats-server

        sys.stdout.write(measure() + "\n")
        return
    if asked.scrape:
        _scrape(asked.rounds)
        return
    seen = asked.seen or Path(tempfile.mkstemp(suffix=".jsonl", prefix="chat-benchmark-")[1])
    cells = [Cell(**json.loads(line)) for line in seen.read_text().splitlines()]
    first = max((cell.round for cell in cells), default=-1) + 1
    os.sched_setaffinity(0, os.sched_getaffinity(0) - {CORE})
    for number in range(first, first + asked.rounds):
        for workload in _chosen(list(LOADS), asked.workloads, ";"):
            for peer in PEERS:
                if peer.name in _chosen([p.name for p in PEERS], asked.peers, ","):
                    cells += _measure(peer, workload, number, seen)
    sys.stdout.write(table(cells) + "\n")
    if asked.plot:
        PLOT.write_text(plot(cells), encoding="utf-8")


def _chosen(names: list[str], asked: str | None, separator: str) -> list[str]:
    if asked is None:
        return names
    return [name for name in names if name.startswith(tuple(asked.split(separator)))]


def _measure(peer: Peer, workload: str, number: int, seen: Path) -> list[Cell]:
    is_fit = peer.echo is not None if workload == ECHO else True
    if workload == SENDS:
        is_fit = peer.name in (OURS, BUN)
    if workload == AGAIN:
        is_fit = peer.name == OURS
    if LOADS[workload].pace:
        is_fit = peer.name in (OURS, BUN, "Node ws", "C, a write each")
    if workload == IDLE:
        is_fit = peer.name in (OURS, "websockets", "Node ws")
    if not is_fit or not peer.is_here:
        return []
    with tempfile.TemporaryDirectory(prefix="chat-benchmark-") as folder:
        try:
            cell = Cell(number, workload, peer.name, load_peer(peer, workload, Path(folder)))
        except (OSError, RuntimeError) as exc:
            sys.stderr.write(f"{workload}: {peer.name}: {exc}\n")
            return []
    with seen.open("a") as file:
        file.write(json.dumps(asdict(cell)) + "\n")
    sys.stderr.write(f"{number} {workload}: {peer.name}: {cell.seen}\n")
    return [cell]


def _logs(rounds: int) -> None:
    ours = next(peer for peer in PEERS if peer.name == OURS)
    seen: dict[int, list[dict[str, float]]] = {length: [] for length in LENGTHS}
    with tempfile.TemporaryDirectory(prefix="chat-benchmark-") as parent:
        for length in LENGTHS:
            folder = Path(parent) / str(length)
            folder.mkdir()
            fill(folder, length)
        for _ in range(rounds):
            for length in LENGTHS:
                seen[length].append(read_log(ours, Path(parent) / str(length)))
    for length, rows in seen.items():
        medians = {name: quantile([row[name] for row in rows], 0.5) for name in rows[0]}
        shown = " | ".join(f"{name} {value:.2f} ms" for name, value in medians.items())
        sys.stdout.write(f"{length:,} messages | {shown}\n")


def _scrape(rounds: int) -> None:
    ours = next(peer for peer in PEERS if peer.name == OURS)
    for connections in (0, 2_000):
        rows = []
        for _ in range(rounds):
            with tempfile.TemporaryDirectory(prefix="chat-benchmark-") as folder:
                rows.append(scrape(ours, Path(folder), connections))
        medians = {page: quantile([row[page] for row in rows], 0.5) for page in rows[0]}
        shown = " | ".join(f"{page} {value:.2f} ms of CPU" for page, value in medians.items())
        sys.stdout.write(f"{connections:,} connections | {shown}\n")


if __name__ == "__main__":
    main()
