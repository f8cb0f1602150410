"""The administration in a browser: users, roles, the audit trail, the policy, the trash, and how the system is."""

import re
from collections.abc import Callable

from playwright.sync_api import BrowserContext, Page, expect

from raven_scan.access.types import LOCAL_ADMINISTRATOR, Claim
from raven_scan.architectures.parameters import TrainingParameters

from .axe import check_screens
from .conftest import CONTACT, Site

SCREENS = [
    "/administration/users",
    "/administration/roles",
    "/administration/audit",
    "/administration/settings",
    "/administration/policy",
    "/administration/health",
    "/trash",
]


def test_a_user_is_made_changed_and_disabled(
    page: Page, open_context: Callable[..., BrowserContext], site: Site
) -> None:
    page.goto("/administration/users")
    page.get_by_role("button", name="New user").click()
    page.get_by_role("textbox", name="Name", exact=True).fill("vera")
    page.get_by_role("button", name="Create user").click()
    expect(page.get_by_role("alert")).to_contain_text("There is a user named 'vera' already")
    page.get_by_role("textbox", name="Name", exact=True).fill("carl")
    page.get_by_role("textbox", name="E-mail", exact=True).fill("carl@example.org")
    page.get_by_role("button", name="Create user").click()
    password = page.locator("code.secret").inner_text()
    page.get_by_role("button", name="I have kept it").click()
    page.get_by_label("Search users").fill("carl@")
    expect(page.locator("table.list tbody tr")).to_have_count(1)
    carl = open_context(None)
    answer = carl.request.post("/api/v1/session", data={"name": "carl", "password": password})
    assert answer.json()["must_change_password"] is True
    page.get_by_role("link", name="carl").click()
    expect(page.get_by_role("heading", name="carl")).to_be_visible()
    page.get_by_role("button", name="Edit").click()
    page.get_by_role("checkbox", name="Reviewer").click()
    page.get_by_role("button", name="Save").click()
    expect(page.locator("dl.facts")).to_contain_text("Reviewer, Viewer")
    page.get_by_role("button", name="Reset password").click()
    page.get_by_role("dialog").get_by_role("button", name="Reset password").click()
    assert page.locator("code.secret").inner_text() != password
    page.get_by_role("button", name="I have kept it").click()
    page.get_by_role("button", name="Disable").click()
    page.get_by_role("dialog").get_by_role("button", name="Disable").click()
    expect(page.locator("dl.facts")).to_contain_text("Disabled")
    page.get_by_role("button", name="Enable").click()
    # The buttons are others then.
    expect(page.get_by_role("button", name="Disable")).to_be_visible()
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("button", name="Delete for good").click()
    expect(page).to_have_url(f"{site.url}/administration/users")
    expect(page.get_by_role("link", name="vera")).to_be_visible()
    expect(page.get_by_role("link", name="carl")).to_have_count(0)


def test_a_role_is_made_and_in_the_matrix(page: Page) -> None:
    page.goto("/administration/roles")
    page.get_by_role("button", name="New role").click()
    page.get_by_role("textbox", name="Name", exact=True).fill("Auditor")
    page.get_by_role("checkbox", name="See the audit trail").click()
    page.get_by_role("button", name="Save").click()
    head = page.locator("table.matrix thead")
    expect(head).to_contain_text("Auditor")
    expect(page.locator("table.matrix tr", has_text="audit:view")).to_contain_text("Yes")
    page.get_by_role("button", name="Edit Auditor").click()
    page.get_by_role("textbox", name="Description").fill("Reads along")
    page.get_by_role("button", name="Save").click()
    expect(page.locator("table.list").first).to_contain_text("Reads along")
    page.get_by_role("button", name="Delete Auditor").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(head).not_to_contain_text("Auditor")


def test_the_audit_trail_is_searched_and_verified(page: Page, site: Site) -> None:
    site.platform.policy.change(LOCAL_ADMINISTRATOR, {"min_test_images": 7})
    page.goto("/administration/audit")
    page.get_by_label("Search the audit trail").fill("min_test_images")
    rows = page.locator("table.list tbody tr")
    expect(rows).to_have_count(1)
    expect(rows).to_contain_text("Changed the publishing policy")
    expect(rows).to_contain_text("policy.changed")
    expect(rows.locator(".details")).to_contain_text(re.compile("Images in the test part.* → 7"))
    expect(page).to_have_url(re.compile("q=min_test_images"))
    page.get_by_role("button", name="Verify").click()
    page.get_by_role("dialog").get_by_role("button", name="Verify").click()
    expect(page.get_by_text(re.compile("All .* entries are what they were"))).to_be_visible()
    # One that was noted and is another now.
    page.locator("main.screen").get_by_role("button", name="Verify").click()
    page.get_by_label("Number of an entry").fill("1")
    page.get_by_label("Its hash").fill("0" * 64)
    page.get_by_role("dialog").get_by_role("button", name="Verify").click()
    expect(page.get_by_text("The audit trail is not what it was.")).to_be_visible()


def test_the_policy_is_changed(page: Page) -> None:
    page.goto("/administration/policy")
    page.get_by_role("button", name="Change: mAP50 on the test part, at least").click()
    page.get_by_label("Percent, from 0 to 100").fill("42.5")
    page.get_by_role("button", name="Save").click()
    row = page.locator("tr", has_text="min_map50")
    expect(row).to_contain_text("42.5%")
    row.get_by_role("button", name="As it comes").click()
    expect(row.locator("b")).to_have_text("30.0%")
    page.get_by_role("button", name="Do not require: It was evaluated here").click()
    page.get_by_role("dialog").get_by_role("button", name="Do not require").click()
    expect(page.locator("tr", has_text="require_evaluation")).to_contain_text("Not required")


