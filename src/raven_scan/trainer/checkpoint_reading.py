"""The `read-checkpoint` command: a file from outside becomes safetensors, and it is told how it fits."""

import time
from typing import Any

import msgspec
import torch

from raven_scan.architectures.catalogue import get_architecture
from raven_scan.trainer.event_log import EventLog
from raven_scan.trainer.failures import TrainerError
from raven_scan.trainer.foreign_checkpoint import CheckpointReport, fit_to_model, read_foreign_checkpoint
from raven_scan.trainer.starting_weights import build_model
from raven_scan.trainer.weights import count_classes
from raven_scan.trainer.weights_file import check_finite, name_some, read_weights, write_weights
from raven_scan.wire.events import CheckpointRead
from raven_scan.wire.spec import ReadCheckpointSpec

# Of the architecture's numbers: with less, the file is of something else.
_LEAST_MATCHED_SHARE = 0.5
# What a model is built for where the file does not tell: MMDetection's default, COCO's classes.
_CLASS_COUNT = 80
_COUNTER = ".num_batches_tracked"


def read_checkpoint(spec: ReadCheckpointSpec, log: EventLog) -> None:
    """Keep the tensors that fit the architecture, as float32; nothing in the file is executed.

    Raises:
        TrainerError: `refused.not_a_checkpoint`, `refused.weights_not_finite`, `refused.checkpoint_does_not_fit`.
    """
    architecture = get_architecture(spec.architecture)
    log.tell_phase("weights")
    raw = spec.weights.with_name(f".{spec.weights.name}.raw")
    try:
        report = read_foreign_checkpoint(spec.checkpoint, raw, file_name=spec.file_name)
        tensors = read_weights(raw)
    finally:
        raw.unlink(missing_ok=True)
    check_finite(tensors, code="refused.weights_not_finite", what=f"The checkpoint {spec.file_name}")
    shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    class_count = count_classes(shapes)
    log.tell_phase("build")
    model = build_model(architecture, class_count or _CLASS_COUNT)
    expected = model.state_dict()
    fit = fit_to_model({name: tuple(tensor.shape) for name, tensor in expected.items()}, shapes)
    if fit.matched_share < _LEAST_MATCHED_SHARE:
        raise TrainerError(
            "refused.checkpoint_does_not_fit",
            f"{spec.file_name} is no checkpoint of {architecture.name}: it has {fit.matched_share:.0%} of what "
            f"that needs. Missing: {name_some([*fit.missing, *(each.name for each in fit.mismatched)])}. "
            f"Left over: {name_some([name for name in fit.unexpected if not name.endswith(_COUNTER)])}.",
            hint="Name the architecture that the checkpoint was trained with.",
        )
    write_weights(spec.weights, _select(expected, tensors, fit.matched))
    log.emit(
        CheckpointRead(
            time=time.time(),
            weights=str(spec.weights),
            classes=report.classes,
            class_count=class_count,
            parameter_count=sum(each.numel() for each in model.parameters()),
            matched=len(fit.matched),
            missing=fit.missing,
            unexpected=fit.unexpected,
            mismatched=[each.name for each in fit.mismatched],
            meta=_describe(report),
        )
    )


def _select(
    expected: dict[str, torch.Tensor], tensors: dict[str, torch.Tensor], matched: list[str]
) -> dict[str, torch.Tensor]:
    selected = {name: tensors[name] for name in matched}
    # Counters that converted checkpoints leave out: a model of the platform is loaded with nothing missing.
    counters = {
        name: torch.zeros_like(tensor)
        for name, tensor in expected.items()
        if name not in tensors and name.endswith(_COUNTER)
    }
    return selected | counters


def _describe(report: CheckpointReport) -> dict[str, Any]:
    described: dict[str, Any] = msgspec.to_builtins(report)
    del described["classes"]
    return described
