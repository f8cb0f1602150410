"""What must be true of runs after a campaign, however they were struck."""

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.chaos import processes
from tests.metric_points import list_points

from raven_scan.access.types import LOCAL_ADMINISTRATOR
from raven_scan.app.wiring import Platform
from raven_scan.kernel.paging import LARGEST_LIMIT, PageRequest
from raven_scan.trained_models.types import ModelFilter, Origin, TrainedModelView
from raven_scan.training_runs.types import AttemptEnd, RunStatus, TrainingRunView

_TOLERANCE = {False: 1e-6, True: 1e-3}
"""Relative, of losses and figures; by whether MMDetection trained it."""
_COMPARED = ("loss", "learning_rate")
_TOLD_FIRST_STEPS = 20
_ENDS_ITSELF_WITHIN_S = 1.0
_INTERRUPTIONS = {AttemptEnd.LOST, AttemptEnd.WORKER_STOPPED}


@dataclass(frozen=True, slots=True)
class Learned:
    """What a run has learned: by metric and step its value, and its model's figures on the test part."""

    metrics: dict[str, dict[int, tuple[int, float | None]]]
    test: dict[str, float | None]
    steps: int


def read_learned(platform: Platform, run: TrainingRunView) -> Learned:
    points = list_points(platform, str(run.id))
    metrics: dict[str, dict[int, tuple[int, float | None]]] = {}
    for point in points:
        metrics.setdefault(point.name, {})[point.step] = (point.epoch, point.value)
    assert run.model is not None
    test = platform.trained_models.get_model(LOCAL_ADMINISTRATOR, run.model.id).test
    assert test is not None
    return Learned(metrics, {"map": test.map, "map50": test.map50}, run.progress.step)


def find_run_violations(run: TrainingRunView, models: Sequence[TrainedModelView]) -> list[str]:
    """Of a run that has ended: one Success, one model, every attempt with its end and reason."""
    found: list[str] = []
    if run.status is not RunStatus.SUCCESS:
        return [f"{run.name} ended in {run.status}: {run.error}"]
    ends = Counter(attempt.end for attempt in run.attempts)
    if ends[AttemptEnd.SUCCESS] != 1 or run.attempts[-1].end is not AttemptEnd.SUCCESS:
        found.append(f"{run.name} has attempts that ended so: {dict(ends)}")
    if [attempt.number for attempt in run.attempts] != list(range(1, len(run.attempts) + 1)):
        found.append(f"{run.name} has attempts numbered {[attempt.number for attempt in run.attempts]}")
    for attempt in run.attempts:
        if attempt.ended_at is None:
            found.append(f"{run.name}: attempt {attempt.number} has not ended")
        elif attempt.end is not AttemptEnd.SUCCESS and (
            attempt.end not in _INTERRUPTIONS or not attempt.reason or not attempt.worker
        ):
            found.append(
                f"{run.name}: attempt {attempt.number} ended in {attempt.end} for {attempt.reason!r}"
            )
    for earlier, later in zip(run.attempts, run.attempts[1:], strict=False):
        if earlier.ended_at is not None and later.started_at < earlier.ended_at:
            found.append(f"{run.name}: attempt {later.number} began before {earlier.number} had ended")
    own = [model for model in models if (made := model.lineage.training_run) and made.id == run.id]
    if [model.name for model in own] != [run.name]:
        found.append(f"{run.name} has the models {[model.name for model in own]}")
    return found


def find_learning_violations(name: str, got: Learned, wanted: Learned, *, is_real: bool) -> list[str]:
    """An interrupted run against one that was not: the same steps, losses, validations, and the same model."""
    found: list[str] = []
    if got.steps != wanted.steps:
        found.append(f"{name} did {got.steps} steps instead of {wanted.steps}")
    tolerance = _TOLERANCE[is_real]
    for metric in (*_COMPARED, *(each for each in wanted.metrics if each.startswith("valid/"))):
        told, reference = got.metrics.get(metric, {}), wanted.metrics[metric]
        is_each_told = wanted.steps <= _TOLD_FIRST_STEPS or metric.startswith("valid/")
        if is_each_told and told.keys() != reference.keys():
            found.append(f"{name} has {metric} at steps {sorted(told)} instead of {sorted(reference)}")
        found += [
            f"{name}: {metric} of step {step} is {told[step]} instead of {reference[step]}"
            for step in sorted(told.keys() & reference.keys())
            if not _is_same(told[step], reference[step], tolerance)
        ]
    edges = {1, wanted.steps} - got.metrics.get("loss", {}).keys()
    if edges:
        found.append(f"{name} has no loss at steps {sorted(edges)}")
    for figure, value in wanted.test.items():
        if not _is_same((0, got.test[figure]), (0, value), tolerance):
            found.append(f"{name}: test {figure} is {got.test[figure]} instead of {value}")
    return found


def _is_same(one: tuple[int, float | None], other: tuple[int, float | None], tolerance: float) -> bool:
    if one[1] is None or other[1] is None:
        return one == other
    return one[0] == other[0] and math.isclose(one[1], other[1], rel_tol=tolerance, abs_tol=1e-9)


def list_trained_models(platform: Platform) -> list[TrainedModelView]:
    listed = platform.trained_models.list_models(
        LOCAL_ADMINISTRATOR, PageRequest(limit=LARGEST_LIMIT), ModelFilter(origins=(Origin.TRAINED,))
    )
    return [platform.trained_models.get_model(LOCAL_ADMINISTRATOR, model.id) for model in listed.items]


def find_overlaps(folder: Path, woken_at: Mapping[int, float]) -> list[str]:
    """What trainers witnessed.

    One that is frozen does nothing, and one that wakes up ends itself at its next look at its leash; the striker sees
    that it does.

    Args:
        folder: the campaign's.
        woken_at: by process id of trainers that were frozen with their worker, in seconds since 1970.
    """
    path = folder / "witness" / "overlaps.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    told = [json.loads(line) for line in lines]
    return [
        f"two trainers of run {each['run']}: {each['own']} began beside {each['other']}, {each['state']!r}"
        for each in told
        if each["state"] != "T"
        and not 0 <= each["time"] - woken_at.get(each["holder"], -math.inf) < _ENDS_ITSELF_WITHIN_S
    ]


def find_leftovers(home: Path) -> list[str]:
    """After all workers have ended, and the next one has cleared up."""
    folders = [f"working folder {path.relative_to(home)} is left" for path in (home / "work").glob("*/*")]
    left = [f"process {pid} is left" for pid in processes.find_by_command_line(home / "work")]
    return folders + left
