"""Creating a training run in a browser: what is told while the form is filled in, and what comes of it."""

import re
from collections.abc import Callable

from playwright.sync_api import BrowserContext, Page, expect

from raven_scan.access.types import LOCAL_ADMINISTRATOR
from raven_scan.architectures.parameters import Augmentation, TrainingParameters
from raven_scan.training_runs.types import RunStatus

from .axe import find_faults
from .conftest import Site

_NEW = "/training-runs/new"


def test_a_run_is_created_and_scheduled(page: Page, site: Site) -> None:
    page.goto("/training-runs")
    page.get_by_role("button", name="Create new training run").click()
    expect(page.get_by_role("heading", name="Create new training run")).to_be_visible()
    # What has learned something is offered first.
    offered = page.locator("#base-models option")
    expect(offered.first).to_have_attribute("value", "rtmdet-lite0")
    expect(offered.first).to_have_text(re.compile("good for a first run"))
    page.get_by_label("Dataset version").fill("tiny")
    page.get_by_label("Base model").fill("rtmdet-lite0")
    beside = page.get_by_label("What it will be")
    expect(beside).to_contain_text("The preflight finds nothing against it.")
    expect(page.locator(".run-form")).to_contain_text("imagenet")
    # What is left empty is told.
    expect(page.get_by_label("Image size")).to_have_attribute("placeholder", "416")
    expect(page.get_by_label("Name")).to_have_attribute("placeholder", "tiny-rtmdet-lite0")
    page.get_by_label("Epochs", exact=True).fill("3000")
    expect(page.locator("#problem-epochs")).to_contain_text("1 to 2000")
    expect(beside).to_contain_text("Epochs: Must be a number")
    page.get_by_label("Epochs", exact=True).fill("2")
    page.get_by_label("Image size").fill("96")
    page.get_by_label("Batch size").fill("500")
    expect(beside).to_contain_text("It cannot be scheduled so")
    page.get_by_role("button", name="Schedule training run").click()
    expect(page.get_by_role("alert").filter(has_text="A batch of 500 images")).to_be_visible()
    assert page.url.endswith("/new")
    page.get_by_label("Batch size").fill("4")
    expect(beside).not_to_contain_text("It cannot be scheduled so")
    page.get_by_label("Name").fill("east/west")
    page.get_by_role("button", name="Schedule training run").click()
    expect(page.locator("#problem-name")).to_contain_text("it has a '/'")
    page.get_by_label("Name").fill("")
    expect(page.locator("#problem-name")).to_be_empty()
    page.get_by_role("button", name="Schedule training run").click()
    expect(page.get_by_role("heading", name="tiny-rtmdet-lite0")).to_be_visible()
    expect(page.get_by_role("button", name="Cancel run")).to_be_visible()
    run = site.platform.training_runs.get_run(LOCAL_ADMINISTRATOR, "tiny-rtmdet-lite0")
    assert run.status is RunStatus.WAITING
    assert (run.parameters.epochs, run.parameters.image_size, run.parameters.batch_size) == (2, 96, 4)
    # It is kept no more: the next form is empty.
    page.goto(_NEW)
    expect(page.get_by_label("Dataset version")).to_have_value("")


def test_what_was_typed_outlives_a_reload(page: Page, site: Site) -> None:
    version = site.platform.datasets.get_version(LOCAL_ADMINISTRATOR, "tiny")
    page.goto(f"{_NEW}?dataset={version.id}")
    expect(page.get_by_label("Dataset version")).to_have_value("tiny@1")
    page.get_by_label("Name").fill("half typed")
    page.get_by_label("Epochs", exact=True).fill("7")
    page.get_by_text("Expert parameters").click()
    page.get_by_label("Learning rate schedule").select_option("step")
    page.reload()
    expect(page.get_by_label("Name")).to_have_value("half typed")
    expect(page.get_by_label("Epochs", exact=True)).to_have_value("7")
    expect(page.locator("#field-schedule")).to_have_value("step")
    # Who comes with another model in mind gets that.
    page.goto(f"{_NEW}?dataset=tiny&base_model=yolox-nano")
    expect(page.get_by_label("What it will be")).to_contain_text("Estimate")
    expect(page.get_by_label("Base model")).to_have_value("yolox-nano")
    expect(page.get_by_label("Name")).to_have_value("")


def test_a_preset_and_a_clone_fill_the_form(page: Page, site: Site) -> None:
    parameters = TrainingParameters(epochs=9, image_size=128, augmentation=Augmentation.OFF)
    site.platform.training_runs.create(
        LOCAL_ADMINISTRATOR, name="pattern", dataset="tiny", base_model="yolox-nano", parameters=parameters
    )
    page.goto("/training-runs/pattern")
    page.get_by_role("button", name="Save as preset").click()
    page.get_by_label("Name of the preset").fill("small images")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("The preset is saved.")).to_be_visible()
    page.get_by_role("button", name="Clone").click()
    expect(page.get_by_label("Base model")).to_have_value("yolox-nano")
    expect(page.get_by_label("Epochs", exact=True)).to_have_value("9")
    page.get_by_label("Name").fill("pattern-again")
    expect(page.get_by_label("What it will be")).to_contain_text("Estimate")
    page.get_by_role("button", name="Save as draft").click()
    expect(page.get_by_role("heading", name="pattern-again")).to_be_visible()
    assert site.platform.training_runs.get_run(LOCAL_ADMINISTRATOR, "pattern-again").cloned_from == "pattern"
    page.goto(f"{_NEW}?dataset=tiny&base_model=yolox-nano")
    page.get_by_label("Preset").select_option("small images")
    expect(page.get_by_label("Epochs", exact=True)).to_have_value("9")
    expect(page.get_by_label("Augmentation")).to_have_value("off")
    page.get_by_role("link", name="All presets").click()
    row = page.locator("table.list tbody tr")
    expect(row).to_contain_text("Epochs: 9")
    row.get_by_role("button", name="Delete small images").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(page.get_by_text("There is none yet")).to_be_visible()
    assert site.platform.presets.list_presets(LOCAL_ADMINISTRATOR) == []


def test_who_may_not_create_sees_no_button(open_context: Callable[..., BrowserContext], site: Site) -> None:
    site.add_user("vito", "Viewer")
    page = open_context("vito").new_page()
    page.goto("/training-runs")
    expect(page.get_by_role("heading", name="Training runs")).to_be_visible()
    expect(page.get_by_role("button", name="Create new training run")).to_have_count(0)
    page.goto(_NEW)
    expect(page.get_by_role("alert").first).to_contain_text(
        re.compile("training_run:create|not allowed|may not")
    )
    expect(page.get_by_label("Dataset version")).to_have_count(0)


def test_axe_finds_no_serious_fault(page: Page) -> None:
    page.goto(f"{_NEW}?dataset=tiny&base_model=yolox-nano")
    expect(page.get_by_label("What it will be")).to_contain_text("Estimate")
    page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
    assert find_faults(page) == []
