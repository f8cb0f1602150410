"""One's own account in a browser: the password, sessions, tokens and subscriptions."""

import re
from collections.abc import Callable

import httpx
from playwright.sync_api import BrowserContext, Page, expect

from .axe import check_screens
from .conftest import PASSWORD, Site

NEXT_PASSWORD = "another horse, another battery 7"


def test_who_one_is_and_the_password(open_context: Callable[..., BrowserContext], site: Site) -> None:
    site.add_user("ada", "Trainer")
    elsewhere = open_context("ada").new_page()
    elsewhere.goto("/account")
    page = open_context("ada").new_page()
    page.goto("/")
    page.get_by_role("button", name="ada").click()
    page.get_by_text("Your account").click()
    expect(page).to_have_url(f"{site.url}/account")
    expect(page.locator("dl.facts")).to_contain_text("Trainer")
    expect(page.get_by_text("Create training runs")).to_be_visible()
    # What the role does not give is not told.
    expect(page.get_by_text("Create, change and disable users")).to_have_count(0)
    expect(page.get_by_text("This browser")).to_have_count(1)
    # Two browsers, and where the password was chosen.
    expect(page.locator("table.list tbody tr")).to_have_count(3)
    page.get_by_label("Current password").fill(PASSWORD)
    page.get_by_label("New password", exact=True).fill(NEXT_PASSWORD)
    page.get_by_label("New password again").fill("something else")
    page.get_by_role("button", name="Change password").click()
    expect(page.get_by_text("The two new passwords differ.")).to_be_visible()
    page.get_by_label("New password again").fill(NEXT_PASSWORD)
    page.get_by_role("button", name="Change password").click()
    expect(page.get_by_text("Your password is changed")).to_be_visible()
    # The other browser is signed out by it.
    page.reload()
    expect(page.locator("table.list tbody tr")).to_have_count(1)
    elsewhere.goto("/account")
    expect(elsewhere).to_have_url(re.compile("/sign-in"))


def test_a_session_is_ended(open_context: Callable[..., BrowserContext], site: Site) -> None:
    site.add_user("bea", "Viewer")
    elsewhere = open_context("bea").new_page()
    page = open_context("bea").new_page()
    page.goto("/account")
    page.get_by_role("button", name=re.compile("^Sign out Chrome")).click()
    expect(page.locator("table.list tbody tr")).to_have_count(2)
    elsewhere.goto("/account")
    expect(elsewhere).to_have_url(re.compile("/sign-in"))


def test_a_token_is_made_shown_once_and_revoked(page: Page, site: Site) -> None:
    page.goto("/account/tokens")
    expect(page.get_by_text("There is no token.")).to_be_visible()
    page.get_by_role("button", name="New token").click()
    page.get_by_role("button", name="Create token").click()
    # What is missing is told where it was asked, and the dialog stays.
    expect(page.get_by_role("alert")).to_contain_text("name")
    page.get_by_role("textbox", name="Name", exact=True).fill("nightly <i>")
    page.get_by_role("checkbox", name="See datasets").click()
    page.get_by_role("button", name="Create token").click()
    secret = page.locator("code.secret").inner_text()
    may = {"Authorization": f"Bearer {secret}"}
    assert httpx.get(f"{site.url}/api/v1/datasets", headers=may).status_code == 200
    assert httpx.get(f"{site.url}/api/v1/training-runs", headers=may).status_code == 403
    page.get_by_role("button", name="I have kept it").click()
    row = page.locator("table.list tbody tr")
    expect(row).to_contain_text("nightly <i>")
    expect(page.get_by_text(secret)).to_have_count(0)
    row.get_by_role("button", name="Revoke").click()
    page.get_by_role("dialog").get_by_role("button", name="Revoke", exact=True).click()
    expect(page.get_by_text("There is no token.")).to_be_visible()
    assert httpx.get(f"{site.url}/api/v1/datasets", headers=may).status_code == 401
    page.get_by_text("Show those that have ended").click()
    expect(row).to_contain_text("Revoked")


def test_what_is_subscribed_to_rests_and_ends(page: Page) -> None:
    page.goto("/account/subscriptions")
    page.get_by_role("button", name="New subscription").click()
    page.get_by_role("button", name="Subscribe").click()
    # This server has no mail server, and vera no address.
    expect(page.get_by_role("alert")).to_be_visible()
    page.get_by_role("combobox", name="How").click()
    page.get_by_role("option", name="Webhook").click()
    page.get_by_label("Webhook's address").fill("https://93.184.215.14/raven")
    page.get_by_role("button", name="Subscribe").click()
    expect(page.locator("code.secret")).to_contain_text("whsec_")
    page.get_by_role("button", name="I have kept it").click()
    row = page.locator("table.list tbody tr")
    expect(row).to_contain_text("Runs that I create")
    row.get_by_role("button", name="Let rest").click()
    expect(row).to_contain_text("At rest")
    row.get_by_role("button", name="Wake up").click()
    expect(row).to_contain_text("Active")
    row.get_by_role("button", name="End").click()
    page.get_by_role("button", name="End subscription").click()
    expect(page.get_by_text("You are told of nothing yet.")).to_be_visible()


def test_axe_finds_no_serious_fault(page: Page) -> None:
    check_screens(page, ["/account", "/account/tokens", "/account/subscriptions"])
