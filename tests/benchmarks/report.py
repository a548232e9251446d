"""Turn measurements into a table and a plot."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import log10
from statistics import median

from tests.benchmarks.peers import OURS

__all__ = ["Cell", "plot", "table"]

FIGURES = {
    "echo, 50 x 16": "deliveries",
    "2,000 connect and join at once": "connections",
    "2,000 known people come back at once": "connections",
    "1,000 followers, 20 a second": "p50",
    "200 channels of 5, 1,000 messages a second": "cpu",
    "10,000 idle connections": "memory",
}
"""The main figure of a workload, if it is not deliveries per second."""
UNITS = {
    "deliveries": "deliveries/s",
    "connections": "connections/s",
    "memory": "KiB each",
    "p50": "ms until all have it",
    "cpu": "µs of CPU a message",
}
SCALES = {"p50": 1e3, "cpu": 1e6}
LESS_IS_BETTER = ("memory", "p50", "cpu")


@dataclass(frozen=True)
class Cell:
    """One peer under one workload in one round."""

    round: int
    workload: str
    peer: str
    seen: Mapping[str, float]


def table(cells: Iterable[Cell]) -> str:
    """Return a Markdown table: medians, spreads, ratios within a round, and further results."""
    rows = [
        "| workload | peer | median (min–max) | ours to it "
        "| p50 ms | p99 ms | CPU µs | generator | lost | n |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for (workload, peer), group in _grouped(cells).items():
        figure = FIGURES.get(workload, "deliveries")
        values = [cell.seen[figure] * SCALES.get(figure, 1) for cell in group]
        ratios = _spread(_ratios(cells, workload, peer, figure))
        if figure == "p50":
            ratios += f"; p99: {_spread(_ratios(cells, workload, peer, 'p99'))}"
        rows.append(
            f"| {workload} | {peer} | {_spread(values)} {UNITS[figure]} | {ratios} "
            f"| {_median(group, 'p50') * 1e3:.2f} | {_median(group, 'p99') * 1e3:.2f} "
            f"| {_median(group, 'cpu') * 1e6:.0f} "
            f"| {_median(group, 'share'):.0%} | {sum(c.seen['lost'] for c in group):.0f} "
            f"| {len(group)} |"
        )
    return "\n".join(rows)


def plot(cells: Iterable[Cell]) -> str:
    """Return an SVG: our deliveries relative to each peer's, on a logarithmic scale."""
    bars = []
    for workload, peer in _grouped(cells):
        figure = FIGURES.get(workload, "deliveries")
        ratios = _ratios(cells, workload, peer, figure)
        if ratios and peer != OURS and figure not in LESS_IS_BETTER:
            bars.append((workload, peer, median(ratios)))
    width, left, step, scale = 860, 380, 18, 150
    middle, height = left + 1.2 * scale, 40 + step * len(bars)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        'font-family="sans-serif" font-size="12">',
        f'<rect width="{width}" height="{height}" fill="white"/>',
        f'<text x="{left}" y="16">chat-server, as a multiple of (1 = the same, log scale)</text>',
    ]
    for number, (workload, peer, ratio) in enumerate(bars):
        y = 28 + step * number
        end = middle + scale * log10(ratio)
        color = "#2a7f62" if ratio >= 1 else "#b5533c"
        parts += [
            f'<text x="{left - 8}" y="{y + 12}" text-anchor="end">{workload}: {peer}</text>',
            f'<rect x="{min(middle, end):.1f}" y="{y}" width="{abs(end - middle):.1f}" '
            f'height="13" fill="{color}"/>',
            f'<text x="{max(middle, end) + 5:.1f}" y="{y + 12}">{ratio:.2f}</text>',
        ]
    parts += [
        f'<path d="M{middle} 24V{height - 6}" stroke="#333"/>',
        "</svg>\n",
    ]
    return "\n".join(parts)


def _grouped(cells: Iterable[Cell]) -> dict[tuple[str, str], list[Cell]]:
    groups: dict[tuple[str, str], list[Cell]] = {}
    for cell in cells:
        groups.setdefault((cell.workload, cell.peer), []).append(cell)
    return groups


def _ratios(cells: Iterable[Cell], workload: str, peer: str, figure: str) -> list[float]:
    """Return our figure divided by the peer's, per round: slow noise cancels out."""
    ours = {c.round: c.seen[figure] for c in cells if (c.workload, c.peer) == (workload, OURS)}
    theirs = {c.round: c.seen[figure] for c in cells if (c.workload, c.peer) == (workload, peer)}
    return [ours[number] / theirs[number] for number in ours if theirs.get(number)]


def _median(group: Iterable[Cell], figure: str) -> float:
    return median(cell.seen[figure] for cell in group)


def _spread(values: list[float]) -> str:
    if not values:
        return "–"
    return f"{_short(median(values))} ({_short(min(values))}–{_short(max(values))})"


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"
