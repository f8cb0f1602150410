"""The `dry-run` command: what a run will cost, from some of its own steps on its own images."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from mmengine.device import get_device
from mmengine.dist import broadcast, get_world_size, is_main_process

from raven_scan.trainer.checkpoint_files import FOLDER, identify_run, write_checkpoint
from raven_scan.trainer.command_line import PROCESS_STARTED_AT
from raven_scan.trainer.event_log import EventLog
from raven_scan.trainer.memory import make_memory_meter
from raven_scan.trainer.run_hooks import StepEventsHook
from raven_scan.trainer.run_state import BestSoFar, RunState, copy_weights
from raven_scan.trainer.runner_trainee import RunnerTrainee, find_averaged_model
from raven_scan.trainer.step_telling import StepTeller
from raven_scan.trainer.stop_request import StopRequest
from raven_scan.trainer.training import (
    CONFIGURATION_FILE,
    check_has_boxes,
    prepare_runner,
    read_parameters,
    run_training,
)
from raven_scan.wire.events import DryRunDone
from raven_scan.wire.spec import TrainSpec

_WARMUP_STEPS = 2
# Loader processes have their queue full when the first step begins; until it is used up, they are not what it waits
# for. The warm-up goes on so long, but no longer than this.
_WARMUP_S = 5.0
# At each of two places.
_STEPS_S = 8.0
_LEAST_STEPS = 2
# So many, over so long, are enough.
_MANY_STEPS = 24
_MANY_STEPS_S = 2.0
_VALIDATION_S = 6.0


@dataclass(frozen=True, slots=True)
class _Place:
    """An epoch whose steps stand for this share of all steps."""

    epoch: int
    share: float


def dry_run(spec: TrainSpec, log: EventLog, stop: StopRequest) -> None:
    """Do some steps, a validation and a checkpoint as the run would, and tell what they cost; nothing is kept.

    Raises:
        TrainerError: as `train` would.
    """
    parameters = read_parameters(spec)
    runner, arithmetic = prepare_runner(spec, log, resumed_arithmetic=None)
    steps = StepTeller(log)
    runner.register_hook(StepEventsHook(log, steps, CONFIGURATION_FILE, arithmetic))
    state = RunState()

    def lead(runner: Any) -> None:
        runner.val_loop.stop = stop
        runner.val_loop.precision = arithmetic.precision
        check_has_boxes(runner, spec, parameters)
        _measure(spec, log, runner, RunnerTrainee(runner, state, steps, arithmetic), state)

    runner.lead = lead
    run_training(runner)


def _measure(spec: TrainSpec, log: EventLog, runner: Any, trainee: RunnerTrainee, state: RunState) -> None:
    memory = make_memory_meter()
    first, second = _choose_places(runner)
    # More steps may be done than an epoch, or even the run, has.
    runner.optim_wrapper.initialize_count_status(runner.model, 0, -1)
    first_time_s, warm_at, warmup_steps = _measure_steps(runner, trainee, first.epoch)
    # What the first steps take more than others is part of the start.
    start_time_s = max(0.0, warm_at - PROCESS_STARTED_AT - warmup_steps * first_time_s)
    memory.measure_peak_mb()
    validation_image_time_s = _measure_validation(log, runner, _VALIDATION_S)
    # As large as it will be: with the best weights so far.
    state.best = BestSoFar(0, {}, copy_weights(find_averaged_model(runner)))
    checkpoint_time_s = _measure_checkpoint(spec, log, trainee)
    # Steps after a validation, and a validation after those: memory is at its peak only then.
    second_time_s, _, _ = _measure_steps(runner, trainee, second.epoch)
    memory.measure_peak_mb()
    _measure_validation(log, runner, 0.0)
    log.emit(
        DryRunDone(
            time=time.time(),
            start_time_s=start_time_s,
            step_time_s=first.share * first_time_s + second.share * second_time_s,
            validation_image_time_s=validation_image_time_s,
            checkpoint_time_s=checkpoint_time_s,
            peak_memory_mb=memory.measure_peak_mb(),
            steps_per_epoch=trainee.steps_per_epoch,
        )
    )


def _choose_places(runner: Any) -> tuple[_Place, _Place]:
    """With mosaics and without, where the run has both; else early and late."""
    epochs = runner.max_epochs
    border = runner.train_dataloader.dataset.mosaic_epochs
    share = border / epochs if 0 < border < epochs else 0.5
    border = border if 0 < border < epochs else epochs // 2
    return _Place(border // 2, share), _Place((border + epochs) // 2, 1 - share)


def _measure_steps(runner: Any, trainee: RunnerTrainee, epoch: int) -> tuple[float, float, int]:
    """Returns seconds a step, when it was warm, and the steps before."""
    loader = runner.train_dataloader
    queue = loader.num_workers * (loader.prefetch_factor or 0)
    began = warm_at = time.monotonic()
    warmup_steps = done = 0
    is_warm = False
    for position, batch in _load_on(runner, trainee, epoch):
        trainee.do_step(position, batch)
        now = time.monotonic()
        if is_warm:
            done += 1
            is_enough = now - warm_at >= _STEPS_S or (done >= _MANY_STEPS and now - warm_at >= _MANY_STEPS_S)
            if _decide_together(done >= _LEAST_STEPS and is_enough):
                break
        else:
            warmup_steps += 1
            has_used_queue = warmup_steps >= _WARMUP_STEPS + queue or now - began >= _WARMUP_S
            if _decide_together(warmup_steps >= _WARMUP_STEPS and has_used_queue):
                is_warm, warm_at = True, now
    return (time.monotonic() - warm_at) / max(1, done), warm_at, warmup_steps


def _decide_together(wanted: bool) -> bool:  # noqa: FBT001 - a question of one word
    """Of several ranks the first decides: none may do a step alone."""
    answer = torch.tensor([int(wanted)], device=get_device())
    broadcast(answer, 0)
    return bool(answer.item())


def _load_on(runner: Any, trainee: RunnerTrainee, epoch: int) -> Iterator[tuple[int, Any]]:
    """Batches of an epoch, again and again, with what lies between two epochs."""
    while True:
        runner.train_loop.go_to(epoch=epoch, step=epoch * trainee.steps_per_epoch, stopped_early=False)
        trainee.begin_epoch()
        yield from enumerate(trainee.load_batches(0))
        trainee.end_epoch()


def _measure_validation(log: EventLog, runner: Any, limit_s: float) -> float:
    """Seconds an image: predicting, and its share of computing the figures."""
    log.tell_phase("validation")
    loop = runner.val_loop
    runner.call_hook("before_val")
    runner.call_hook("before_val_epoch")
    runner.model.eval()
    image_count = len(loop.dataloader.dataset)
    began = warm_at = time.monotonic()
    predicted = first_batch = 0
    for index, batch in enumerate(loop.dataloader):
        loop.run_iter(index, batch)
        predicted += len(batch["data_samples"])
        if index == 0:
            first_batch, warm_at = predicted, time.monotonic()
        elif _decide_together(time.monotonic() - warm_at >= limit_s):
            break
    measured_at = time.monotonic()
    if predicted > first_batch:
        predicting_s = (measured_at - warm_at) / (predicted - first_batch)
    else:
        predicting_s = (measured_at - began) / predicted
    metrics = loop.evaluator.evaluate(predicted * get_world_size())
    evaluating_s = (time.monotonic() - measured_at) / image_count
    runner.call_hook("after_val_epoch", metrics=metrics)
    runner.call_hook("after_val")
    return predicting_s / get_world_size() + evaluating_s


def _measure_checkpoint(spec: TrainSpec, log: EventLog, trainee: RunnerTrainee) -> float:
    log.tell_phase("checkpoint")
    if not is_main_process():
        return 0.0
    path = spec.work_folder / FOLDER / "dry_run.pt"
    began = time.monotonic()
    try:
        write_checkpoint(path, trainee.collect_checkpoint(), identify_run(spec))
        return time.monotonic() - began
    finally:
        path.unlink(missing_ok=True)
