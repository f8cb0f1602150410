"""Which model is asked for, and whether who asks may detect with it."""

from dataclasses import dataclass
from uuid import UUID

from raven_scan.access.types import Actor, Claim
from raven_scan.datasets.service import DatasetService
from raven_scan.detections.errors import make_no_weights, make_not_published
from raven_scan.detections.types import DEFAULT_CONFIDENCE, AnsweringModel
from raven_scan.detections.warm_model import LoadableModel
from raven_scan.evaluations.service import EvaluationService
from raven_scan.kernel.errors import NotFound
from raven_scan.pixels.rules import PixelRules
from raven_scan.publishing.reading import PublishedModels
from raven_scan.publishing.types import PublishedModel
from raven_scan.trained_models.service import TrainedModelService
from raven_scan.trained_models.types import TrainedModelView

_READER = Actor(
    id=UUID("00000000-0000-7000-8000-000000000005"),
    name="detection",
    claims=frozenset({Claim.TRAINED_MODEL_VIEW, Claim.DATASET_VIEW}),
)
"""Who detects with a published model needs to see neither the model nor what it learned from."""


@dataclass(frozen=True, slots=True)
class ChosenModel:
    """A model to detect with.

    Attributes:
        answering: as the answer says.
        loadable: as a process needs it.
        confidence: at which it does best, as far as is known.
    """

    answering: AnsweringModel
    loadable: LoadableModel
    confidence: float


class ModelChoice:
    """Finds models by what they are published as, and for reviewers by their own names too."""

    def __init__(
        self,
        published: PublishedModels,
        models: TrainedModelService,
        datasets: DatasetService,
        evaluations: EvaluationService,
    ) -> None:
        self._published = published
        self._models = models
        self._datasets = datasets
        self._evaluations = evaluations

    def choose(self, actor: Actor, ref: str) -> ChosenModel:
        """The model of this name.

        Args:
            actor: who wants to detect.
            ref: `NAME` or `NAME@N` of a published model; or any model's name or id, for a reviewer.

        Raises:
            NotFound: there is none, for this actor.
            Forbidden: `detection.model_not_published`.
            Conflict: it was withdrawn.
            Invalid: `detection.model_without_weights`.
        """
        try:
            published = self._published.resolve(actor, ref)
        except NotFound:
            model = self._models.find_model(actor, ref)
            if model is None:
                raise
            if not actor.may(Claim.TRAINED_MODEL_REVIEW):
                raise make_not_published(model.name) from None
            return self._describe(model, None)
        return self._describe(self._models.get_model(_READER, published.model_id), published)

    def _describe(self, model: TrainedModelView, published: PublishedModel | None) -> ChosenModel:
        weights = self._models.open_weights(_READER, model.id)
        if weights is None:
            raise make_no_weights(model.name)
        return ChosenModel(
            AnsweringModel(
                id=model.id,
                name=model.name,
                published_name=None if published is None else published.name,
                version=None if published is None else published.number,
            ),
            LoadableModel(
                id=model.id,
                name=model.name,
                architecture=model.architecture,
                classes=model.classes,
                weights=weights,
                configuration=self._models.open_configuration(_READER, model.id),
                pixel_rules=self._find_pixel_rules(model),
            ),
            self._find_confidence(model),
        )

    def _find_pixel_rules(self, model: TrainedModelView) -> PixelRules:
        """Of the images that it learned from; plain ones, where they are not known here."""
        if model.package is not None:
            return model.package.models[0].pixel_rules or PixelRules()
        version = model.lineage.dataset_version
        if version is None:
            return PixelRules()
        try:
            return self._datasets.get_version(_READER, str(version.id)).pixel_rules
        except NotFound:
            return PixelRules()

    def _find_confidence(self, model: TrainedModelView) -> float:
        if model.test is not None and model.test.confidence is not None:
            return model.test.confidence
        evaluation = self._evaluations.find_latest(_READER, model.id, None)
        figures = {} if evaluation is None else evaluation.figures or {}
        measured = figures["confidence"].value if "confidence" in figures else None
        if measured is None and model.package is not None and model.package.test is not None:
            # What was measured elsewhere, where nothing was here: so it finds here what it finds there.
            measured = model.package.test.confidence
        return DEFAULT_CONFIDENCE if measured is None else measured
