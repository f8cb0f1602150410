"""Search by words and their beginnings."""

from collections.abc import Callable, Generator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Text, select, text
from sqlalchemy.dialects.postgresql import TSVECTOR
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from raven_scan.kernel.database import Database
from raven_scan.kernel.errors import Invalid
from raven_scan.kernel.search import derive_search_words, find_words, matches_search


class _Base(DeclarativeBase):
    pass


class Thing(_Base):
    __tablename__ = "searched_things"

    name: Mapped[str] = mapped_column(Text, primary_key=True)
    notes: Mapped[str | None] = mapped_column(Text)
    search: Mapped[str] = mapped_column(TSVECTOR, derive_search_words("name", "notes"))


Search = Callable[[str], set[str]]


@pytest.fixture
def search(database: Database) -> Generator[Search]:
    _Base.metadata.create_all(database.engine)
    with database.transaction() as session:
        for name, notes in (
            ("demo-run rtmdet-lite0", None),
            ("run_12.final", "Luftbilder, Überflug im März"),
            ("Свалка 7", "x" * 5000 + " " + "long"),
            ("it's", "a & b | !c <-> 'd':*"),
        ):
            session.add(Thing(name=name, notes=notes))

    def search(words: str) -> set[str]:
        with database.transaction() as session:
            return set(session.scalars(select(Thing.name).where(matches_search(Thing.search, words))))

    yield search
    _Base.metadata.drop_all(database.engine)


EVERYTHING = {"demo-run rtmdet-lite0", "run_12.final", "Свалка 7", "it's"}


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("demo lite", {"demo-run rtmdet-lite0"}),
        ("lit", {"demo-run rtmdet-lite0"}),
        ("LITE0 Demo", {"demo-run rtmdet-lite0"}),
        ("rtmdet-lite0", {"demo-run rtmdet-lite0"}),
        ("lite 0", {"demo-run rtmdet-lite0"}),
        ("lite1", set()),
        ("ite", set()),
        ("run", {"demo-run rtmdet-lite0", "run_12.final"}),
        ("run 12", {"run_12.final"}),
        ("12", {"run_12.final"}),
        ("12.fin", {"run_12.final"}),
        ("run demo final", set()),
        ("luftbild", {"run_12.final"}),
        ("überflug märz", {"run_12.final"}),
        ("свал", {"Свалка 7"}),
        ("x" * 100, {"Свалка 7"}),
        ("long 7", {"Свалка 7"}),
        ("", EVERYTHING),
        (" \t ", EVERYTHING),
    ],
)
def test_words_and_their_beginnings_are_found(search: Search, words: str, found: set[str]):
    assert search(words) == found


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("it's", {"it's"}),
        ("'); DROP TABLE searched_things --", set()),
        ("a & b", {"it's"}),
        ("a | zzz", set()),
        ("!c", {"it's"}),
        ("d:*", {"it's", "demo-run rtmdet-lite0"}),
        ("demo <-> lite", {"demo-run rtmdet-lite0"}),
        ("'", set()),
        ("\\", set()),
        ("%", set()),
        (":*", set()),
        ("demo\0lite", {"demo-run rtmdet-lite0"}),
        ("\0", set()),
        ("\ud800demo", {"demo-run rtmdet-lite0"}),
        ("%s %(x)s :x", set()),
    ],
)
def test_signs_are_no_operators(search: Search, words: str, found: set[str]):
    assert search(words) == found


@pytest.mark.parametrize(
    "words", ["a" * 10_000, "' & " * 2_500, " ".join(f"w{number}" for number in range(10, 21))]
)
def test_a_search_has_an_end(words: str):
    with pytest.raises(Invalid) as refusal:
        find_words(words)
    assert refusal.value.code == "search.too_long"


@given(st.text(max_size=200))
def test_any_text_can_be_read(content: str):
    try:
        words = find_words(content)
    except Invalid:
        return
    assert not any(set(word) & set("'\\\0:&|!() ") for word in words)


def test_python_and_postgresql_see_the_same_words(database: Database):
    """Where one of them saw an end of a word and the other none, nothing would be found."""
    texts = [f"x{chr(code)}y" for code in range(1, 0x3400)]
    query = text(
        "SELECT tsvector_to_array(raven_search_words(each)) FROM unnest(CAST(:texts AS text[])) AS each"
    )
    with database.transaction() as session:
        found = session.scalars(query, {"texts": texts}).all()
    for content, words in zip(texts, found, strict=True):
        if not content[1].isdecimal():
            assert len(words) == len(find_words(content)), ascii(content)
