"""Models side by side, and galleries, from the matches that evaluations keep."""

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from sqlalchemy import text
from tests.training_runs.conftest import write_coco

from raven_scan.access.types import LOCAL_ADMINISTRATOR
from raven_scan.app.server import build_app
from raven_scan.app.wiring import Platform
from raven_scan.datasets.types import DatasetVersionView, ImportOptions
from raven_scan.evaluations.types import Comparison, GalleryKind
from raven_scan.figures.difference import Verdict
from raven_scan.kernel.errors import Conflict, Invalid, RavenError, Unavailable
from raven_scan.kernel.paging import PageRequest
from raven_scan.kernel.progress import ignore_progress

from .conftest import Evaluate, MakeModel

ADMIN = LOCAL_ADMINISTRATOR
LONGEST_STALL_S = 5.0
"""For an answer that needs nothing, on a machine that has much else to do."""


@pytest.fixture
def many(platform: Platform, tmp_path: Path) -> DatasetVersionView:
    """`many@1`: enough images to tell."""
    folder = write_coco(tmp_path / "many", images_a_part=40, image_size=40)
    return platform.datasets.import_version(ADMIN, folder, ImportOptions(name="many"), ignore_progress)


def compare(platform: Platform, *models: str, **options: Any) -> Comparison:
    return platform.evaluation_review.compare_models(ADMIN, models, **options)


def test_a_difference_has_an_interval_and_words(
    platform: Platform, many: DatasetVersionView, make_model: MakeModel, evaluate: Evaluate
):
    for name, skill in (("middling", 0.5), ("good", 1.0), ("bad", 0.1), ("alike", 0.5)):
        evaluate(make_model(name), many, skill=skill)
    comparison = compare(platform, "middling", "good", "bad", "alike")
    assert (comparison.dataset_version.name, comparison.part, comparison.figure) == (
        "many@1",
        "test",
        "map50",
    )
    base, good, bad, alike = comparison.models
    assert base.difference is None
    assert base.value == pytest.approx(0.5, abs=0.1)
    assert good.difference
    assert bad.difference
    assert alike.difference
    assert (good.difference.verdict, bad.difference.verdict) == (Verdict.BETTER, Verdict.WORSE)
    assert good.value is not None
    assert base.value is not None
    assert good.difference.value == pytest.approx(good.value - base.value)
    assert good.difference.low is not None
    assert good.difference.value
    assert good.difference.high is not None
    assert 0 < good.difference.low <= good.difference.value <= good.difference.high
    assert (alike.difference.value, alike.difference.verdict) == (0, Verdict.NO_SIGNIFICANT_DIFFERENCE)
    of_class = compare(platform, "middling", "good", figure="recall", class_name="waste")
    assert of_class.class_name == "waste"
    assert of_class.models[1].difference
    assert of_class.models[1].difference.figure == "recall"

    first, second = base.evaluation_id, good.evaluation_id
    assert platform.evaluations.compare_evaluations(ADMIN, second, first) == good.difference


def test_too_few_images_are_said_to_be_too_few(
    platform: Platform, dataset: DatasetVersionView, make_model: MakeModel, evaluate: Evaluate
):
    evaluate(make_model("first"), dataset, skill=0.2)
    evaluate(make_model("second"), dataset, skill=1.0)
    _, second = compare(platform, "first", "second").models
    assert second.difference
    assert second.difference.verdict is Verdict.TOO_FEW_IMAGES
    assert second.difference.reason


def test_missing_evaluations_are_named_with_the_commands_that_make_them(
    platform: Platform, dataset: DatasetVersionView, make_model: MakeModel, evaluate: Evaluate
):
    evaluate(make_model("first"), dataset)
    make_model("second")
    make_model("third")
    with pytest.raises(Conflict) as refused:
        compare(platform, "first", "second", "third")
    assert refused.value.code == "evaluations.missing"
    assert refused.value.parameters["commands"] == [
        "raven models evaluate second --dataset squares@1",
        "raven models evaluate third --dataset squares@1",
    ]
    with pytest.raises(Conflict) as refused:
        compare(platform, "second", "first")
    assert refused.value.code == "evaluations.never_evaluated"
    with pytest.raises(Conflict) as refused:
        compare(platform, "first", "second", dataset="squares", part="valid")
    assert refused.value.parameters["commands"][0].endswith("--part valid")


