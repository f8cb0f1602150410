"""Figures against pycocotools, and the evaluate command as a child process."""

import contextlib
import io
import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from safetensors.torch import load_file, save_file

from raven_scan.figures.matches import read_matches
from raven_scan.figures.reckoning import reckon_report
from raven_scan.figures.report import decode_report
from raven_scan.trainer.evaluation.agreement import check_agreement
from raven_scan.trainer.evaluation.coco_figures import FIGURE_NAMES, measure_coco_figures
from raven_scan.trainer.failures import TrainerError
from raven_scan.wire.events import Evaluated, EvaluationProgress
from raven_scan.wire.spec import EvaluateSpec, PartSpec, TrainSpec

Run = Callable[..., Any]
FinishedRun = tuple[TrainSpec, Any]
Document = dict[str, Any]
CATEGORY_IDS = [3, 90, 17]
CLASSES = ["déchets", "плёнка", "it's"]


def make_scene(
    seed: int, *, images: int = 12, truth_max: int = 6, predicted_max: int = 9, crowds: bool = True
) -> tuple[Document, list[dict[str, Any]]]:
    """Random boxes of all sizes, and predictions that are partly near them; scores repeat on purpose."""
    random = np.random.default_rng(seed)
    annotations: list[dict[str, Any]] = []
    predictions: list[dict[str, Any]] = []
    for image_id in range(5, 5 + images):
        for _ in range(int(random.integers(0, truth_max + 1))):
            x, y = random.uniform(0, 400, 2)
            side = float(random.choice([10, 25, 60, 90, 150, 220]))
            width, height = side * random.uniform(0.5, 1.5, 2)
            annotations.append(
                {
                    "id": len(annotations),
                    "image_id": image_id,
                    "category_id": int(random.choice(CATEGORY_IDS)),
                    "bbox": [float(x), float(y), float(width), float(height)],
                    "iscrowd": int(crowds and random.random() < 0.1),
                }
            )
        here = [each for each in annotations if each["image_id"] == image_id]
        for _ in range(int(random.integers(0, predicted_max + 1))):
            if here and random.random() < 0.7:
                near = here[int(random.integers(len(here)))]
                box = np.asarray(near["bbox"]) * random.uniform(0.85, 1.15, 4)
                category_id = near["category_id"] if random.random() < 0.9 else CATEGORY_IDS[0]
            else:
                box = random.uniform(1, 300, 4)
                category_id = int(random.choice(CATEGORY_IDS))
            predictions.append(
                {
                    "image_id": image_id,
                    "category_id": category_id,
                    "bbox": [float(value) for value in box],
                    "score": round(float(random.random()), 1),
                }
            )
    truth = {
        "images": [
            {"id": key, "width": 640, "height": 640, "file_name": f"{key}.png"}
            for key in range(5, 5 + images)
        ],
        "annotations": annotations,
        "categories": [{"id": key, "name": name} for key, name in zip(CATEGORY_IDS, CLASSES, strict=True)],
    }
    return truth, predictions


def measure_with_pycocotools(
    truth: Document, predictions: list[dict[str, Any]], category_ids: list[int]
) -> dict[str, float | None]:
    document = json.loads(json.dumps(truth))
    for number, annotation in enumerate(document["annotations"], start=1):
        # It takes 0 for no match.
        annotation["id"] = number
        annotation["area"] = annotation["bbox"][2] * annotation["bbox"][3]
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = document
        coco.createIndex()
        # It cannot load an empty list of results.
        found = coco.loadRes(json.loads(json.dumps(predictions))) if predictions else COCO()
        if not predictions:
            found.dataset = {
                "images": document["images"],
                "categories": document["categories"],
                "annotations": [],
            }
            found.createIndex()
        evaluation = COCOeval(coco, found, "bbox")
        evaluation.params.catIds = category_ids
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return {
        name: None if value == -1 else float(value)
        for name, value in zip(FIGURE_NAMES, evaluation.stats[:6], strict=True)
    }


@given(st.integers(0, 10_000))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_figures_equal_those_of_pycocotools(seed: int):
    truth, predictions = make_scene(seed)
    figures, by_category = measure_coco_figures(truth, predictions, CATEGORY_IDS)
    assert figures == pytest.approx(measure_with_pycocotools(truth, predictions, CATEGORY_IDS), abs=1e-6)
    for category_id in CATEGORY_IDS:
        expected = measure_with_pycocotools(truth, predictions, [category_id])
        assert by_category[category_id] == pytest.approx(expected, abs=1e-6)


def test_more_than_a_hundred_detections_an_image_count_as_in_pycocotools():
    truth, predictions = make_scene(1, images=2, truth_max=150, predicted_max=400)
    figures, _ = measure_coco_figures(truth, predictions, CATEGORY_IDS)
    assert figures == pytest.approx(measure_with_pycocotools(truth, predictions, CATEGORY_IDS), abs=1e-6)


