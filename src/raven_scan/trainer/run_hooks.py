"""What a run tells while it trains. Registered beside the hooks of the stored configuration, never part of it."""

import math
import time
from functools import partial
from pathlib import Path
from typing import Any

import torch
from mmengine.hooks import Hook

from raven_scan.trainer.acceleration.arithmetic import Arithmetic
from raven_scan.trainer.evaluation.coco_metric import convert_figures
from raven_scan.trainer.event_log import EventLog
from raven_scan.trainer.failures import TrainerError
from raven_scan.trainer.memory import MemoryMeter, make_memory_meter
from raven_scan.trainer.run_state import RunState
from raven_scan.trainer.step_telling import StepTeller
from raven_scan.wire.events import Configured, EvaluationProgress, Step, Validated

_PROGRESS_INTERVAL_S = 1.0


class StepEventsHook(Hook):
    """Tells steps; stops a run whose loss is no number.

    After MMEngine's timer in the order of hooks, since it reads the timer's values.
    """

    priority = "BELOW_NORMAL"

    def __init__(self, log: EventLog, steps: StepTeller, configuration: str, arithmetic: Arithmetic) -> None:
        self._log = log
        self._steps = steps
        self._configuration = configuration
        self._arithmetic = arithmetic
        self._memory = make_memory_meter()
        self._last_finite: int | None = None
        self._batch: Any = None

    def before_run(self, runner: Any) -> None:
        parameters = sum(each.numel() for each in runner.model.parameters())
        self._log.emit(
            Configured(
                time=time.time(),
                configuration=self._configuration,
                steps_per_epoch=len(runner.train_dataloader),
                epochs=runner.max_epochs,
                parameter_count=parameters,
                precision=self._arithmetic.precision,
                memory_format=self._arithmetic.memory_format,
            )
        )
        self._log.tell_phase("weights")

    def before_train_epoch(self, runner: Any) -> None:
        del runner
        self._log.tell_phase("training")

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        del runner, batch_idx
        self._batch = data_batch

    def describe_step(self, step: int) -> dict[str, Any]:
        """Evidence of a step that went wrong."""
        return {
            "step": step,
            "last_finite_step": self._last_finite,
            "images": [Path(sample.img_path).name for sample in (self._batch or {}).get("data_samples", [])],
        }

    def after_train_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: dict[str, Any] | None = None
    ) -> None:
        del data_batch
        # The message hub has them as numbers already: asking the device again would make it wait again.
        hub = runner.message_hub
        names = list(outputs or ())
        step = runner.iter + 1
        if "loss" in names and not math.isfinite(hub.get_scalar("train/loss").current()):
            raise _describe_divergence(self.describe_step(step), _read_losses(hub, names))
        self._last_finite = step
        self._batch = None
        is_edge = batch_idx == 0 or batch_idx + 1 == len(runner.train_dataloader)
        self._steps.note(step, runner.epoch, partial(_read_step, hub, names, self._memory), is_edge=is_edge)


def _read_losses(hub: Any, names: list[str]) -> dict[str, float]:
    return {name: float(hub.get_scalar(f"train/{name}").current()) for name in names}


def _read_step(hub: Any, names: list[str], memory: MemoryMeter, step: int, epoch: int) -> Step:
    # Where layers have factors of their own, `base_lr` is the rate that was asked for.
    rate = "train/base_lr" if "train/base_lr" in hub.log_scalars else "train/lr"
    return Step(
        time=time.time(),
        step=step,
        epoch=epoch,
        learning_rate=float(hub.get_scalar(rate).current()),
        losses={name: value for name, value in _read_losses(hub, names).items() if math.isfinite(value)},
        step_time_s=float(hub.get_scalar("train/time").current()),
        data_time_s=float(hub.get_scalar("train/data_time").current()),
        memory_mb=memory.read_peak_mb(),
    )


class ValidationHook(Hook):
    """Tells what a validation found, and keeps the weights that it measured where they are the best so far.

    Before MMEngine's EMA hook in the order of hooks: the model then still holds the averaged weights that were
    measured.
    """

    priority = "VERY_HIGH"

    def __init__(self, log: EventLog, state: RunState) -> None:
        self._log = log
        self._state = state
        self._told_at = -math.inf
        self._done = 0

    def before_val_epoch(self, runner: Any) -> None:
        del runner
        self._done = 0
        self._log.tell_phase("validation")

    def after_val_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        del batch_idx, data_batch
        self._done += len(outputs or ()) * runner.world_size
        now = time.monotonic()
        if now - self._told_at < _PROGRESS_INTERVAL_S:
            return
        self._told_at = now
        total = len(runner.val_dataloader.dataset)
        self._log.emit(EvaluationProgress(time=time.time(), done=min(self._done, total), total=total))

    def after_val_epoch(self, runner: Any, metrics: dict[str, Any] | None = None) -> None:
        figures = convert_figures(metrics or {})
        best = self._state.note_validation(runner.epoch, figures, runner.model)
        self._log.emit(
            Validated(
                time=time.time(),
                epoch=runner.epoch,
                step=runner.iter,
                figures=figures,
                best=best,
                map_by_class=dict(runner.val_loop.map_by_class),
            )
        )


_DIVERGED_HINT = "Lower the learning rate, or warm up longer; with float16, try bfloat16 or float32."


def _describe_divergence(evidence: dict[str, Any], losses: dict[str, float]) -> TrainerError:
    """The error of a run whose loss is no number any more."""
    step, last_finite = evidence["step"], evidence["last_finite_step"]
    before = (
        "from the first step on" if last_finite is None else f"at step {step}; step {last_finite} was good"
    )
    parts = ", ".join(name for name, value in losses.items() if not math.isfinite(value))
    return TrainerError(
        "diverged",
        f"The training diverged: the loss is no finite number {before}.",
        hint=_DIVERGED_HINT,
        detail=f"not finite: {parts}",
        evidence=evidence,
    )


def check_weights_finite(model: torch.nn.Module, step: int) -> None:
    """Raises TrainerError `diverged`, where the weights hold an infinity or no number."""
    for name, tensor in model.state_dict().items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise TrainerError(
                "diverged",
                f"The training diverged: after step {step} the weights are no finite numbers.",
                hint=_DIVERGED_HINT,
                detail=f"not finite: {name}",
                evidence={"step": step},
            )
