"""Local time: formats, the rules of the time zone, and a zone that changes at run time."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import TZPATH

import pytest

from chat.client.model.search_query import parse_search, parse_since
from chat.client.platform.local_time import local_time, local_zone, time_or_day
from tests.client.fake_server import FakeServer
from tests.client.piped import Client

NOW = datetime(2026, 3, 5, 12, 30)


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        (datetime(2026, 3, 5, 9, 5), "09:05"),
        (datetime(2026, 3, 4, 23, 59), "4 Mar"),
        (datetime(2025, 3, 5, 12, 30), "5 Mar 25"),
        (datetime(2025, 12, 31, 23, 59), "31 Dec 25"),
    ],
)
def test_a_day_of_another_year_includes_the_year(said: datetime, shown: str) -> None:
    assert time_or_day(int(said.timestamp() * 1000), NOW) == shown
    assert len(shown) <= 9


@pytest.mark.parametrize("ts", [-(10**30), -1, 0, 10**30])
def test_any_number_converts_to_a_time(ts: int) -> None:
    assert 1970 <= local_time(ts).year <= 3000


RULES = "CET-1CEST,M3.5.0,M10.5.0/3"


def milliseconds(year: int, month: int, day: int, hour: int = 0) -> int:
    return round(datetime(year, month, day, hour, tzinfo=UTC).timestamp() * 1000)


@pytest.fixture
def in_berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", RULES)
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("in_berlin")
@pytest.mark.parametrize(
    ("typed", "utc"),
    [
        ("2026-07-01", (2026, 6, 30, 22)),
        ("2026-12-01", (2026, 11, 30, 23)),
        ("2026-07-01T12:00", (2026, 7, 1, 10)),
        ("2026-12-01T12:00", (2026, 12, 1, 11)),
        ("2026-07-01T12:00Z", (2026, 7, 1, 12)),
        ("2026-03-29T03:00", (2026, 3, 29, 1)),  # right after the hour that is left out
    ],
)
def test_a_date_has_the_offset_of_its_own_season(
    typed: str, utc: tuple[int, int, int, int]
) -> None:
    for month in (1, 7):
        now = datetime(2026, month, 15, tzinfo=local_zone())
        assert parse_since(typed, now).ts == milliseconds(*utc)
        search = parse_search(f"x before:{typed} after:{typed}", "me", now)
        assert search.before == search.after == milliseconds(*utc)


@pytest.mark.usefixtures("in_berlin")
def test_a_message_is_shown_with_the_offset_of_its_own_season() -> None:
    for utc, shown in (((2026, 7, 1, 10), 12), ((2026, 12, 1, 10), 11)):
        assert local_time(milliseconds(*utc)).hour == shown


@pytest.mark.usefixtures("in_berlin")
def test_a_duration_ago_is_exact_across_a_clock_change() -> None:
    for minute in range(0, 240, 20):  # the night in which an hour comes twice
        utc = datetime(2026, 10, 25, 0, tzinfo=UTC).timestamp() + 60 * minute
        now = datetime.fromtimestamp(utc, local_zone())
        assert parse_since("30m", now).ts == round((utc - 1_800) * 1000)


@pytest.mark.parametrize("typed", ["0001-01-01", "9999-12-31T23:59"])
def test_the_first_and_last_dates_of_the_calendar_are_accepted(typed: str) -> None:
    assert parse_since(typed, datetime.now(local_zone())).ts >= 0


def test_a_changed_system_zone_is_noticed_while_running(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TZ", raising=False)
    folder = next((path for path in map(Path, TZPATH) if (path / "Asia/Tokyo").exists()), None)
    if folder is None:
        pytest.skip("no zones are installed here")
    file = tmp_path / "localtime"
    hours = []
    for zone in ("Europe/Berlin", "Asia/Tokyo"):
        new = tmp_path / "new"
        new.symlink_to(folder / zone)
        os.replace(new, file)
        hours.append(datetime.fromtimestamp(1_780_000_000, local_zone(file)).hour)
    assert hours == [22, 5]


def test_an_invalid_zone_file_falls_back_to_the_c_library(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TZ", raising=False)
    (tmp_path / "localtime").write_text("no zone")
    for file in (tmp_path / "localtime", tmp_path / "missing"):
        expected = datetime.fromtimestamp(1_780_000_000).astimezone()
        assert datetime.fromtimestamp(1_780_000_000, local_zone(file)) == expected


@pytest.mark.parametrize(("day", "hour"), [((2026, 7, 1), 22), ((2026, 12, 1), 23)])
def test_tail_since_a_date_starts_at_its_midnight_in_any_season(
    fake: FakeServer, make_client: Callable[..., Client], day: tuple[int, int, int], hour: int
) -> None:
    log, midnight = fake.logs["#general"], milliseconds(*day) - (24 - hour) * 3_600_000
    for minutes in (-30, 30):
        said = log.append("alice", text=f"{minutes} minutes after midnight")
        log.events[-1] = said.model_copy(update={"ts": midnight + minutes * 60_000})
    client = make_client(fake.url)
    client.variables = {"TZ": RULES}
    year, month, date = day
    done = client.run("tail", "#general", "--since", f"{year}-{month:02}-{date:02}")
    assert done.stdout == (
        f"[2 {year}-{month:02}-{date:02} 00:30] alice: 30 minutes after midnight\n"
    ), done.stderr