def test_no_detections_are_worth_nothing():
    truth, _ = make_scene(3)
    figures, _ = measure_coco_figures(truth, [], CATEGORY_IDS)
    assert figures["map"] == 0


def test_without_boxes_there_are_no_figures():
    truth, predictions = make_scene(3)
    truth["annotations"] = []
    figures, by_category = measure_coco_figures(truth, predictions, CATEGORY_IDS)
    assert set(figures.values()) == {None}
    assert set(by_category[90].values()) == {None}


def test_class_without_a_category_is_measured_as_one_without_boxes():
    from raven_scan.trainer.evaluation.coco_metric import find_category_ids  # noqa: PLC0415 - imports the frameworks

    truth, predictions = make_scene(5)
    ids = find_category_ids(truth, ["новый", *CLASSES, "another"])
    assert ids[1:4] == CATEGORY_IDS
    assert len(set(ids)) == 5
    figures, by_category = measure_coco_figures(truth, predictions, ids)
    assert set(by_category[ids[0]].values()) == {None}
    assert figures == measure_coco_figures(truth, predictions, CATEGORY_IDS)[0]


def test_measuring_leaves_its_input_as_it_is():
    truth, predictions = make_scene(4)
    before = json.dumps([truth, predictions])
    measure_coco_figures(truth, predictions, CATEGORY_IDS)
    assert json.dumps([truth, predictions]) == before


def test_metric_gives_mmdetections_names_and_no_number_for_what_is_not_there(tmp_path: Path):
    from raven_scan.trainer.evaluation.coco_metric import (  # noqa: PLC0415 - imports the frameworks
        RavenCocoMetric,
        convert_figures,
        take_map_by_class,
    )

    truth, predictions = make_scene(7, crowds=False)
    truth["annotations"] = [each for each in truth["annotations"] if max(each["bbox"][2:]) < 90]
    (tmp_path / "annotations_coco.json").write_text(json.dumps(truth, ensure_ascii=False))
    metric = RavenCocoMetric(str(tmp_path / "annotations_coco.json"))
    # The labels' order is the class list's, not that of the categories.
    metric.dataset_meta = {"classes": tuple(reversed(CLASSES))}
    label_by_category = {key: len(CLASSES) - 1 - row for row, key in enumerate(CATEGORY_IDS)}
    for image in truth["images"]:
        here = [each for each in predictions if each["image_id"] == image["id"]]
        boxes = torch.tensor([each["bbox"] for each in here], dtype=torch.float64).reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]
        labels = torch.tensor([label_by_category[each["category_id"]] for each in here], dtype=torch.int64)
        scores = torch.tensor([each["score"] for each in here], dtype=torch.float64)
        instances = {"bboxes": boxes.float(), "scores": scores, "labels": labels}
        metric.process({}, [{"img_id": image["id"], "pred_instances": instances}])
    metrics = metric.evaluate(len(truth["images"]))
    expected = measure_with_pycocotools(truth, predictions, CATEGORY_IDS)
    assert expected["map_large"] is None
    assert math.isnan(metrics["coco/bbox_mAP_l"])
    assert metrics["coco/bbox_mAP"] == pytest.approx(expected["map"], abs=1e-4)
    assert convert_figures(metrics) == pytest.approx(expected, abs=1e-4)
    by_class = take_map_by_class(metrics)
    counts = {
        name: sum(each["category_id"] == key for each in truth["annotations"])
        for name, key in zip(CLASSES, CATEGORY_IDS, strict=True)
    }
    assert [*by_class] == sorted(CLASSES, key=lambda name: -counts[name]), "the most frequent first"
    for name, key in zip(CLASSES, CATEGORY_IDS, strict=True):
        alone = measure_with_pycocotools(truth, predictions, [key])
        assert by_class[name] == pytest.approx(alone["map"], abs=1e-4)
    assert take_map_by_class(metrics) == {}, "it is taken out: hooks would print it"


def test_of_many_classes_the_most_frequent_are_told():
    from raven_scan.trainer.evaluation.coco_metric import find_frequent_classes  # noqa: PLC0415

    boxes = [(1, 0)] * 3 + [(2, 0)] * 5 + [(3, 1)] * 9 + [(4, 0)] * 3
    truth = {"annotations": [{"category_id": key, "iscrowd": crowd} for key, crowd in boxes]}
    classes = ["tyre", "bottle", "crowds only", "can", "never seen"]
    found = find_frequent_classes(truth, classes, [1, 2, 3, 4, 99])
    assert found == [("bottle", 2), ("can", 4), ("tyre", 1)]
    assert find_frequent_classes(truth, classes, [1, 2, 3, 4, 99], 2) == found[:2]


