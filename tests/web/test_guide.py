"""The guide of the application: every way into it, and within it, leads somewhere."""

import re
from zoneinfo import ZoneInfo

import pytest

from raven_scan.web.guide import find_file, read_chapter
from raven_scan.web.guide_sections import SECTIONS, find_guide_address
from raven_scan.web.hints import name_screens
from raven_scan.web.texts import Texts, choose_language

CHAPTERS = ("user-guide", "operations", "settings", "cli", "rest", "sdk", "onnx")


@pytest.mark.parametrize(("path", "section"), SECTIONS)
def test_each_screens_section_is_there(path: str, section: str) -> None:
    assert f'id="{section}"' in read_chapter("user-guide").content
    assert find_guide_address(path) == f"/guide#{section}"
    assert find_guide_address(f"{path}/something").endswith(f"#{section}")


@pytest.mark.parametrize("name", CHAPTERS)
def test_links_lead_to_what_is_there(name: str) -> None:
    for chapter, anchor in re.findall(r'href="/guide/?([a-z-]*)(?:#([^"]+))?"', read_chapter(name).content):
        target = read_chapter(chapter or "user-guide")
        assert not anchor or f'id="{anchor}"' in target.content, anchor


def test_every_chapter_is_shipped() -> None:
    packed = (find_file("user-guide").parents[1] / "pyproject.toml").read_text()
    for name in CHAPTERS:
        assert f'"docs/{name}.md" = "raven_scan/web/guide_files/{name}.md"' in packed


@pytest.mark.parametrize(
    ("hint", "shown"),
    [
        ("`raven runs list` shows them.", "The screen \u201cTraining runs\u201d shows them."),
        ("Look again: `raven trash list`.", "Look again: the screen \u201cTrash\u201d."),
        ("`raven doctor` says more.", "The screen \u201cSystem health\u201d says more."),
        ("Cancel it first: `raven runs cancel x`.", "Cancel it first: the button \u201cCancel run\u201d."),
        (
            "Weights, which `raven models pull x` downloads.",
            "Weights, which the button \u201cDownload COCO weights\u201d downloads.",
        ),
        ("Lost. `raven runs clone` makes one.", "Lost. The button \u201cClone\u201d makes one."),
        # What no screen does.
        ("`raven doctor --deep` looks for more.", "`raven doctor --deep` looks for more."),
        ("`raven runs reproduce RUN` makes one.", "`raven runs reproduce RUN` makes one."),
    ],
)
def test_hints_name_screens(hint: str, shown: str) -> None:
    assert name_screens(hint, Texts(choose_language(["en"]), ZoneInfo("UTC"))) == shown