def test_what_was_deleted_is_restored_or_goes_for_good(page: Page, site: Site) -> None:
    for name in ("kept", "lost", "lost-too"):
        site.platform.training_runs.create(
            LOCAL_ADMINISTRATOR,
            name=name,
            dataset="tiny",
            base_model="yolox-nano",
            parameters=TrainingParameters(epochs=1),
        )
        site.platform.run_stewardship.delete(LOCAL_ADMINISTRATOR, name)
    page.goto("/trash")
    rows = page.locator("table.list tbody tr")
    expect(rows).to_have_count(3)
    page.get_by_role("button", name="Restore kept").click()
    expect(rows).to_have_count(2)
    assert site.platform.training_runs.get_run(LOCAL_ADMINISTRATOR, "kept").name == "kept"
    page.get_by_role("button", name="Delete lost for good").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete for good").click()
    expect(rows).to_have_count(1)
    page.get_by_role("button", name="Empty trash").click()
    page.get_by_role("dialog").get_by_role("button", name="Empty trash").click()
    expect(page.get_by_text("The trash is empty.")).to_be_visible()


def test_settings_and_health_are_shown(page: Page) -> None:
    page.goto("/administration/settings")
    expect(page.locator("main.screen")).to_contain_text(f"ask {CONTACT}")
    expect(page.get_by_text("RAVEN_TRASH_DAYS")).to_be_visible()
    page.goto("/administration/health")
    expect(page.locator("table.list").first).to_contain_text("PostgreSQL")
    expect(page.locator("dl.facts")).to_contain_text("Database")


def test_the_contact_is_changed_while_the_server_runs(
    page: Page, open_context: Callable[..., BrowserContext], site: Site
) -> None:
    page.goto("/administration/settings")
    shown = page.locator("main.screen")
    expect(shown).to_contain_text("RAVEN_CONTACT says so")
    page.get_by_role("button", name="Edit").click()
    page.get_by_label("Whom users ask").fill("Bea")
    page.reload()
    page.get_by_role("button", name="Edit").click()
    expect(page.get_by_label("Whom users ask")).to_have_value("Bea")
    page.get_by_label("Whom users ask").fill("x" * 201)
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("alert")).to_contain_text("it has 201 characters")
    page.get_by_label("Whom users ask").fill("Ana <b>, ext. 42")
    page.get_by_role("button", name="Save").click()
    expect(shown).to_contain_text("they read: ask Ana <b>, ext. 42.")
    expect(shown).to_contain_text("Set here by vera")
    expect(shown).to_contain_text(f"RAVEN_CONTACT says {CONTACT}; it does not count meanwhile.")
    page.get_by_role("button", name="Edit").click()
    page.get_by_label("Whom users ask").fill("Cleo")
    site.platform.platform_settings.change(LOCAL_ADMINISTRATOR, "contact", "Ana <b>, ext. 43")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("alert")).to_contain_text("was changed since you read it")
    page.get_by_role("button", name="Cancel").click()
    door = open_context(None).new_page()
    door.goto("/sign-in")
    expect(door.get_by_text("You cannot sign in? Ask Ana <b>, ext. 4")).to_be_visible()
    # Who may only look.
    site.platform.roles.create(LOCAL_ADMINISTRATOR, name="Onlooker", claims=[Claim.SETTINGS_VIEW])
    site.add_user("olga", "Viewer", "Onlooker")
    other = open_context("olga").new_page()
    other.goto("/administration/settings")
    expect(other.locator("main.screen")).to_contain_text("they read: ask Ana <b>, ext. 43.")
    expect(other.get_by_role("button", name="Edit")).to_have_count(0)
    expect(other.get_by_role("button", name="Unset")).to_have_count(0)
    page.reload()
    page.get_by_role("button", name="Unset").click()
    page.get_by_role("dialog").get_by_role("button", name="Unset").click()
    expect(shown).to_contain_text(f"ask {CONTACT}")
    other.goto("/administration/audit")
    expect(other.get_by_role("alert")).to_contain_text(f"Ask {CONTACT}.")


def test_who_may_not_sees_no_way_in_and_is_told_whom_to_ask(
    open_context: Callable[..., BrowserContext], site: Site
) -> None:
    site.add_user("dora", "Viewer")
    page = open_context("dora").new_page()
    page.goto("/administration/policy")
    expect(page.locator("tr", has_text="min_map50")).to_be_visible()
    expect(page.locator("button.row-act")).to_have_count(0)
    navigation = page.get_by_role("navigation", name="Screens")
    expect(navigation.get_by_role("link", name="Queue")).to_be_visible()
    for name in ("Users", "Roles", "Audit trail", "Settings", "System health", "Trash"):
        expect(navigation.get_by_role("link", name=name)).to_have_count(0)
    page.goto("/administration/audit")
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text("audit:view")
    expect(alert).to_contain_text(f"Ask {CONTACT}.")
    expect(page.get_by_role("heading", name="This cannot be shown")).to_be_visible()
    # Whether there is such a user is not told either.
    page.goto("/administration/users/vera")
    expect(page.get_by_role("alert")).to_contain_text("user:view")
    page.goto("/nowhere/at/all")
    expect(page.get_by_role("heading", name="Not found")).to_be_visible()
    expect(page.get_by_role("alert")).to_have_count(1)


def test_axe_finds_no_serious_fault(page: Page) -> None:
    check_screens(page, [*SCREENS, "/administration/users/vera"])
