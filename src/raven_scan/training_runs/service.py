"""The use cases of training runs: create, check, schedule, look."""

from dataclasses import asdict, replace
from typing import Any
from uuid import UUID

from pydantic import ValidationError
from sqlalchemy import func
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from raven_scan.access.audit import Target, record
from raven_scan.access.types import Actor, Claim
from raven_scan.architectures.catalogue import get_architecture
from raven_scan.architectures.decisions import decide_parameters
from raven_scan.architectures.parameters import TrainingParameters
from raven_scan.datasets.service import DatasetService
from raven_scan.datasets.split import count_fraction
from raven_scan.datasets.types import DatasetVersionView
from raven_scan.kernel.database import Database
from raven_scan.kernel.errors import Invalid, NotFound
from raven_scan.kernel.ids import make_id, parse_id
from raven_scan.kernel.names import check_name
from raven_scan.kernel.paging import Page, PageRequest
from raven_scan.trained_models.service import TrainedModelService
from raven_scan.trained_models.types import TrainedModelView
from raven_scan.training_runs.errors import (
    input_gone,
    name_taken,
    preflight_failed,
    run_not_found,
    wrong_status,
)
from raven_scan.training_runs.log_ranges import read_log_range
from raven_scan.training_runs.models import TrainingRun
from raven_scan.training_runs.preflight import PreflightChecks, get_starting_weights
from raven_scan.training_runs.presets import TrainingPresetService
from raven_scan.training_runs.records import RunRecord
from raven_scan.training_runs.repository import attempts, checkpoints, run_lists, runs
from raven_scan.training_runs.transitions import put_in_queue
from raven_scan.training_runs.types import (
    LogRange,
    NamedReference,
    Preflight,
    RunFilter,
    RunOptions,
    RunStatus,
    TrainingRunSummary,
    TrainingRunView,
)
from raven_scan.training_runs.views import make_options, make_view

_NO_OPTIONS = RunOptions()
_ALL_RUNS = RunFilter()


