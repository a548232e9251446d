"""Metrics: plain numbers, labels with few values, and a text that Prometheus reads."""

from __future__ import annotations

from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from chat.errors import CommandError, ErrorCode, StoreFault, StoreUnavailable
from chat.server.monitoring.exposition import Exposition
from chat.server.monitoring.metrics import Histogram, LabeledCounter, Metrics, close_label
from chat.store.operations import (
    Appended,
    Commit,
    Failure,
    LeaveChannel,
    Operation,
    PendingCall,
    SendMessage,
    User,
)

ALICE = User(1, "alice")


def decided(
    operation: Operation[Any], outcome: Appended | Failure | None = None
) -> PendingCall[Any]:
    """Return an operation after its commit."""
    pending = PendingCall(operation, lambda _result: None, lambda _failure: None)
    if isinstance(outcome, Appended):
        pending.result = outcome
    else:
        pending.failure = outcome
    return pending


def samples(metrics: Metrics) -> dict[str, float]:
    """Return the scraped samples by name, with the value of their label."""
    text = Exposition(metrics).render().decode()
    return {
        f"{sample.name}{''.join(f'/{value}' for value in sample.labels.values())}": sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_a_value_on_the_bound_of_a_bucket_belongs_to_it() -> None:
    histogram = Histogram("sizes", "Sizes", (1, 2, 4))
    for size in (0, 1, 2, 3, 4, 5, 100):
        histogram.observe(size)
    assert histogram.counts == [2, 1, 2, 2]
    assert histogram.total == 115


@pytest.mark.parametrize(
    ("code", "label"),
    [(None, "1006"), (1001, "1001"), (4008, "4008"), (4999, "other"), (3000, "other")],
)
def test_codes_that_a_client_invents_have_one_label(code: int | None, label: str) -> None:
    assert close_label(code) == label


def test_sends_of_a_commit_are_counted_by_result() -> None:
    metrics = Metrics()
    outcomes: list[Appended | Failure] = [
        Appended(1, "m1", 0),
        Appended(2, "m2", 0),
        Appended(1, "m1", 0, duplicate=True),
        CommandError(ErrorCode.NOT_A_MEMBER, "join it first"),
        StoreUnavailable("database or disk is full"),
        StoreFault("internal"),
    ]
    batch = [decided(SendMessage(ALICE, "#tea", "hi"), each) for each in outcomes]
    batch.append(decided(LeaveChannel(ALICE, "#tea"), Appended(3, "m3", 0)))
    metrics.committed(Commit((), batch, began=10.0, ended=10.25))
    assert metrics.sends.values == {
        "ok": 2,
        "duplicate": 1,
        "unavailable": 1,
        "not_a_member": 1,
        "internal": 1,
    }
    assert metrics.commit_seconds.total == 0.25
    assert sum(metrics.batch_events.counts) == 0


def test_a_commit_of_another_process_is_not_counted() -> None:
    metrics = Metrics()
    metrics.committed(Commit((), ()))
    assert sum(metrics.commit_seconds.counts) == 0


def test_every_metric_is_in_the_scrape() -> None:
    metrics = Metrics()
    metrics.store_up.read = lambda: True
    metrics.disconnects.add("4008")
    for seconds in (0.000_5, 0.3, 60):
        metrics.commit_seconds.observe(seconds)
    seen = samples(metrics)
    assert seen["chat_store_up"] == 1
    assert seen["chat_disconnects_total/4008"] == 1
    assert seen["chat_commit_seconds_bucket/0.2"] == 1
    assert seen["chat_commit_seconds_bucket/0.5"] == 2
    assert seen["chat_commit_seconds_bucket/+Inf"] == seen["chat_commit_seconds_count"] == 3
    assert seen["chat_commit_seconds_sum"] == pytest.approx(60.3005)
    for metric in metrics.every():
        if isinstance(metric, LabeledCounter) and not metric.values:
            continue
        assert any(name.startswith(metric.name) for name in seen), metric.name


def test_names_follow_the_conventions_of_prometheus() -> None:
    for metric in Metrics().every():
        assert metric.name.startswith("chat_")
        is_counter = type(metric).__name__.endswith("Counter")
        assert metric.name.endswith("_total") == is_counter, metric.name
        assert metric.meaning
        assert not metric.meaning.endswith("."), metric.meaning
