"""Gathers what a model is judged by: its run, its author, its evaluation, and the model that it would replace."""

from collections.abc import Callable
from uuid import UUID

from raven_scan.access.types import Actor, Claim
from raven_scan.datasets.service import DatasetService
from raven_scan.evaluations.service import EvaluationService
from raven_scan.evaluations.types import EvaluationView
from raven_scan.figures.difference import Verdict as ComparisonVerdict
from raven_scan.figures.report import Figure
from raven_scan.kernel.errors import Busy, NotFound, RavenError, Unavailable
from raven_scan.publishing.exposure import TestExposures
from raven_scan.publishing.types import (
    TEST_PART,
    DifferenceFound,
    Evidence,
    FigureFound,
    Measured,
    PublishedVersionView,
    Rival,
    RunOutcome,
)
from raven_scan.trained_models.staging import ModelStaging
from raven_scan.trained_models.types import Origin, TrainedModelView

RunFinder = Callable[[str], RunOutcome | None]
"""Finds a run by name or id, whoever asks; runs are above this folder."""

MakerFinder = Callable[[UUID], RunOutcome | None]
"""Finds the run that made a model, in the trash too."""

_READER = Actor(
    id=UUID("00000000-0000-7000-8000-000000000005"),
    name="publishing",
    claims=frozenset({Claim.TRAINED_MODEL_VIEW, Claim.TRAINED_MODEL_REVIEW, Claim.DATASET_VIEW}),
)
"""Reads evaluations and datasets. A requirement counts for who may not compare models by themselves too."""