@pytest.fixture
def make_evaluate_spec(finished_run: FinishedRun, tmp_path: Path) -> Run:
    def make(**changes: Any) -> EvaluateSpec:
        spec, _ = finished_run
        values: dict[str, Any] = {
            "architecture": spec.architecture,
            "classes": spec.classes,
            "configuration": spec.work_folder / "configuration.json",
            "weights": spec.work_folder / "weights.safetensors",
            "part": spec.test,
            "predictions": tmp_path / "predictions.json",
            "events": tmp_path / "events.jsonl",
            "device": "cpu",
            "threads": 1,
            "batch_size": 4,
            "report": tmp_path / "report.json",
            "matches": tmp_path / "matches.safetensors",
            "seed": 3,
            **changes,
        }
        return EvaluateSpec(**values)

    return make


def test_evaluation_tells_figures_of_the_predictions_that_it_writes(
    make_evaluate_spec: Run, run_trainer: Run, tmp_path: Path
):
    spec = make_evaluate_spec()
    # A model of three epochs is sure of nothing: take what it has.
    configuration = json.loads(spec.configuration.read_bytes())
    configuration["model"]["test_cfg"]["score_thr"] = 0.0
    (tmp_path / "configuration.json").write_text(json.dumps(configuration))
    spec = make_evaluate_spec(configuration=tmp_path / "configuration.json")
    result = run_trainer("evaluate", spec)
    assert result.exit_code == 0, result.output[-3000:]
    assert result.of(EvaluationProgress)[-1].done == 6
    evaluated = result.events[-1]
    assert isinstance(evaluated, Evaluated)
    truth = json.loads((spec.part.folder / "annotations_coco.json").read_text())
    predictions = msgspec.json.decode(spec.predictions.read_bytes())
    assert predictions
    category_ids = [category["id"] for category in truth["categories"]]
    expected = measure_with_pycocotools(truth, predictions, category_ids)
    assert {name: evaluated.figures[name] for name in FIGURE_NAMES} == pytest.approx(expected, abs=1e-6)
    assert list(evaluated.by_class) == spec.classes
    assert set(evaluated.figures) == {*FIGURE_NAMES, "precision", "recall", "f1", "confidence"}
    assert set(evaluated.by_class[spec.classes[0]]) == set(evaluated.figures)
    assert evaluated.image_count == 6
    assert evaluated.box_count == len(truth["annotations"])
    assert evaluated.images_per_s > 0
    # In pixels of the source image of 128 x 128, not of the input of 64 x 64.
    assert max(box[0] + box[2] for box in (each["bbox"] for each in predictions)) > 100
    check_report(spec, evaluated, len(predictions))


def check_report(spec: EvaluateSpec, evaluated: Evaluated, detection_count: int) -> None:
    """The report tells the same figures, and is what comes of the matches without a model."""
    assert spec.report is not None
    assert spec.matches is not None
    report = decode_report(spec.report.read_bytes())
    assert {name: figure.value for name, figure in report.figures.items()} == evaluated.figures
    assert list(report.by_class) == spec.classes
    assert report.counts.images == evaluated.image_count
    assert report.counts.boxes == evaluated.box_count
    assert 0 < report.counts.detections <= detection_count
    assert report.speed.batch_size == 4
    assert report.speed.device == "cpu"
    assert report.parameter_count == 896_949
    # Of YOLOX nano at 64 x 64; at 416 x 416 its authors count 1.08 billion.
    assert report.flops.input_size_px == (64, 64)
    assert report.flops.value == pytest.approx(1.01e9 * (64 / 416) ** 2, rel=0.05)
    assert report.intervals.resamples == 1000
    assert report.intervals.seed == spec.seed
    again = reckon_report(
        read_matches(spec.matches),
        seed=spec.seed,
        speed=report.speed,
        parameter_count=report.parameter_count,
        flops=report.flops,
    )
    assert again == report


def test_without_a_stored_configuration_the_architecture_and_its_input_size_are_taken(
    make_evaluate_spec: Run, run_trainer: Run, tmp_path: Path
):
    spec = make_evaluate_spec()
    folder = tmp_path / "part"
    shutil.copytree(spec.part.folder, folder)
    document = json.loads((folder / "annotations_coco.json").read_text())
    document["categories"].append({"id": 77, "name": "unknown"})
    document["annotations"].append({**document["annotations"][0], "id": 999, "category_id": 77})
    (folder / "annotations_coco.json").write_text(json.dumps(document))
    part = PartSpec(folder=folder, image_count=6)
    spec = make_evaluate_spec(configuration=None, part=part)
    result = run_trainer("evaluate", spec)
    assert result.exit_code == 0, result.output[-3000:]
    report = decode_report(spec.report.read_bytes())
    assert report.flops.input_size_px == (416, 416)
    assert report.unknown_classes == ["unknown"]
    assert report.counts.boxes == len(document["annotations"])
    assert report.by_class["unknown"]["recall"].value == 0
    assert list(report.by_class) == [*spec.classes, "unknown"]


