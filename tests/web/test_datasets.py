"""Datasets in a browser: the list, an import with its upload and its report of problems, and a version's page."""

import base64
import json
import os
import re
import shutil
import socket
import subprocess
import zipfile
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page, Route, expect
from tests.app.conftest import RAVEN, Process

from raven_scan.access.types import LOCAL_ADMINISTRATOR
from raven_scan.datasets.sample_scenes import make_sample_dataset
from raven_scan.datasets.types import ImportOptions
from raven_scan.kernel.progress import ignore_progress

from .axe import find_faults
from .conftest import LOAD_MS, PASSWORD, Site


def zip_folder(folder: Path, path: Path, *, filler_bytes: int = 0) -> Path:
    """A zip of a folder; `filler_bytes` make it larger by what no dataset looks at."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for each in sorted(folder.rglob("*")):
            archive.write(each, each.relative_to(folder))
        if filler_bytes:
            archive.writestr("train/filler.bin", os.urandom(filler_bytes))
    return path


@pytest.fixture(scope="module")
def coast(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a dataset that is imported as `coast`, and has more images than a page shows."""
    folder = tmp_path_factory.mktemp("coast") / "dataset"
    make_sample_dataset(folder, image_count=40, image_size=128, seed=3)
    site.platform.datasets.import_version(
        LOCAL_ADMINISTRATOR, folder, ImportOptions(name="coast <i>east"), ignore_progress
    )
    return folder


def choose_archive(page: Page, archive: Path) -> None:
    page.locator("[data-upload][data-ready] input[type=file]").set_input_files(archive)


def drop_file(page: Page, path: Path, content: bytes) -> None:
    transfer = page.evaluate_handle(
        """([name, content]) => {
            const bytes = Uint8Array.from(atob(content), (each) => each.charCodeAt(0));
            const transfer = new DataTransfer();
            transfer.items.add(new File([bytes], name));
            return transfer;
        }""",
        [path.name, base64.b64encode(content).decode()],
    )
    page.locator("[data-upload][data-ready] .drop").dispatch_event("drop", {"dataTransfer": transfer})


@pytest.mark.usefixtures("coast")
def test_the_list_leads_to_a_version_whose_images_are_looked_at(page: Page, site: Site) -> None:
    page.goto("/datasets")
    rows = page.locator("table.list tbody tr")
    page.get_by_label("Search datasets").fill("coast")
    expect(rows).to_have_count(1)
    # What users wrote is text, whatever it looks like.
    rows.get_by_role("link", name="coast <i>east").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("coast <i>east")
    thumbs = page.locator("[data-image]")
    expect(thumbs).to_have_count(24)
    expect(page.get_by_text("40 images")).to_be_visible()
    thumbs.first.scroll_into_view_if_needed()
    page.wait_for_function(
        "() => { const i = document.querySelector('[data-image] img'); return i.complete && i.naturalWidth > 0 }"
    )
    names = thumbs.locator(".thumb-name").all_text_contents()
    thumbs.first.click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("heading")).to_have_text(re.compile(re.escape(names[0]) + "$"))
    page.keyboard.press("ArrowRight")
    expect(dialog.get_by_role("heading")).to_have_text(re.compile(re.escape(names[1]) + "$"))
    before = dialog.locator(".look-stage").bounding_box()
    page.keyboard.press("+")
    after = dialog.locator(".look-stage").bounding_box()
    assert before
    assert after
    assert after["width"] > before["width"] * 1.4
    expect(dialog.get_by_role("button", name="Show boxes")).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    expect(thumbs.nth(1)).to_be_focused()
    # Beyond the last image of a page comes the first of the next.
    thumbs.last.click()
    page.keyboard.press("ArrowRight")
    expect(dialog.get_by_role("heading")).not_to_have_text(re.compile(re.escape(names[-1]) + "$"))
    page.keyboard.press("Escape")
    expect(page.get_by_text("Page 2 of 2")).to_be_visible()
    expect(page).to_have_url(re.compile(r"page=2"))
    page.get_by_label("Part", exact=True).click()
    page.get_by_role("option", name="test").click()
    version = site.platform.datasets.get_version(LOCAL_ADMINISTRATOR, "coast <i>east")
    expect(thumbs).to_have_count(version.parts["test"].image_count)
    expect(page).to_have_url(re.compile(r"\?part=test$"))
    page.reload()
    expect(thumbs).to_have_count(version.parts["test"].image_count)
    with page.expect_download() as started:
        page.get_by_role("link", name="Export").click()
    with zipfile.ZipFile(started.value.path()) as archive:
        assert "train/annotations_coco.json" in archive.namelist()


