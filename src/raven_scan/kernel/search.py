"""Search by words and the beginnings of words, on PostgreSQL's full text, without an extension.

A word ends at whatever is neither a letter nor a digit of any script: `demo-run_2.lite0` has the words `demo`, `run`,
`2` and `lite0`. A word of letters and digits is found by its runs of either too: `lite0` by `lite` and by `0`. A search
finds what has, for each of its words, one that begins with it; the order does not matter.

The words of a row are in a column of type `tsvector` that PostgreSQL derives by the function `raven_search_words`,
which migration 0006 makes. The configuration is `simple`: words as they are, in lower case.
"""

import re
from collections.abc import Sequence

from sqlalchemy import ColumnElement, Computed, cast, literal
from sqlalchemy.dialects.postgresql import TSQUERY
from sqlalchemy.orm import InstrumentedAttribute

from raven_scan.kernel.errors import Invalid

LONGEST_SEARCH = 200
_MOST_WORDS = 10
_LONGEST_WORD = 60

# The same as in the function of migration 0006, and what PostgreSQL cannot hold at all.
_BETWEEN_WORDS = re.compile(
    "[\u0000-\u002f\u003a-\u0040\u005b-\u0060\u007b-\u00bf\u00d7\u00f7\u2000-\u206f\u3000-\u303f\ud800-\udfff]+"
)


def derive_search_words(*columns: str) -> Computed:
    """What a column of type TSVECTOR holds: the words of these columns, which may be null, of its row."""
    content = " || ' '::text || ".join(f"COALESCE({column}, ''::text)" for column in columns)
    return Computed(f"raven_search_words({content})", persisted=True)


def find_words(search: str) -> list[str]:
    """The words that a user searches for, in lower case.

    Raises:
        Invalid: they are too many, or too long.
    """
    if len(search) > LONGEST_SEARCH:
        raise _make_too_long(f"A search has at most {LONGEST_SEARCH} characters, not {len(search)}.")
    words = {word[:_LONGEST_WORD] for word in _BETWEEN_WORDS.split(search.lower()) if word}
    # What begins with a longer one begins with the shorter one too.
    kept = sorted(
        word for word in words if not any(other != word and other.startswith(word) for other in words)
    )
    if len(kept) > _MOST_WORDS:
        raise _make_too_long(f"A search has at most {_MOST_WORDS} words, not {len(kept)}.")
    return kept


def matches_search(column: InstrumentedAttribute[str], search: str) -> ColumnElement[bool]:
    """The condition that a row has all words of `search`.

    Args:
        column: that `derive_search_words` fills.
        search: as the user typed it. Of blanks alone, it finds everything; of other signs alone, nothing.

    Raises:
        Invalid: it has too many words, or is too long.
    """
    words = find_words(search)
    if not words:
        return literal(not search.strip())
    return has_words(column, literal(write_words(words)))


def has_words(column: InstrumentedAttribute[str], words: ColumnElement[str]) -> ColumnElement[bool]:
    """The condition that a row has words of `write_words`."""
    return column.bool_op("@@")(cast(words, TSQUERY))


def write_words(words: Sequence[str]) -> str:
    """Words of `find_words` as PostgreSQL takes them: all of them, and each as the beginning of one."""
    # No quote and no backslash is left in a word.
    return " & ".join(f"'{word}':*" for word in words)


def _make_too_long(sentence: str) -> Invalid:
    return Invalid(
        "search.too_long", sentence, hint="Search for fewer words; the beginnings of words will do."
    )
