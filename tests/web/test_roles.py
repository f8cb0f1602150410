"""Every screen, as each built-in role sees it."""

from collections.abc import Callable

import pytest
from playwright.sync_api import BrowserContext, expect

from raven_scan.access.builtin_roles import BUILTIN_ROLES, BuiltinRole
from raven_scan.access.types import LOCAL_ADMINISTRATOR, Claim
from raven_scan.access.users import UserChanges
from raven_scan.web.pages import NEEDED, PLACES

from .conftest import Site

ALWAYS = ("/account", "/account/tokens", "/account/subscriptions", "/guide")
REFUSED = "This cannot be shown"
_FOLLOW = """(path) => {
    document.getElementById("screen").dataset.old = "yes";
    const link = Object.assign(document.createElement("a"), { href: path });
    document.querySelector("nav.side").append(link);
    link.click();
    link.remove();
}"""
"""Follows a link to a screen, whether the navigation has one or not: quicker than to load each page anew."""


def is_allowed(role: BuiltinRole, claim: Claim | tuple[Claim, ...] | None) -> bool:
    claims = (claim,) if isinstance(claim, Claim) else claim
    return claims is None or any(each in role.claims for each in claims)


@pytest.mark.parametrize("role", BUILTIN_ROLES, ids=lambda role: role.name)
def test_a_role_sees_its_screens_and_no_other(
    role: BuiltinRole, site: Site, open_context: Callable[..., BrowserContext]
) -> None:
    user = f"a-{role.key.replace(' ', '-')}"
    site.add_user(user, role.name)
    page = open_context(user).new_page()
    heading = page.locator("#screen:not([data-old]) h1").first
    page.goto("/")
    expect(heading).to_have_text("Overview")
    shown = {link.get_attribute("href") for link in page.locator("nav.side a").all()}
    assert shown == {place.path for place in PLACES if is_allowed(role, place.claim)}
    wanted = {place.path: place.claim for place in PLACES} | dict.fromkeys(ALWAYS) | NEEDED
    seen = {"/": True}
    for path in wanted.keys() - seen:
        page.evaluate(_FOLLOW, path)
        heading.wait_for()
        seen[path] = heading.inner_text() != REFUSED
    assert seen == {path: is_allowed(role, claim) for path, claim in wanted.items()}


def test_a_role_that_is_given_shows_its_screens_without_a_reload(
    site: Site, open_context: Callable[..., BrowserContext]
) -> None:
    site.add_user("riser", "Viewer")
    page = open_context("riser").new_page()
    page.goto("/")
    navigation = page.get_by_role("navigation", name="Screens")
    expect(navigation.get_by_role("link", name="Queue")).to_be_visible()
    site.platform.users.edit(LOCAL_ADMINISTRATOR, "riser", UserChanges(roles=["Admin"]))
    navigation.get_by_role("link", name="Queue").click()
    expect(page.get_by_role("heading", name="Queue", exact=True)).to_be_visible()
    navigation.get_by_role("link", name="Users").click()
    expect(page.get_by_role("link", name="riser")).to_be_visible()
    # It is taken away while its screen is open: nothing more is shown there.
    site.platform.users.edit(LOCAL_ADMINISTRATOR, "riser", UserChanges(roles=["Viewer"]))
    expect(page.get_by_role("alert")).to_contain_text("user:view")
    navigation.get_by_role("link", name="Queue").click()
    expect(page.get_by_role("heading", name="Queue", exact=True)).to_be_visible()
    expect(navigation.get_by_role("link", name="Users")).to_have_count(0)
