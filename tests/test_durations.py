"""Durations: the accepted spellings, and the displayed form."""

from __future__ import annotations

import pytest

from chat.durations import duration_text, exact_duration, parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        *(("30s", 30), ("10m", 600), ("2h", 7_200), ("7d", 604_800), ("2w", 1_209_600)),
        *(("1d12h", 129_600), (" 10M ", 600)),
    ],
)
def test_a_duration_is_read_in_seconds(text: str, seconds: int) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "10", "m", "10 m", "-1d", "1.5h", "1y", "٣d", "1dd"])
def test_other_texts_are_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="10m, 2h or 7d"):
        parse_duration(text)


@pytest.mark.parametrize("text", ["0s", "0d", "999999999w"])
def test_durations_out_of_bounds_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="100 years"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        *((0.2, "1 second"), (59, "59 seconds"), (60, "1 minute"), (7_200, "2 hours")),
        *((86_400, "1 day"), (604_800, "7 days"), (5_000_000, "58 days")),
    ],
)
def test_a_duration_is_shown_in_its_largest_unit(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(1, "1s"), (90, "90s"), (7_200, "2h"), (129_600, "36h"), (31_536_000, "365d")],
)
def test_an_exact_duration_can_be_read_again(seconds: int, text: str) -> None:
    assert exact_duration(seconds) == text
    assert parse_duration(text) == seconds
