"""From the sign-in to a published model that is tried, and to an error that can be acted on: a real worker trains."""

import json
import re
import shutil
import zipfile
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import BrowserContext, Page, expect
from sqlalchemy import URL
from tests.notifications.receivers import receive_webhooks

from raven_scan.access.types import LOCAL_ADMINISTRATOR
from raven_scan.datasets.types import ImportOptions
from raven_scan.kernel.progress import ignore_progress

from .conftest import CONTACT, LOAD_MS, RAVEN, Site, open_site
from .steps import change_requirement, drop, go, open_tab, sign_in

TRAINING_MS = 180_000
_SIDE_PX = 64
_COUNT_LOSSES = (
    "() => getElement([...ravenLines.keys()][0])?.chart?.getOption().series?.[0]?.data?.length ?? 0"
)


@pytest.fixture(scope="module")
def site(
    server_url: URL, template_database: str, tmp_path_factory: pytest.TempPathFactory
) -> Generator[Site]:
    """As users run it: with a worker inside, and nothing else."""
    folder = tmp_path_factory.mktemp("site")
    # Webhooks of this machine are for the test of one.
    environment = {"RAVEN_ALLOW_PRIVATE_WEBHOOKS": "1", "NO_PROXY": "127.0.0.1"}
    with open_site(server_url, template_database, folder, RAVEN, "serve", **environment) as site:
        yield site


def draw_part(folder: Path, image_count: int, seed: int) -> None:
    """On grey noise one bright heap an image: what it is can be learned in seconds."""
    folder.mkdir(parents=True)
    random = np.random.default_rng(seed)
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number in range(1, image_count + 1):
        pixels = random.integers(90, 130, (_SIDE_PX, _SIDE_PX, 3)).astype(np.uint8)
        width, height = (int(side) for side in random.integers(24, 40, 2))
        x, y = int(random.integers(_SIDE_PX - width)), int(random.integers(_SIDE_PX - height))
        pixels[y : y + height, x : x + width] = (255, 40, 0)
        name = f"{folder.name}-{number}.png"
        Image.fromarray(pixels).save(folder / name)
        images.append({"id": number, "file_name": name, "width": _SIDE_PX, "height": _SIDE_PX})
        box = {"id": number, "image_id": number, "category_id": 1, "bbox": [x, y, width, height]}
        annotations.append({**box, "area": width * height, "iscrowd": 0})
    categories = [{"id": 1, "name": "waste"}]
    document = {"images": images, "annotations": annotations, "categories": categories}
    (folder / "annotations_coco.json").write_text(json.dumps(document))