class TrainingRunService:
    """Training runs, as users work with them; what stops and starts them is in `TrainingRunControl`."""

    def __init__(
        self,
        database: Database,
        datasets: DatasetService,
        models: TrainedModelService,
        presets: TrainingPresetService,
        checks: PreflightChecks,
    ) -> None:
        self._database = database
        self._datasets = datasets
        self._models = models
        self._presets = presets
        self._checks = checks

    def create(
        self,
        actor: Actor,
        *,
        name: str,
        dataset: str,
        base_model: str,
        parameters: TrainingParameters,
        options: RunOptions = _NO_OPTIONS,
        preset: str | None = None,
        cloned_from: str | None = None,
        reproduces: NamedReference | None = None,
    ) -> TrainingRunView:
        """Stores a Draft; parameters that were left open are decided here, and kept with the run.

        Args:
            actor: needs `training_run:create`.
            name: unique among runs and models, since the model takes its run's name.
            dataset: name, name@version, or id.
            base_model: name or id.
            parameters: within their bounds; whether they go together is said by the preflight.
            options: when and on what it is executed.
            preset: its parameters are taken where `parameters` says nothing.
            cloned_from: the run that it is like.
            reproduces: the run that it is to run again.

        Raises:
            Invalid: the name cannot be one.
            Conflict: a run or a model has the name already, or the preset is for another architecture.
            NotFound: the dataset, the base model or the preset.
        """
        actor.require(Claim.TRAINING_RUN_CREATE)
        check_name("training_run", name)
        version = self._datasets.get_version(actor, dataset)
        model = self._models.get_model(actor, base_model)
        self._models.check_name_free(actor, name)
        if preset is not None:
            preset, parameters = self._presets.complete(actor, preset, model.architecture, parameters)
        image_count = count_fraction(version.parts["train"].image_count, parameters.fraction)
        decided = decide_parameters(
            get_architecture(model.architecture),
            parameters,
            starting_weights=get_starting_weights(model),
            train_image_count=image_count,
        )
        run = TrainingRun(
            id=make_id(),
            name=name,
            status=RunStatus.DRAFT,
            dataset_version_id=version.id,
            dataset_version_name=version.full_name,
            base_model_id=model.id,
            base_model_name=model.name,
            architecture=model.architecture,
            parameters=decided.model_dump(mode="json"),
            created_by=actor.name,
            created_by_id=actor.id,
            preset_name=preset,
            cloned_from=cloned_from,
            reproduces_id=reproduces.id if reproduces else None,
            reproduces_name=reproduces.name if reproduces else None,
            record=asdict(
                RunRecord(dataset_version_digest=version.digest, base_weights_digest=model.weights_digest)
            ),
            **asdict(options),
        )
        try:
            with self._database.transaction() as session:
                # Neither is deleted between the look above and the commit.
                self._datasets.keep_version(actor, version.id)
                self._models.keep_model(actor, model.id)
                session.add(run)
                session.flush()
                session.refresh(run)
                made_of = {"dataset": run.dataset_version_name, "base_model": run.base_model_name}
                record_run(
                    session,
                    actor,
                    "created",
                    run,
                    **made_of,
                    preset=preset,
                    cloned_from=cloned_from,
                    **({"reproduces": reproduces.name} if reproduces else {}),
                )
                return make_view(run)
        except IntegrityError as error:
            raise name_taken(name) from error

    def clone(
        self,
        actor: Actor,
        ref: str,
        *,
        name: str,
        dataset: str | None = None,
        base_model: str | None = None,
        parameters: dict[str, Any],
        options: dict[str, Any],
    ) -> TrainingRunView:
        """A new Draft like another run, with changes.

        Args:
            actor: needs `training_run:view` and `training_run:create`.
            ref: the run that it is to be like.
            name: as for `create`.
            dataset: another one than the run's version.
            base_model: another one than the run's.
            parameters: training parameters that differ, by name.
            options: options that differ, by name; a start time that has passed is not taken over.

        Raises:
            Invalid: a change is out of bounds.
            Conflict: its dataset or its base model is gone, and no other one is given.
            Otherwise as `create`.
        """
        with self._database.transaction() as session:
            run = get_run(session, actor, ref, claim=Claim.TRAINING_RUN_CREATE)
        if dataset is None:
            self._get_version(actor, run)
        if base_model is None:
            self._get_base_model(actor, run)
        changed = _change_parameters(run, parameters)
        kept = replace(make_options(run), start_at=None)
        return self.create(
            actor,
            name=name,
            dataset=dataset or str(run.dataset_version_id),
            base_model=base_model or str(run.base_model_id),
            parameters=changed,
            options=replace(kept, **options),
            cloned_from=run.name,
        )

    def check(self, actor: Actor, ref: str) -> Preflight:
        """The preflight alone: what scheduling would find. Raises NotFound."""
        with self._database.transaction() as session:
            run = get_run(session, actor, ref, claim=Claim.TRAINING_RUN_SCHEDULE)
        return self._check(actor, run)

    def schedule(self, actor: Actor, ref: str, *, dry_run: bool = False) -> tuple[TrainingRunView, Preflight]:
        """After a preflight without errors the run waits for a worker.

        Args:
            actor: needs `training_run:schedule`.
            ref: name or id.
            dry_run: it makes a few steps, tells what the whole run will cost, and is a Draft again.

        Raises:
            NotFound: there is no such run.
            Conflict: it is no Draft, or the preflight failed; its findings are in the parameters.
        """
        with self._database.transaction() as session:
            run = get_run(session, actor, ref, claim=Claim.TRAINING_RUN_SCHEDULE)
            _check_is_draft(run)
        preflight = self._check(actor, run)
        if not preflight.is_passed:
            raise preflight_failed(run.name, preflight.findings)
        with self._database.transaction() as session:
            run = get_run(session, actor, ref, lock=True)
            _check_is_draft(run)
            run.scheduled_at = func.now()
            run.is_dry_run = dry_run
            run.dry_run_error = None
            run.warnings = [
                finding.message for finding in preflight.findings if finding.severity == "warning"
            ]
            put_in_queue(session, run)
            record_run(session, actor, "scheduled", run, dry_run=dry_run)
            session.flush()
            session.refresh(run)
            return make_view(run, attempts.list_of_runs(session, [run.id])[run.id]), preflight

    def get_run(self, actor: Actor, ref: str) -> TrainingRunView:
        """The run of that name or id. Raises NotFound."""
        with self._database.reading() as session:
            return view_run(session, get_run(session, actor, ref))

    def list_runs(
        self, actor: Actor, page: PageRequest, wanted: RunFilter = _ALL_RUNS
    ) -> Page[TrainingRunSummary]:
        """Those that the filter lets pass; newest first, where no other order is asked for.

        Raises:
            Invalid: there is no such order, the cursor is of another list, or too much is searched for.
        """
        actor.require(Claim.TRAINING_RUN_VIEW)
        with self._database.reading() as session:
            versions = self._list_versions(actor, wanted.dataset)
            return run_lists.list_runs(session, page, wanted, versions)

    def read_log(self, actor: Actor, ref: str, offset: int, limit_bytes: int) -> LogRange:
        """A part of the run's log, in bytes from `offset`, cut at the end of a line where there is one.

        Raises NotFound.
        """
        with self._database.reading() as session:
            run = get_run(session, actor, ref)
            return read_log_range(session, run, offset, limit_bytes)

    def _list_versions(self, actor: Actor, dataset: str | None) -> list[UUID]:
        """Of the dataset that an id names; its name is beside each run."""
        if dataset is None or parse_id(dataset) is None or not actor.may(Claim.DATASET_VIEW):
            return []
        try:
            return [version.id for version in self._datasets.get_dataset(actor, dataset).versions]
        except NotFound:
            return []

    def _get_version(self, actor: Actor, run: TrainingRun) -> DatasetVersionView:
        try:
            return self._datasets.get_version(actor, str(run.dataset_version_id))
        except NotFound as error:
            raise input_gone(run.name, "dataset", run.dataset_version_name, "--dataset") from error

    def _get_base_model(self, actor: Actor, run: TrainingRun) -> TrainedModelView:
        try:
            return self._models.get_model(actor, str(run.base_model_id))
        except NotFound as error:
            raise input_gone(run.name, "base model", run.base_model_name, "--base-model") from error

    def _check(self, actor: Actor, run: TrainingRun) -> Preflight:
        return Preflight(
            self._checks.find_all(
                actor,
                self._get_version(actor, run),
                self._get_base_model(actor, run),
                TrainingParameters.model_validate(run.parameters),
                make_options(run),
            )
        )


