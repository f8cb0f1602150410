"""Training runs in a browser: the list, and a run's page that keeps up by itself."""

import re
from collections.abc import Callable, Sequence

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from raven_scan.access.types import LOCAL_ADMINISTRATOR, WORKER
from raven_scan.architectures.parameters import TrainingParameters
from raven_scan.training_runs.attempt import Attempt
from raven_scan.training_runs.energy import EnergyTally
from raven_scan.training_runs.types import CLASS_METRICS, MetricPoint, RunError, RunProgress
from raven_scan.wire.events import EnergyUsed

from .axe import check_screens, find_faults
from .conftest import Site

PARAMETERS = TrainingParameters(epochs=2, image_size=64)
USED = EnergyUsed(
    time=1.0,
    pid=1,
    duration_s=600.0,
    processor_wh=1.5,
    memory_wh=1.0,
    gpu_wh=0.0,
    co2_g=1.2,
    processor_method="default",
    country=None,
)


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


def tell(
    site: Site,
    attempt: Attempt,
    step: int,
    more: Sequence[MetricPoint] = (),
    *,
    energy: EnergyUsed | None = None,
) -> None:
    tally = EnergyTally(attempt.energy)
    if energy is not None:
        tally.take(energy)
    site.platform.execution.record(
        WORKER,
        attempt,
        progress=RunProgress(epoch=0, epochs=2, step=step, steps=8, loss=1 / step),
        points=[MetricPoint("loss", step, 0, 1 / step), *more],
        warnings=[],
        best=None,
        checkpoint=None,
        log=f"step {step} is done\n".encode(),
        log_position=0 if step == 1 else len("step 1 is done\n") * (step - 1),
        energy=tally,
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
    tell(site, attempt, 2, energy=USED)
    expect(page.get_by_text("step 2 of 8")).to_be_visible(timeout=5000)
    expect(page.get_by_text("2.5 Wh, 1.2 g of CO2").first).to_be_visible()
    expect(page.get_by_text("Processor, estimated from 4 W a thread and load: 1.5 Wh")).to_be_visible()
    expect(page.get_by_role("log")).to_contain_text("step 2 is done")
    assert "danger" in (page.get_by_role("button", name="Cancel run").get_attribute("class") or "")
    seen_by = {"last_finite_step": 2}
    error = RunError("out_of_memory", "The device has no more memory.", "Lower --batch-size.", [], seen_by)
    site.platform.execution.fail(WORKER, attempt, error)
    expect(page.get_by_role("alert")).to_contain_text("Lower --batch-size.")
    expect(page.get_by_role("alert")).to_contain_text("Last good step: 2")
    # The same would end so again.
    expect(page.get_by_role("button", name="Clone")).to_have_class(re.compile("primary"))
    expect(page.get_by_role("button", name="Retry")).not_to_have_class(re.compile("primary"))
    assert page.evaluate("window.neverReloaded") is True


def test_charts_and_log_grow_by_what_is_new(page: Page, site: Site) -> None:
    attempt = begin(site, "growing")
    tell(site, attempt, 1)
    page.goto(f"/training-runs/{attempt.run_id}")
    expect(page.get_by_role("log")).to_contain_text("step 1 is done")
    page.wait_for_function(f"({_FIND_LOSS})().length === 1")
    # A chart may be told its options once more after it has been drawn: it keeps its lines.
    page.evaluate("getElement([...ravenLines.keys()][0]).update_chart()")
    page.wait_for_function(f"({_FIND_LOSS})().length === 1")
    # What the browser has is not sent again: it stays what it was.
    page.evaluate("document.getElementById('run-log').append('mine ')")
    for step in (2, 3):
        tell(site, attempt, step)
    page.wait_for_function(f"JSON.stringify(({_FIND_LOSS})().map((point) => point[0])) === '[1,2,3]'")
    expect(page.get_by_role("log")).to_have_text("step 1 is done mine step 2 is done step 3 is done")
    page.get_by_label("Search the log").fill("STEP 2")
    expect(page.locator("mark")).to_have_text("step 2")
    with page.expect_download() as downloaded:
        page.get_by_role("link", name="log.txt").click()
    assert downloaded.value.path().read_text().splitlines()[0] == "step 1 is done"
    page.get_by_role("button", name="Edit").click()
    page.get_by_label("Notes").fill("for the <b>coast</b>")
    page.get_by_label("Priority").fill("7")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("for the <b>coast</b>")).to_be_visible()
    assert site.platform.training_runs.get_run(LOCAL_ADMINISTRATOR, "growing").options.priority == 7
    page.get_by_role("button", name="Cancel run").click()
    expect(page.get_by_text("What it has learned since its last checkpoint is lost")).to_be_visible()
    page.get_by_role("dialog").get_by_role("button", name="Cancel run").click()
    expect(page.get_by_role("status").filter(has_text="Cancelled")).to_have_count(1)
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(page.get_by_role("heading", name="Training runs")).to_be_visible()
    expect(page.get_by_role("link", name="growing", exact=True)).to_have_count(0)


