"""The use cases of evaluations."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from uuid import UUID

from sqlalchemy.orm import Session

from raven_scan.access.audit import Target, record
from raven_scan.access.types import WORKER, Actor, Claim
from raven_scan.datasets.service import DatasetService
from raven_scan.datasets.types import DatasetVersionView, Part
from raven_scan.evaluations import repository
from raven_scan.evaluations.comparing import Comparable, EvaluationDifferences
from raven_scan.evaluations.errors import (
    make_already_ended,
    make_different_parts,
    make_empty_part,
    make_no_common_class,
    make_no_weights,
    make_not_ended,
    make_not_found,
    make_not_usable,
    make_report_damaged,
    make_unknown_figure,
    make_unknown_part,
)
from raven_scan.evaluations.models import ModelEvaluation
from raven_scan.evaluations.types import (
    DEFAULT_FIGURE,
    FIGURES_COMPARED,
    EvaluationFilter,
    EvaluationStatus,
    EvaluationView,
    RunEvaluation,
)
from raven_scan.figures.difference import Difference
from raven_scan.figures.report import EvaluationReport, decode_report
from raven_scan.kernel.clock import Clock
from raven_scan.kernel.database import Database
from raven_scan.kernel.findings import Severity
from raven_scan.kernel.ids import make_id
from raven_scan.kernel.paging import Page, PageRequest
from raven_scan.storage.blob_store import BlobStore
from raven_scan.trained_models.service import TrainedModelService
from raven_scan.trained_models.types import TrainedModelView

_ALL = EvaluationFilter()
_NAMED = 5


class EvaluationService:
    """Evaluations of models on parts of dataset versions: asked for, looked at, recorded.

    Those of a model in the trash are not there, until it is restored.
    """

    def __init__(
        self,
        database: Database,
        datasets: DatasetService,
        models: TrainedModelService,
        blobs: BlobStore,
        clock: Clock,
    ) -> None:
        self._database = database
        self._datasets = datasets
        self._models = models
        self._blobs = blobs
        self._clock = clock
        self._differences = EvaluationDifferences(database, self._open_matches)

    def request(self, actor: Actor, model: str, dataset: str, part: str = Part.TEST) -> EvaluationView:
        """Has a model evaluated by the next worker that has a device free; it comes before training runs.

        Where the same is asked for already, and has not ended, that is answered.

        Args:
            actor: needs `trained_model:review`.
            model: name or id.
            dataset: a dataset version, `name@number` or id; the newest by the dataset's name.
            part: train, valid or test.

        Raises:
            NotFound: there is no such model or dataset version.
            Invalid: there is no such part.
            Conflict: the part is empty, no class is common to both, the model has no weights for any classes, or
                files of either are missing or damaged.
        """
        found = self._models.get_model(actor, model)
        version = self._datasets.get_version(actor, dataset)
        actor.require(Claim.TRAINED_MODEL_REVIEW)
        warnings = self._check(actor, found, version, part)
        with self._database.transaction() as session:
            self._models.keep_model(actor, found.id)
            self._datasets.keep_version(actor, version.id)
            asked = repository.insert_unless_open(
                session,
                {
                    "id": make_id(),
                    "model_id": found.id,
                    "model_name": found.name,
                    "dataset_version_id": version.id,
                    "dataset_version_name": version.full_name,
                    "part": part,
                    "status": EvaluationStatus.WAITING,
                    "warnings": warnings,
                    "created_by": actor.name,
                    "created_at": self._clock.now(),
                },
            )
            if asked.is_new:
                target = Target("trained_model", found.id, found.name)
                about = {"dataset": version.full_name, "part": part}
                record(session, actor, "trained_model.evaluation_requested", target, **about)
                repository.notify_workers(session)
            return repository.make_view(asked.row)

    def get_evaluation(self, actor: Actor, id_: UUID) -> EvaluationView:
        """Raises NotFound."""
        with self._database.reading() as session:
            return repository.make_view(self._get(session, actor, id_))

    def list_evaluations(
        self, actor: Actor, page: PageRequest, chosen: EvaluationFilter = _ALL
    ) -> Page[EvaluationView]:
        """Newest first. Raises NotFound where there is no such model or dataset version."""
        model = None if chosen.model is None else self._models.get_model(actor, chosen.model)
        actor.require(Claim.TRAINED_MODEL_VIEW)
        version = None if chosen.dataset is None else self._datasets.get_version(actor, chosen.dataset)
        if chosen.part is not None:
            _check_part(chosen.part)
        with self._database.reading() as session:
            return repository.list_evaluations(
                session,
                page,
                self._models.select_ids(actor),
                model_id=model.id if model else None,
                dataset_version_id=version.id if version else None,
                part=chosen.part,
                status=chosen.status,
            )

    def find_latest(
        self, actor: Actor, model_id: UUID, dataset_version_id: UUID | None, part: str = Part.TEST
    ) -> EvaluationView | None:
        """The model's last successful evaluation on this part; of any dataset version where none is named."""
        if self._models.find_model(actor, model_id) is None:
            return None
        with self._database.reading() as session:
            return repository.find_latest(session, model_id, dataset_version_id, part)

    def cancel(self, actor: Actor, id_: UUID) -> EvaluationView:
        """Ends one that waits or is processed.

        Args:
            actor: needs `trained_model:review`.
            id_: of the evaluation.

        Raises:
            NotFound: there is no such evaluation.
            Conflict: it has ended.
        """
        with self._database.transaction() as session:
            row = self._get(session, actor, id_, lock=True)
            actor.require(Claim.TRAINED_MODEL_REVIEW)
            status = EvaluationStatus(row.status)
            if status.is_final:
                raise make_already_ended(id_, status)
            row.status = EvaluationStatus.CANCELLED
            row.ended_at = self._clock.now()
            target = Target("trained_model", row.model_id, row.model_name)
            record(session, actor, "trained_model.evaluation_cancelled", target, evaluation=str(id_))
            session.flush()
            return repository.make_view(row)

    def read_report(self, actor: Actor, id_: UUID) -> EvaluationReport:
        """All figures of one that was a Success. Raises NotFound; Conflict where it was none; Damaged."""
        return decode_report(self.read_report_content(actor, id_))

    def read_report_content(self, actor: Actor, id_: UUID) -> bytes:
        """As `read_report`, as JSON."""
        digest = self._get_result(actor, id_)[0]
        content = self._blobs.get_bytes(digest)
        # Models are published by what it says.
        if hashlib.sha256(content).hexdigest() != digest:
            raise make_report_damaged(id_)
        return content

    def open_matches(self, actor: Actor, id_: UUID) -> Path:
        """The file that `figures.matches.read_matches` reads, read-only. Raises as `read_report`."""
        return self._blobs.get_path(self._get_result(actor, id_)[1])

    def compare_evaluations(
        self, actor: Actor, first_id: UUID, second_id: UUID, figure: str = DEFAULT_FIGURE
    ) -> Difference:
        """By how much the first is better than the second.

        Args:
            actor: needs `trained_model:review`.
            first_id: of an evaluation that was a Success.
            second_id: of another one, on the same part.
            figure: one of `FIGURES_COMPARED`.

        Raises:
            NotFound: there is no such evaluation.
            Invalid: there is no such figure.
            Conflict: one was no Success, or they are of different parts.
        """
        (difference,) = self.compare_with(actor, second_id, [first_id], figure)
        return difference

    def compare_with(
        self,
        actor: Actor,
        base_id: UUID,
        other_ids: Sequence[UUID],
        figure: str = DEFAULT_FIGURE,
        class_name: str | None = None,
    ) -> list[Difference]:
        """By how much each of the others is better than the base, by this figure of this class or overall.

        It takes seconds where the part is large, and nearly none when the same was asked before. Raises as
        `compare_evaluations`.
        """
        base = self.get_evaluation(actor, base_id)
        others = [self.get_evaluation(actor, each) for each in other_ids]
        actor.require(Claim.TRAINED_MODEL_REVIEW)
        if figure not in FIGURES_COMPARED:
            raise make_unknown_figure(figure, FIGURES_COMPARED)
        for each in others:
            check_same_part(base, each)
        for each in [*others, base]:
            self._get_result(actor, each.id)
        return self._differences.find_all(
            [Comparable(each.id, each.model) for each in others],
            Comparable(base.id, base.model),
            figure,
            class_name,
        )

    def read_log(self, actor: Actor, id_: UUID) -> str:
        """The last part of what the process that evaluates tells, while it goes on too. Raises NotFound."""
        with self._database.reading() as session:
            return self._get(session, actor, id_).log

    def list_blob_digests(self, actor: Actor) -> set[str]:
        """Blobs that evaluations need, those of models in the trash too."""
        actor.require(Claim.TRAINED_MODEL_VIEW)
        with self._database.transaction() as session:
            return repository.list_digests(session)

    def record_of_run(
        self, actor: Actor, model: TrainedModelView, evaluation: RunEvaluation
    ) -> EvaluationView:
        """In the caller's transaction: the test at the end of the run that made the model.

        Args:
            actor: needs `training_run:execute`.
            model: that was made just now.
            evaluation: whose blobs are stored.

        Raises:
            NotFound: a blob is not stored.
        """
        actor.require(Claim.TRAINING_RUN_EXECUTE)
        for digest in (evaluation.result.report_digest, evaluation.result.matches_digest):
            self._blobs.get_path(digest)
        now = self._clock.now()
        images = evaluation.result.image_count
        with self._database.transaction() as session:
            row = ModelEvaluation(
                id=make_id(),
                model_id=model.id,
                model_name=model.name,
                dataset_version_id=evaluation.dataset_version_id,
                dataset_version_name=evaluation.dataset_version_name,
                part=evaluation.part,
                status=EvaluationStatus.SUCCESS,
                progress={"phase": "", "done": images, "total": images},
                warnings=[],
                training_run_id=evaluation.training_run_id,
                worker=evaluation.worker,
                device=evaluation.device,
                fence=1,
                created_by=actor.name,
                created_at=now,
                started_at=evaluation.started_at,
                ended_at=now,
                **repository.describe_result(evaluation.result),
            )
            repository.insert(session, row)
            return repository.make_view(row)

    def _get(self, session: Session, actor: Actor, id_: UUID, *, lock: bool = False) -> ModelEvaluation:
        # What somebody may not see is not there.
        if actor.may(Claim.TRAINED_MODEL_VIEW):
            row = repository.find(session, id_, self._models.select_ids(actor), lock=lock)
            if row is not None:
                return row
        raise make_not_found(id_)

    def _open_matches(self, id_: UUID) -> Path:
        return self.open_matches(WORKER, id_)

    def _get_result(self, actor: Actor, id_: UUID) -> tuple[str, str]:
        """Digests of report and matches."""
        with self._database.reading() as session:
            row = self._get(session, actor, id_)
        if row.report_digest is None or row.matches_digest is None:
            raise make_not_ended(id_, row.status)
        return row.report_digest, row.matches_digest

    def _check(
        self, actor: Actor, model: TrainedModelView, version: DatasetVersionView, part: str
    ) -> list[str]:
        """Raises what speaks against the evaluation; returns what is to be known about its figures."""
        _check_part(part)
        if model.weights_digest is None or not model.classes:
            raise make_no_weights(model.name)
        counts = version.parts[part]
        if not counts.image_count:
            raise make_empty_part(version.full_name, part)
        if not set(model.classes) & set(version.classes):
            raise make_no_common_class(model.name, version.full_name, model.classes, version.classes)
        problems = [
            *self._models.find_weights_problems(actor, model, check_digest=True),
            *(
                each
                for each in self._datasets.find_readiness_problems(actor, version.id)
                if each.severity is Severity.ERROR and each.code == "dataset.files_missing"
            ),
        ]
        if problems:
            raise make_not_usable(problems)
        warnings: list[str] = []
        unknown = [
            name for name in version.classes if name not in model.classes and counts.boxes_by_class[name]
        ]
        if unknown:
            warnings.append(
                f"The model does not know {_name_some(unknown)}: each box of {_name_these(unknown)} counts as missed."
            )
        absent = [name for name in model.classes if not counts.boxes_by_class.get(name)]
        if absent and counts.box_count:
            warnings.append(
                f"The part has no box of {_name_some(absent)}: figures of {_name_these(absent)} cannot be had."
            )
        if not counts.box_count:
            warnings.append("The part has no box: figures that need one cannot be had.")
        if version.leaked_image_count:
            warnings.append(
                f"{version.leaked_image_count} images of {version.full_name} are in several parts: the figures may "
                "be too good."
            )
        learned = model.lineage.dataset_version
        if part != Part.TEST and learned is not None and learned.id == version.id:
            warnings.append(
                f"The model has learned from the {part} part of this version: the figures flatter it."
            )
        return warnings


def check_same_part(first: EvaluationView, other: EvaluationView) -> None:
    """Raises Conflict where they are of different parts or dataset versions."""
    if (other.dataset_version.id, other.part) != (first.dataset_version.id, first.part):
        raise make_different_parts(
            first.model.name,
            f"{first.dataset_version.name} {first.part}",
            other.model.name,
            f"{other.dataset_version.name} {other.part}",
        )


def _check_part(part: str) -> None:
    if part not in set(Part):
        raise make_unknown_part(part)


def _name_some(names: list[str]) -> str:
    shown = ", ".join(repr(name) for name in names[:_NAMED])
    return shown if len(names) <= _NAMED else f"{shown} and {len(names) - _NAMED} more"


def _name_these(names: list[str]) -> str:
    return "this class" if len(names) == 1 else "these classes"
