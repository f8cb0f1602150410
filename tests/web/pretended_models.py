"""Trained models that never learned: they know the truth, and tell it as well as they were told to."""

import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from safetensors.numpy import save

from raven_scan.access.types import LOCAL_ADMINISTRATOR, WORKER
from raven_scan.app.wiring import Platform
from raven_scan.datasets.types import DatasetVersionView
from raven_scan.evaluations.measuring import store_result
from raven_scan.evaluations.types import EvaluationResult, EvaluationView, RunEvaluation
from raven_scan.figures.class_lists import merge_class_lists
from raven_scan.figures.matches import write_matches
from raven_scan.figures.matching import Detections, Truth, match_detections
from raven_scan.figures.reckoning import reckon_report
from raven_scan.figures.report import Speed, encode_report
from raven_scan.kernel.ids import make_id
from raven_scan.trained_models.types import Figures, NewTrainedModel, TrainedModelView
from raven_scan.wire.events import Evaluated

_CONFIGURATION = b'{"model": {"type": "YOLOX", "backbone": {"deepen_factor": 0.33}}, "note": "<b>plain</b>"}'
_RESAMPLES = 50
"""Of intervals that nobody looks at closely."""


def add_model(
    platform: Platform,
    name: str,
    dataset: str,
    folder: Path,
    *,
    skill: float | None,
    base_model: str = "yolox-nano",
    weights: bytes | None = None,
    configuration: bytes = _CONFIGURATION,
    seed: int = 0,
) -> TrainedModelView:
    """A model as a training run makes it, evaluated on the test part.

    Args:
        platform: that has the dataset.
        name: of the model.
        dataset: whose test part it is evaluated on.
        folder: for files on the way.
        skill: the share of the boxes that it finds; of the others it tells a false alarm elsewhere. None: nobody
            has evaluated it.
        base_model: that it started from.
        weights: as safetensors; None for some that fit nothing.
        configuration: as JSON.
        seed: of what it finds.
    """
    version = platform.datasets.get_version(LOCAL_ADMINISTRATOR, dataset)
    run_id = make_id()
    result = None if skill is None else _evaluate(platform, version, folder / str(run_id), skill, seed)
    figures = {} if result is None else {name: found.value for name, found in result.figures.items()}
    learned = weights or save({"head.weight": np.ones((2, 3), np.float32)})
    new = NewTrainedModel(
        name=name,
        architecture="yolox-nano",
        classes=version.classes,
        starting_weights=None,
        weights_digest=platform.blobs.put_bytes(learned),
        configuration_digest=platform.blobs.put_bytes(configuration),
        parameter_count=905_000,
        valid=Figures.collect({"map": 0.31, "map50": 0.55}),
        test=Figures.collect(figures),
        leak_allowed=False,
        base_model_id=platform.trained_models.get_model(LOCAL_ADMINISTRATOR, base_model).id,
        dataset_version_id=version.id,
        dataset_version_name=version.full_name,
        dataset_version_digest=version.digest,
        training_run_id=run_id,
        training_run_name=name,
        parameters={"epochs": 5, "image_size": 320, "seed": seed},
        environment={"raven-scan": "1.0", "torch": "2.14", "device": "cpu"},
    )
    with platform.database.transaction():
        model = platform.trained_models.create_from_run(WORKER, new)
        if result is None:
            return model
        evaluation = RunEvaluation(
            dataset_version_id=version.id,
            dataset_version_name=version.full_name,
            part="test",
            training_run_id=run_id,
            worker="elsewhere",
            device="cpu",
            started_at=datetime.now(UTC),
            result=result,
        )
        platform.evaluations.record_of_run(WORKER, model, evaluation)
    return model


def find_evaluation(platform: Platform, model: TrainedModelView) -> EvaluationView:
    found = platform.evaluations.find_latest(LOCAL_ADMINISTRATOR, model.id, None)
    assert found is not None
    return found


def _evaluate(
    platform: Platform, version: DatasetVersionView, folder: Path, skill: float, seed: int
) -> EvaluationResult:
    layout = platform.datasets.lay_out(LOCAL_ADMINISTRATOR, version.id, folder / "data")
    report, matches = folder / "report.json", folder / "matches.safetensors"
    _write_evaluation(layout.test.folder, version.classes, report, matches, skill=skill, seed=seed)
    told = Evaluated(time=0.0, figures={}, by_class={}, image_count=0, box_count=0, images_per_s=25.0)
    return store_result(platform.blobs, told, report=report, matches=matches)


def _write_evaluation(
    part: Path, classes: list[str], report_path: Path, matches_path: Path, *, skill: float, seed: int
) -> None:
    document = json.loads((part / "annotations_coco.json").read_bytes())
    lists = merge_class_lists(classes, [each["name"] for each in document["categories"]])
    label_by_id = {each["id"]: lists.classes.index(each["name"]) for each in document["categories"]}
    truths = document["annotations"]
    boxes = np.array([each["bbox"] for each in truths], np.float64).reshape(-1, 4)
    images = np.array([each["image_id"] for each in truths], np.int64)
    labels = np.array([label_by_id[each["category_id"]] for each in truths], np.int64)
    truth = Truth(
        image_ids=np.array([each["id"] for each in document["images"]], np.int64),
        file_names=tuple(each["file_name"] for each in document["images"]),
        images=images,
        labels=labels,
        boxes=boxes,
        areas=boxes[:, 2] * boxes[:, 3],
        crowds=np.zeros(len(boxes), np.bool_),
    )
    random = np.random.default_rng(seed)
    found = random.permutation(len(boxes)) < round(skill * len(boxes))
    size = boxes[:, 2:]
    detected = boxes.copy()
    detected[:, :2] += random.normal(0, 0.06, (len(boxes), 2)) * size
    detected[~found, :2] = random.uniform(0, 60, (int((~found).sum()), 2))
    told = labels.copy()
    confused = random.uniform(size=len(boxes)) < 0.1
    told[confused] = (told[confused] + 1) % len(classes)
    scores = np.clip(random.normal(np.where(found & ~confused, 0.75, 0.45), 0.12), 0.05, 0.99)
    detections = Detections(images=images, labels=told, scores=scores, boxes=detected)
    matches = match_detections(lists, truth, detections)
    write_matches(matches, matches_path)
    speed = Speed(images_per_s=25.0, batch_size=1, device="cpu")
    report_path.write_bytes(encode_report(reckon_report(matches, resamples=_RESAMPLES, speed=speed)))
