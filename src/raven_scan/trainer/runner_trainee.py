"""What a course leads where MMEngine's Runner trains: its loops and hooks, and all that its checkpoints hold."""

from collections.abc import Iterator
from typing import Any

import torch
from mmengine.dist import all_reduce, broadcast, get_world_size
from mmengine.hooks import EarlyStoppingHook, EMAHook
from mmengine.model import is_model_wrapper

from raven_scan.trainer.acceleration.arithmetic import PLAIN, Arithmetic
from raven_scan.trainer.failures import TrainerError
from raven_scan.trainer.run_hooks import check_weights_finite
from raven_scan.trainer.run_state import RunState
from raven_scan.trainer.step_telling import StepTeller


class RunnerTrainee:
    """A `Trainee` over a runner whose loops are a `LedTrainLoop` and a `StoppableValLoop`."""

    def __init__(self, runner: Any, state: RunState, steps: StepTeller, arithmetic: Arithmetic) -> None:
        self._runner = runner
        self._arithmetic = arithmetic
        self._loop = runner.train_loop
        self._state = state
        self._steps = steps
        self._shares_gradients = get_world_size() > 1

    @property
    def epoch(self) -> int:
        return self._loop.epoch

    @property
    def step(self) -> int:
        return self._loop.iter

    @property
    def steps_per_epoch(self) -> int:
        return len(self._loop.dataloader)

    def has_ended(self) -> bool:
        return self._loop.epoch >= self._loop.max_epochs or self._loop.stop_training

    def begin_epoch(self) -> None:
        self._runner.call_hook("before_train_epoch")
        self._runner.model.train()

    def load_batches(self, position: int) -> Iterator[Any]:
        loader = self._loop.dataloader
        loader.sampler.start_at(position * loader.batch_size)
        return iter(loader)

    def do_step(self, position: int, batch: Any) -> None:
        self._loop.run_iter(position, batch)
        if position + 1 == self.steps_per_epoch and self._shares_gradients and self.holds_gradients():
            # What was summed up is each rank's own until the next exchange; a checkpoint has rank 0's alone.
            for parameter in self._runner.model.parameters():
                if parameter.grad is not None:
                    all_reduce(parameter.grad, "mean")

    def can_stop(self) -> bool:
        is_at_end = self._loop.iter % self.steps_per_epoch == 0
        return not self._shares_gradients or is_at_end or not self.holds_gradients()

    def holds_gradients(self) -> bool:
        return not self._runner.optim_wrapper.should_update()

    def end_epoch(self) -> None:
        self._loop.end_epoch()

    def validates_after(self, epoch: int) -> bool:
        is_due = epoch % self._loop.val_interval == 0 or epoch >= self._loop.max_epochs
        return is_due and epoch >= self._loop.val_begin

    def validate(self) -> None:
        if self._shares_gradients:
            # Running statistics are each rank's own; those of rank 0 are the run's.
            for model in {unwrap_model(self._runner.model), find_averaged_model(self._runner)}:
                for buffer in model.buffers():
                    broadcast(buffer, 0)
        self._runner.val_loop.run()

    def abandon_validation(self) -> None:
        if self._runner.val_loop.is_measuring:
            for hook in _find_averaging(self._runner):
                hook._swap_ema_parameters()  # noqa: SLF001 - what it does itself after a validation
        self._loop.take_back_epoch()

    def is_best(self) -> bool:
        return self._state.best is not None and self._state.best.epoch == self._loop.epoch

    def collect_checkpoint(self) -> dict[str, Any]:
        """Raises TrainerError `diverged`, where the weights are no finite numbers."""
        self._steps.tell_pending()
        runner = self._runner
        model = unwrap_model(runner.model)
        check_weights_finite(model, self.step)
        content: dict[str, Any] = {
            "steps_per_epoch": self.steps_per_epoch,
            "stopped_early": bool(self._loop.stop_training),
            "arithmetic": self._arithmetic.dump(),
            "state_dict": dict(model.state_dict()),
            # With the loss scaler, where there is one.
            "optimizer": runner.optim_wrapper.state_dict(),
            "gradients": self._collect_gradients(model),
            "param_schedulers": [each.state_dict() for each in runner.param_schedulers],
            "early_stopping": [
                {"wait_count": hook.wait_count, "best_score": hook.best_score}
                for hook in _find_early_stopping(runner)
            ],
            "state": self._state.dump(),
        }
        # Where weights are averaged, MMEngine's EMA hook adds its own here and exchanges the two.
        runner.call_hook("before_save_checkpoint", checkpoint=content)
        return content

    def _collect_gradients(self, model: torch.nn.Module) -> dict[str, torch.Tensor]:
        if not self.holds_gradients():
            return {}
        return {name: each.grad for name, each in model.named_parameters() if each.grad is not None}


def read_arithmetic(content: dict[str, Any]) -> Arithmetic:
    """What the run has computed with that wrote a checkpoint; those from before there was a choice are plain."""
    dumped = content.get("arithmetic")
    return PLAIN if dumped is None else Arithmetic.load(dumped)


def restore_checkpoint(runner: Any, content: dict[str, Any], state: RunState) -> None:
    """Bring a runner that is about to train to where the checkpoint was written.

    Raises:
        TrainerError: `refused.checkpoint_of_other_run`, where its epochs have another number of steps.
    """
    expected = len(runner.train_dataloader)
    if content["steps_per_epoch"] != expected:
        raise TrainerError(
            "refused.checkpoint_of_other_run",
            f"The checkpoint has {content['steps_per_epoch']} steps an epoch, this run has {expected}.",
            hint="Resume with the same dataset, batch size and number of devices, or start the run again.",
        )
    # Its hooks tell resuming from loading by this.
    runner._resume = True  # noqa: SLF001
    runner.call_hook("after_load_checkpoint", checkpoint=content)
    model = unwrap_model(runner.model)
    model.load_state_dict(content["state_dict"], strict=True)
    runner.optim_wrapper.load_state_dict(content["optimizer"])
    for name, parameter in model.named_parameters():
        if name in content["gradients"]:
            parameter.grad = content["gradients"][name].to(parameter.device)
    for scheduler, saved in zip(runner.param_schedulers, content["param_schedulers"], strict=True):
        scheduler.load_state_dict(saved)
    for hook, saved in zip(_find_early_stopping(runner), content["early_stopping"], strict=True):
        hook.wait_count = saved["wait_count"]
        hook.best_score = saved["best_score"]
    runner.train_loop.go_to(
        epoch=content["epoch"], step=content["step"], stopped_early=content["stopped_early"]
    )
    state.load(content["state"])


def find_averaged_model(runner: Any) -> torch.nn.Module:
    """The model that is validated: the averaged one, where the run averages."""
    for hook in _find_averaging(runner):
        return hook.ema_model.module
    return unwrap_model(runner.model)


def unwrap_model(model: Any) -> torch.nn.Module:
    return model.module if is_model_wrapper(model) else model


def _find_averaging(runner: Any) -> list[Any]:
    return [hook for hook in runner.hooks if isinstance(hook, EMAHook)]


def _find_early_stopping(runner: Any) -> list[Any]:
    return [hook for hook in runner.hooks if isinstance(hook, EarlyStoppingHook)]
