"""The overview, the queue, the first steps and the guide in a browser."""

import re
from collections.abc import Callable
from dataclasses import replace

from playwright.sync_api import BrowserContext, Page, expect

from raven_scan.access.types import LOCAL_ADMINISTRATOR, WORKER
from raven_scan.architectures.parameters import TrainingParameters
from raven_scan.jobs.gpu_load import DeviceLoad
from raven_scan.jobs.machine_load import WorkerLoad
from raven_scan.kernel.paging import PageRequest
from raven_scan.training_runs.attempt import Attempt
from raven_scan.training_runs.types import RunError, RunProgress

from .axe import check_screens
from .conftest import Site

PARAMETERS = TrainingParameters(epochs=2, image_size=64)
PAGE = PageRequest()
SAMPLE_MS = 90_000


def schedule(site: Site, name: str) -> None:
    site.platform.training_runs.create(
        LOCAL_ADMINISTRATOR, name=name, dataset="tiny", base_model="yolox-nano", parameters=PARAMETERS
    )
    site.platform.training_runs.schedule(LOCAL_ADMINISTRATOR, name)


def begin_next(site: Site) -> Attempt:
    attempt = site.platform.execution.begin_next(WORKER, worker="elsewhere:1", free=["cpu"], capacity=["cpu"])
    assert attempt is not None
    return attempt


def tell(site: Site, attempt: Attempt, step: int) -> None:
    site.platform.execution.record(
        WORKER,
        attempt,
        progress=RunProgress(epoch=0, epochs=2, step=step, steps=8, loss=1 / step, memory_mb=512.0),
        points=[],
        warnings=[],
        best=None,
        checkpoint=None,
        log=b"",
        log_position=0,
    )


def test_an_empty_installation_leads_its_user(page: Page, site: Site) -> None:
    site.platform.dataset_stewardship.delete(LOCAL_ADMINISTRATOR, "tiny")
    page.goto("/")
    expect(page.get_by_role("heading", name="First steps")).to_be_visible()
    expect(page.get_by_role("link", name="Import yours")).to_have_attribute("href", "/datasets/import")
    page.get_by_role("button", name="Try the sample dataset").click()
    expect(page.locator(".way-in").get_by_role("progressbar")).to_be_visible()
    # It goes on while its user looks elsewhere.
    page.get_by_role("navigation", name="Screens").get_by_role("link", name="Queue").click()
    expect(page.get_by_text("No training run waits.")).to_be_visible()
    page.get_by_role("navigation", name="Screens").get_by_role("link", name="Overview").click()
    expect(page.get_by_text("There is a dataset.")).to_be_visible(timeout=SAMPLE_MS)
    steps = page.locator(".way-in")
    expect(steps.get_by_role("link", name="Create new training run")).to_be_visible()
    deleted = site.platform.trash.list_items(LOCAL_ADMINISTRATOR, PAGE).items
    site.platform.trash.restore(LOCAL_ADMINISTRATOR, deleted[0].id)


def test_the_overview_keeps_up(page: Page, site: Site) -> None:
    schedule(site, "first <b>flight")
    site.platform.workers.beat("elsewhere:1", ["cpu"])
    attempt = begin_next(site)
    tell(site, attempt, 2)
    schedule(site, "second")
    page.goto("/")
    page.evaluate("window.neverReloaded = true")
    at_work = page.locator("section", has=page.get_by_role("heading", name="At work and waiting"))
    expect(at_work.get_by_role("link", name="first <b>flight")).to_be_visible()
    expect(at_work).to_contain_text("25%")
    expect(at_work).to_contain_text("Place 1 in the queue.")
    expect(page.locator("ul.slots")).to_contain_text("537 MB of memory")
    flight = at_work.get_by_role("link", name="first <b>flight")
    flight.focus()
    tell(site, attempt, 6)
    expect(at_work).to_contain_text("75%")
    # Who works by keyboard is where they were.
    expect(flight).to_be_focused()
    error = RunError("out_of_memory", "The device has no more memory.", "Lower the batch size.")
    site.platform.execution.fail(WORKER, attempt, error)
    attention = page.locator("section", has=page.get_by_role("heading", name="Needs attention"))
    expect(attention).to_contain_text("The device has no more memory.", timeout=20_000)
    assert page.evaluate("window.neverReloaded") is True