def test_curves_by_class_are_few_at_first_and_chosen_by_ticks(page: Page, site: Site) -> None:
    names = ["<b>bold</b> & unspeakably long " * 4, "waste", *(f"class {number:02}" for number in range(10))]

    def measure(step: int) -> list[MetricPoint]:
        return [MetricPoint(f"{CLASS_METRICS}{name}", step, 0, 0.1 * step) for name in names]

    attempt = begin(site, "by-class")
    tell(site, attempt, 1, measure(1))
    page.goto(f"/training-runs/{attempt.run_id}")
    part = page.locator("section", has=page.get_by_role("heading", name="mAP by class on the valid part"))
    # The dataset's own class is the most frequent; the rest comes by name.
    page.wait_for_function(f"({_FIND_CLASSES})().length === 10")
    assert page.evaluate(f"({_FIND_CLASSES})()[0].name") == "waste"
    part.get_by_text("10 of 12 classes are drawn").click()
    expect(part.get_by_role("checkbox", checked=True)).to_have_count(10)
    part.get_by_label("class 09").check()
    part.get_by_label("waste").uncheck()
    page.wait_for_function(f"({_FIND_CLASSES})().map((line) => line.name).join().endsWith('class 09')")
    # What was chosen stays, while points come in.
    tell(site, attempt, 2, measure(2))
    page.wait_for_function(f"({_FIND_CLASSES})().every((line) => line.points.length === 2)")
    expect(part.get_by_role("checkbox", checked=True)).to_have_count(10)
    expect(part.get_by_label("waste")).not_to_be_checked()
    assert find_faults(page) == []
    # Runs that are compared are not flooded with them.
    other = begin(site, "by-class-too")
    tell(site, other, 1, measure(1))
    page.goto(f"/training-runs/compare?run={attempt.run_id}&run={other.run_id}")
    expect(page.get_by_role("img", name="Loss")).to_be_visible()
    expect(page.get_by_text("class 09")).to_have_count(0)
    # A dataset of one class has no curves by class beside its mAP.
    only = begin(site, "one-class")
    tell(site, only, 1, [MetricPoint(f"{CLASS_METRICS}waste", 1, 0, 0.5)])
    page.goto(f"/training-runs/{only.run_id}")
    expect(page.get_by_role("heading", name="Quality on the valid part")).to_be_visible()
    expect(part).to_be_hidden()


_FIND_CLASSES = (
    "() => [...ravenLines.values()].find((lines) => lines.some((line) => line.look !== undefined)) ?? []"
)
_FIND_LOSS = "() => getElement([...ravenLines.keys()][0])?.chart?.getOption().series?.[0]?.data ?? []"


@pytest.mark.usefixtures("runs")
def test_runs_that_are_ticked_are_compared(page: Page, site: Site) -> None:
    site.platform.training_runs.create(
        LOCAL_ADMINISTRATOR,
        name="longer",
        dataset="tiny",
        base_model="yolox-nano",
        parameters=PARAMETERS.model_copy(update={"epochs": 5}),
    )
    page.goto("/training-runs?dataset=tiny")
    page.get_by_label("Choose longer to compare").check()
    expect(page.get_by_role("button", name="Compare")).to_be_disabled()
    page.get_by_label("Search runs").fill("survey-01")
    page.get_by_label("Choose survey-01 to compare").check()
    expect(page.get_by_text("2 chosen.")).to_be_visible()
    page.get_by_role("button", name="Compare").click()
    expect(page.get_by_role("row", name="Epochs")).to_contain_text("52")
    expect(page.get_by_role("row", name="Batch size")).to_have_count(0)
    page.reload()
    # What differs, and what they took.
    expect(page.get_by_role("link", name="survey-01")).to_have_count(2)
    expect(page.get_by_role("row", name="Energy")).to_be_visible()


def test_who_may_only_look_sees_no_buttons(open_context: Callable[..., BrowserContext], site: Site) -> None:
    site.add_user("otto", "Viewer")
    attempt = begin(site, "looked-at")
    page = open_context("otto").new_page()
    page.goto(f"/training-runs/{attempt.run_id}")
    expect(page.get_by_role("status").filter(has_text="Processing")).to_have_count(1)
    for name in ("Cancel run", "Pause", "Edit", "Clone", "Delete", "Save as preset"):
        expect(page.get_by_role("button", name=name)).to_have_count(0)


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
def test_axe_finds_no_serious_fault(page: Page) -> None:
    check_screens(page, ["/training-runs", "/training-runs/survey-03", "/training-runs/presets"])
