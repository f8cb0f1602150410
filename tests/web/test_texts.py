"""What screens say, in a language that somebody adds."""

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from raven_scan.web import texts as texts_module
from raven_scan.web.texts import Texts, choose_language, choose_territory, list_languages

FOLDER = Path(texts_module.__file__).parent
CATALOGUE = """
msgid ""
msgstr "Content-Type: text/plain; charset=UTF-8\\n"

msgid "Training runs"
msgstr "Addestramenti"

msgid "{time} left"
msgstr "mancano {time}"

#, fuzzy
msgid "Datasets"
msgstr "Dati?"
"""


@pytest.fixture
def italian(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Texts:
    (tmp_path / "it").mkdir()
    (tmp_path / "it" / "messages.po").write_text(CATALOGUE)
    monkeypatch.setattr(texts_module, "_FOLDER", tmp_path)
    return Texts("it", ZoneInfo("Europe/Rome"))


def test_a_language_is_a_folder_with_a_catalogue(italian: Texts) -> None:
    assert list_languages() == ["en", "it"]
    assert choose_language(["it-IT", "en"]) == "it"
    assert choose_language(["xx", "en-GB"]) == "en"
    assert choose_language([]) == "en"
    assert italian("Training runs") == "Addestramenti"
    assert italian("{time} left", time=italian.duration(60)) == "mancano 1 min 0 s"
    # What nobody has translated, or nobody has looked at yet, is said in English.
    assert italian("Trained models") == "Trained models"
    assert italian("Datasets") == "Datasets"


def test_numbers_and_times_are_the_users(italian: Texts) -> None:
    assert italian.number(1234567.891, 2) == "1.234.567,89"
    assert italian.figure(0.5) == "0,500"
    assert italian.percent(0.1234, 1) == "12,3%"
    assert italian.size(5_400_000) == "5,4 MB"
    assert "14:30" in italian.moment(datetime(2026, 7, 1, 12, 30, tzinfo=UTC))
    for value in (italian.figure(None), italian.percent(None), italian.moment(None)):
        assert value == texts_module.NONE


def test_dates_are_written_as_in_the_users_country() -> None:
    def write(*accepted: str) -> str:
        zone = ZoneInfo("Europe/Rome")
        texts = Texts(choose_language(accepted), zone, choose_territory(accepted))
        return texts.moment(datetime(2026, 7, 1, 12, 30, tzinfo=UTC))

    assert write("en-GB", "en") == write("it-IT", "it") == write("de-AT") == "1 Jul 2026, 14:30:00"
    assert write("en-US") == write("en") == write("it") == "Jul 1, 2026, 2:30:00\N{NARROW NO-BREAK SPACE}PM"
    assert write("en-ZZ") == write("zh-Hans") == write()


def test_what_translators_get_is_up_to_date(tmp_path: Path) -> None:
    found = tmp_path / "messages.pot"
    command = [sys.executable, "-m", "babel.messages.frontend", "-q", "extract"]
    words = ["-k", "t", "-k", "texts", "-k", "later"]
    options = ["-F", FOLDER / "babel.cfg", *words, "--no-location", "--omit-header", "--sort-output"]
    subprocess.run([*command, *options, "-o", found, FOLDER.parent], check=True)
    assert found.read_text() == (FOLDER / "messages.pot").read_text(), "run `make texts`"