def test_different_parts_are_not_compared(
    platform: Platform,
    dataset: DatasetVersionView,
    many: DatasetVersionView,
    make_model: MakeModel,
    evaluate: Evaluate,
):
    first = evaluate(make_model("first"), dataset)
    second_model = make_model("second")
    second = evaluate(second_model, many)
    third = evaluate(second_model, dataset, part="valid")
    with pytest.raises(Conflict) as refused:
        compare(platform, "first", "second")
    assert refused.value.code == "evaluations.different_parts"
    assert "squares@1 test" in refused.value.message
    assert "many@1 test" in refused.value.message
    for other in (second, third):
        with pytest.raises(Conflict) as refused:
            platform.evaluations.compare_evaluations(ADMIN, first.id, other.id)
        assert refused.value.code == "evaluations.different_parts"
    # Asked for by name, what is missing is the evaluation there.
    with pytest.raises(Conflict) as refused:
        compare(platform, "first", "second", dataset="squares@1")
    assert refused.value.code == "evaluations.missing"


def test_what_cannot_be_compared_says_why(
    platform: Platform, dataset: DatasetVersionView, make_model: MakeModel, evaluate: Evaluate
):
    for name in ("first", "second"):
        evaluate(make_model(name), dataset)
    cases: list[tuple[list[str], dict[str, Any], str]] = [
        (["first"], {}, "evaluations.bad_model_count"),
        (["first", "first"], {}, "evaluations.bad_model_count"),
        (["first", "second"], {"figure": "beauty"}, "evaluations.unknown_figure"),
        (["first", "second"], {"figure": "confidence"}, "evaluations.unknown_figure"),
        (["first", "second"], {"class_name": "tree"}, "evaluations.unknown_class"),
        (["first", "nobody"], {}, "trained_model.not_found"),
        (["first", "second"], {"dataset": "nowhere"}, "dataset.not_found"),
    ]
    for models, options, code in cases:
        with pytest.raises(RavenError) as refused:
            compare(platform, *models, **options)
        assert refused.value.code == code
        assert refused.value.hint


def test_a_gallery_shows_the_worst_first_and_goes_on(
    platform: Platform, many: DatasetVersionView, make_model: MakeModel, evaluate: Evaluate
):
    made = evaluate(make_model(), many, skill=0.75)
    seen: list[str] = []
    cursor = None
    while True:
        page = platform.evaluation_review.list_worst_images(
            ADMIN, made.id, GalleryKind.MISSED, PageRequest(limit=4, cursor=cursor)
        )
        assert [each.place for each in page.items] == list(
            range(len(seen) + 1, len(seen) + len(page.items) + 1)
        )
        seen += [each.result.file_name for each in page.items]
        for each in page.items:
            assert each.result.misses == 1
            assert [box.found for box in each.result.true_boxes] == [False]
            assert each.digest
            assert platform.blobs.has(each.digest)
        cursor = page.next
        if cursor is None:
            break
    assert len(seen) == len(set(seen)) == 10
    with pytest.raises(Invalid):
        platform.evaluation_review.list_worst_images(
            ADMIN, made.id, GalleryKind.FALSE_ALARMS, PageRequest(cursor="nonsense")
        )


def test_damaged_matches_are_said_to_be_damaged(
    platform: Platform, dataset: DatasetVersionView, make_model: MakeModel, evaluate: Evaluate
):
    made = evaluate(make_model(), dataset)
    path = platform.evaluations.open_matches(ADMIN, made.id)
    path.chmod(0o600)
    path.write_bytes(b"nothing of the kind")
    with pytest.raises(RavenError) as refused:
        platform.evaluation_review.list_worst_images(ADMIN, made.id, GalleryKind.MISSED, PageRequest())
    assert refused.value.code == "evaluations.matches_damaged"


def test_no_result_is_no_comparison(
    platform: Platform, dataset: DatasetVersionView, make_model: MakeModel, evaluate: Evaluate
):
    made = evaluate(make_model(), dataset)
    asked = platform.evaluations.request(ADMIN, "first", "squares")
    with pytest.raises(Conflict) as refused:
        platform.evaluations.compare_evaluations(ADMIN, made.id, asked.id)
    assert refused.value.code == "evaluations.no_result"


