"""What axe-core finds on a page."""

from collections.abc import Sequence

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

_LIGHT_AND_DARK = {"light": None, "dark": {"runOnly": ["color-contrast"]}}
"""In the dark nothing is different but colours."""


def check_screens(page: Page, paths: Sequence[str]) -> None:
    """Fails where a screen at one of the paths has more than a minor fault, in light or in dark."""
    faults: list[tuple[str, list[tuple[str, str, object]]]] = []
    for path in paths:
        page.goto(path)
        expect(page.locator("main h1").first).to_be_visible()
        expect(
            page.locator("table.list, dl.facts, .empty, .notice, .guide").filter(visible=True).first
        ).to_be_visible()
        faults.append((path, find_faults(page)))
    assert [each for each in faults if each[1]] == []


def find_faults(page: Page) -> list[tuple[str, str, object]]:
    """Of what the page shows now: scheme, rule, and where."""
    faults: list[tuple[str, str, object]] = []
    for scheme, options in _LIGHT_AND_DARK.items():
        page.emulate_media(color_scheme=scheme)  # pyright: ignore[reportArgumentType]
        expect(page.locator(f"body.body--{scheme}")).to_be_attached()
        faults += [
            (scheme, each["id"], [node["target"] for node in each["nodes"]])
            for each in Axe().run(page, options=options).response["violations"]
            if each["impact"] != "minor"
        ]
    return faults
