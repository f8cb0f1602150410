"""The `evaluate` command: a fresh process loads a model's weights, checks them, and measures them on one part."""

import time
from typing import Any

import msgspec
import torch
from mmengine.config import ConfigDict
from mmengine.device import get_device
from mmengine.registry import DATASETS, MODELS, init_default_scope
from mmengine.runner import Runner

from raven_scan.trainer.data.coco_columns import ANNOTATIONS_FILE
from raven_scan.trainer.evaluation.best_confidence import measure_best_confidence
from raven_scan.trainer.evaluation.coco_figures import Figures, measure_coco_figures
from raven_scan.trainer.evaluation.coco_metric import (
    convert_to_coco_results,
    find_category_ids,
    read_annotations,
)
from raven_scan.trainer.event_log import EventLog
from raven_scan.trainer.failures import TrainerError
from raven_scan.trainer.registration import register_parts
from raven_scan.trainer.weights import count_classes
from raven_scan.trainer.weights_file import load_strictly, read_weights, write_bytes
from raven_scan.wire.events import Evaluated, EvaluationProgress
from raven_scan.wire.spec import EvaluateSpec

_PROGRESS_INTERVAL_S = 0.5


def evaluate(spec: EvaluateSpec, log: EventLog) -> None:
    """Measure weights on a part; the predictions are written as COCO results beside the figures.

    Raises:
        TrainerError: `refused.weights_*`, `refused.configuration`, `refused.dataset`.
    """
    log.tell_phase("build")
    configuration = _read_configuration(spec)
    init_default_scope("mmdet")
    register_parts(configuration)
    model = _build_model(spec, configuration)
    loader = _build_loader(spec, configuration)
    truth = read_annotations(spec.part.folder / ANNOTATIONS_FILE)
    category_ids = find_category_ids(truth, spec.classes)
    log.tell_phase("evaluation")
    started_at = time.monotonic()
    predictions = _predict(model, loader, category_ids, log)
    seconds = time.monotonic() - started_at
    write_bytes(spec.predictions, msgspec.json.encode(predictions))
    figures, by_category = _measure(truth, predictions, category_ids)
    image_count = len(loader.dataset)
    log.emit(
        Evaluated(
            time=time.time(),
            figures=figures,
            by_class=dict(zip(spec.classes, (by_category[each] for each in category_ids), strict=True)),
            image_count=image_count,
            box_count=_count_boxes(truth, category_ids),
            images_per_s=image_count / max(seconds, 1e-9),
        )
    )


def _read_configuration(spec: EvaluateSpec) -> dict[str, Any]:
    try:
        configuration = msgspec.json.decode(spec.configuration.read_bytes())
        _ = configuration["model"]["type"], configuration["test_dataloader"]["dataset"]["type"]
    except (OSError, msgspec.MsgspecError, KeyError, TypeError) as error:
        raise TrainerError(
            "refused.configuration",
            f"{spec.configuration.name} is no configuration of a trained model: {error!r}.",
            hint="The model's files are damaged: train or import it again.",
        ) from error
    return configuration


def _build_model(spec: EvaluateSpec, configuration: dict[str, Any]) -> torch.nn.Module:
    tensors = read_weights(spec.weights)
    # The heads ask their settings by attribute.
    model: torch.nn.Module = MODELS.build(ConfigDict(configuration["model"]))
    class_count = count_classes({name: tuple(tensor.shape) for name, tensor in tensors.items()})
    if class_count is not None and class_count != len(spec.classes):
        raise TrainerError(
            "refused.weights_class_count",
            f"The weights are for {class_count} classes, the class list has {len(spec.classes)}.",
            hint="The weights and the class list must come from the same model.",
        )
    load_strictly(model, tensors, what=f"The weights file {spec.weights.name}")
    return model.to(get_device()).eval()


def _build_loader(spec: EvaluateSpec, configuration: dict[str, Any]) -> Any:
    section = configuration["test_dataloader"]
    dataset = DATASETS.build(
        {**section["dataset"], "folder": str(spec.part.folder), "metainfo": {"classes": spec.classes}}
    )
    # The part is gone through once.
    return Runner.build_dataloader(
        {**section, "batch_size": spec.batch_size, "persistent_workers": False, "dataset": dataset}, seed=0
    )


def _predict(
    model: torch.nn.Module, loader: Any, category_ids: list[int], log: EventLog
) -> list[dict[str, Any]]:
    predictions: list[dict[str, Any]] = []
    total = len(loader.dataset)
    done = 0
    told_at = time.monotonic()
    with torch.inference_mode():
        for batch in loader:
            # The frameworks' call for prediction: normalises, pads, predicts, scales boxes back to the source image.
            for sample in model.test_step(batch):  # pyright: ignore[reportCallIssue]
                predictions.extend(convert_to_coco_results(sample.to_dict(), category_ids))
                done += 1
            now = time.monotonic()
            if done == total or now - told_at >= _PROGRESS_INTERVAL_S:
                told_at = now
                log.emit(EvaluationProgress(time=time.time(), done=done, total=total))
    return predictions


def _measure(
    truth: dict[str, Any], predictions: list[dict[str, Any]], category_ids: list[int]
) -> tuple[Figures, dict[int, Figures]]:
    figures, by_category = measure_coco_figures(truth, predictions, category_ids)
    best, best_by_category = measure_best_confidence(truth, predictions, category_ids)
    return figures | best, {each: by_category[each] | best_by_category[each] for each in category_ids}


def _count_boxes(truth: dict[str, Any], category_ids: list[int]) -> int:
    measured = set(category_ids)
    return sum(
        1
        for annotation in truth.get("annotations", [])
        if not annotation.get("iscrowd", 0) and annotation["category_id"] in measured
    )
