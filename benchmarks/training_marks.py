"""Tells when a training of MMEngine gets where: imported into the process that trains, on either side.

What it tells goes to the file that RAVEN_TRAINING_MARKS names, a JSON line each:
`{"mark": "step", "at": seconds since 1970, "images": 8, "parts": {...}}`, and `validated`. With RAVEN_TRAINING_PARTS
set, steps also tell how long their parts took, in seconds; that takes some time itself. The process ends after
RAVEN_TRAINING_STEPS steps, or after RAVEN_TRAINING_VALIDATIONS validations.
"""

import functools
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from mmdet.models.data_preprocessors import DetDataPreprocessor
from mmdet.models.dense_heads.base_dense_head import BaseDenseHead
from mmdet.models.detectors import SingleStageDetector, TwoStageDetector
from mmdet.models.roi_heads import StandardRoIHead
from mmengine.hooks import CheckpointHook, EMAHook, Hook
from mmengine.optim import OptimWrapper
from mmengine.runner import Runner

_PATH = os.environ.get("RAVEN_TRAINING_MARKS", "")
_TELLS_PARTS = bool(os.environ.get("RAVEN_TRAINING_PARTS"))
_LAST_STEP = int(os.environ.get("RAVEN_TRAINING_STEPS", "0"))
_LAST_VALIDATION = int(os.environ.get("RAVEN_TRAINING_VALIDATIONS", "0"))
_parts: dict[str, float] = {}


def tell(mark: str, **more: Any) -> None:
    with Path(_PATH).open("a") as file:
        file.write(json.dumps({"mark": mark, "at": time.time(), **more}) + "\n")


class MarksHook(Hook):
    """After all others: a step is over when its hooks are."""

    priority = "VERY_LOW"

    def __init__(self) -> None:
        self._steps = 0
        self._validations = 0
        self._ended_at: float | None = None

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        del runner, batch_idx, data_batch
        if self._ended_at is not None:
            _parts["waiting for data"] = time.perf_counter() - self._ended_at

    def after_train_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        del runner, batch_idx, outputs
        self._steps += 1
        tell("step", images=len(data_batch["data_samples"]), parts=dict(_parts) if _TELLS_PARTS else {})
        _parts.clear()
        self._ended_at = time.perf_counter()
        if self._steps == _LAST_STEP:
            _end()

    def after_val_epoch(self, runner: Any, metrics: dict[str, float] | None = None) -> None:
        found = (metrics or {}).get("coco/bbox_mAP_50", -1.0)
        tell("validated", map50=float(found), epoch=int(runner.epoch))
        self._ended_at = None
        self._validations += 1
        if self._validations == _LAST_VALIDATION:
            _end()


def _end() -> None:
    sys.stderr.flush()
    os._exit(0)


def _measure(owner: type, name: str, part: str) -> None:
    function = getattr(owner, name)

    @functools.wraps(function)
    def measured(*arguments: Any, **named: Any) -> Any:
        began = time.perf_counter()
        try:
            return function(*arguments, **named)
        finally:
            _parts[part] = _parts.get(part, 0.0) + time.perf_counter() - began

    setattr(owner, name, measured)


def install() -> None:
    """Let every Runner of this process have the hook."""
    build = Runner.register_hooks

    @functools.wraps(build)
    def register(self: Any, *arguments: Any, **named: Any) -> None:
        build(self, *arguments, **named)
        self.register_hook(MarksHook())

    Runner.register_hooks = register
    if _TELLS_PARTS:
        _measure(DetDataPreprocessor, "forward", "preparing the batch")
        for detector in (SingleStageDetector, TwoStageDetector):
            _measure(detector, "extract_feat", "forward: backbone and neck")
        # Of heads: their forward passes, assignment and losses together.
        _measure(BaseDenseHead, "loss", "forward: dense head, assignment, loss")
        _measure(BaseDenseHead, "loss_and_predict", "forward: dense head, assignment, loss")
        _measure(StandardRoIHead, "loss", "forward: regions, their loss")
        _measure(OptimWrapper, "backward", "backward")
        _measure(OptimWrapper, "step", "optimiser")
        _measure(EMAHook, "after_train_iter", "averaging of weights")
        _measure(CheckpointHook, "after_train_epoch", "checkpoint")


if _PATH:
    install()