class EvidenceGathering:
    def __init__(
        self,
        evaluations: EvaluationService,
        datasets: DatasetService,
        staging: ModelStaging,
        exposures: TestExposures,
        find_maker: MakerFinder,
    ) -> None:
        self._evaluations = evaluations
        self._datasets = datasets
        self._staging = staging
        self._exposures = exposures
        self._find_maker = find_maker

    def gather(
        self,
        actor: Actor,
        model: TrainedModelView,
        *,
        dataset: str | None = None,
        rival: PublishedVersionView | None = None,
        frozen_by: PublishedVersionView | None = None,
    ) -> Evidence:
        """All that is known of a model; takes seconds where two models are compared.

        Args:
            actor: who would publish it.
            model: the candidate.
            dataset: the version whose test part it is judged on; None: the one that is frozen for the version in use,
                else the one that the model learned from, else that of its last evaluation.
            rival: the version in use that it would replace.
            frozen_by: the version whose frozen test part counts; None: the rival.

        Raises:
            NotFound: there is no such dataset version.
        """
        run = None
        if model.lineage.training_run is not None:
            run = self._find_maker(model.lineage.training_run.id)
        author_id, author = self._find_author(model, run)
        is_author = author_id == actor.id if author_id is not None else author == actor.name
        place = self._choose_place(actor, model, dataset, frozen_by or rival)
        evaluation = None
        if place is not None:
            evaluation = self._evaluations.find_latest(_READER, model.id, place[0], TEST_PART)
        against = None if rival is None else self._compare(model, rival, place)
        tests = {} if place is None else {place[0]: place[1]}
        if rival is not None and rival.dataset_version_id is not None:
            tests[rival.dataset_version_id] = str(rival.dataset_version_name)
        return Evidence(
            model=model.name,
            is_trained=model.origin is Origin.TRAINED,
            run=run,
            author=author,
            is_author=is_author,
            dataset=None if place is None else place[1],
            measured=None if evaluation is None else self._measure(evaluation),
            exposure=self._exposures.find(_READER, model.id, tests) if tests else None,
            rival=against,
        )

    def keep_test_part(self, version_id: UUID) -> bool:
        """In the caller's transaction: whether the dataset version is there; it then is until that ends."""
        try:
            self._datasets.keep_version(_READER, version_id)
        except NotFound:
            return False
        return True

    def _find_author(self, model: TrainedModelView, run: RunOutcome | None) -> tuple[UUID | None, str | None]:
        if model.origin is Origin.TRAINED:
            return (None, None) if run is None else (run.created_by_id, run.created_by)
        importer = self._staging.get_importer(_READER, model.id)
        return importer.id, importer.name

    def _choose_place(
        self,
        actor: Actor,
        model: TrainedModelView,
        dataset: str | None,
        frozen_by: PublishedVersionView | None,
    ) -> tuple[UUID, str] | None:
        """Id and name of the dataset version whose test part the model is judged on."""
        if dataset is not None:
            version = self._datasets.get_version(actor, dataset)
            return version.id, version.full_name
        # On what is deleted, no other model could be evaluated.
        if (
            frozen_by is not None
            and frozen_by.dataset_version_id is not None
            and self._is_there(frozen_by.dataset_version_id)
        ):
            return frozen_by.dataset_version_id, str(frozen_by.dataset_version_name)
        learned = model.lineage.dataset_version
        if learned is not None and not self._is_there(learned.id):
            learned = None
        if learned is not None:
            there = self._evaluations.find_latest(_READER, model.id, learned.id, TEST_PART)
            if there is not None:
                return learned.id, there.dataset_version.name
        last = self._evaluations.find_latest(_READER, model.id, None, TEST_PART)
        if last is not None and self._is_there(last.dataset_version.id):
            return last.dataset_version.id, last.dataset_version.name
        return None if learned is None else (learned.id, learned.name)

    def _is_there(self, version_id: UUID) -> bool:
        try:
            self._datasets.get_version(_READER, str(version_id))
        except NotFound:
            return False
        return True

    def _measure(self, evaluation: EvaluationView) -> Measured:
        report = self._evaluations.read_report(_READER, evaluation.id)
        return Measured(
            evaluation_id=evaluation.id,
            dataset_version_id=evaluation.dataset_version.id,
            dataset=evaluation.dataset_version.name,
            map50=_convert_figure(report.figures["map50"]),
            recall=_convert_figure(report.figures["recall"]),
            recall_by_class={
                name: _convert_figure(figures["recall"]) for name, figures in report.by_class.items()
            },
            image_count=report.counts.images,
            box_count=report.counts.boxes,
            unknown_classes=list(report.unknown_classes),
        )

    def _compare(
        self, model: TrainedModelView, version: PublishedVersionView, place: tuple[UUID, str] | None
    ) -> Rival:
        """With the model in use, on the test part that is frozen for it."""
        frozen = place
        if version.dataset_version_id is not None:
            frozen = version.dataset_version_id, str(version.dataset_version_name)
        theirs = ours = None
        if frozen is not None:
            theirs = self._evaluations.find_latest(_READER, version.model_id, frozen[0], TEST_PART)
            ours = self._evaluations.find_latest(_READER, model.id, frozen[0], TEST_PART)
        difference = problem = None
        if theirs is not None and ours is not None:
            try:
                difference, problem = self._find_difference(ours.id, theirs.id)
            except (Busy, Unavailable):
                raise
            except RavenError as error:  # of other classes or images, or a file is damaged
                problem = error.message
        return Rival(
            full_name=version.full_name,
            model_id=version.model_id,
            model=version.model,
            dataset=None if frozen is None else frozen[1],
            evaluation_id=None if theirs is None else theirs.id,
            model_evaluation_id=None if ours is None else ours.id,
            difference=difference,
            problem=problem,
        )

    def _find_difference(self, ours: UUID, theirs: UUID) -> tuple[DifferenceFound, str | None]:
        """Also why it has no value, or says little."""
        told = self._evaluations.compare_evaluations(_READER, ours, theirs, "map50")
        is_undecided = told.verdict is ComparisonVerdict.TOO_FEW_IMAGES
        is_short = is_undecided and (told.low is None or self._has_few_images_with_boxes(ours))
        return DifferenceFound(told.value, told.low, told.high, is_short, is_undecided), told.reason

    def _has_few_images_with_boxes(self, evaluation_id: UUID) -> bool:
        # Comparing has imported them by now.
        import numpy as np  # noqa: PLC0415

        from raven_scan.figures.intervals import IMAGES_MIN  # noqa: PLC0415
        from raven_scan.figures.matches import read_matches  # noqa: PLC0415

        matches = read_matches(self._evaluations.open_matches(_READER, evaluation_id))
        return len(np.unique(matches.truth_image[~matches.crowds])) < IMAGES_MIN


def _convert_figure(figure: Figure) -> FigureFound:
    return FigureFound(figure.value, figure.low, figure.high, figure.reason)
