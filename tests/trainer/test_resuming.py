"""A run that was stopped anywhere and goes on equals one that was never interrupted."""

import multiprocessing
import random
import shutil
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from raven_scan.trainer.command_line import end_process
from raven_scan.trainer.event_log import EventLog
from raven_scan.trainer.process_lifetime import tie_children_to_this_process
from raven_scan.trainer.stop_request import StopRequest, StopRequested
from raven_scan.trainer.training import train
from raven_scan.wire.events import (
    AnyEvent,
    CheckpointWritten,
    EpochEnded,
    EventReader,
    Phase,
    Step,
    Stopped,
    TrainingDone,
    Validated,
)
from raven_scan.wire.spec import PartSpec, TrainSpec

Run = Callable[..., Any]
_FORK = multiprocessing.get_context("fork")
# MMEngine's schedules step with every forward pass, also where the optimiser waits for several.
pytestmark = pytest.mark.filterwarnings("ignore:Detected call of `scheduler.step:UserWarning")


class StopAtChance(StopRequest):
    """As if the signal had come just before the n-th time that the training asks."""

    def __init__(self, log: EventLog, chance: int | None) -> None:
        super().__init__(log)
        self._chance = chance
        self.asked = 0

    def check(self) -> None:
        self.asked += 1
        if self.asked == self._chance:
            self.requested = True
        super().check()


@dataclass
class History:
    """What several attempts told, each going on from the last one's last checkpoint."""

    spec: TrainSpec
    events: list[AnyEvent] = field(default_factory=list[AnyEvent])
    chances: int = 0
    stopped_in: list[str] = field(default_factory=list[str])

    def of(self, kind: type[Any]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def losses(self) -> dict[int, dict[str, float]]:
        return {step.step: step.losses for step in self.of(Step)}

    @property
    def weights(self) -> dict[str, torch.Tensor]:
        return load_file(self.spec.work_folder / "weights.safetensors")


def run_attempt(spec: TrainSpec, chance: int | None, asked: Any) -> None:
    tie_children_to_this_process()
    torch.set_num_threads(1)
    with EventLog(spec.events) as log:
        stop = StopAtChance(log, chance)
        try:
            train(spec, log, stop)
        except StopRequested:
            stop.tell()
        except BaseException:  # noqa: BLE001 - the process ends here, and is seen to have failed
            traceback.print_exc()
            end_process(1)
    asked.value = stop.asked
    end_process(0)


def follow(make_spec: Callable[..., TrainSpec], folder: Path, stops: list[int | None]) -> History:
    resume_from: list[Path] = []
    history: History | None = None
    for attempt, chance in enumerate(stops):
        spec = make_spec(folder / str(attempt), attempt=attempt, resume_from=resume_from)
        history = history or History(spec)
        history.spec = spec
        asked = _FORK.Value("i", 0)
        # A fork, so that the frameworks are imported once.
        child = _FORK.Process(target=run_attempt, args=(spec, chance, asked))
        child.start()
        child.join(120)
        assert child.exitcode == 0
        history.chances = asked.value
        told = EventReader(spec.events).read_new()
        if isinstance(told[-1], Stopped):
            history.stopped_in.append([each.phase for each in told if isinstance(each, Phase)][-2])
        history.events.extend(told)
        written = [each.path for each in told if isinstance(each, CheckpointWritten)]
        if written:
            resume_from = [spec.work_folder / written[-1]]
        if isinstance(told[-1], TrainingDone):
            break
    assert history
    return history


CASES: dict[str, dict[str, Any]] = {
    "plain": {},
    "accumulated mosaics from a loader process": {
        "accumulation": 2,
        "augmentation": "full",
        "loader_processes": 1,
        "precision": "bfloat16",
        "memory_format": "channels_last",
    },
}


@pytest.fixture(scope="module", params=list(CASES))
def case(
    request: pytest.FixtureRequest,
    make_train_spec: Run,
    small_parts: dict[str, PartSpec],
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[Callable[..., TrainSpec], History]:
    """How to make specifications of a run, and the run as it goes without a stop: three epochs of three steps."""

    def make(folder: Path, **changes: Any) -> TrainSpec:
        parameters = {"checkpoint_minutes": 1000, "validation_interval": 2, **CASES[request.param]}
        return make_train_spec(folder, parameters=parameters, **small_parts, **changes)

    return make, follow(make, tmp_path_factory.mktemp("whole"), [None])


def check_same(history: History, whole: History) -> None:
    told = [step.step for step in history.of(Step)]
    assert told == list(range(1, len(whole.losses) + 1)), "neither holes nor doubles"
    for step, losses in history.losses.items():
        assert losses == pytest.approx(whole.losses[step], rel=1e-6), step
    assert [each.step for each in history.of(EpochEnded)] == [each.step for each in whole.of(EpochEnded)]
    assert [(each.epoch, each.step, each.figures) for each in history.of(Validated)] == [
        (each.epoch, each.step, each.figures) for each in whole.of(Validated)
    ]
    [done], [done_whole] = history.of(TrainingDone), whole.of(TrainingDone)
    assert (done.best_epoch, done.steps, done.figures) == (
        done_whole.best_epoch,
        done_whole.steps,
        done_whole.figures,
    )
    torch.testing.assert_close(history.weights, whole.weights)


@pytest.mark.parametrize("trials", [1, pytest.param(6, marks=pytest.mark.long)])
def test_run_stopped_anywhere_equals_one_that_was_not(
    case: tuple[Callable[..., TrainSpec], History], trials: int, tmp_path: Path
):
    make_spec, whole = case
    assert len(whole.losses) == 9
    numbers = random.Random(3)  # noqa: S311 - the same stops every time
    phases: set[str] = set()
    for trial in range(trials):
        stops = sorted(numbers.sample(range(1, whole.chances + 1), 2))
        history = follow(make_spec, tmp_path / str(trial), [stops[0], stops[1] - stops[0] + 1, None])
        check_same(history, whole)
        phases |= set(history.stopped_in)
    assert "training" in phases


@pytest.mark.parametrize("case", ["accumulated mosaics from a loader process"], indirect=True)
def test_run_with_a_cache_of_images_equals_one_without(
    case: tuple[Callable[..., TrainSpec], History], tmp_path: Path
):
    make_spec, whole = case
    cache = tmp_path / "cache"
    found: list[int] = []

    def make(folder: Path, *, attempt: int, **changes: Any) -> TrainSpec:
        found.append(len([path for path in cache.rglob("*") if path.is_file()]))
        if attempt == 1:
            shutil.rmtree(cache)
        return make_spec(folder, attempt=attempt, cache_folder=cache, cache_bytes=10**9, **changes)

    third = whole.chances // 3
    history = follow(make, tmp_path, [third, third, None])
    # The last attempt finds what the one before left.
    assert found[0] == 0
    assert min(found[1:]) > 1
    check_same(history, whole)


def test_run_stopped_in_a_validation_equals_one_that_was_not(
    case: tuple[Callable[..., TrainSpec], History], tmp_path: Path
):
    make_spec, whole = case
    # Two epochs of three steps, each asked before and after; twice at the ends of epochs; then the validation.
    in_validation = 2 * (3 * 2 + 1) + 1 + 3
    history = follow(make_spec, tmp_path, [in_validation, None])
    assert history.stopped_in == ["validation"]
    [first, *_] = [event for event in history.of(CheckpointWritten) if event.position]
    assert (first.epoch, first.step, first.position) == (1, 6, 3)
    check_same(history, whole)
