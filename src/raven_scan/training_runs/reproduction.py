"""Runs a run again from its record, and compares what comes out with what came out then."""

from dataclasses import dataclass
from itertools import count
from typing import Any

import msgspec

import raven_scan
from raven_scan.access.types import Actor, Claim
from raven_scan.architectures.parameters import TrainingParameters
from raven_scan.datasets.service import DatasetService
from raven_scan.datasets.types import DatasetVersionView
from raven_scan.kernel.database import Database
from raven_scan.kernel.errors import Conflict, NotFound
from raven_scan.kernel.findings import Finding, Severity
from raven_scan.kernel.names import LONGEST_NAME
from raven_scan.storage.blob_store import BlobStore
from raven_scan.trained_models.service import TrainedModelService
from raven_scan.trained_models.types import TrainedModelView
from raven_scan.training_runs.comparison import (
    ComparedFigure,
    RunComparisons,
    RunDifference,
    find_environment,
)
from raven_scan.training_runs.device_choice import get_kind
from raven_scan.training_runs.errors import wrong_status
from raven_scan.training_runs.reproduction_arithmetic import find_arithmetic, is_decided_in_advance
from raven_scan.training_runs.reproduction_verdicts import TOLERANCE, ReproductionVerdict
from raven_scan.training_runs.service import TrainingRunService, get_run, view_run
from raven_scan.training_runs.types import (
    AttemptEnd,
    NamedReference,
    RunOptions,
    RunStatus,
    TrainingRunView,
)

