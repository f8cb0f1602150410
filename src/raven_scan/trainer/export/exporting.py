"""The `export-onnx` command: write a model as ONNX, run it beside PyTorch, and tell how they agree."""

import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnxruntime
import torch

from raven_scan.architectures.catalogue import Family, get_architecture
from raven_scan.architectures.onnx_families import ONNX_FAMILIES
from raven_scan.trainer.event_log import EventLog
from raven_scan.trainer.export.agreement import Detections, Differences
from raven_scan.trainer.export.checked_images import count_images, iterate_batches
from raven_scan.trainer.export.conversion import INPUT, OPSET, OUTPUTS, write_graph
from raven_scan.trainer.export.detectors import make_exportable
from raven_scan.trainer.export.preparation import describe_preparation
from raven_scan.trainer.failures import TrainerError
from raven_scan.trainer.prediction.detector import Detector, build_detector, read_configuration
from raven_scan.trainer.weights_file import publish_file
from raven_scan.wire.events import EvaluationProgress, OnnxExported
from raven_scan.wire.onnx import ExportOnnxSpec, OnnxAgreement, OnnxReport, OnnxSelection

_BATCH_SIZE = 4
# What a network is hardly sure of differs by chance: over bare ground or padding, scores are nearly the same.
_SURE_SCORE = 0.05
_PROGRESS_INTERVAL_S = 0.5
_VERSIONS_OF = ("torch", "torchvision", "onedl-mmdetection", "onnx", "onnxruntime")


def export_onnx(spec: ExportOnnxSpec, log: EventLog) -> None:
    """Write the file, once it is seen to find what the model finds in PyTorch.

    Raises:
        TrainerError: `refused.onnx_family`, `refused.onnx_preparation`, `refused.onnx_differs`,
            `refused.onnx_nothing_found`, `refused.configuration`, `refused.weights_*`.
        BadPartError, BadImageError: the part cannot be read.
    """
    architecture = get_architecture(spec.architecture)
    _check_family(architecture.family)
    log.tell_phase("build")
    _, pipeline = read_configuration(spec)
    preparation = describe_preparation(pipeline, architecture.size_divisor)
    detector = build_detector(spec)
    exportable = make_exportable(detector.network, architecture.family)
    log.tell_phase("export")
    temporary = spec.model.with_name(f".{spec.model.name}.part")
    try:
        write_graph(exportable, temporary)
        log.tell_phase("check")
        agreement = _check(spec, detector, temporary, exportable.selection, log)
        publish_file(temporary, spec.model)
    finally:
        temporary.unlink(missing_ok=True)
    report = OnnxReport(
        architecture=architecture.name,
        classes=spec.classes,
        opset=OPSET,
        size_bytes=spec.model.stat().st_size,
        input=INPUT,
        outputs=OUTPUTS,
        preparation=preparation,
        selection=exportable.selection,
        agreement=agreement,
        versions={name: version(name) for name in _VERSIONS_OF},
    )
    log.emit(OnnxExported(time=time.time(), model=str(spec.model), report=report))


def _check_family(family: Family) -> None:
    """Raises TrainerError: `refused.onnx_family`."""
    if family not in ONNX_FAMILIES:
        raise TrainerError(
            "refused.onnx_family",
            f"Models of the family {family.value} cannot be exported as ONNX.",
            hint=f"These families can: {', '.join(each.value for each in ONNX_FAMILIES)}.",
        )


def _check(
    spec: ExportOnnxSpec, detector: Detector, path: Path, selection: OnnxSelection, log: EventLog
) -> OnnxAgreement:
    session = _open_session(path, spec.threads)
    # Where nothing is sure, all counts.
    among_sure = Differences(min_score=max(selection.min_score, _SURE_SCORE))
    among_all = Differences(min_score=selection.min_score)
    total = count_images(spec.part, spec.most_images)
    done = 0
    told_at = time.monotonic()
    for batch in iterate_batches(spec.part, detector.transforms, spec.most_images, _BATCH_SIZE):
        for first, second in zip(_detect(detector.network, batch), _run(session, batch), strict=True):
            among_sure.add(first, second)
            among_all.add(first, second)
        done += len(batch)
        now = time.monotonic()
        if done == total or now - told_at >= _PROGRESS_INTERVAL_S:
            told_at = now
            log.emit(EvaluationProgress(time=time.time(), done=done, total=total))
    differences = among_sure if among_sure.detection_count else among_all
    agreement = differences.conclude(
        "generated" if spec.part is None else "part", None if spec.part is None else spec.part.image_count
    )
    judge_agreement(agreement)
    return agreement


def judge_agreement(agreement: OnnxAgreement) -> None:
    """Raises TrainerError: `refused.onnx_nothing_found`, `refused.onnx_differs`."""
    tolerance = agreement.tolerance
    evidence: dict[str, Any] = msgspec.to_builtins(agreement)
    if agreement.detection_count == 0:
        raise TrainerError(
            "refused.onnx_nothing_found",
            f"The model finds nothing in {agreement.image_count} images, so that nothing shows whether its ONNX form "
            "is right.",
            hint="Evaluate the model: it has probably learned nothing yet.",
            evidence=evidence,
        )
    if agreement.beyond_share > tolerance.share:
        raise TrainerError(
            "refused.onnx_differs",
            f"ONNX Runtime and PyTorch differ: of {agreement.detection_count} detections in {agreement.image_count} "
            f"images {agreement.beyond_share:.1%} differ by more than {tolerance.box_px:g} px or {tolerance.score:g} "
            f"in score, where {tolerance.share:.0%} may; {agreement.unpaired_share:.1%} have no partner, and the "
            f"largest differences are {agreement.box_difference_px:.3g} px and {agreement.score_difference:.3g}.",
            hint="A model that has hardly learned anything differs by chance: train it further. Others stay good with "
            "PyTorch: please report this.",
            evidence=evidence,
        )


def _open_session(path: Path, threads: int) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = max(1, threads)
    options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def _detect(network: Any, batch: list[dict[str, Any]]) -> Iterator[Detections]:
    """What PyTorch finds, by MMDetection's own way."""
    with torch.inference_mode():
        samples = network.test_step(
            {
                "inputs": [sample["inputs"] for sample in batch],
                "data_samples": [sample["data_samples"] for sample in batch],
            }
        )
    for sample in samples:
        found = sample.pred_instances
        # MMDetection scales boxes back to the source image.
        boxes = found.bboxes.double().numpy() * np.tile(sample.scale_factor, 2)
        yield Detections(boxes.astype(np.float32), found.scores.numpy(), found.labels.numpy())


def _run(session: onnxruntime.InferenceSession, batch: list[dict[str, Any]]) -> Iterator[Detections]:
    """What ONNX Runtime finds in the same pixels."""
    pixels = torch.stack([sample["inputs"] for sample in batch])
    outputs: Any = session.run(
        [each.name for each in OUTPUTS], {INPUT.name: pixels.permute(0, 2, 3, 1).flip(3).numpy()}
    )
    boxes, scores, labels, images = outputs
    for row in range(len(batch)):
        chosen = images == row
        yield Detections(boxes[chosen], scores[chosen], labels[chosen])