def test_worker_slots_tell_how_busy_their_machine_and_devices_are(page: Page, site: Site) -> None:
    slots = ["cuda:0", "cuda:1", "cpu"]
    of_gpu = DeviceLoad(None, 40_000_000_000, 80_000_000_000)
    load = WorkerLoad(37.4, 61_000_000_000, 64_000_000_000, {"cuda:0": of_gpu})
    site.platform.workers.beat("gpu-node:1:0.00", slots, load=load)
    site.platform.workers.beat("older:1:0.00", ["cpu"])
    for path in ("/", "/queue"):
        page.goto(path)
        page.evaluate("window.neverReloaded = true")
        worker = page.locator(".worker", has_text="gpu-node:1:0.00")
        expect(worker.get_by_role("meter", name="Processor: 37%")).to_have_count(1)
        expect(worker.get_by_role("meter", name="Memory: 61 GB of 64 GB")).to_have_attribute(
            "aria-valuenow", "95"
        )
        first, second, third = worker.locator("ul.slots li").all()
        expect(first).to_contain_text("not known")
        expect(first.get_by_role("meter", name="Memory: 40 GB of 80 GB")).to_have_count(1)
        expect(second).to_contain_text("GPU load is not known")
        expect(third.get_by_role("meter")).to_have_count(0)
        expect(page.locator(".worker", has_text="older:1:0.00")).to_contain_text("it does not tell")
        busier = replace(
            load, processor_percent=88.0, devices={"cuda:1": replace(of_gpu, utilisation_percent=96.0)}
        )
        site.platform.workers.beat("gpu-node:1:0.00", slots, load=busier)
        expect(worker.get_by_role("meter", name="Processor: 88%")).to_have_count(1)
        expect(worker.get_by_role("meter", name="GPU: 96%")).to_have_count(1)
        assert page.evaluate("window.neverReloaded") is True
        site.platform.workers.beat("gpu-node:1:0.00", slots, load=load)
    check_screens(page, ["/queue"])
    for name in ("gpu-node:1:0.00", "older:1:0.00"):
        site.platform.workers.leave(name)


def test_the_queue_is_put_in_order(
    page: Page, site: Site, open_context: Callable[..., BrowserContext]
) -> None:
    waiting = {entry.run.name for entry in site.platform.run_queue.list_queue(LOCAL_ADMINISTRATOR)}
    # The second may wait since the test before, which need not have been here.
    for name in ("second", "third", "fourth"):
        if name not in waiting:
            schedule(site, name)
    page.goto("/queue")
    rows = page.locator("table.list tbody tr")
    expect(rows).to_have_count(3)
    expect(rows.first).to_contain_text("second")
    page.get_by_role("button", name="Move fourth to the front").click()
    expect(rows.first).to_contain_text("fourth")
    page.get_by_role("button", name="Move fourth down").click()
    expect(rows.first).to_contain_text("second")
    expect(page.get_by_role("button", name="Move fourth down")).to_be_focused()
    page.get_by_role("button", name="Change the priority of third").click()
    page.get_by_label("Priority", exact=True).fill("50")
    page.get_by_role("button", name="Set priority").click()
    expect(rows.first).to_contain_text("third")
    site.add_user("guest", "Viewer")
    other = open_context("guest").new_page()
    other.goto("/queue")
    expect(other.locator("table.list tbody tr")).to_have_count(3)
    expect(other.locator("button.row-act")).to_have_count(0)
    # Who may not order looks on, and sees what others do.
    page.get_by_role("button", name="Move fourth to the front").click()
    expect(other.locator("table.list tbody tr").first).to_contain_text("fourth")


def test_the_guide_is_in_the_application(page: Page) -> None:
    page.goto("/queue")
    page.get_by_role("link", name="Help").click()
    expect(page).to_have_url(re.compile("/guide#the-queue"))
    expect(page.get_by_role("heading", name="The queue", exact=True)).to_be_in_viewport()
    page.get_by_role("navigation", name="Chapters").get_by_role("link", name="Settings").click()
    expect(page.get_by_role("cell", name="RAVEN_CONTACT")).to_be_attached()
    expect(page).to_have_url(re.compile("/guide/settings"))
    page.go_back()
    expect(page).to_have_url(re.compile("/guide#the-queue"))
    expect(page.get_by_role("heading", name="User guide")).to_be_attached()


def test_the_keyboard_gets_past_the_navigation(page: Page) -> None:
    page.goto("/queue")
    expect(page.get_by_role("heading", name="Queue", exact=True)).to_be_visible()
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="To the content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("main")).to_be_focused()


def test_light_or_dark_is_the_users_choice(page: Page) -> None:
    page.emulate_media(color_scheme="light")
    page.goto("/")
    page.get_by_role("button", name="Light or dark").click()
    page.get_by_text("Dark", exact=True).click()
    expect(page.locator("body.body--dark")).to_be_visible()
    page.reload()
    expect(page.locator("body.body--dark")).to_be_visible()
    page.get_by_role("button", name="Light or dark").press("Enter")
    expect(page.get_by_role("menu")).to_be_focused()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page.locator("body.body--light")).to_be_visible()


def test_a_lost_connection_is_told_and_mended(page: Page) -> None:
    page.goto("/queue")
    expect(page.get_by_role("heading", name="Queue", exact=True)).to_be_visible()
    page.evaluate("window.socket.io.engine.close()")
    note = page.locator("#connection")
    expect(note).to_have_text(re.compile("Connection lost|The connection is back"))
    expect(note).to_have_text("The connection is back.")
    expect(note).to_be_empty()


def test_axe_finds_no_serious_fault(page: Page) -> None:
    check_screens(page, ["/", "/queue", "/guide"])
