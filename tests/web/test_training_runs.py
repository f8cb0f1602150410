"""Training runs in a browser: the list, and a run's page that keeps up by itself."""

import re

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from raven_scan.access.types import LOCAL_ADMINISTRATOR, WORKER
from raven_scan.architectures.parameters import TrainingParameters
from raven_scan.training_runs.attempt import Attempt
from raven_scan.training_runs.types import MetricPoint, RunError, RunProgress

from .conftest import Site

PARAMETERS = TrainingParameters(epochs=2, image_size=64)


@pytest.fixture(scope="module")
def runs(site: Site) -> None:
    for name in [*(f"survey-{number:02}" for number in range(30)), "beach <b>bold"]:
        site.platform.training_runs.create(
            LOCAL_ADMINISTRATOR, name=name, dataset="tiny", base_model="yolox-nano", parameters=PARAMETERS
        )


def begin(site: Site, name: str) -> Attempt:
    site.platform.training_runs.create(
        LOCAL_ADMINISTRATOR, name=name, dataset="tiny", base_model="yolox-nano", parameters=PARAMETERS
    )
    site.platform.training_runs.schedule(LOCAL_ADMINISTRATOR, name)
    attempt = site.platform.execution.begin_next(
        WORKER, worker=f"elsewhere:{name}", free=["cpu"], capacity=["cpu"]
    )
    assert attempt is not None
    return attempt


def tell(site: Site, attempt: Attempt, step: int) -> None:
    site.platform.execution.record(
        WORKER,
        attempt,
        progress=RunProgress(epoch=0, epochs=2, step=step, steps=8, loss=1 / step),
        points=[MetricPoint("loss", step, 0, 1 / step)],
        warnings=[],
        best=None,
        checkpoint=None,
        log=f"step {step} is done\n".encode(),
        log_position=0 if step == 1 else len("step 1 is done\n") * (step - 1),
    )


@pytest.mark.usefixtures("runs")
def test_the_list_is_searched_and_paged_and_its_address_can_be_shared(page: Page) -> None:
    page.goto("/training-runs")
    rows = page.locator("table.list tbody tr")
    expect(rows).to_have_count(25)
    page.get_by_role("button", name="Next").click()
    expect(rows).to_have_count(6)
    page.get_by_role("button", name="Back").click()
    expect(rows).to_have_count(25)
    page.get_by_label("Search runs").fill("beach")
    expect(rows).to_have_count(1)
    # What users wrote is text, whatever it looks like.
    expect(rows.get_by_role("link")).to_have_text("beach <b>bold")
    expect(page).to_have_url(re.compile(r"\?q=beach"))
    page.reload()
    expect(rows).to_have_count(1)
    page.get_by_label("Search runs").fill("")
    page.get_by_role("button", name="Name").click()
    expect(rows.first.get_by_role("link")).to_have_text("beach <b>bold")
    page.get_by_role("button", name="Name").click()
    expect(rows.first.get_by_role("link")).to_have_text("survey-29")
    rows.first.get_by_role("link").click()
    expect(page.get_by_role("heading", name="survey-29")).to_be_visible()
    page.go_back()
    expect(rows.first.get_by_role("link")).to_have_text("survey-29")


def test_a_runs_page_keeps_up_without_a_reload(page: Page, site: Site) -> None:
    attempt = begin(site, "live")
    tell(site, attempt, 1)
    page.goto(f"/training-runs/{attempt.run_id}")
    expect(page.get_by_text("step 1 of 8")).to_be_visible()
    page.evaluate("window.neverReloaded = true")
    tell(site, attempt, 2)
    expect(page.get_by_text("step 2 of 8")).to_be_visible(timeout=5000)
    expect(page.get_by_label("Log")).to_contain_text("step 2 is done")
    assert "danger" in (page.get_by_role("button", name="Cancel run").get_attribute("class") or "")
    error = RunError("out_of_memory", "The device has no more memory.", "Lower --batch-size.")
    site.platform.execution.fail(WORKER, attempt, error)
    expect(page.get_by_role("alert")).to_contain_text("Lower --batch-size.")
    expect(page.get_by_role("button", name="Retry")).to_be_visible()
    assert page.evaluate("window.neverReloaded") is True


@pytest.mark.usefixtures("runs")
def test_what_is_refused_is_told(page: Page, site: Site) -> None:
    page.goto("/training-runs/survey-00")
    button = page.get_by_role("button", name="Schedule training run")
    expect(button).to_be_visible()
    # Somebody else was first; this page has not heard of it yet when its button is pressed, or its button is gone.
    site.platform.run_stewardship.delete(LOCAL_ADMINISTRATOR, "survey-00")
    if button.is_visible():
        button.click()
    expect(page.get_by_role("alert").first).to_contain_text("There is no training run")


@pytest.mark.usefixtures("runs")
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("path", ["/training-runs", "/training-runs/survey-03"])
def test_axe_finds_no_serious_fault(page: Page, path: str, scheme: str) -> None:
    page.emulate_media(color_scheme=scheme)  # pyright: ignore[reportArgumentType]
    page.goto(path)
    expect(page.locator("main")).to_be_visible()
    expect(page.locator("table.list, dl.facts").first).to_be_visible()
    found = Axe().run(page).response["violations"]
    serious = [
        (each["id"], [node["target"] for node in each["nodes"]])
        for each in found
        if each["impact"] in {"serious", "critical"}
    ]
    assert serious == []
