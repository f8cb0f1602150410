"""Trained models in a browser: the list, a model's tabs, publishing, comparing, and trying one on pictures."""

import base64
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page, Route, expect

from raven_scan.access.types import LOCAL_ADMINISTRATOR
from raven_scan.trained_models.types import TrainedModelView

from .axe import find_faults
from .conftest import Site
from .pretended_models import add_model, find_evaluation

_PICTURE = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR4nGNgYPhfDwACjAGAn3mGkAAAAABJRU5ErkJggg=="
)

Models = dict[str, TrainedModelView]
OpenContext = Callable[..., BrowserContext]


@pytest.fixture(scope="module")
def models(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Models:
    """`first`, `second` from it, and 26 others; `first` is published as `litter`."""
    folder = tmp_path_factory.mktemp("models")
    first = add_model(site.platform, "first <b>bold", "tiny", folder, skill=0.5)
    second = add_model(site.platform, "second", "tiny", folder, skill=0.9, base_model=first.name, seed=1)
    for number in range(26):
        add_model(site.platform, f"other {number:02}", "tiny", folder, skill=None)
    site.platform.publishing.publish(
        LOCAL_ADMINISTRATOR, first.name, name="litter", override="it is the first one"
    )
    site.add_user("rita", "Reviewer")
    site.add_user("viktor", "Viewer")
    return {"first": first, "second": second}


def test_the_list_is_searched_and_leads_to_a_comparison(page: Page, models: Models) -> None:
    page.goto("/trained-models")
    rows = page.locator("table.list tbody tr")
    expect(rows).to_have_count(25)
    # The architectures that come built in are left out.
    page.get_by_role("button", name="Next").click()
    expect(rows).to_have_count(3)
    page.get_by_role("button", name="Back").click()
    page.get_by_label("Search models").fill("first")
    # What came of it is found by its lineage.
    expect(rows).to_have_count(2)
    expect(page).to_have_url(re.compile(r"\?q=first"))
    page.get_by_role("button", name="Name").click()
    expect(rows.first.get_by_role("link")).to_have_text("first <b>bold")
    compare = page.get_by_role("button", name="Compare", exact=True)
    expect(compare).to_be_disabled()
    page.get_by_label("Compare first <b>bold").check()
    page.get_by_label("Compare second").check()
    compare.click()
    expect(page.get_by_role("heading", name="Compare models")).to_be_visible()
    told = page.locator("table.list").first.locator("tbody tr")
    expect(told).to_have_count(2)
    expect(told.nth(1)).to_contain_text(
        re.compile("better|worse|no significant difference|too few images to tell")
    )
    assert str(models["second"].id) in page.url
    page.go_back()
    expect(page.get_by_label("Search models")).to_have_value("first")
    page.goto("/trained-models?origin=builtin")
    expect(rows.filter(has_text="rtmdet-lite0")).to_have_count(1)
    page.goto("/trained-models?origin=any&q=rtmdet-lite0")
    expect(rows.filter(has_text="rtmdet-lite0").first).to_be_visible()


def test_a_models_tabs_have_addresses(page: Page, models: Models) -> None:
    second = models["second"]
    page.goto(f"/trained-models/{second.id}")
    expect(page.get_by_role("heading", name="Figures")).to_be_visible()
    tabs = page.get_by_role("navigation", name="Parts of this page")
    tabs.get_by_role("link", name="Lineage").click()
    expect(page).to_have_url(re.compile(r"/lineage$"))
    graph = page.get_by_role("group", name=re.compile("Lineage"))
    graph.get_by_role("link", name=re.compile(r"first <b>bold")).click()
    expect(page.get_by_role("heading", name="first <b>bold")).to_be_visible()
    page.go_back()
    tabs.get_by_role("link", name="Configuration").click()
    expect(page.locator("#configuration")).to_contain_text('"note": "<b>plain</b>"')
    tabs.get_by_role("link", name="Overview").click()
    page.get_by_role("button", name="Edit").click()
    expect(page.get_by_role("dialog")).to_be_visible()
    page.go_back()
    expect(page).to_have_url(re.compile(r"/configuration$"))
    expect(page.get_by_role("dialog")).to_have_count(0)
    page.go_forward()
    page.get_by_role("button", name="Edit").click()
    page.get_by_label("Notes").fill("Seen from a drone,\n<i>in summer</i>.")
    page.get_by_role("button", name="Save").click()
    expect(page.locator(".noted")).to_have_text("Seen from a drone,\n<i>in summer</i>.")
    page.goto("/trained-models/nobody")
    expect(page.locator("main.screen")).to_contain_text("There is no trained model 'nobody'.")
    page.goto(f"/trained-models/{second.id}/nonsense")
    expect(page.get_by_role("alert")).to_contain_text(f"no screen at /trained-models/{second.id}/nonsense")


def test_a_review_shows_what_was_measured_and_where_it_goes_wrong(
    page: Page, site: Site, models: Models
) -> None:
    first = models["first"]
    evaluation = find_evaluation(site.platform, first)
    page.goto(f"/trained-models/{first.id}/review?evaluation={evaluation.id}")
    expect(page.get_by_role("img", name=re.compile("Precision by recall")).locator("canvas")).to_be_visible()
    confusion = page.locator("table.confusion")
    expect(confusion.locator("tbody tr").last.locator("th")).to_have_text("background")
    expect(page.get_by_text("Missed", exact=True).first).to_be_visible()
    cards = page.locator("raven-findings figure")
    expect(cards.first).to_be_visible()
    before = page.locator("raven-findings rect.told").count()
    slider = page.get_by_role("slider", name="Confidence from")
    slider.focus()
    page.keyboard.press("End")
    expect(page.locator("raven-findings rect.told")).to_have_count(0)
    assert before > 0
    cards.first.get_by_role("button").click()
    large = page.get_by_role("dialog")
    expect(large.locator("table tbody tr").first).to_contain_text("true, missed")
    names = cards.locator(".file").all_text_contents()
    expect(large.get_by_role("heading")).to_have_text(names[0])
    expect(large.get_by_role("button", name="The image before")).to_be_disabled()
    page.keyboard.press("ArrowRight")
    expect(large.get_by_role("heading")).to_have_text(names[1])
    expect(large.locator("rect.missed").first).to_be_attached()
    large.get_by_role("button", name="The image before").click()
    expect(large.get_by_role("heading")).to_have_text(names[0])
    page.keyboard.press("Escape")
    expect(large).to_have_count(0)
    expect(cards.first.get_by_role("button")).to_be_focused()
    # Another one is asked for, and is cancelled before any worker has begun it.
    page.get_by_role("button", name="Evaluate").click()
    expect(page.get_by_text("Waiting", exact=True)).to_be_visible()
    page.evaluate("window.neverReloaded = true")
    page.get_by_role("button", name="Cancel evaluation").click()
    page.get_by_role("dialog").get_by_role("button", name="Cancel evaluation").click()
    expect(page.get_by_text("Cancelled", exact=True)).to_be_visible()
    assert page.evaluate("window.neverReloaded") is True


def test_publishing_shows_verdicts_asks_and_can_be_taken_back(
    page: Page, site: Site, models: Models, open_context: OpenContext
) -> None:
    path = f"/trained-models/{models['second'].id}/publishing"
    page.goto(path)
    page.get_by_label("Name to publish it as").fill("litter")
    expect(page.get_by_text("Published by somebody else")).to_have_count(0)
    expect(page.get_by_role("cell", name="Images in the test part")).to_be_visible()
    expect(page.locator("table.list .chip.bad").first).to_have_text("failed")
    # Whoever may not override what is required sees it, and no way around it.
    rita = open_context("rita").new_page()
    rita.goto(path)
    expect(rita.get_by_text("It cannot be published before every requirement is passed.")).to_be_visible()
    expect(rita.get_by_role("button", name=re.compile("Publish"))).to_have_count(0)
    viktor = open_context("viktor").new_page()
    viktor.goto(path)
    expect(viktor.get_by_role("heading", name="Published as")).to_be_visible()
    expect(viktor.get_by_role("heading", name="Publish model")).to_have_count(0)
    page.get_by_label("Why it is published although not all is passed").fill("a test")
    page.get_by_role("button", name="Publish despite the requirements").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("as litter@2?")
    expect(dialog).to_contain_text("requirements are not passed.")
    expect(dialog).to_contain_text("litter@1")
    dialog.get_by_role("button", name="Publish model").click()
    expect(page.get_by_text("vera published second as litter@2, despite")).to_be_visible()
    page.get_by_role("button", name="Roll back to this: litter@1").click()
    page.get_by_role("dialog").get_by_role("button", name="Roll back").click()
    expect(page.get_by_text("vera rolled back to litter@1")).to_be_visible()
    page.get_by_role("button", name="Withdraw: litter@2").click()
    page.get_by_role("dialog").get_by_label("Reason").fill("it was only a test")
    page.get_by_role("dialog").get_by_role("button", name="Withdraw").click()
    expect(page.get_by_text("it was only a test").first).to_be_visible()
    assert site.platform.publishing.resolve(LOCAL_ADMINISTRATOR, "litter").number == 1


def test_a_model_is_tried_on_pictures_that_are_dropped(page: Page, models: Models, tmp_path: Path) -> None:
    first = models["first"]
    name = first.classes[0]
    asked: list[str] = []

    def answer(route: Route) -> None:
        asked.append(route.request.headers["x-csrf-token"])
        boxes = [
            {"class_name": name, "score": score, "x": 1, "y": 2, "width": 30, "height": 40}
            for score in (0.9, 0.6, 0.1)
        ]
        read = {"name": "=a.png", "width": 100, "height": 80, "exif_orientation": 1, "boxes": boxes}
        problem = {"code": "image.unreadable", "message": "It is no image.", "hint": "Send another."}
        unread = {"name": "b.png", "width": None, "height": None, "boxes": [], "problem": problem}
        told = {"id": str(first.id), "name": first.name, "published_name": None, "version": None}
        images = [{**read, "problem": None}, unread]
        result = {"model": told, "classes": first.classes, "min_confidence": 0.05, "images": images}
        lines = [
            {"event": "progress", "stage": "x", "done": 1, "total": 2},
            {"event": "done", "result": result},
        ]
        route.fulfill(
            content_type="application/x-ndjson", body="".join(f"{json.dumps(line)}\n" for line in lines)
        )

    page.route("**/api/v1/detections", answer)
    page.goto(f"/trained-models/{first.id}/try")
    pictures = [tmp_path / "a.png", tmp_path / "b.png"]
    for path in pictures:
        path.write_bytes(_PICTURE)
    page.locator("raven-trial input[type=file]").set_input_files(pictures)
    expect(page.get_by_text("It is no image. Send another.")).to_be_visible()
    assert asked[0]
    slider = page.get_by_role("slider", name="Confidence from")
    slider.focus()
    page.keyboard.press("Home")
    boxes = page.locator("raven-trial rect")
    expect(boxes).to_have_count(3)
    with page.expect_download() as downloading:
        page.get_by_role("button", name="Download as CSV").click()
    lines = downloading.value.path().read_text().splitlines()
    assert len(lines) == 4
    assert lines[1].startswith(f"'=a.png,100,80,{name},0.900000,")
    page.get_by_role("checkbox", name=name).uncheck()
    expect(boxes).to_have_count(0)
    with page.expect_download() as downloading:
        page.get_by_role("button", name="Download as COCO").click()
    document = json.loads(downloading.value.path().read_bytes())
    assert document["annotations"] == []
    assert [image["file_name"] for image in document["images"]] == ["=a.png"]


def test_coco_weights_are_offered_where_nothing_was_learned(page: Page, models: Models) -> None:
    page.goto("/trained-models/rtmdet-s")
    page.get_by_role("link", name="Download COCO weights").click()
    expect(page.get_by_label("Architecture")).to_have_value(re.compile("RTMDet s, 8.9 million"))
    page.get_by_label(re.compile("^Name")).fill(models["second"].name)
    page.get_by_role("button", name="Download and import").click()
    # Before anything is downloaded.
    expect(page.get_by_role("alert").first).to_contain_text("second")


def test_axe_finds_no_serious_fault(page: Page, models: Models) -> None:
    of_model = f"/trained-models/{models['second'].id}"
    first = models["first"].id
    faults: list[object] = []
    for path, shown in (
        ("/trained-models", "table.list"),
        (f"/trained-models/{first}/review", "raven-findings figure"),
        (f"{of_model}/lineage", "svg .node"),
        (f"{of_model}/publishing", "table.list"),
        (of_model, "dl.facts"),
        (f"{of_model}/configuration", "#configuration"),
        (f"{of_model}/try", ".trial-drop"),
        (f"/trained-models/compare?model={first}&model={models['second'].id}", "table.list"),
        ("/trained-models/import", ".drop"),
        ("/trained-models/import?kind=coco", ".form"),
    ):
        page.goto(path)
        expect(page.locator(shown).first).to_be_visible()
        faults += [(path, *fault) for fault in find_faults(page)]
    assert faults == []
