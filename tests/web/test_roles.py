"""Every screen, as each built-in role sees it."""

from collections.abc import Callable

import pytest
from playwright.sync_api import BrowserContext, expect

from raven_scan.access.builtin_roles import BUILTIN_ROLES, BuiltinRole
from raven_scan.access.types import Claim
from raven_scan.web.pages import NEEDED, PLACES

from .conftest import Site

ALWAYS = ("/account", "/account/tokens", "/account/subscriptions", "/guide")
REFUSED = "This cannot be shown"


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
    heading = page.locator("main.screen h1, #screen h1").first
    page.goto("/")
    expect(heading).to_have_text("Overview")
    shown = {link.get_attribute("href") for link in page.locator("nav.side a").all()}
    assert shown == {place.path for place in PLACES if is_allowed(role, place.claim)}
    wanted = {place.path: place.claim for place in PLACES} | dict.fromkeys(ALWAYS) | NEEDED
    seen: dict[str, bool] = {}
    for path in wanted:
        page.goto(path)
        heading.wait_for()
        seen[path] = heading.inner_text() != REFUSED
    assert seen == {path: is_allowed(role, claim) for path, claim in wanted.items()}
