"""Who gets to the screens, and who does not."""

import re
from collections.abc import Callable
from urllib.parse import quote

import pytest
from playwright.sync_api import BrowserContext, Page, Route, expect
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from raven_scan.access.types import LOCAL_ADMINISTRATOR

from .conftest import CONTACT, PASSWORD, Site


def test_who_is_not_signed_in_is_asked_to_and_led_on(
    open_context: Callable[..., BrowserContext], site: Site
) -> None:
    page = open_context(None).new_page()
    page.goto("/training-runs?status=Error")
    expect(page).to_have_url(re.compile(r"/sign-in\?next="))
    page.get_by_label("Name").fill("vera")
    page.get_by_label("Password", exact=True).fill("wrong")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_contain_text("An administrator can reset the password.")
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page).to_have_url(f"{site.url}/training-runs?status=Error")
    expect(page.get_by_role("heading", name="Training runs")).to_be_visible()


def test_a_one_time_password_is_changed_first(
    open_context: Callable[..., BrowserContext], site: Site
) -> None:
    made = site.platform.users.create(LOCAL_ADMINISTRATOR, name="newcomer", roles=["Viewer"])
    assert made.one_time_password is not None
    page = open_context(None).new_page()
    page.goto("/sign-in")
    page.get_by_label("Name").fill("newcomer")
    page.get_by_label("Password", exact=True).fill(made.one_time_password.get_secret_value())
    page.get_by_role("button", name="Sign in").click()
    page.get_by_label("New password", exact=True).fill(PASSWORD)
    page.get_by_label("New password again").fill("another thing")
    page.get_by_role("button", name="Change password").click()
    expect(page.get_by_role("alert")).to_contain_text("differ")
    page.get_by_label("New password again").fill(PASSWORD)
    page.get_by_role("button", name="Change password").click()
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()


def test_nobody_is_led_elsewhere(open_context: Callable[..., BrowserContext]) -> None:
    page = open_context(None).new_page()
    foreign = (
        "//elsewhere.example",
        "https://elsewhere.example",
        "/\\elsewhere.example",
        "/\t/elsewhere.example",
    )
    more = "/.//elsewhere.example", "javascript:alert(1)", "https://["
    led: dict[str, str] = {}
    for next_ in (*foreign, *more, "/queue?cursor=1#here"):
        page.goto(f"/sign-in?next={quote(next_)}")
        led[next_] = page.evaluate("target")
    assert led == {**dict.fromkeys((*foreign, *more), "/"), "/queue?cursor=1#here": "/queue?cursor=1#here"}


def test_who_signs_in_at_their_organisation_comes_back(
    open_context: Callable[..., BrowserContext], site: Site
) -> None:
    page = open_context(None).new_page()

    def add_way(route: Route) -> None:
        """As where an identity provider is set."""
        answer = route.fetch()
        way = '<a class="other" href="/api/v1/session/oidc?next=/">elsewhere</a></form>'
        route.fulfill(response=answer, body=answer.text().replace("</form>", way))

    page.route(re.compile("/sign-in"), add_way)
    page.goto("/sign-in?next=/training-runs%3Fq%3Da%2526b")
    way = page.get_by_role("link", name="elsewhere")
    begin = f"{site.url}/api/v1/session/oidc?next=%2Ftraining-runs%3Fq%3Da%2526b"
    expect(way).to_have_attribute("href", begin)


def test_a_session_that_ends_ends_its_pages(page: Page, site: Site) -> None:
    other = page.context.new_page()
    other.goto("/guide")
    page.goto("/training-runs")
    expect(page.get_by_role("heading", name="Training runs")).to_be_visible()
    page.get_by_role("button", name="vera").click()
    page.get_by_text("Sign out").click()
    expect(page).to_have_url(f"{site.url}/sign-in")
    # So do those that ask for nothing by themselves.
    expect(other).to_have_url(re.compile("/sign-in"))
    page.goto("/training-runs")
    expect(page).to_have_url(re.compile("/sign-in"))


def test_a_page_of_somebody_whose_account_is_disabled_shows_nothing_more(
    open_context: Callable[..., BrowserContext], site: Site
) -> None:
    site.add_user("leaver", "Viewer")
    page = open_context("leaver").new_page()
    page.goto("/training-runs")
    expect(page.get_by_role("heading", name="Training runs")).to_be_visible()
    site.platform.users.disable(LOCAL_ADMINISTRATOR, "leaver")
    # The list asks again by itself.
    expect(page).to_have_url(re.compile("/sign-in"))


def test_a_foreign_page_cannot_talk_over_the_users_connection(site: Site) -> None:
    address = site.url.replace("http", "ws") + "/_nicegui_ws/socket.io/?EIO=4&transport=websocket"
    with pytest.raises(InvalidStatus) as refused, connect(address, origin="https://elsewhere.example"):  # pyright: ignore[reportArgumentType]
        pass
    assert refused.value.response.status_code == 403
    with connect(address, origin=site.url) as ours:  # pyright: ignore[reportArgumentType]
        assert ours.recv(10)


def test_no_other_page_may_frame_ours(page: Page) -> None:
    answer = page.goto("/training-runs")
    assert answer is not None
    headers = answer.all_headers()
    assert headers["x-frame-options"] == "DENY"
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    # Nor does ours load anything from elsewhere.
    assert headers["content-security-policy"].startswith("default-src 'self' ")


def test_times_are_the_users_from_the_first_page_on(open_context: Callable[..., BrowserContext]) -> None:
    page = open_context(None).new_page()
    page.goto("/sign-in?next=/account")
    # Whom to ask who cannot sign in.
    expect(page.get_by_text(CONTACT)).to_be_visible()
    page.get_by_label("Name").fill("vera")
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page.locator("dl.facts")).to_contain_text("Europe/Rome")