def test_a_difference_is_reckoned_once_and_goes_with_its_model(
    platform: Platform, dataset: DatasetVersionView, make_model: MakeModel, evaluate: Evaluate
):
    for name, skill in (("first", 0.2), ("second", 1.0)):
        evaluate(make_model(name), dataset, skill=skill)
    before = compare(platform, "first", "second")
    for each in before.models:
        # Where the files are gone, only what is kept can answer.
        path = platform.evaluations.open_matches(ADMIN, each.evaluation_id)
        path.chmod(0o600)
        path.write_bytes(b"nothing of the kind")
    assert compare(platform, "first", "second") == before
    with pytest.raises(RavenError) as refused:
        compare(platform, "first", "second", figure="map")
    assert refused.value.code == "evaluations.matches_damaged"
    platform.model_stewardship.delete(ADMIN, "second")
    platform.model_stewardship.purge(ADMIN, datetime.max.replace(tzinfo=UTC))
    with platform.database.reading() as session:
        assert session.scalar(text("SELECT count(*) FROM evaluation_differences")) == 0


def test_models_of_different_classes_are_compared_over_those_of_the_part(
    platform: Platform, many: DatasetVersionView, make_model: MakeModel, evaluate: Evaluate
):
    evaluate(make_model("own", ["waste"]), many, skill=0.5)
    evaluate(make_model("richer", ["tree", "waste"]), many, skill=1.0)
    _, richer = compare(platform, "own", "richer").models
    assert richer.difference
    assert richer.difference.verdict is Verdict.BETTER
    with pytest.raises(Invalid) as refused:
        compare(platform, "own", "richer", class_name="tree")
    assert refused.value.code == "evaluations.unknown_class"
    assert refused.value.parameters["known"] == ["waste"]


def test_many_who_ask_at_once_hear_the_same_and_others_are_answered_meanwhile(
    platform: Platform, many: DatasetVersionView, make_model: MakeModel, evaluate: Evaluate
):
    for name, skill in (("first", 0.4), ("second", 0.6)):
        evaluate(make_model(name), many, skill=skill)
    app = build_app(platform, token=None, allow_server_paths=True)
    answered_at: dict[str, float] = {}

    async def ask() -> tuple[list[httpx.Response], float]:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://raven") as client:
            longest_stall_s = 0.0
            asked = httpx.QueryParams({"model": ["first", "second"], "figure": "map"})
            comparisons = [
                asyncio.create_task(client.get("/api/v1/evaluations/comparison", params=asked))
                for _ in range(12)
            ]
            while not all(each.done() for each in comparisons):
                began_at = time.monotonic()
                assert (await client.get("/api/v1/system/version")).status_code == 200
                answered_at.setdefault("version", time.monotonic())
                longest_stall_s = max(longest_stall_s, time.monotonic() - began_at)
            answered_at["comparisons"] = time.monotonic()
            return [each.result() for each in comparisons], longest_stall_s

    answers, longest_stall_s = asyncio.run(ask())
    assert {each.status_code for each in answers} == {200}
    assert len({each.text for each in answers}) == 1
    assert answered_at["version"] < answered_at["comparisons"]
    assert longest_stall_s < LONGEST_STALL_S
    with platform.database.reading() as session:
        assert session.scalar(text("SELECT count(*) FROM evaluation_differences")) == 1


def find_comparing() -> list[psutil.Process]:
    return [
        each
        for each in psutil.Process().children()
        if "raven_scan.figures.comparison_process" in " ".join(each.cmdline())
    ]


def test_a_process_that_compares_and_is_killed_is_said_to_be(
    platform: Platform, many: DatasetVersionView, make_model: MakeModel, evaluate: Evaluate
):
    for name in ("first", "second"):
        evaluate(make_model(name), many)
    asking = ThreadPoolExecutor(1)
    asked = asking.submit(compare, platform, "first", "second")
    deadline = time.monotonic() + 60
    while not (comparing := find_comparing()):
        assert time.monotonic() < deadline
    for process in comparing:
        process.kill()
    with pytest.raises(Unavailable) as refused:
        asked.result(60)
    assert refused.value.code == "evaluations.comparison_failed"
    asking.shutdown()
    assert compare(platform, "first", "second").models[1].difference, "it is reckoned the next time"
