"""Asking for evaluations, what speaks against them, and what becomes of their models and datasets."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.training_runs.conftest import write_coco

from raven_scan.access.types import LOCAL_ADMINISTRATOR, WORKER
from raven_scan.app.housekeeping.blob_needs import list_needed_blobs
from raven_scan.app.wiring import Platform
from raven_scan.datasets.types import DatasetVersionView, ImportOptions
from raven_scan.evaluations.types import (
    EvaluationFilter,
    EvaluationResult,
    EvaluationStatus,
    RunEvaluation,
)
from raven_scan.kernel.errors import Conflict, Invalid, NotFound, RavenError
from raven_scan.kernel.ids import make_id
from raven_scan.kernel.paging import PageRequest
from raven_scan.kernel.progress import ignore_progress

from .conftest import Evaluate, MakeModel

ADMIN = LOCAL_ADMINISTRATOR


def list_models(platform: Platform, **chosen: object) -> list[str]:
    page = platform.evaluations.list_evaluations(ADMIN, PageRequest(), EvaluationFilter(**chosen))  # pyright: ignore[reportArgumentType]
    return [each.model.name for each in page.items]


def import_with_classes(platform: Platform, folder: Path, name: str, class_name: str) -> DatasetVersionView:
    options = ImportOptions(name=name, class_map={"waste": class_name})
    return platform.datasets.import_version(ADMIN, write_coco(folder), options, ignore_progress)


def test_an_evaluation_is_asked_for_once_as_long_as_it_has_not_ended(
    platform: Platform, dataset: DatasetVersionView, make_model: MakeModel
):
    model = make_model()
    asked = platform.evaluations.request(ADMIN, "first", "squares")
    assert asked.status is EvaluationStatus.WAITING
    assert (asked.model.id, asked.dataset_version.name, asked.part) == (model.id, "squares@1", "test")
    assert platform.evaluations.request(ADMIN, str(model.id), str(dataset.id)) == asked
    other = platform.evaluations.request(ADMIN, "first", "squares@1", "valid")
    assert other.id != asked.id
    assert platform.evaluations.cancel(ADMIN, asked.id).status is EvaluationStatus.CANCELLED
    assert platform.evaluations.request(ADMIN, "first", "squares").id != asked.id


def test_what_has_ended_is_not_cancelled(
    platform: Platform, dataset: DatasetVersionView, make_model: MakeModel
):
    make_model()
    asked = platform.evaluations.request(ADMIN, "first", dataset.full_name)
    platform.evaluations.cancel(ADMIN, asked.id)
    with pytest.raises(Conflict) as refused:
        platform.evaluations.cancel(ADMIN, asked.id)
    assert refused.value.code == "evaluations.has_ended"


def test_what_cannot_be_evaluated_is_refused_with_its_reason(
    platform: Platform, dataset: DatasetVersionView, make_model: MakeModel
):
    del dataset
    make_model()
    make_model("stranger", ["tree"])
    for model, dataset_ref, part, code in (
        ("nobody", "squares", "test", "trained_model.not_found"),
        ("first", "nowhere", "test", "dataset.not_found"),
        ("first", "squares@7", "test", "dataset.version_not_found"),
        ("first", "squares", "all", "evaluations.unknown_part"),
        ("yolox-nano", "squares", "test", "evaluations.no_classes"),
        ("stranger", "squares", "test", "evaluations.no_common_class"),
    ):
        with pytest.raises(RavenError) as refused:
            platform.evaluations.request(ADMIN, model, dataset_ref, part)
        assert refused.value.code == code
        assert refused.value.hint
    assert list_models(platform) == []


def test_a_lost_file_of_the_model_is_named(
    platform: Platform, dataset: DatasetVersionView, make_model: MakeModel
):
    model = make_model()
    assert model.weights_digest
    platform.blobs.remove(model.weights_digest)
    with pytest.raises(Conflict, match="first") as refused:
        platform.evaluations.request(ADMIN, "first", dataset.full_name)
    assert refused.value.code == "evaluations.files_damaged"


def test_classes_that_the_model_does_not_know_are_told(
    platform: Platform, tmp_path: Path, make_model: MakeModel
):
    import_with_classes(platform, tmp_path / "other", "bottles", "bottle")
    make_model("knows one", ["waste", "bottle"])
    (warning,) = platform.evaluations.request(ADMIN, "knows one", "bottles").warnings
    assert warning == "The part has no box of 'waste': figures of this class cannot be had."
    folder = write_coco(tmp_path / "both")
    for part in ("train", "valid", "test"):
        path = folder / part / "annotations_coco.json"
        path.write_text(
            path.read_text()
            .replace('"categories": [', '"categories": [{"id": 2, "name": "bottle"}, ')
            .replace('"id": 0, "image_id": 0, "category_id": 1', '"id": 0, "image_id": 0, "category_id": 2')
        )
    platform.datasets.import_version(ADMIN, folder, ImportOptions(name="both"), ignore_progress)
    make_model("knows less", ["waste"])
    (warning,) = platform.evaluations.request(ADMIN, "knows less", "both").warnings
    assert "'bottle'" in warning
    assert "counts as missed" in warning


def test_evaluations_go_with_their_model(
    platform: Platform, dataset: DatasetVersionView, make_model: MakeModel, evaluate: Evaluate
):
    model = make_model()
    made = evaluate(model, dataset)
    needed = list_needed_blobs(platform)
    report = platform.evaluations.read_report(ADMIN, made.id)
    assert report.figures["map50"].value == pytest.approx(0.75, abs=0.05)
    assert list_models(platform) == ["first"]

    platform.model_stewardship.delete(ADMIN, "first")
    assert list_models(platform) == []
    for look in (platform.evaluations.get_evaluation, platform.evaluations.read_report):
        with pytest.raises(NotFound):
            look(ADMIN, made.id)
    assert platform.evaluations.find_latest(ADMIN, model.id, dataset.id) is None
    assert list_needed_blobs(platform) == needed, "it may be restored"

    platform.model_stewardship.restore(ADMIN, model.id)
    assert platform.evaluations.get_evaluation(ADMIN, made.id) == made
    platform.model_stewardship.delete(ADMIN, "first")
    platform.model_stewardship.purge(ADMIN, datetime.max.replace(tzinfo=UTC))
    assert model.weights_digest
    left = needed - list_needed_blobs(platform)
    assert len(left) == 4, "weights, configuration, report and matches"


def test_renaming_a_model_or_a_dataset_renames_it_in_evaluations(
    platform: Platform, dataset: DatasetVersionView, make_model: MakeModel, evaluate: Evaluate
):
    made = evaluate(make_model(), dataset)
    platform.model_stewardship.edit(ADMIN, "first", name="second")
    platform.dataset_stewardship.edit(ADMIN, "squares", name="boxes")
    found = platform.evaluations.get_evaluation(ADMIN, made.id)
    assert (found.model.name, found.dataset_version.name) == ("second", "boxes@1")


def test_a_dataset_stays_as_long_as_a_model_waits_to_be_evaluated_on_it(
    platform: Platform, dataset: DatasetVersionView, make_model: MakeModel
):
    make_model()
    asked = platform.evaluations.request(ADMIN, "first", "squares")
    with pytest.raises(Conflict, match="evaluation is Waiting"):
        platform.dataset_stewardship.delete(ADMIN, "squares")
    platform.evaluations.cancel(ADMIN, asked.id)
    platform.dataset_stewardship.delete(ADMIN, "squares")
    assert platform.evaluations.get_evaluation(ADMIN, asked.id).dataset_version.name == dataset.full_name


def test_the_latest_of_several_counts(
    platform: Platform, dataset: DatasetVersionView, make_model: MakeModel, evaluate: Evaluate
):
    model = make_model()
    assert platform.evaluations.find_latest(ADMIN, model.id, dataset.id) is None
    evaluate(model, dataset, skill=0.25)
    second = evaluate(model, dataset, skill=1.0)
    platform.evaluations.request(ADMIN, "first", "squares")
    assert platform.evaluations.find_latest(ADMIN, model.id, dataset.id) == second
    assert platform.evaluations.find_latest(ADMIN, model.id, None) == second
    assert platform.evaluations.find_latest(ADMIN, model.id, dataset.id, "valid") is None
    assert platform.evaluations.find_latest(ADMIN, model.id, make_id()) is None


def test_a_result_is_recorded_only_with_its_blobs(
    platform: Platform, dataset: DatasetVersionView, make_model: MakeModel
):
    model = make_model()
    result = EvaluationResult(
        report_digest="0" * 64,
        matches_digest="1" * 64,
        figures={},
        image_count=8,
        box_count=8,
        images_per_s=1.0,
    )
    evaluation = RunEvaluation(
        dataset_version_id=dataset.id,
        dataset_version_name=dataset.full_name,
        part="test",
        training_run_id=make_id(),
        worker="elsewhere",
        device="cpu",
        started_at=datetime.now(UTC),
        result=result,
    )
    with pytest.raises(NotFound):
        platform.evaluations.record_of_run(WORKER, model, evaluation)
    assert list_models(platform) == []


def test_a_part_that_the_model_learned_from_flatters_it(
    platform: Platform, dataset: DatasetVersionView, make_model: MakeModel
):
    make_model(version_id=dataset.id)
    for part in ("train", "valid"):
        (warning,) = platform.evaluations.request(ADMIN, "first", "squares", part).warnings
        assert "flatter" in warning


def test_an_unknown_part_is_no_filter(platform: Platform):
    with pytest.raises(Invalid):
        list_models(platform, part="all")


def test_of_many_who_ask_for_the_same_at_once_one_asks_first(
    platform: Platform, dataset: DatasetVersionView, make_model: MakeModel
):
    make_model()
    with ThreadPoolExecutor(8) as asking:
        asked = [
            asking.submit(platform.evaluations.request, ADMIN, "first", dataset.full_name) for _ in range(8)
        ]
    assert len({each.result().id for each in asked}) == 1
    assert len(platform.evaluations.list_evaluations(ADMIN, PageRequest()).items) == 1
