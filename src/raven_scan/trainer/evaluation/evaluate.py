"""The `evaluate` command: a fresh process loads a model's weights, checks them, and measures them on one part."""

import time
from collections.abc import Sequence
from typing import Any

import msgspec
import torch
from mmengine.registry import DATASETS
from mmengine.runner import Runner

from raven_scan.architectures.catalogue import get_architecture
from raven_scan.figures.matches import write_matches
from raven_scan.figures.matching import Detections, match_detections
from raven_scan.figures.reckoning import RESAMPLES, reckon_report
from raven_scan.figures.report import Figure, Speed, encode_report
from raven_scan.trainer.configuration import build_test_configuration
from raven_scan.trainer.data.coco_columns import ANNOTATIONS_FILE
from raven_scan.trainer.evaluation.agreement import check_agreement
from raven_scan.trainer.evaluation.coco_metric import find_category_ids, read_annotations
from raven_scan.trainer.evaluation.collected_detections import DetectionCollector, convert_to_results
from raven_scan.trainer.evaluation.operations import count_operations
from raven_scan.trainer.evaluation.truth import read_truth
from raven_scan.trainer.event_log import EventLog
from raven_scan.trainer.loaded_network import load_network, read_stored_configuration
from raven_scan.trainer.weights_file import write_bytes
from raven_scan.wire.events import Evaluated, EvaluationProgress
from raven_scan.wire.spec import EvaluateSpec

_PROGRESS_INTERVAL_S = 0.5


def evaluate(spec: EvaluateSpec, log: EventLog) -> None:
    """Measure weights on a part; what the specification asks for is written: predictions, report, matches.

    Raises:
        TrainerError: `refused.weights_*`, `refused.configuration`, `refused.dataset`, `crashed.figures_disagree`.
    """
    log.tell_phase("build")
    annotations = spec.part.folder / ANNOTATIONS_FILE
    truth, lists = read_truth(annotations, spec.classes)
    configuration = _read_configuration(spec)
    model = load_network(configuration, spec.weights, spec.classes)
    loader = _build_loader(spec, configuration, lists.classes)
    flops = count_operations(model, loader.dataset[0]) if spec.report and len(loader.dataset) else None
    log.tell_phase("evaluation")
    started_at = time.monotonic()
    detections = _predict(model, loader, log)
    image_count = len(loader.dataset)
    images_per_s = image_count / max(time.monotonic() - started_at, 1e-9)
    log.tell_phase("figures")
    matches = match_detections(lists, truth, detections)
    report = reckon_report(
        matches,
        seed=spec.seed,
        resamples=RESAMPLES if spec.report else 0,
        speed=Speed(images_per_s=images_per_s, batch_size=spec.batch_size, device=spec.device),
        parameter_count=sum(each.numel() for each in model.parameters()),
        flops=flops,
    )
    document = read_annotations(annotations)
    category_ids = find_category_ids(document, lists.classes)
    results = convert_to_results(detections, category_ids)
    check_agreement(_list_values(report.figures), document, results, category_ids)
    write_bytes(spec.predictions, msgspec.json.encode(results))
    if spec.matches is not None:
        write_matches(matches, spec.matches)
    if spec.report is not None:
        write_bytes(spec.report, encode_report(report))
    log.emit(
        Evaluated(
            time=time.time(),
            figures=_list_values(report.figures),
            by_class={name: _list_values(figures) for name, figures in report.by_class.items()},
            image_count=image_count,
            box_count=report.counts.boxes,
            images_per_s=images_per_s,
        )
    )


def _read_configuration(spec: EvaluateSpec) -> dict[str, Any]:
    if spec.configuration is None:
        return build_test_configuration(
            get_architecture(spec.architecture), spec.classes, spec.part, spec.device
        )
    return read_stored_configuration(spec.configuration)


def _build_loader(spec: EvaluateSpec, configuration: dict[str, Any], classes: Sequence[str]) -> Any:
    section = configuration["test_dataloader"]
    # What the model does not know has labels of its own behind all others.
    dataset = DATASETS.build(
        {**section["dataset"], "folder": str(spec.part.folder), "metainfo": {"classes": list(classes)}}
    )
    # The part is gone through once.
    return Runner.build_dataloader(
        {**section, "batch_size": spec.batch_size, "persistent_workers": False, "dataset": dataset}, seed=0
    )


def _predict(model: torch.nn.Module, loader: Any, log: EventLog) -> Detections:
    detections = DetectionCollector()
    total = len(loader.dataset)
    done = 0
    told_at = time.monotonic()
    with torch.inference_mode():
        for batch in loader:
            # The frameworks' call for prediction: normalises, pads, predicts, scales boxes back to the source image.
            for sample in model.test_step(batch):  # pyright: ignore[reportCallIssue]
                detections.add(sample.to_dict())
                done += 1
            now = time.monotonic()
            if done == total or now - told_at >= _PROGRESS_INTERVAL_S:
                told_at = now
                log.emit(EvaluationProgress(time=time.time(), done=done, total=total))
    return detections.collect()


def _list_values(figures: dict[str, Figure]) -> dict[str, float | None]:
    return {name: figure.value for name, figure in figures.items()}