def test_an_import_tells_all_problems_and_then_succeeds(page: Page, coast: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(coast, broken)
    annotations = broken / "train" / "annotations_coco.json"
    content = json.loads(annotations.read_bytes())
    content["annotations"][0]["category_id"] = 777
    content["annotations"][1]["bbox"] = [1, 1, -5, 3]
    annotations.write_text(json.dumps(content))
    (
        broken
        / "valid"
        / json.loads((broken / "valid" / annotations.name).read_bytes())["images"][0]["file_name"]
    ).unlink()
    page.goto("/datasets/import")
    expect(page.get_by_role("button", name="Import dataset")).to_be_disabled()
    choose_archive(page, zip_folder(broken, tmp_path / "harbour.zip"))
    expect(page.get_by_text("To be imported")).to_be_visible(timeout=LOAD_MS)
    expect(page.get_by_label("Name of the dataset")).to_have_value("harbour")
    page.get_by_role("button", name="Import dataset").click()
    problems = page.get_by_role("region", name=re.compile("problems")).locator("tbody tr")
    expect(problems).to_have_count(3)
    expect(page.get_by_text("3 problems.")).to_be_in_viewport()
    expect(problems.filter(has_text="valid/")).to_have_count(1)
    page.get_by_role("button", name="Delete harbour.zip").click()
    expect(page.get_by_role("button", name="Import dataset")).to_be_disabled()
    drop_file(page, tmp_path / "notes.txt", b"no archive")
    expect(page.get_by_text("no file of the kind")).to_be_visible()
    dropped = zip_folder(coast, tmp_path / "harbour-2.zip")
    drop_file(page, dropped, dropped.read_bytes())
    expect(page.get_by_text("To be imported")).to_be_visible(timeout=LOAD_MS)
    page.get_by_role("button", name="Only check").click()
    expect(page.get_by_text("Nothing is wrong.")).to_be_visible()
    page.get_by_role("button", name="Options").click()
    renames = page.get_by_label("Rename classes")
    expect(renames).to_have_value("waste = ")
    renames.fill("waste = litter")
    # What is typed outlasts a reload.
    page.get_by_label("Name of the dataset").fill("harbour north")
    page.reload()
    expect(page.get_by_label("Name of the dataset")).to_have_value("harbour north")
    expect(renames).to_have_value("waste = litter")
    # Another page of the user follows it too, and takes nothing away from this one.
    other = page.context.new_page()
    other.goto("/datasets/import")
    expect(other.get_by_text("To be imported")).to_be_visible()
    page.get_by_role("button", name="Import dataset").click()
    expect(page.get_by_role("heading", name="harbour north")).to_be_visible(timeout=LOAD_MS)
    other.close()
    expect(page.locator("dl.facts")).to_contain_text("litter")


def test_an_upload_goes_on_after_a_lost_connection(page: Page, coast: Path, tmp_path: Path) -> None:
    archive = zip_folder(coast, tmp_path / "long.zip", filler_bytes=9 << 20)
    tries: list[str] = []

    def meddle(route: Route) -> None:
        if route.request.method == "PATCH":
            tries.append(route.request.headers["upload-offset"])
            if len(tries) in {2, 3}:
                route.abort("connectionreset")
                return
        route.continue_()

    page.route("**/api/v1/uploads/*", meddle)
    page.goto("/datasets/import")
    choose_archive(page, archive)
    expect(page.locator(".upload-row", has_text="long.zip").get_by_text("To be imported")).to_be_visible(
        timeout=LOAD_MS
    )
    # Nothing that had come was sent again.
    assert tries[1] == tries[2] == tries[3] != "0"
    assert len(set(tries)) == len(tries) - 2


@contextmanager
def serve(site: Site, folder: Path, port: int) -> Generator[str]:
    """Another server on the same platform, to be ended and begun again at the same port."""
    settings = site.platform.settings
    assert settings.database_url is not None
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAVEN_")}
    environment |= {
        "RAVEN_HOME": str(settings.home),
        "RAVEN_DATABASE_URL": settings.database_url.get_secret_value(),
    }
    out_path, err_path = folder / "server.out", folder / "server.err"
    with (
        out_path.open("wb") as out,
        err_path.open("wb") as err,
        subprocess.Popen(
            [RAVEN, "serve", "--no-worker", "--port", str(port), "--json"],
            stdout=out,
            stderr=err,
            env=environment,
        ) as server,
    ):
        try:
            yield Process(server, out_path, err_path).wait_for_document()["server"]
        finally:
            server.kill()


def test_an_upload_goes_on_after_a_restart_of_the_server(
    open_context: Callable[..., BrowserContext], site: Site, coast: Path, tmp_path: Path
) -> None:
    archive = zip_folder(coast, tmp_path / "longer.zip", filler_bytes=12 << 20)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    context = open_context(None)
    page = context.new_page()
    held: list[Route] = []

    def hold(route: Route) -> None:
        """The third part waits until the server is gone."""
        if route.request.method == "PATCH" and route.request.headers["upload-offset"] != "0" and not held:
            held.append(route)
        else:
            route.continue_()

    with serve(site, tmp_path, port) as url:
        answer = context.request.post(f"{url}/api/v1/session", data={"name": "vera", "password": PASSWORD})
        assert answer.ok
        page.route("**/api/v1/uploads/*", hold)
        page.goto(f"{url}/datasets/import")
        page.evaluate("window.neverReloaded = true")
        choose_archive(page, archive)
        expect(page.get_by_role("progressbar", name="Upload")).not_to_have_attribute("aria-valuenow", "0")
        # The bar moves while the second part is still under way.
        while not held:
            page.wait_for_timeout(50)
    held[0].continue_()
    expect(page.get_by_text("No connection. It goes on by itself")).to_be_visible(timeout=LOAD_MS)
    assert page.evaluate("window.neverReloaded") is True
    with serve(site, tmp_path, port):
        # The page comes anew once all is there, and knows it.
        row = page.locator(".upload-row", has_text="longer.zip")
        expect(row.get_by_text("To be imported")).to_be_visible(timeout=LOAD_MS)


def test_a_dataset_is_edited_and_deleted(page: Page, site: Site, coast: Path) -> None:
    site.platform.datasets.import_version(
        LOCAL_ADMINISTRATOR, coast, ImportOptions(name="old"), ignore_progress
    )
    page.goto("/datasets/old")
    page.get_by_role("button", name="Edit").click()
    expect(page.get_by_label("Name", exact=True)).to_be_focused()
    page.get_by_label("Notes").fill("Thought better of")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    page.get_by_role("button", name="Edit").click()
    expect(page.get_by_label("Notes")).to_have_value("")
    page.get_by_label("Name", exact=True).fill("older")
    notes = page.get_by_label("Notes")
    notes.fill("Flown in <b>June</b>")
    # What is typed outlasts a reload; what was given up does not come back.
    page.reload()
    page.get_by_role("button", name="Edit").click()
    expect(notes).to_have_value("Flown in <b>June</b>")
    page.get_by_role("button", name="Cancel").click()
    page.get_by_role("button", name="Edit").click()
    expect(notes).to_have_value("")
    page.get_by_label("Name", exact=True).fill("older")
    notes.fill("Flown in <b>June</b>")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("heading", name="older")).to_be_visible()
    expect(page.locator("dl.facts")).to_contain_text("Flown in <b>June</b>")
    page.get_by_role("button", name="More actions").click()
    page.get_by_text("Delete the dataset").click()
    expect(page.get_by_role("dialog")).to_contain_text("restored for 30 days")
    page.get_by_role("button", name="Delete the dataset").click()
    expect(page).to_have_url(f"{site.url}/datasets")
    expect(page.get_by_text("older is in the trash")).to_be_visible()