def test_figures_that_two_programs_reckon_differently_are_not_told():
    truth, predictions = make_scene(2)
    figures, _ = measure_coco_figures(truth, predictions, CATEGORY_IDS)
    check_agreement(figures, truth, predictions, CATEGORY_IDS)
    assert figures["map50"]
    for wrong in (figures["map50"] + 1e-5, None):
        with pytest.raises(TrainerError) as caught:
            check_agreement({**figures, "map50": wrong}, truth, predictions, CATEGORY_IDS)
        assert caught.value.code == "crashed.figures_disagree"


def test_weights_of_another_class_count_are_refused(make_evaluate_spec: Run, run_trainer: Run):
    result = run_trainer("evaluate", make_evaluate_spec(classes=["a", "b", "c"]))
    assert result.exit_code == 1
    assert result.failure.code == "refused.weights_class_count"


def test_weights_are_loaded_strictly(finished_run: FinishedRun, tmp_path: Path):
    from raven_scan.trainer.weights_file import load_strictly, read_weights  # noqa: PLC0415

    model = torch.nn.Linear(2, 3)
    good = {"weight": torch.ones(3, 2), "bias": torch.zeros(3)}
    load_strictly(model, good, what="It")
    assert torch.equal(model.weight, torch.ones(3, 2))
    for bad, code, named in [
        ({"weight": good["weight"]}, "refused.weights_do_not_fit", "bias"),
        ({**good, "extra": torch.zeros(1)}, "refused.weights_do_not_fit", "extra"),
        ({**good, "bias": torch.zeros(4)}, "refused.weights_do_not_fit", "bias"),
        ({**good, "bias": torch.full((3,), torch.nan)}, "refused.weights_not_finite", "bias"),
        ({**good, "bias": torch.full((3,), -torch.inf)}, "refused.weights_not_finite", "bias"),
    ]:
        with pytest.raises(TrainerError) as caught:
            load_strictly(model, bad, what="It")
        assert caught.value.code == code
        assert named in caught.value.message
    spec, _ = finished_run
    cut_off = tmp_path / "weights.safetensors"
    cut_off.write_bytes((spec.work_folder / "weights.safetensors").read_bytes()[:-100])
    for path in (cut_off, tmp_path / "nothing"):
        with pytest.raises(TrainerError) as caught:
            read_weights(path)
        assert caught.value.code == "refused.weights_unreadable"


def test_shared_tensors_are_written_each_for_itself(tmp_path: Path):
    from raven_scan.trainer.weights_file import write_weights  # noqa: PLC0415

    shared = torch.arange(6, dtype=torch.bfloat16).reshape(2, 3)
    write_weights(tmp_path / "w", {"a": shared, "b": shared.t(), "count": torch.tensor(3)})
    read = load_file(tmp_path / "w")
    assert {name: tensor.dtype for name, tensor in read.items()} == {
        "a": torch.float32,
        "b": torch.float32,
        "count": torch.int64,
    }
    assert torch.equal(read["b"], shared.t().float())
    assert [path.name for path in tmp_path.iterdir()] == ["w"]


def test_not_finite_weights_are_never_written(tmp_path: Path):
    from raven_scan.trainer.weights_file import write_weights  # noqa: PLC0415

    with pytest.raises(TrainerError) as caught:
        write_weights(tmp_path / "w", {"a": torch.tensor([1.0, torch.nan])})
    assert caught.value.code == "diverged"
    assert not list(tmp_path.iterdir())


def test_configuration_that_is_none_is_refused(make_evaluate_spec: Run, run_trainer: Run, tmp_path: Path):
    (tmp_path / "configuration.json").write_text("[]")
    save_file({"a": torch.zeros(1)}, tmp_path / "w")
    result = run_trainer("evaluate", make_evaluate_spec(configuration=tmp_path / "configuration.json"))
    assert result.exit_code == 1
    assert result.failure.code == "refused.configuration"


def test_configuration_that_imports_something_else_is_refused():
    from raven_scan.trainer.registration import register_parts  # noqa: PLC0415

    register_parts({"custom_imports": {"imports": ["raven_scan.trainer.data"]}})
    for name in ("os", "raven_scan.kernel.ids", 3):
        with pytest.raises(TrainerError) as caught:
            register_parts({"custom_imports": {"imports": [name]}})
        assert caught.value.code == "refused.configuration"
