"""What would become of a run before it is created: its parameters, what the preflight finds, its time and memory."""

from dataclasses import dataclass
from functools import partial
from itertools import count
from math import ceil

from raven_scan.access.types import Actor, Claim
from raven_scan.architectures.catalogue import get_architecture
from raven_scan.architectures.decisions import decide_parameters
from raven_scan.architectures.parameters import TrainingParameters
from raven_scan.datasets.service import DatasetService
from raven_scan.datasets.split import count_fraction
from raven_scan.datasets.types import DatasetVersionView
from raven_scan.kernel.errors import NotFound
from raven_scan.kernel.findings import Finding, Severity
from raven_scan.kernel.names import LONGEST_NAME
from raven_scan.kernel.paging import LARGEST_LIMIT, PageRequest
from raven_scan.trained_models.service import TrainedModelService
from raven_scan.trained_models.types import TrainedModelView
from raven_scan.training_runs.preflight import PreflightChecks, get_starting_weights
from raven_scan.training_runs.presets import TrainingPresetService
from raven_scan.training_runs.service import TrainingRunService
from raven_scan.training_runs.types import RunFilter, RunOptions, RunStatus

_NO_OPTIONS = RunOptions()
_FIELDS = tuple(TrainingParameters.model_fields)
_LATEST = PageRequest(limit=1, sort="-ended_at")


@dataclass(frozen=True, slots=True)
class RunPlan:
    """What a run would be.

    Attributes:
        decided: the parameters, with those that were left open as they would be kept.
        findings: of the preflight, as scheduling would tell them now.
        steps: optimiser steps of the whole run.
        memory_bytes: while it trains in float32: a rough figure.
        time_s: as an earlier run on the same architecture took for its steps; None where there is none. A dry run
            measures it.
        measured_by: the name of that run.
        suggested_name: one that no run and no model has.
    """

    dataset_version: DatasetVersionView
    base_model: TrainedModelView
    decided: TrainingParameters
    findings: list[Finding]
    steps: int
    memory_bytes: int
    time_s: float | None
    measured_by: str | None
    suggested_name: str

    @property
    def is_possible(self) -> bool:
        return not any(finding.severity is Severity.ERROR for finding in self.findings)