def get_run(
    session: Session, actor: Actor, ref: str, *, claim: Claim | None = None, lock: bool = False
) -> TrainingRun:
    """The run of that name or id.

    Args:
        session: to ask.
        actor: needs `training_run:view`, without which there is no such run.
        ref: name or id.
        claim: that what is to be done with it needs.
        lock: until the transaction ends.

    Raises:
        NotFound: there is no such run.
        Forbidden: the claim is missing.
    """
    if not actor.may(Claim.TRAINING_RUN_VIEW):
        raise run_not_found(ref)
    if claim is not None:
        actor.require(claim)
    run = runs.find_run(session, ref, lock=lock)
    if run is None:
        raise run_not_found(ref)
    return run


def record_run(session: Session, actor: Actor, verb: str, run: TrainingRun, **details: Any) -> None:
    """Puts into the audit trail what is done to the run."""
    record(session, actor, f"training_run.{verb}", Target("training_run", run.id, run.name), **details)


def view_changed_run(session: Session, run: TrainingRun) -> TrainingRunView:
    """The run as `view_run` shows it, with what the transaction and the database made of it."""
    session.flush()
    session.refresh(run)
    return view_run(session, run)


def view_run(session: Session, run: TrainingRun) -> TrainingRunView:
    """The run, as it was read, with its attempts and checkpoints."""
    return make_view(
        run,
        attempts.list_of_runs(session, [run.id])[run.id],
        checkpoints.list_of_runs(session, [run.id])[run.id],
    )


def _check_is_draft(run: TrainingRun) -> None:
    if run.status != RunStatus.DRAFT:
        raise wrong_status(
            "scheduled",
            run.name,
            RunStatus(run.status),
            "a Draft",
            "`raven runs retry` runs one again that ended, `raven runs clone` makes a new one like it.",
        )


def _change_parameters(run: TrainingRun, changes: dict[str, Any]) -> TrainingParameters:
    """A run's parameters with changes; what was decided for the architecture stays, unless it is set to None."""
    try:
        return TrainingParameters.model_validate({**run.parameters, **changes})
    except ValidationError as error:
        problems: list[dict[str, str]] = []
        for each in error.errors(include_url=False):
            name = ".".join(["parameters", *map(str, each["loc"])])
            reason = (
                "is not known" if each["type"] == "extra_forbidden" else each["msg"].removeprefix("Input ")
            )
            problems.append({"field": name, "code": each["type"], "message": f"{name} {reason}."})
        raise Invalid(
            "training_run.bad_parameters",
            " ".join(problem["message"] for problem in problems),
            hint="docs/cli.md says the bounds of each.",
            parameters={"problems": problems},
        ) from error
