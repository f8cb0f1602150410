"""Two people at once: each sees what the other does, and neither loses what was typed."""

from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import BrowserContext, Page, expect

from raven_scan.access.types import LOCAL_ADMINISTRATOR
from raven_scan.architectures.parameters import TrainingParameters

from .conftest import Site
from .pretended_models import add_model

_SEEN_MS = 15_000
OpenContext = Callable[..., BrowserContext]


def open_pages(open_context: OpenContext, path: str, *users: str) -> list[Page]:
    """The same screen for each; none of them is ever loaded anew."""
    pages = [open_context(user).new_page() for user in users]
    for page in pages:
        page.goto(path)
        expect(page.locator("main.screen h1")).to_be_visible()
        page.evaluate("window.neverReloaded = true")
    return pages


def expect_never_reloaded(*pages: Page) -> None:
    assert all(page.evaluate("window.neverReloaded") for page in pages)


def create_run(site: Site, name: str) -> None:
    site.platform.training_runs.create(
        LOCAL_ADMINISTRATOR,
        name=name,
        dataset="tiny",
        base_model="yolox-nano",
        parameters=TrainingParameters(epochs=2, image_size=64),
    )


def fill_in(page: Page, name: str, notes: str) -> None:
    page.get_by_role("button", name="Edit").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Name").fill(name)
    dialog.get_by_label("Notes").fill(notes)


def save(page: Page) -> None:
    page.get_by_role("dialog").get_by_role("button", name="Save", exact=True).click()


def expect_conflict(page: Page, name: str, notes: str) -> None:
    """It is told, and all that was typed is there."""
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("alert")).to_contain_text("was changed since you read it")
    expect(dialog.get_by_label("Name")).to_have_value(name)
    expect(dialog.get_by_label("Notes")).to_have_value(notes)


def test_two_trainers_at_one_run(open_context: OpenContext, site: Site) -> None:
    site.add_user("tina", "Trainer")
    site.add_user("tom", "Trainer")
    create_run(site, "coast")
    tina, tom = open_pages(open_context, "/training-runs/coast", "tina", "tom")
    fill_in(tom, "coast of tom", "flown by tom")
    fill_in(tina, "coast of tina", "flown by tina")
    save(tina)
    expect(tina.get_by_role("dialog")).to_have_count(0)
    expect(tom.get_by_role("heading", name="coast of tina")).to_be_visible(timeout=_SEEN_MS)
    expect(tom).to_have_title("coast of tina · Raven Scan")
    expect(tom.get_by_text("flown by tina")).to_be_visible()
    save(tom)
    expect_conflict(tom, "coast of tom", "flown by tom")
    tom.get_by_role("dialog").get_by_role("button", name="Cancel").click()
    expect(tom.get_by_role("dialog")).to_have_count(0)
    fill_in(tom, "coast of both", "flown by tina and tom")
    save(tom)
    expect(tina.get_by_role("heading", name="coast of both")).to_be_visible(timeout=_SEEN_MS)
    tina.get_by_role("button", name="Schedule training run").click()
    for page, status in ((tina, "Waiting"), (tom, "Waiting")):
        expect(page.get_by_role("status").filter(has_text=status)).to_have_count(1, timeout=_SEEN_MS)
    tom.get_by_role("button", name="Cancel run").click()
    tom.get_by_role("dialog").get_by_role("button", name="Cancel run").click()
    expect(tina.get_by_role("status").filter(has_text="Cancelled")).to_have_count(1, timeout=_SEEN_MS)
    expect(tina.get_by_role("button", name="Retry")).to_be_visible()
    expect_never_reloaded(tina, tom)


def test_a_trainer_and_a_reviewer_at_one_model(open_context: OpenContext, site: Site, tmp_path: Path) -> None:
    site.add_user("theo", "Trainer")
    site.add_user("rosa", "Reviewer")
    model = add_model(site.platform, "harbour", "tiny", tmp_path, skill=1.0)
    few = {"min_test_images": 1, "min_test_boxes": 1}
    site.platform.policy.change(LOCAL_ADMINISTRATOR, few)
    theo, rosa = open_pages(open_context, f"/trained-models/{model.id}", "theo", "rosa")
    fill_in(theo, "harbour of theo", "seen from a drone")
    fill_in(rosa, "harbour of rosa", "seen from a boat")
    save(rosa)
    expect(theo.get_by_role("heading", name="harbour of rosa")).to_be_visible(timeout=_SEEN_MS)
    expect(theo.locator(".noted")).to_have_text("seen from a boat")
    save(theo)
    expect_conflict(theo, "harbour of theo", "seen from a drone")
    theo.get_by_role("dialog").get_by_role("button", name="Cancel").click()
    # Who looks at what it is published as, and who publishes it.
    tabs = theo.get_by_role("navigation", name="Parts of this page")
    tabs.get_by_role("link", name="Publishing").click()
    expect(theo.get_by_text("It is not published")).to_be_visible()
    theo.get_by_label("Name to publish it as").fill("typed by theo")
    rosa.get_by_role("button", name="Publish model").click()
    rosa.get_by_label("Name to publish it as").fill("litter")
    rosa.get_by_text("It can be published as litter@1").wait_for()
    rosa.get_by_role("button", name="Publish model").click()
    rosa.get_by_role("dialog").get_by_role("button", name="Publish model").click()
    expect(theo.get_by_role("listitem").filter(has_text="litter@1").first).to_contain_text(
        "in use", timeout=_SEEN_MS
    )
    expect(theo.locator("main.screen .chip").first).to_have_text("Published", timeout=_SEEN_MS)
    expect(theo.get_by_label("Name to publish it as")).to_have_value("typed by theo")
    expect_never_reloaded(theo, rosa)


def test_the_queue_is_one_for_all(open_context: OpenContext, site: Site) -> None:
    site.add_user("toni", "Trainer")
    site.add_user("rita", "Reviewer")
    for name in ("early", "late"):
        create_run(site, name)
        site.platform.training_runs.schedule(LOCAL_ADMINISTRATOR, name)
    toni, rita = open_pages(open_context, "/queue", "toni", "rita")
    first = "table.list tbody tr >> nth=0"
    expect(rita.locator(first)).to_contain_text("early")
    toni.get_by_role("button", name="Move late to the front").click()
    expect(rita.locator(first)).to_contain_text("late", timeout=_SEEN_MS)
    expect(rita.get_by_role("button", name="Move late to the front")).to_have_count(0)
    expect_never_reloaded(toni, rita)