@pytest.fixture(scope="module")
def harbour(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a dataset, and beside it the same as an archive."""
    folder = tmp_path_factory.mktemp("drawn") / "harbour"
    for seed, (part, image_count) in enumerate({"train": 16, "valid": 4, "test": 4}.items()):
        draw_part(folder / part, image_count, seed)
    shutil.make_archive(str(folder), "zip", folder)
    return folder


def fill_in_run(page: Page, dataset: str, fields: dict[str, str]) -> None:
    """The form of a new training run, by the beginnings of its labels."""
    go(page, "Training runs")
    page.get_by_role("button", name="Create new training run").click()
    page.get_by_label("Dataset version").fill(dataset)
    page.get_by_label("Base model").fill("rtmdet-lite0")
    page.get_by_text("Expert parameters").click()
    for label, value in fields.items():
        page.get_by_label(re.compile(f"^{label}")).fill(value)


def expect_status(page: Page, status: str) -> None:
    expect(page.get_by_role("status").filter(has_text=status)).to_have_count(1, timeout=TRAINING_MS)


def publish_model(page: Page) -> None:
    """As litter, once the policy asks for no more images than its test part has."""
    open_tab(page, "Publishing")
    found = page.get_by_role("row", name=re.compile("Images in the test part"))
    expect(found).to_contain_text("too few images to tell")
    expect(page.get_by_text("2 of 7 requirements are not passed.")).to_be_visible()
    expect(page.get_by_role("button", name="Publish model")).to_have_count(0)
    go(page, "Publishing policy")
    change_requirement(page, "Images in the test part, at least", 4)
    change_requirement(page, "Boxes in the test part, at least", 4)
    go(page, "Trained models")
    page.get_by_role("link", name="harbour-rtmdet-lite0").click()
    open_tab(page, "Publishing")
    expect(page.get_by_text("All requirements are passed")).to_be_visible()
    page.get_by_label("Name to publish it as").fill("litter")
    expect(page.get_by_text("It can be published as litter@1")).to_be_visible()
    page.get_by_role("button", name="Publish model").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("as litter@1?")
    dialog.get_by_role("button", name="Publish model").click()
    expect(page.get_by_role("listitem").filter(has_text="litter@1").first).to_contain_text("in use")


def download(page: Page, link: str, folder: Path) -> Path:
    with page.expect_download() as downloaded:
        page.get_by_role("link", name=link).click()
    path = folder / downloaded.value.suggested_filename
    downloaded.value.save_as(path)
    return path


def import_model(page: Page, kind: str, path: Path, name: str, *, architecture: str | None = None) -> None:
    """To whose page it leads; `kind`: Package or Checkpoint."""
    go(page, "Trained models")
    page.get_by_role("button", name="Import a model").click()
    open_tab(page, kind, of="What is imported")
    page.locator("[data-upload][data-ready]").wait_for()
    page.locator("[data-upload] input[type=file]").set_input_files(path)
    expect(page.get_by_role("button", name="Import model")).to_be_enabled(timeout=LOAD_MS)
    page.get_by_label(re.compile("^Name")).fill(name)
    if architecture is not None:
        page.get_by_label("Architecture that it is of").fill(architecture)
        page.get_by_role("option", name=re.compile(architecture)).click()
    page.get_by_role("button", name="Import model").click()
    expect(page.get_by_role("heading", name=name, level=1)).to_be_visible(timeout=TRAINING_MS)


def take_elsewhere(page: Page, folder: Path) -> None:
    """The model of the page, as a package with ONNX and as weights alone, and both in again."""
    open_tab(page, "Package")
    weights = download(page, "Download the weights", folder)
    onnx = page.get_by_role("checkbox", name="With the model as ONNX too")
    onnx.click()
    expect(onnx).to_be_checked()
    page.get_by_role("button", name="Make a package").click()
    page.get_by_role("link", name="Download the package").wait_for(timeout=TRAINING_MS)
    package = download(page, "Download the package", folder)
    with zipfile.ZipFile(package) as archive:
        assert "model.onnx" in {Path(name).name for name in archive.namelist()}
    import_model(page, "Package", package, "taken in")
    expect(page.get_by_text("Measured on the platform that it came from")).to_be_visible()
    import_model(page, "Checkpoint", weights, "weights alone", architecture="rtmdet-lite0")
    expect(page.get_by_text(re.compile(r"tensors fitted"))).to_be_visible()


def test_from_the_sign_in_to_a_published_model(
    open_context: Callable[..., BrowserContext], harbour: Path, tmp_path: Path
) -> None:
    page = open_context(None).new_page()
    sign_in(page, "vera")
    # From here on screens change, and no page is loaded anew.
    page.evaluate("window.neverReloaded = true")

    go(page, "Datasets")
    page.get_by_role("button", name="Import a dataset").click()
    page.locator("[data-upload][data-ready]").wait_for()
    drop(page.locator("[data-upload] .drop"), harbour.with_suffix(".zip"))
    expect(page.get_by_label("Name of the dataset")).to_have_value("harbour")
    page.get_by_role("button", name="Import dataset").click()
    expect(page.get_by_role("heading", name="harbour", level=1)).to_be_visible()
    expect(page.locator("[data-image]")).to_have_count(24)

    few = {"Epochs": "4", "Image size": "64", "Learning rate$": "0.004", "Seed": "1"}
    fill_in_run(page, "harbour", {**few, "Batch size": "500"})
    beside = page.get_by_label("What it will be")
    expect(beside).to_contain_text("It cannot be scheduled so")
    page.get_by_label("Batch size").fill("4")
    expect(beside).not_to_contain_text("It cannot be scheduled so")
    page.get_by_role("button", name="Schedule training run").click()
    expect(page.get_by_role("heading", name="harbour-rtmdet-lite0")).to_be_visible()
    expect_status(page, "Processing")
    expect(page.get_by_text(re.compile(r"step \d+ of 16"))).to_be_visible(timeout=TRAINING_MS)
    page.wait_for_function(f"({_COUNT_LOSSES})() > 1")
    expect(page.get_by_role("log")).to_contain_text(re.compile(r"Epoch\(train\)"), timeout=TRAINING_MS)
    expect_status(page, "Success")
    page.wait_for_function(f"({_COUNT_LOSSES})() === 16")

    page.get_by_role("definition").get_by_role("link", name="harbour-rtmdet-lite0").click()
    expect(page.get_by_role("heading", name="Figures", exact=True)).to_be_visible()
    map50 = page.locator(".number", has_text="mAP50").first.locator(".value")
    assert float(map50.inner_text()) > 0.5
    address = page.url

    publish_model(page)
    expect(page).to_have_url(f"{address}/publishing")
    open_tab(page, "Try it")
    drop(page.locator(".trial-drop"), harbour / "test" / "test-1.png")
    expect(page.locator("raven-trial figure")).to_have_count(1, timeout=TRAINING_MS)
    page.get_by_role("slider", name="Confidence from").press("Home")
    assert page.locator("raven-trial rect").count() > 0
    take_elsewhere(page, tmp_path)
    assert page.evaluate("window.neverReloaded") is True


def test_a_run_that_fails_says_why_and_what_to_do(page: Page, site: Site, harbour: Path) -> None:
    options = ImportOptions(name="quay")
    site.platform.datasets.import_version(LOCAL_ADMINISTRATOR, harbour, options, ignore_progress)
    page.goto("/")
    page.evaluate("window.neverReloaded = true")
    steep = {"Epochs": "4", "Image size": "64", "Batch size": "4", "Learning rate$": "10", "Warm-up": "0"}
    fill_in_run(page, "quay", steep)
    expect(page.get_by_label("What it will be")).to_contain_text("Estimate")
    page.get_by_role("button", name="Schedule training run").click()
    expect(page.get_by_role("heading", name="quay-rtmdet-lite0")).to_be_visible()
    expect_status(page, "Processing")
    expect_status(page, "Error")
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text("learning rate")
    expect(alert).to_contain_text(CONTACT)
    attempts = page.get_by_role("table").filter(has_text="Ended by")
    expect(attempts.get_by_role("row")).to_have_count(2)
    expect(page.get_by_role("log")).to_contain_text("no finite number")
    expect(page.get_by_role("button", name="Retry")).to_be_visible()
    expect(page.get_by_role("button", name="Cancel run")).to_have_count(0)
    assert page.evaluate("window.neverReloaded") is True


def test_a_webhook_is_tried(page: Page) -> None:
    with receive_webhooks() as receiver:
        page.goto("/account/subscriptions")
        page.get_by_role("button", name="New subscription").click()
        dialog = page.get_by_role("dialog")
        dialog.get_by_label("How").click()
        page.get_by_role("option", name=re.compile("Webhook")).click()
        dialog.get_by_label("Webhook's address").fill(f"{receiver.url}/hooks/litter")
        dialog.get_by_role("button", name="Subscribe").click()
        page.get_by_role("button", name="I have kept it").click()
        page.get_by_role("row").get_by_role("button", name="Test").click()
        expect(page.get_by_text("The test message was sent to")).to_be_visible()
        assert [post.path for post in receiver.posts] == ["/hooks/litter"]
        receiver.answers.append((500, {}, b"no disk"))
        page.get_by_role("row").get_by_role("button", name="Test").click()
        expect(page.get_by_text("The test message was not sent.")).to_be_visible()
        expect(page.get_by_text(re.compile("500"))).to_be_visible()
