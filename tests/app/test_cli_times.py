"""Times and durations as people write them."""

from datetime import UTC, datetime, timedelta

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st

from raven_scan.app.cli.run_times import format_time, parse_duration, parse_start, parse_time_limit

pytestmark = pytest.mark.usefixtures("berlin")

NOW = datetime(2026, 11, 22, 20, 30, tzinfo=UTC)
AUTUMN = datetime(2026, 10, 24, 20, 30, tzinfo=UTC)
"""The evening before clocks go back in Europe."""


@given(st.integers(0, 30), st.integers(0, 23), st.integers(0, 59), st.integers(1, 59))
def test_durations(days: int, hours: int, minutes: int, seconds: int) -> None:
    expected = timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
    assert parse_duration(f"{days}d{hours}h{minutes}m{seconds}s", "--x") == expected
    assert parse_duration(f"{days}D {hours}H {minutes}m {seconds}S", "--x") == expected


@pytest.mark.parametrize(
    ("text", "limit_s"), [("90m", 5400), ("6h", 21600), ("1.5d", 129600), ("0.1s", 1), ("none", None)]
)
def test_time_limits(text: str, limit_s: int | None) -> None:
    assert parse_time_limit(text, "--time-limit") == limit_s


@pytest.mark.parametrize(
    "text", ["", "90", "m", "-5m", "5x", "0m", "1h1d", "9999999999999d", "4000d", "infh", "²h"]
)
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(typer.BadParameter, match=r"is no|is not") as refusal:
        parse_duration(text, "--time-limit")
    assert refusal.value.param_hint == "--time-limit"


@pytest.mark.parametrize(
    ("text", "now", "start"),
    [
        ("22:00", NOW, "2026-11-22T21:00Z"),
        ("21:00", NOW, "2026-11-23T20:00Z"),
        ("21:30", NOW, "2026-11-22T20:30Z"),
        ("04:00", AUTUMN, "2026-10-25T03:00Z"),
        ("10:00+02:00", NOW, "2026-11-23T08:00Z"),
        ("+2h", NOW, "2026-11-22T22:30Z"),
        ("+1d", AUTUMN, "2026-10-25T20:30Z"),
        ("2026-12-24", NOW, "2026-12-23T23:00Z"),
        ("2026-12-24T22:00", NOW, "2026-12-24T21:00Z"),
        ("2027-07-01 12:00", NOW, "2027-07-01T10:00Z"),
        ("2026-12-24T22:00Z", NOW, "2026-12-24T22:00Z"),
        ("2026-12-24T22:00-05:00", NOW, "2026-12-25T03:00Z"),
    ],
)
def test_starts(text: str, now: datetime, start: str) -> None:
    parsed = parse_start(text, "--start-at", now=now)
    assert parsed == datetime.fromisoformat(start)
    assert parsed is not None
    assert parsed.tzinfo is not None


def test_no_start() -> None:
    assert parse_start("none", "--start-at", now=NOW) is None


@pytest.mark.parametrize(
    "text", ["", "soon", "25:00", "+", "+2", "2026-13-01", "2026-11-22", "2020-01-01T10:00"]
)
def test_what_is_no_start(text: str) -> None:
    with pytest.raises(typer.BadParameter):
        parse_start(text, "--start-at", now=NOW)


def test_a_time_is_told_with_its_zone() -> None:
    assert format_time(NOW) == "2026-11-22 21:30 CET"
    assert format_time(datetime(2026, 7, 1, 10, tzinfo=UTC)) == "2026-07-01 12:00 CEST"
