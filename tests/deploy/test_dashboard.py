"""The Grafana dashboard and the manual's alerts: every query fits what the server reports."""

from __future__ import annotations

import http.client
import json
import re
import shutil
import subprocess
import urllib.parse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import promql_parser
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.deploy.proxies import DEPLOY
from tests.serving import PATIENCE, ChatServer, Peer, eventually, free_port
from tests.test_repository import ROOT

OF_PROMETHEUS = {"instance", "job"}
"""Labels that Prometheus adds to each scraped value."""
MANUAL = (ROOT / "chat" / "docs" / "server.md").read_text("utf-8")
ALERTS = re.findall(r"^```yaml\n(groups:.*?)^```$", MANUAL, re.M | re.S)[0]


def dashboard() -> Any:
    return json.loads((DEPLOY / "grafana.json").read_text("utf-8"))


def panel_queries() -> Iterator[str]:
    """Return all queries of the dashboard, with Grafana's variables replaced."""
    for panel in dashboard()["panels"]:
        for target in panel["targets"]:
            yield target["expr"].replace("$instance", ".*").replace("$__rate_interval", "1m")


def silent_queries() -> Iterator[str]:
    """Return the queries without a result as long as all is well."""
    for note in dashboard()["annotations"]["list"]:
        yield note["expr"].replace("$instance", ".*")
    for alert in re.findall(r"expr: (?:\|\n)?(.*?)^ +for:", ALERTS, re.M | re.S):
        yield " ".join(alert.split())


async def use(server: ChatServer) -> None:
    """Use the server so that its metrics have values."""
    async with Peer.signed_in(server.url, "alice") as alice:
        await alice.join("#general")
        for number in range(5):
            await alice.say(f"message {number}")


@pytest.fixture
def monitored(start_server: Callable[..., ChatServer]) -> tuple[ChatServer, int]:
    """Return a server, and the port of its metrics."""
    port = free_port()
    return start_server("--metrics-listen", f"127.0.0.1:{port}"), port


def get(port: int, path: str) -> str:
    """Request a page; return its content."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        body = answer.read().decode()
        assert answer.status == 200, body
        return body
    finally:
        connection.close()


async def test_each_query_asks_for_metrics_and_labels_that_the_server_reports(
    monitored: tuple[ChatServer, int],
) -> None:
    server, port = monitored
    await use(server)
    known: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(get(port, "/metrics")):
        for sample in family.samples:
            known.setdefault(sample.name, set()).update(sample.labels)
    # Failed sign-ins have a value for each code that has occurred: none here.
    known["chat_failed_sign_ins_total"] = {"code"}
    for query in (*panel_queries(), *silent_queries()):
        promql_parser.parse(query)
        names = re.findall(r"\b(?:chat|process)_\w+", query)
        assert names
        assert set(names) <= known.keys(), query
        used = {*re.findall(r"[{,] *(\w+)[=!]", query)}
        used |= {label for by in re.findall(r"by \(([^)]*)\)", query) for label in by.split(", ")}
        assert used <= OF_PROMETHEUS.union(*(known[name] for name in names)), query


def test_each_metric_of_the_server_is_on_the_dashboard() -> None:
    listed = MANUAL.partition("<!-- metrics -->")[2].partition("<!-- /metrics -->")[0]
    metrics = re.findall(r"^\| `(chat_\w+)`", listed, re.M)
    shown = json.dumps(dashboard())
    assert metrics
    assert [name for name in metrics if name not in shown] == []


def test_panels_do_not_overlap_and_have_titles() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in dashboard()["panels"]:
        place = panel["gridPos"]
        cells = {
            (place["x"] + right, place["y"] + down)
            for right in range(place["w"])
            for down in range(place["h"])
        }
        assert panel["title"]
        assert place["x"] + place["w"] <= 24
        assert not taken & cells, panel["title"]
        taken |= cells


@pytest.mark.long
async def test_each_query_has_a_result_in_prometheus(
    monitored: tuple[ChatServer, int], tmp_path: Path
) -> None:
    """Needs `prometheus` and `promtool`, which Debian has in one package."""
    prometheus, promtool = shutil.which("prometheus"), shutil.which("promtool")
    if prometheus is None or promtool is None:
        pytest.skip("not installed: prometheus")
    server, port = monitored
    (tmp_path / "alerts.yml").write_text(ALERTS)
    subprocess.run([promtool, "check", "rules", str(tmp_path / "alerts.yml")], check=True)
    (tmp_path / "prometheus.yml").write_text(
        "global: {scrape_interval: 1s}\nrule_files: [alerts.yml]\n"
        f"scrape_configs: [{{job_name: chat, static_configs: [{{targets: ['127.0.0.1:{port}']}}]}}]"
    )
    own = free_port()
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            [
                *(prometheus, f"--config.file={tmp_path}/prometheus.yml"),
                *(f"--storage.tsdb.path={tmp_path}/data", f"--web.listen-address=127.0.0.1:{own}"),
            ],
            stdout=log,
            stderr=log,
        )
    try:

        def count(query: str) -> int:
            path = f"/api/v1/query?query={urllib.parse.quote(query)}"
            return len(json.loads(get(own, path))["data"]["result"])

        def is_scraped() -> bool:
            try:
                return count("chat_sends_total") > 0
            except (OSError, AssertionError):  # it starts
                return False

        eventually(is_scraped, "prometheus has scraped the server")
        await use(server)
        for query in panel_queries():
            if "failed_sign_ins" not in query:
                eventually(lambda query=query: count(query) > 0, query)  # type: ignore[misc]
        assert {query: count(query) for query in silent_queries() if count(query)} == {}
    finally:
        process.terminate()
        process.wait(PATIENCE)
