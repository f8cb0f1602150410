"""Checkpoints of a run: all that it takes to go on as if nothing had happened, in one file.

Tensors, numbers and text only, so that they are read with `weights_only=True`: a file that somebody put in their
place cannot run code. The best weights so far are part of every checkpoint: one file is enough to go on from,
wherever it is moved.
"""

import pickle
import re
import time
from pathlib import Path
from typing import Any

import torch
from mmengine.hooks import EarlyStoppingHook, Hook

from raven_scan.trainer.event_log import EventLog
from raven_scan.trainer.failures import TrainerError
from raven_scan.trainer.run_hooks import check_weights_finite
from raven_scan.trainer.run_state import RunState
from raven_scan.trainer.weights_file import publish_file
from raven_scan.wire.events import CheckpointWritten
from raven_scan.wire.spec import TrainSpec

FOLDER = "checkpoints"
_KEPT = 2
_FORMAT = 1
_NAME = re.compile(r"epoch_(\d+)\.pt")


def identify_run(spec: TrainSpec) -> dict[str, Any]:
    """What must be equal for a checkpoint to go on with."""
    return {"run_id": spec.run_id, "architecture": spec.architecture, "classes": list(spec.classes)}


class RunCheckpointHook(Hook):
    """Writes a checkpoint at the end of an epoch, after its validation where it has one.

    Last in the order of hooks: schedules have then stepped and early stopping has decided.
    """

    priority = "LOWEST"

    def __init__(self, spec: TrainSpec, log: EventLog, state: RunState, *, interval: int) -> None:
        self._identity = identify_run(spec)
        self._work_folder = spec.work_folder
        self._log = log
        self._state = state
        self._interval = interval

    def after_train_epoch(self, runner: Any) -> None:
        epoch = runner.epoch + 1
        validates = epoch >= runner.train_loop.val_begin and (
            epoch % runner.train_loop.val_interval == 0 or epoch == runner.max_epochs
        )
        if not validates:
            self._write_if_due(runner, epoch)

    def after_val_epoch(self, runner: Any, metrics: dict[str, Any] | None = None) -> None:
        del metrics
        self._write_if_due(runner, runner.epoch)

    def _write_if_due(self, runner: Any, epoch: int) -> None:
        is_last = epoch >= runner.max_epochs or runner.train_loop.stop_training
        if is_last or epoch % self._interval == 0:
            self._write(runner, epoch)

    def _write(self, runner: Any, epoch: int) -> None:
        self._log.tell_phase("checkpoint")
        check_weights_finite(runner.model, runner.iter)
        content = collect_checkpoint(runner, self._state, self._identity, epoch)
        folder = self._work_folder / FOLDER
        folder.mkdir(exist_ok=True)
        path = folder / f"epoch_{epoch:06d}.pt"
        write_checkpoint(path, content)
        best = self._state.best is not None and self._state.best.epoch == epoch
        self._log.emit(
            CheckpointWritten(
                time=time.time(),
                path=str(path.relative_to(self._work_folder)),
                epoch=epoch,
                step=runner.iter,
                position=0,
                best=best,
            )
        )
        for old in list_checkpoints(folder)[:-_KEPT]:
            old.unlink(missing_ok=True)


def collect_checkpoint(runner: Any, state: RunState, identity: dict[str, Any], epoch: int) -> dict[str, Any]:
    content: dict[str, Any] = {
        "format": _FORMAT,
        "identity": identity,
        "epoch": epoch,
        "step": runner.iter,
        "steps_per_epoch": len(runner.train_dataloader),
        "stopped": bool(runner.train_loop.stop_training),
        "state_dict": dict(runner.model.state_dict()),
        "optimizer": runner.optim_wrapper.state_dict(),
        "param_schedulers": [each.state_dict() for each in runner.param_schedulers],
        "early_stopping": [
            {"wait_count": hook.wait_count, "best_score": hook.best_score}
            for hook in _find_early_stopping(runner)
        ],
        "state": state.dump(),
    }
    # Where weights are averaged, MMEngine's EMA hook adds its own here and exchanges the two.
    runner.call_hook("before_save_checkpoint", checkpoint=content)
    return content


def restore_checkpoint(runner: Any, content: dict[str, Any], state: RunState) -> None:
    """Bring a runner that is about to train to where the checkpoint was written."""
    # Its hooks tell resuming from loading by this.
    runner._resume = True  # noqa: SLF001
    runner.call_hook("after_load_checkpoint", checkpoint=content)
    runner.model.load_state_dict(content["state_dict"], strict=True)
    runner.optim_wrapper.load_state_dict(content["optimizer"])
    for scheduler, saved in zip(runner.param_schedulers, content["param_schedulers"], strict=True):
        scheduler.load_state_dict(saved)
    for hook, saved in zip(_find_early_stopping(runner), content["early_stopping"], strict=True):
        hook.wait_count = saved["wait_count"]
        hook.best_score = saved["best_score"]
    loop = runner.train_loop
    loop._epoch = content["epoch"]  # noqa: SLF001 - as Runner.resume does
    loop._iter = content["step"]  # noqa: SLF001
    loop.stop_training = content["stopped"]
    state.load(content["state"])


def write_checkpoint(path: Path, content: dict[str, Any]) -> None:
    temporary = path.with_name(f".{path.name}.part")
    torch.save(content, temporary)
    publish_file(temporary, path)


def read_checkpoint(path: Path, identity: dict[str, Any]) -> dict[str, Any]:
    """Read a checkpoint of this run; of a folder the newest.

    Raises:
        TrainerError: `refused.checkpoint_missing`, `refused.checkpoint_unreadable`, `refused.checkpoint_of_other_run`.
    """
    if path.is_dir():
        found = list_checkpoints(path) or list_checkpoints(path / FOLDER)
        if not found:
            raise _missing(path)
        path = found[-1]
    if not path.is_file():
        raise _missing(path)
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        written = content["format"]
    except (
        OSError,
        RuntimeError,
        EOFError,
        KeyError,
        TypeError,
        ValueError,
        pickle.UnpicklingError,
    ) as error:
        raise TrainerError(
            "refused.checkpoint_unreadable",
            f"The checkpoint {path.name} cannot be read: {type(error).__name__}.",
            hint="Create a new run: this one cannot go on.",
            detail=str(error),
        ) from error
    if written != _FORMAT or content["identity"] != identity:
        raise TrainerError(
            "refused.checkpoint_of_other_run",
            f"The checkpoint {path.name} was written by another run, architecture, class list or version.",
            hint="Resume a run from its own checkpoints only.",
        )
    return content


def list_checkpoints(folder: Path) -> list[Path]:
    """Complete checkpoints in a folder, oldest first."""
    found = [
        (int(name[1]), path) for path in folder.glob("epoch_*.pt") if (name := _NAME.fullmatch(path.name))
    ]
    return [path for _, path in sorted(found)]


def _find_early_stopping(runner: Any) -> list[Any]:
    return [hook for hook in runner.hooks if isinstance(hook, EarlyStoppingHook)]


def _missing(path: Path) -> TrainerError:
    return TrainerError(
        "refused.checkpoint_missing",
        f"There is no checkpoint at {path.name}.",
        hint="Start the run again from its base model.",
    )
