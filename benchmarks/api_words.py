"""Names as users give them: words that all share, that many or few share, and that one has alone."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

EVERYWHERE = "survey"
"""In every name."""

NOWHERE = "zzyzx"

_PLACES = [
    "naples",
    "caserta",
    "litoral",
    "manila",
    "jakarta",
    "lagos",
    "accra",
    "nairobi",
    "dakar",
    "lima",
    "bogota",
    "quito",
    "porto",
    "lisbon",
    "seville",
    "cadiz",
    "tunis",
    "sfax",
    "cairo",
    "izmir",
    "adana",
    "athens",
    "patras",
    "varna",
    "burgas",
    "odesa",
    "gdansk",
    "riga",
    "tallinn",
    "turku",
    "bergen",
    "aarhus",
    "kiel",
    "bremen",
    "antwerp",
    "ghent",
    "calais",
    "brest",
    "nantes",
    "bilbao",
    "oviedo",
    "turin",
    "genoa",
    "pisa",
    "bari",
    "lecce",
    "catania",
    "split",
    "zadar",
    "mostar",
]
_SENSORS = ("drone", "satellite", "ground")
_SUBJECTS = ("dumpsite", "litter", "tyres", "rubble", "bottles", "scrap", "asbestos", "beach")
_SYLLABLES = [
    "ka",
    "vu",
    "ro",
    "te",
    "mi",
    "sol",
    "na",
    "dre",
    "pi",
    "lu",
    "fen",
    "go",
    "bar",
    "shi",
    "wen",
    "quo",
    "zan",
    "hel",
    "ji",
    "mor",
]
_RARE_WORDS = 2_000
_SKEW = 1.1


@dataclass(frozen=True, slots=True)
class Words:
    """Words to search for. `pairs`: two words of one name each, of which many share the first and few the second."""

    many: list[str]
    few: list[str]
    one: list[str]
    pairs: list[tuple[str, str]]


class NameMaker:
    """Makes names that are all different; the same seed makes the same names."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311 - content, no secret
        self._count = 0
        self._rare = sorted({self._spell(3) for _ in range(_RARE_WORDS * 2)})[:_RARE_WORDS]
        # As in life, a few places are in many names (Zipf).
        self._weights = [1 / (rank + 1) ** _SKEW for rank in range(len(_PLACES))]
        self._parts: list[tuple[str, str, str]] = []

    def make(self) -> str:
        place = self._random.choices(_PLACES, self._weights)[0]
        rare = self._random.choice(self._rare)
        one = f"{self._spell(3)}{self._count:05d}"
        self._count += 1
        self._parts.append((place, rare, one))
        sensor = self._random.choice(_SENSORS)
        subject = self._random.choice(_SUBJECTS)
        joint = self._random.choice(" -")
        return joint.join((EVERYWHERE, place, sensor, subject, rare, one))

    def make_note(self) -> str:
        """A sentence or two about what was tried."""
        return (
            f"Asked for by {self._random.choice(_PLACES)}: {self._random.choice(_SUBJECTS)} is still missed "
            f"near {self._random.choice(self._rare)}; more {self._random.choice(_SENSORS)} images, longer warm-up."
        )

    def sample(self, count: int) -> Words:
        """Words of the names that were made so far."""
        chosen = self._random.sample(self._parts, min(count, len(self._parts)))
        return Words(
            many=list(_PLACES[:5]),
            few=[rare for _, rare, _ in chosen],
            one=[one for _, _, one in chosen],
            pairs=[(place, rare) for place, rare, _ in chosen],
        )

    def _spell(self, syllables: int) -> str:
        return "".join(_choose(self._random, _SYLLABLES) for _ in range(syllables))


def _choose(source: random.Random, words: Sequence[str]) -> str:
    return source.choice(words)
