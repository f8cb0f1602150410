"""What users do on several screens."""

import base64
import re
from pathlib import Path

from playwright.sync_api import Locator, Page, expect

from .conftest import PASSWORD


def sign_in(page: Page, name: str) -> None:
    """Through the form that whoever is not signed in is led to."""
    page.goto("/")
    expect(page).to_have_url(re.compile("/sign-in"))
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()


def drop(place: Locator, path: Path) -> None:
    """A file of the user's machine."""
    transfer = place.page.evaluate_handle(
        """([name, content]) => {
            const bytes = Uint8Array.from(atob(content), (each) => each.charCodeAt(0));
            const transfer = new DataTransfer();
            transfer.items.add(new File([bytes], name));
            return transfer;
        }""",
        [path.name, base64.b64encode(path.read_bytes()).decode()],
    )
    place.dispatch_event("drop", {"dataTransfer": transfer})


def go(page: Page, screen: str) -> None:
    """By the navigation, which loads no page anew."""
    page.get_by_role("navigation", name="Screens").get_by_role("link", name=screen, exact=True).click()
    expect(page.get_by_role("heading", name=screen, exact=True, level=1)).to_be_visible()


def change_requirement(page: Page, requirement: str, value: int | None) -> None:
    """On the screen of the publishing policy; None: it is not asked for."""
    page.get_by_role("button", name=f"Change: {requirement}").click()
    dialog = page.get_by_role("dialog")
    if value is None:
        dialog.get_by_role("checkbox", name="Asked for").click()
    else:
        dialog.get_by_role("spinbutton").fill(str(value))
    dialog.get_by_role("button", name="Save").click()
    expect(dialog).to_have_count(0)


def open_tab(page: Page, name: str, *, of: str = "Parts of this page") -> None:
    """Of a trained model's page, or of other parts by their name."""
    tabs = page.get_by_role("navigation", name=of)
    tabs.get_by_role("link", name=name, exact=True).click()
    expect(tabs.locator("[aria-current=page]")).to_have_text(name)
