"""A server that is ended and started again while people look at it and type into it."""

import re
import signal
import sys
from collections.abc import Generator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from sqlalchemy import URL
from tests.app.conftest import sample_folder  # noqa: F401  # pyright: ignore[reportUnusedImport]

from raven_scan.access.types import LOCAL_ADMINISTRATOR
from raven_scan.architectures.parameters import TrainingParameters
from raven_scan.datasets.types import ImportOptions
from raven_scan.kernel.progress import ignore_progress

from .conftest import Site, open_site

AGAIN_MS = 60_000
_CHILDREN = Path(__file__).parents[1] / "app" / "children"
_SERVER = Path(__file__).with_name("quick_server.py")
_READ_STEP = (
    "() => Number((document.body.innerText.match(/step ([\\d,]+) of/) ?? ['', '0'])[1].replaceAll(',', ''))"
)


@pytest.fixture(scope="module")
def site(
    server_url: URL,
    template_database: str,
    tmp_path_factory: pytest.TempPathFactory,
    sample_folder: Path,  # noqa: F811
) -> Generator[Site]:
    """With a worker that trains in hundredths of a second a step, and the dataset `tiny`."""
    with open_site(
        server_url,
        template_database,
        tmp_path_factory.mktemp("site"),
        *(sys.executable, _SERVER, "serve"),
        PYTHONPATH=f"{_CHILDREN}:{':'.join(sys.path)}",
        RAVEN_LEASE_TIMEOUT_S="4",
    ) as site:
        options = ImportOptions(name="tiny")
        site.platform.datasets.import_version(LOCAL_ADMINISTRATOR, sample_folder, options, ignore_progress)
        yield site


def wait_beyond(page: Page, step: int) -> int:
    """The step that a run's page shows, which is a later one."""
    page.wait_for_function(f"({_READ_STEP})() > {step}", timeout=AGAIN_MS)
    return page.evaluate(_READ_STEP)


def expect_mended(page: Page, other: Page) -> None:
    """Whoever was signed in still is."""
    expect(page.locator("#connection")).to_have_text("The connection is back.", timeout=AGAIN_MS)
    # The other may have said so, and be quiet again.
    expect(other.locator("#connection")).not_to_have_text(re.compile("lost"), timeout=AGAIN_MS)
    for each in (page, other):
        expect(each.get_by_role("button", name="vera")).to_be_visible()


def test_pages_mend_themselves_and_the_run_goes_on(page: Page, site: Site) -> None:
    run = site.platform.training_runs.create(
        LOCAL_ADMINISTRATOR,
        name="lasting",
        dataset="tiny",
        base_model="yolox-nano",
        parameters=TrainingParameters(epochs=2000, image_size=64),
    )
    site.platform.training_runs.schedule(LOCAL_ADMINISTRATOR, run.name)
    page.goto(f"/training-runs/{run.id}")
    form = page.context.new_page()
    form.goto("/training-runs/new")
    form.get_by_label("Dataset version").fill("tiny")
    form.get_by_label("Name").fill("half typed")
    seen = wait_beyond(page, 20)
    attempts = page.get_by_role("table").filter(has_text="Ended by").locator("tbody tr")
    for number, field, value in (
        (signal.SIGTERM, "Base model", "yolox-nano"),
        (signal.SIGKILL, "Image size", "96"),
    ):
        count = attempts.count()
        site.process.end(number)
        for each in (page, form):
            expect(each.locator("#connection")).to_have_text(re.compile("Connection lost"))
        # Who types, types on.
        form.get_by_label(field).fill(value)
        site.start()
        expect_mended(page, form)
        expect(attempts).to_have_count(count + 1, timeout=AGAIN_MS)
        if number is signal.SIGTERM:
            seen = wait_beyond(page, seen)
    expect(page.get_by_role("status").filter(has_text="Processing")).to_have_count(1)
    wait_beyond(page, wait_beyond(page, 0))
    kept = {"Dataset version": "tiny", "Name": "half typed", "Base model": "yolox-nano", "Image size": "96"}
    for label, value in kept.items():
        expect(form.get_by_label(label)).to_have_value(value)
    expect(form.get_by_label("What it will be")).to_contain_text("Estimate")
    form.get_by_role("button", name="Save as draft").click()
    expect(form.get_by_role("heading", name="half typed")).to_be_visible()
    page.get_by_role("button", name="Cancel run").click()
    page.get_by_role("dialog").get_by_role("button", name="Cancel run").click()
    expect(page.get_by_role("status").filter(has_text="Cancelled")).to_have_count(1)
