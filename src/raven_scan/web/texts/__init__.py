"""What screens say, in the user's language.

The code says it in English. A language is a folder here, `CODE/messages.po`, in the form that translators' tools know
(GNU gettext); what it lacks is said in English. `make texts` gathers what there is to say into `messages.pot`: what
`t("...")` says, and `later("...")`, which is around what a table holds until it is said.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta, tzinfo
from functools import cache
from pathlib import Path

import structlog
from babel import Locale, UnknownLocaleError, negotiate_locale
from babel.dates import format_date, format_datetime, format_timedelta
from babel.messages.pofile import read_po
from babel.numbers import format_compact_decimal, format_decimal, format_percent

_log = structlog.get_logger(__name__)
_FOLDER = Path(__file__).parent
_SOURCE = "en"
NONE = "\N{EN DASH}"
"""Shown where there is no value."""

_TERRITORY_LETTERS = 2
_BYTE_UNITS = ("B", "kB", "MB", "GB", "TB")


def later(sentence: str) -> str:
    """For translators: it is said where the user's language is known."""
    return sentence


class Texts:
    """One language: its sentences, and how it writes numbers and times.

    Args:
        language: of `list_languages`.
        timezone: the user's.
        territory: as `GB`, whose way of writing dates and numbers in that language is taken, where it is known.
    """

    def __init__(self, language: str, timezone: tzinfo, territory: str | None = None) -> None:
        self.language = language
        self.timezone = timezone
        self._locale = _find_locale(language, territory)
        self._sentences = _read_catalogue(language)

    def __call__(self, sentence: str, **values: object) -> str:
        """An English sentence in this language, with values for its `{names}`."""
        said = self._sentences.get(sentence)
        if said is None:
            said = sentence
            _tell_of_unknown(sentence)
        return said.format(**values) if values else said

    @property
    def language_name(self) -> str:
        """As its speakers call it."""
        return str(self._locale.get_display_name() or self.language)

    @property
    def way(self) -> tuple[str, str, str]:
        """The same for all whose texts are the same."""
        return self.language, str(self._locale), str(self.timezone)

    def number(self, value: float, digits: int = 0) -> str:
        return format_decimal(round(value, digits), locale=self._locale)

    def short_number(self, value: int) -> str:
        """Such as `20M`."""
        return format_compact_decimal(value, locale=self._locale, fraction_digits=1)

    def percent(self, value: float | None, digits: int = 0) -> str:
        """A figure in 0-1; a dash where there is none."""
        if value is None:
            return NONE
        return format_percent(
            value, format="#,##0." + "0" * digits + "%" if digits else None, locale=self._locale
        )

    def figure(self, value: float | None) -> str:
        """A figure in 0-1 with three digits, as papers write it; a dash where there is none."""
        if value is None:
            return NONE
        return format_decimal(value, format="0.000", locale=self._locale).replace("-", "\N{MINUS SIGN}")

    def difference(self, value: float) -> str:
        """Of two figures, with its sign."""
        return f"{'+' if value > 0 else ''}{self.figure(value)}"

    def moment(self, moment: datetime | None) -> str:
        """Day and time, in the user's zone."""
        if moment is None:
            return NONE
        return format_datetime(moment.astimezone(self.timezone), "medium", locale=self._locale)

    def day(self, moment: datetime) -> str:
        """In the user's zone, without the time."""
        return format_date(moment.astimezone(self.timezone), "medium", locale=self._locale)

    def ago(self, moment: datetime, now: datetime) -> str:
        """Such as `3 minutes ago`."""
        return format_timedelta(moment - now, add_direction=True, locale=self._locale)

    def duration(self, seconds: float) -> str:
        """Two units at most, such as `2 h 5 min`."""
        t, whole = self, round(seconds)
        minutes, rest_s = divmod(whole, 60)
        hours, rest_min = divmod(minutes, 60)
        days, rest_h = divmod(hours, 24)
        if days:
            return t("{days} d {hours} h", days=days, hours=rest_h)
        if hours:
            return t("{hours} h {minutes} min", hours=hours, minutes=rest_min)
        if minutes:
            return t("{minutes} min {seconds} s", minutes=minutes, seconds=rest_s)
        return t("{seconds} s", seconds=rest_s)

    def span(self, span: timedelta) -> str:
        return self.duration(span.total_seconds())

    def size(self, size_bytes: float) -> str:
        """Such as `5.4 MB`."""
        value, unit = float(size_bytes), 0
        while value >= 1000 and unit < len(_BYTE_UNITS) - 1:
            value, unit = value / 1000, unit + 1
        return f"{self.number(value, 1 if unit and value < 100 else 0)} {_BYTE_UNITS[unit]}"

    def energy(self, energy_wh: float) -> str:
        """Such as `1.3 kWh`."""
        return self._measure(energy_wh, "Wh", "kWh")

    def co2(self, co2_g: float) -> str:
        """Such as `420 g`."""
        return self._measure(co2_g, "g", "kg")

    def _measure(self, value: float, unit: str, thousand: str) -> str:
        if value >= 999.5:
            value, unit = value / 1000, thousand
        digits = 0 if value >= 100 else 1 if value >= 10 else 2 if value >= 0.095 else 4
        shown = format_decimal(value, format="#,##0." + "#" * digits, locale=self._locale)
        return f"{shown} {unit}"


def list_languages() -> list[str]:
    """Those that there is a catalogue of, English first."""
    return [_SOURCE, *sorted(path.parent.name for path in _FOLDER.glob("*/messages.po"))]


def choose_language(accepted: Sequence[str]) -> str:
    """The first that we have of those that a browser asks for."""
    wanted = [code.replace("-", "_") for code in accepted]
    return negotiate_locale(wanted, list_languages()) or _SOURCE


def choose_territory(accepted: Sequence[str]) -> str | None:
    """Of the first that names one: who reads `en` for want of `de-AT` still writes the day before the month."""
    territories = (code.replace("_", "-").rpartition("-")[2] for code in accepted)
    return next((each for each in territories if len(each) == _TERRITORY_LETTERS and each.isupper()), None)


@cache
def _find_locale(language: str, territory: str | None) -> Locale:
    try:
        return Locale(language, territory)
    except UnknownLocaleError:
        return Locale.parse(language)


@cache
def _tell_of_unknown(sentence: str) -> None:
    """Once of each: translators are not given it."""
    if sentence not in _read_source():
        _log.warning("texts.not_gathered", sentence=sentence)


@cache
def _read_source() -> frozenset[str]:
    with (Path(__file__).parent / "messages.pot").open("rb") as file:
        return frozenset(str(each.id) for each in read_po(file))


@cache
def _read_catalogue(language: str) -> dict[str, str]:
    path = _FOLDER / language / "messages.po"
    if not path.is_file():
        return {}
    with path.open("rb") as file:
        catalogue = read_po(file, locale=language)
    return {
        str(each.id): str(each.string) for each in catalogue if each.id and each.string and not each.fuzzy
    }