_HERE = "raven-scan"
_OF_NOTHING = frozenset({"options"})
"""Groups of differences that change nothing of what is learned."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReproductionReport:
    """How a reproduction compares with its original.

    Attributes:
        differences: of parameters, inputs, code, libraries and machine: there should be none.
        figures: the original's first, then the reproduction's.
        is_configuration_equal: apart from the folders of the attempts; None where the one or the other is gone.
        is_weights_equal: by sha256; None where the one or the other was not written down.
        message: what it comes to.
    """

    original: NamedReference
    run: NamedReference
    status: RunStatus
    verdict: ReproductionVerdict
    message: str
    differences: list[RunDifference]
    figures: list[ComparedFigure]
    tolerance: float
    largest_difference: float | None
    is_configuration_equal: bool | None
    is_weights_equal: bool | None


class RunReproductions:
    """Makes reproductions, and reports on them."""

    def __init__(
        self,
        database: Database,
        runs: TrainingRunService,
        datasets: DatasetService,
        models: TrainedModelService,
        comparisons: RunComparisons,
        blobs: BlobStore,
    ) -> None:
        self._database = database
        self._runs = runs
        self._datasets = datasets
        self._models = models
        self._comparisons = comparisons
        self._blobs = blobs

    def reproduce(
        self, actor: Actor, ref: str, *, name: str | None = None
    ) -> tuple[TrainingRunView, list[Finding]]:
        """A Draft from the record of a run that succeeded: the same inputs, parameters, seed, kind of device.

        Args:
            actor: needs `training_run:view` and `training_run:create`, and to see dataset and base model.
            ref: name or id.
            name: as for `create`; None: the run's, with `-reproduced`.

        Returns:
            The Draft, and what may make it come out differently; it goes on with that.

        Raises:
            NotFound: there is no such run.
            Conflict: it did not end in Success, or its dataset version or base model is gone.
            Otherwise as `create`.
        """
        with self._database.reading() as session:
            row = get_run(session, actor, ref, claim=Claim.TRAINING_RUN_CREATE)
            run = view_run(session, row)
        if run.status is not RunStatus.SUCCESS:
            hint = "A run that has made nothing has nothing to be compared with: `raven runs clone` makes one like it."
            raise wrong_status("reproduced", run.name, run.status, "in Success", hint)
        findings = [
            *_check_inputs(run, self._get_version(actor, run), self._get_base_model(actor, run)),
            *_check_environment(run),
        ]
        return self._create(actor, run, name), findings

    def get_report(self, actor: Actor, ref: str, *, tolerance: float = TOLERANCE) -> ReproductionReport:
        """How a reproduction compares with what it reproduces.

        Args:
            actor: needs `training_run:view`.
            ref: name or id of the reproduction.
            tolerance: how much figures in 0-1 may differ.

        Raises:
            NotFound: there is no such run, it is no reproduction, or its original is gone.
        """
        with self._database.reading() as session:
            run = view_run(session, get_run(session, actor, ref))
            if run.reproduces is None:
                raise NotFound(
                    "training_run.reproduces_nothing",
                    f"The training run {run.name!r} was not made to reproduce another.",
                    hint="`raven runs reproduce RUN` makes one that is; `raven runs compare` compares any.",
                    parameters={"name": run.name},
                )
            try:
                original = view_run(session, get_run(session, actor, str(run.reproduces.id)))
            except NotFound as error:
                raise NotFound(
                    "training_run.original_gone",
                    f"The training run {run.reproduces.name!r}, which {run.name!r} reproduces, is deleted.",
                    hint="Restore it from the trash: `raven trash list`.",
                    parameters={"name": run.name, "missing": run.reproduces.name},
                ) from error
            compared = self._comparisons.compare_runs(actor, [str(original.id), str(run.id)], metrics=())
        differences = [
            each
            for each in compared.differences
            if each.group not in _OF_NOTHING and not is_decided_in_advance(each)
        ]
        configurations = [self._read_configuration(each) for each in (original, run)]
        return _judge(
            original,
            run,
            differences,
            compared.figures,
            tolerance,
            is_configuration_equal=None if None in configurations else configurations[0] == configurations[1],
        )

    def _read_configuration(self, run: TrainingRunView) -> bytes | None:
        """Without the folder that the attempt worked in; None where it is gone, or damaged."""
        digest = run.record.configuration_digest if run.record else None
        if digest is None or not self._blobs.verify(digest):
            return None
        content = msgspec.json.decode(self._blobs.get_bytes(digest), type=dict[str, Any])
        folder = content.pop("work_dir", None)
        encoded = msgspec.json.encode(content, order="sorted")
        if not isinstance(folder, str) or not folder.startswith("/"):
            # Its paths are relative to that folder.
            return encoded
        return encoded.replace(msgspec.json.encode(folder)[1:-1], b"")

    def _create(self, actor: Actor, run: TrainingRunView, name: str | None) -> TrainingRunView:
        suffix = "-reproduced"
        for number in count(2):
            try:
                return self._runs.create(
                    actor,
                    name=name or run.name[: LONGEST_NAME - len(suffix)] + suffix,
                    dataset=str(run.dataset_version.id),
                    base_model=str(run.base_model.id),
                    parameters=self._pin_parameters(run),
                    options=_choose_device(run),
                    reproduces=NamedReference(run.id, run.name),
                )
            except Conflict as error:
                if name is not None or not error.code.endswith(".name_taken"):
                    raise
            suffix = f"-reproduced-{number}"
        raise AssertionError

    def _pin_parameters(self, run: TrainingRunView) -> TrainingParameters:
        """Its parameters, with the arithmetic that it computed with in place of one that would be measured anew."""
        parameters = run.parameters.model_dump()
        content = self._read_configuration(run)
        if content is not None:
            parameters.update(find_arithmetic(msgspec.json.decode(content)))
        return TrainingParameters.model_validate(parameters)

    def _get_version(self, actor: Actor, run: TrainingRunView) -> DatasetVersionView:
        try:
            return self._datasets.get_version(actor, str(run.dataset_version.id))
        except NotFound as error:
            digest = run.record.dataset_version_digest if run.record else None
            raise _make_gone(run, "dataset", run.dataset_version.name, digest) from error

    def _get_base_model(self, actor: Actor, run: TrainingRunView) -> TrainedModelView:
        try:
            return self._models.get_model(actor, run.base_model.id)
        except NotFound as error:
            digest = run.record.base_weights_digest if run.record else None
            raise _make_gone(run, "base model", run.base_model.name, digest) from error


def _make_gone(run: TrainingRunView, thing: str, name: str, digest: str | None) -> Conflict:
    sha256 = f" (sha256 {digest})" if digest else ""
    return Conflict(
        f"training_run.{thing.replace(' ', '_')}_gone",
        f"The training run {run.name!r} cannot be reproduced: its {thing} {name!r}{sha256} is not there any more.",
        hint="Restore it from the trash: `raven trash list`; or from a backup, where it is not there either.",
        parameters={"name": run.name, "missing": name, "digest": digest},
    )


def _choose_device(run: TrainingRunView) -> RunOptions:
    """The kind and number of devices that the attempt had which succeeded."""
    succeeded = [attempt for attempt in run.attempts if attempt.end is AttemptEnd.SUCCESS]
    if not succeeded:
        return RunOptions(device_kind=run.options.device_kind, device_count=run.options.device_count)
    devices = succeeded[-1].device.split(",")
    return RunOptions(device_kind=get_kind(devices[0]), device_count=len(devices))


def _check_inputs(
    run: TrainingRunView, dataset_version: DatasetVersionView, base_model: TrainedModelView
) -> list[Finding]:
    if run.record is None:
        return [
            _warn(
                "no_record",
                f"{run.name} is older than records of runs: what its dataset and its base model were is not known.",
                "It is taken that they are the same.",
            )
        ]
    findings: list[Finding] = []
    if run.record.dataset_version_digest not in {None, dataset_version.digest}:
        findings.append(
            _warn(
                "dataset_changed",
                f"{dataset_version.full_name} is not what {run.name} learned from.",
                "Restore it from a backup.",
            )
        )
    if run.record.base_weights_digest != base_model.weights_digest:
        findings.append(
            _warn(
                "base_model_changed",
                f"The weights of {base_model.name} are not those that {run.name} started from.",
                "Restore it from a backup.",
            )
        )
    return findings


def _check_environment(run: TrainingRunView) -> list[Finding]:
    then = find_environment(run)
    if then is None:
        return [
            _warn(
                "no_environment",
                f"What {run.name} was computed with was not written down.",
                "Figures may differ.",
            )
        ]
    here = {name: _find_version(name) for name in then}
    findings = [
        _warn(
            "other_version",
            f"{run.name} was made with {name} {then[name]}, here is {found}.",
            "Figures may differ; install that version to have the same.",
        )
        for name, found in here.items()
        if found is not None and found != then[name]
    ]
    told = [attempt.environment for attempt in run.attempts if attempt.environment is not None]
    if any(each != told[0] for each in told[1:]):
        findings.append(
            _warn(
                "several_environments",
                f"The attempts of {run.name} did not all have the same code, libraries and machine.",
                "Figures may differ.",
            )
        )
    return findings


def _find_version(name: str) -> str | None:
    """Of a library on this machine; None of what is none."""
    from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415 - a worker needs it not

    if name == _HERE:
        return raven_scan.__version__
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _warn(code: str, message: str, hint: str) -> Finding:
    return Finding(f"reproduction.{code}", Severity.WARNING, message, hint)


def _judge(
    original: TrainingRunView,
    run: TrainingRunView,
    differences: list[RunDifference],
    figures: list[ComparedFigure],
    tolerance: float,
    *,
    is_configuration_equal: bool | None,
) -> ReproductionReport:
    of_both = [each.differences[1] for each in figures if each.name != "confidence"]
    distances = [abs(each) for each in of_both if each is not None]
    largest = max(distances, default=None)
    is_weights_equal = _compare_weights(original, run)
    verdict = _decide(run, largest, tolerance, is_weights_equal=is_weights_equal)
    # A figure that only the one has cannot be within anything.
    if verdict is ReproductionVerdict.WITHIN_TOLERANCE and None in of_both:
        verdict = ReproductionVerdict.DIFFERENT
    return ReproductionReport(
        original=NamedReference(original.id, original.name),
        run=NamedReference(run.id, run.name),
        status=run.status,
        verdict=verdict,
        message=_explain(verdict, run, differences, largest, tolerance),
        differences=differences,
        figures=figures,
        tolerance=tolerance,
        largest_difference=largest,
        is_configuration_equal=is_configuration_equal,
        is_weights_equal=is_weights_equal,
    )


def _decide(
    run: TrainingRunView, largest: float | None, tolerance: float, *, is_weights_equal: bool | None
) -> ReproductionVerdict:
    if run.status is not RunStatus.SUCCESS:
        return ReproductionVerdict.PENDING if not run.status.is_final else ReproductionVerdict.NOT_COMPARABLE
    if is_weights_equal:
        return ReproductionVerdict.IDENTICAL
    if largest is None:
        return ReproductionVerdict.NOT_COMPARABLE
    return ReproductionVerdict.WITHIN_TOLERANCE if largest <= tolerance else ReproductionVerdict.DIFFERENT


def _compare_weights(original: TrainingRunView, run: TrainingRunView) -> bool | None:
    of_both = [each.record.weights_digest if each.record else None for each in (original, run)]
    return None if None in of_both else of_both[0] == of_both[1]


def _explain(
    verdict: ReproductionVerdict,
    run: TrainingRunView,
    differences: list[RunDifference],
    largest: float | None,
    tolerance: float,
) -> str:
    names = ", ".join(each.name for each in differences)
    changed = (
        f" Not the same were: {names}." if names else " Code, libraries, inputs and parameters were the same."
    )
    match verdict:
        case ReproductionVerdict.IDENTICAL:
            return f"Reproduced: the weights are the same, bit by bit.{changed}"
        case ReproductionVerdict.WITHIN_TOLERANCE:
            return (
                f"Reproduced within the tolerance: no figure differs by more than {largest:.4f} "
                f"({tolerance:g} is allowed); the weights differ.{changed}"
            )
        case ReproductionVerdict.DIFFERENT:
            return f"Not reproduced: figures differ by up to {largest or 0.0:.4f}, {tolerance:g} is allowed.{changed}"
        case ReproductionVerdict.PENDING:
            return f"The reproduction is {run.status}: it has not ended yet."
        case ReproductionVerdict.NOT_COMPARABLE:
            return "There is nothing to compare: the reproduction is " + (
                "in Success, but figures of one of the two are missing."
                if run.status is RunStatus.SUCCESS
                else f"{run.status}."
            )