@pytest.mark.usefixtures("coast")
def test_who_may_only_look_sees_no_buttons(open_context: Callable[..., BrowserContext], site: Site) -> None:
    site.add_user("looker", "Viewer")
    page = open_context("looker").new_page()
    page.goto("/datasets")
    expect(page.locator("table.list tbody tr").first).to_be_visible()
    expect(page.get_by_role("button", name="Import a dataset")).to_have_count(0)
    page.goto("/datasets/tiny")
    expect(page.locator("[data-image]").first).to_be_visible()
    for name in ("Edit", "More actions"):
        expect(page.get_by_role("button", name=name)).to_have_count(0)
    page.goto("/datasets/import")
    expect(page.get_by_role("alert").first).to_contain_text("dataset:import")
    expect(page.locator("input[type=file]")).to_have_count(0)


@pytest.mark.usefixtures("coast")
def test_axe_finds_no_serious_fault(page: Page) -> None:
    page.goto("/datasets")
    expect(page.locator("table.list tbody tr").first).to_be_visible()
    assert find_faults(page) == []
    page.goto("/datasets/import")
    page.get_by_role("button", name="Options").click()
    expect(page.get_by_label("Seed of the split")).to_be_visible()
    assert find_faults(page) == []
    page.goto("/datasets/tiny")
    expect(page.locator("canvas")).to_have_count(3)
    assert find_faults(page) == []
    page.locator("[data-image]").first.click()
    expect(page.get_by_role("dialog")).to_be_visible()
    assert find_faults(page) == []
