"""The `dry-run` command: what a run will cost, from some of its own steps on its own images."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from raven_scan.trainer.checkpoint_files import FOLDER, identify_run, write_checkpoint
from raven_scan.trainer.command_line import PROCESS_STARTED_AT
from raven_scan.trainer.event_log import EventLog
from raven_scan.trainer.memory import MemoryMeter
from raven_scan.trainer.run_hooks import StepEventsHook
from raven_scan.trainer.run_state import BestSoFar, RunState, copy_weights
from raven_scan.trainer.runner_trainee import RunnerTrainee, find_averaged_model
from raven_scan.trainer.step_telling import StepTeller
from raven_scan.trainer.stop_request import StopRequest
from raven_scan.trainer.training import CONFIGURATION_FILE, prepare_runner, read_parameters, run_training
from raven_scan.wire.events import DryRunDone
from raven_scan.wire.spec import TrainSpec

_WARMUP_STEPS = 2
# Loader processes have their queue full when the first step begins; until it is used up, they are not what it waits
# for. The warm-up goes on so long, but no longer than this.
_WARMUP_S = 5.0
_STEPS_S = 15.0
_LEAST_STEPS = 2
_VALIDATION_S = 6.0


@dataclass(frozen=True, slots=True)
class _Place:
    """Epochs that cost the same: with mosaics, and without."""

    epoch: int
    share: float


def dry_run(spec: TrainSpec, log: EventLog, stop: StopRequest) -> None:
    """Do some steps, a validation and a checkpoint as the run would, and tell what they cost; nothing is kept.

    Raises:
        TrainerError: as `train` would.
    """
    read_parameters(spec)
    runner = prepare_runner(spec, log, resumes=False)
    steps = StepTeller(log)
    runner.register_hook(StepEventsHook(log, steps, CONFIGURATION_FILE))
    state = RunState()

    def lead(runner: Any) -> None:
        runner.val_loop.stop = stop
        _measure(spec, log, runner, RunnerTrainee(runner, state, steps), state)

    runner.lead = lead
    run_training(runner)


def _measure(spec: TrainSpec, log: EventLog, runner: Any, trainee: RunnerTrainee, state: RunState) -> None:
    memory = MemoryMeter()
    places = _choose_places(runner)
    step_time_s = start_time_s = 0.0
    for number, place in enumerate(places):
        measured_s, warm_at, warmup_steps = _measure_steps(
            runner, trainee, place.epoch, _STEPS_S / len(places)
        )
        step_time_s += place.share * measured_s
        if number == 0:
            # What the first steps take more than others is part of the start.
            start_time_s = max(0.0, warm_at - PROCESS_STARTED_AT - warmup_steps * measured_s)
    memory.measure_peak_mb()
    validation_image_time_s = _measure_validation(log, runner)
    # As large as it will be: with the best weights so far.
    state.best = BestSoFar(0, {}, copy_weights(find_averaged_model(runner)))
    checkpoint_time_s = _measure_checkpoint(spec, log, trainee)
    log.emit(
        DryRunDone(
            time=time.time(),
            start_time_s=start_time_s,
            step_time_s=step_time_s,
            validation_image_time_s=validation_image_time_s,
            checkpoint_time_s=checkpoint_time_s,
            peak_memory_mb=memory.measure_peak_mb(),
            steps_per_epoch=trainee.steps_per_epoch,
        )
    )


def _choose_places(runner: Any) -> list[_Place]:
    epochs = runner.max_epochs
    mosaic_epochs = runner.train_dataloader.dataset.mosaic_epochs
    if not 0 < mosaic_epochs < epochs:
        return [_Place(epochs // 2, 1.0)]
    share = mosaic_epochs / epochs
    return [_Place(mosaic_epochs // 2, share), _Place((mosaic_epochs + epochs) // 2, 1 - share)]


def _measure_steps(
    runner: Any, trainee: RunnerTrainee, epoch: int, limit_s: float
) -> tuple[float, float, int]:
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
            if done >= _LEAST_STEPS and now - warm_at >= limit_s:
                break
        else:
            warmup_steps += 1
            has_used_queue = warmup_steps >= _WARMUP_STEPS + queue or now - began >= _WARMUP_S
            if warmup_steps >= _WARMUP_STEPS and has_used_queue:
                is_warm, warm_at = True, now
    return (time.monotonic() - warm_at) / max(1, done), warm_at, warmup_steps


def _load_on(runner: Any, trainee: RunnerTrainee, epoch: int) -> Iterator[tuple[int, Any]]:
    """Batches of an epoch, again and again, with what lies between two epochs."""
    while True:
        runner.train_loop.go_to(epoch=epoch, step=epoch * trainee.steps_per_epoch, stopped_early=False)
        trainee.begin_epoch()
        yield from enumerate(trainee.load_batches(0))
        trainee.end_epoch()


def _measure_validation(log: EventLog, runner: Any) -> float:
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
        elif time.monotonic() - warm_at >= _VALIDATION_S:
            break
    measured_at = time.monotonic()
    if predicted > first_batch:
        predicting_s = (measured_at - warm_at) / (predicted - first_batch)
    else:
        predicting_s = (measured_at - began) / predicted
    metrics = loop.evaluator.evaluate(predicted)
    evaluating_s = (time.monotonic() - measured_at) / image_count
    runner.call_hook("after_val_epoch", metrics=metrics)
    runner.call_hook("after_val")
    return predicting_s + evaluating_s


def _measure_checkpoint(spec: TrainSpec, log: EventLog, trainee: RunnerTrainee) -> float:
    log.tell_phase("checkpoint")
    path = spec.work_folder / FOLDER / "dry_run.pt"
    began = time.monotonic()
    try:
        write_checkpoint(path, trainee.collect_checkpoint(), identify_run(spec))
        return time.monotonic() - began
    finally:
        path.unlink(missing_ok=True)