class RunPlanning:
    """Plans runs; nothing is stored."""

    def __init__(
        self,
        runs: TrainingRunService,
        datasets: DatasetService,
        models: TrainedModelService,
        presets: TrainingPresetService,
        checks: PreflightChecks,
    ) -> None:
        self._runs = runs
        self._datasets = datasets
        self._models = models
        self._presets = presets
        self._checks = checks

    def plan(
        self,
        actor: Actor,
        *,
        dataset: str,
        base_model: str,
        parameters: TrainingParameters,
        options: RunOptions = _NO_OPTIONS,
        preset: str | None = None,
    ) -> RunPlan:
        """What `TrainingRunService.create` and `schedule` would make of the same.

        Args:
            actor: needs `training_run:create`; sees how long others took where it may see runs.
            dataset: name, name@version, or id.
            base_model: name or id.
            parameters: what is left open is decided.
            options: on what it is executed.
            preset: its parameters are taken where `parameters` says nothing.

        Raises:
            NotFound: the dataset, the base model or the preset.
            Conflict: the preset is for another architecture.
        """
        actor.require(Claim.TRAINING_RUN_CREATE)
        version = self._datasets.get_version(actor, dataset)
        model = self._models.get_model(actor, base_model)
        if preset is not None:
            _, parameters = self._presets.complete(actor, preset, model.architecture, parameters)
        architecture = get_architecture(model.architecture)
        image_count = count_fraction(version.parts["train"].image_count, parameters.fraction)
        decided = decide_parameters(
            architecture,
            parameters,
            starting_weights=get_starting_weights(model),
            train_image_count=image_count,
        )
        images_a_step = decided.batch_size * decided.accumulation
        steps = decided.epochs * max(1, ceil(image_count / images_a_step))
        time_s, measured_by = self._expect_time(actor, model.architecture, decided, steps)
        return RunPlan(
            dataset_version=version,
            base_model=model,
            decided=decided,
            findings=self._checks.find_all(actor, version, model, decided, options),
            steps=steps,
            memory_bytes=architecture.estimate_memory_bytes(
                decided.batch_size, decided.image_size or architecture.image_size
            ),
            time_s=time_s,
            measured_by=measured_by,
            suggested_name=self._suggest_name(actor, version, model),
        )

    def list_changed(self, actor: Actor, ref: str) -> set[str]:
        """Names of a run's parameters that are not as they would have been decided.

        Args:
            actor: needs `training_run:view`; what depends on the dataset and the base model is left out where it may
                not see them, or they are gone.
            ref: name or id of the run.

        Raises:
            NotFound: there is no such run.
        """
        run = self._runs.get_run(actor, ref)
        given = run.parameters
        try:
            version = self._datasets.get_version(actor, str(run.dataset_version.id))
            model = self._models.get_model(actor, run.base_model.id)
        except NotFound:
            usual = TrainingParameters()
            decided_each_time = {name for name in _FIELDS if getattr(usual, name) is None}
        else:
            decide = partial(
                decide_parameters,
                get_architecture(run.architecture),
                starting_weights=get_starting_weights(model),
                train_image_count=count_fraction(version.parts["train"].image_count, given.fraction),
            )
            usual = decide(TrainingParameters(batch_size=given.batch_size)).model_copy(
                update={"batch_size": decide(TrainingParameters()).batch_size}
            )
            decided_each_time = set[str]()
        return {
            name
            for name in _FIELDS
            if name not in decided_each_time and getattr(given, name) != getattr(usual, name)
        }

    def _suggest_name(self, actor: Actor, version: DatasetVersionView, model: TrainedModelView) -> str:
        base = f"{version.dataset_name}-{model.name}"[: LONGEST_NAME - len("-9999")].strip()
        taken: set[str] = set()
        if actor.may(Claim.TRAINING_RUN_VIEW):
            alike = RunFilter(dataset=version.dataset_name, base_model=str(model.id))
            found = self._runs.list_runs(actor, PageRequest(limit=LARGEST_LIMIT), alike)
            taken = {run.name for run in found.items}
        return next(
            name
            for number in count(1)
            for name in [base if number == 1 else f"{base}-{number}"]
            if name not in taken and self._is_free(actor, name)
        )

    def _is_free(self, actor: Actor, name: str) -> bool:
        if self._models.find_model(actor, name) is not None:
            return False
        try:
            self._runs.get_run(actor, name)
        except NotFound:
            return True
        return False

    def _expect_time(
        self, actor: Actor, architecture: str, decided: TrainingParameters, steps: int
    ) -> tuple[float | None, str | None]:
        """From the last run of the architecture that ended well, whose steps cost by the pixels in them."""
        if not actor.may(Claim.TRAINING_RUN_VIEW):
            return None, None
        wanted = RunFilter(statuses=(RunStatus.SUCCESS,), architecture=architecture)
        found = self._runs.list_runs(actor, _LATEST, wanted).items
        if not found:
            return None, None
        run = self._runs.get_run(actor, str(found[0].id))
        if run.started_at is None or run.ended_at is None or not run.progress.steps:
            return None, None
        if len([attempt for attempt in run.attempts if attempt.end != "dry_run"]) != 1:
            return None, None  # what lies between its attempts is not what it took
        step_time_s = (run.ended_at - run.started_at).total_seconds() / run.progress.steps
        return steps * step_time_s * _count_pixels(decided) / _count_pixels(run.parameters), run.name


def _count_pixels(parameters: TrainingParameters) -> float:
    """Of a step; an architecture's own image size is written down with every run."""
    side = parameters.image_size or 1
    return parameters.batch_size * parameters.accumulation * float(side) ** 2
