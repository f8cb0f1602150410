"""Times and durations as people write them: `22:00`, `+2h`, `2026-11-22T22:00+01:00`; `90m`, `6h`, `1d`."""

import re
from datetime import datetime, time, timedelta

import typer

NOTHING = "none"
"""Takes a limit or a start back that another run had."""

_DURATION = re.compile(
    r"(?:(?P<days>\d+(?:\.\d+)?)d)?(?:(?P<hours>\d+(?:\.\d+)?)h)?"
    r"(?:(?P<minutes>\d+(?:\.\d+)?)m)?(?:(?P<seconds>\d+(?:\.\d+)?)s)?"
)
_LONGEST = timedelta(days=366 * 10)


def parse_duration(text: str, option: str) -> timedelta:
    """A duration such as `90m`, `6h` or `1d12h`, with a unit always: d, h, m or s.

    Raises:
        BadParameter: naming `option`.
    """
    found = _DURATION.fullmatch(text.replace(" ", "").lower())
    given = {unit: float(number) for unit, number in (found.groupdict() if found else {}).items() if number}
    if not given:
        raise typer.BadParameter(f"{text!r} is no duration, as 90m, 6h or 1d12h.", param_hint=option)
    try:
        duration = timedelta(**given)
    except OverflowError:
        duration = timedelta.max
    if not timedelta(0) < duration <= _LONGEST:
        raise typer.BadParameter(f"{text!r} is not between nothing and ten years.", param_hint=option)
    return duration


def parse_time_limit(text: str, option: str) -> int | None:
    """Seconds, one at least; None for `none`."""
    return None if text == NOTHING else max(1, round(parse_duration(text, option).total_seconds()))


def parse_start(text: str, option: str, *, now: datetime) -> datetime | None:
    """When to start.

    Args:
        text: a time of the next 24 hours (`22:00`), a duration from now (`+2h`), a time in ISO 8601, or `none`. What
            names no zone is meant in this machine's.
        option: named where it is none of these.
        now: with its zone.

    Returns:
        With its zone; None for `none`.
    """
    if text == NOTHING:
        return None
    if text.startswith("+"):
        return (now + parse_duration(text[1:], option)).astimezone()
    try:
        start = _parse_time(text, now)
    except ValueError:
        raise typer.BadParameter(
            f"{text!r} is no time, as 22:00, +2h or 2026-12-24T22:00.", param_hint=option
        ) from None
    if start < now:
        raise typer.BadParameter(f"{format_time(start)} is over.", param_hint=option)
    return start


def _parse_time(text: str, now: datetime) -> datetime:
    if "-" in text:
        return datetime.fromisoformat(text).astimezone()
    today = now.astimezone().date()
    # Combined without a zone, and given the zone of that day: it changes with daylight saving.
    clock = time.fromisoformat(text)
    start = datetime.combine(today, clock).astimezone()
    return start if start >= now else datetime.combine(today + timedelta(days=1), clock).astimezone()


def parse_moment(text: str | None, option: str) -> datetime | None:
    """A time in ISO 8601, also a day alone; what names no zone is meant in this machine's.

    Args:
        text: None stays None.
        option: named where it is no time.
    """
    if text is None:
        return None
    try:
        return datetime.fromisoformat(text).astimezone()
    except (ValueError, OverflowError):
        raise typer.BadParameter(
            f"{text!r} is no time, as 2026-12-24 or 2026-12-24T22:00.", param_hint=option
        ) from None


def format_time(moment: datetime) -> str:
    """In this machine's zone, which is named."""
    return moment.astimezone().strftime("%Y-%m-%d %H:%M %Z")
