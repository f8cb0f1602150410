"""What axe-core finds on a page."""

from collections.abc import Sequence

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect


def check_screens(page: Page, paths: Sequence[str]) -> None:
    """Fails where a screen at one of the paths has a serious fault, in light or in dark."""
    faults: list[tuple[str, str, str, object]] = []
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        for path in paths:
            page.goto(path)
            expect(page.locator("main h1").first).to_be_visible()
            expect(
                page.locator("table.list, dl.facts, .empty, .notice, .guide").filter(visible=True).first
            ).to_be_visible()
            faults += [
                (path, scheme, each["id"], [node["target"] for node in each["nodes"]])
                for each in Axe().run(page).response["violations"]
                if each["impact"] in {"serious", "critical"}
            ]
    assert faults == []
