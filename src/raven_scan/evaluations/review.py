"""Looking at what evaluations found: models side by side, and the images on which one does worst."""

from collections.abc import Collection, Sequence
from uuid import UUID

from raven_scan.access.types import Actor, Claim
from raven_scan.datasets.service import DatasetService
from raven_scan.datasets.types import Part
from raven_scan.evaluations.errors import (
    make_bad_count,
    make_never_evaluated,
    make_not_evaluated,
    make_unknown_figure,
)
from raven_scan.evaluations.matches_reading import rank_worst_images
from raven_scan.evaluations.service import EvaluationService, check_same_part
from raven_scan.evaluations.types import (
    DEFAULT_FIGURE,
    FEWEST_COMPARED,
    FIGURES_COMPARED,
    MOST_COMPARED,
    ComparedModel,
    Comparison,
    EvaluationView,
    GalleryImage,
    GalleryKind,
)
from raven_scan.figures.image_results import ImageRanking
from raven_scan.kernel.cursors import make_cursor, read_cursor
from raven_scan.kernel.errors import NotFound
from raven_scan.kernel.paging import Page, PageRequest
from raven_scan.trained_models.service import TrainedModelService
from raven_scan.trained_models.types import TrainedModelView

_RANKING = {
    GalleryKind.MISSED: ImageRanking.MISSES,
    GalleryKind.FALSE_ALARMS: ImageRanking.FALSE_ALARMS,
}
_GALLERY = "evaluation_images"
_FURTHEST = 1 << 31


class EvaluationReview:
    """Comparisons and galleries, reckoned from the matches that evaluations keep: no model is run for them."""

    def __init__(
        self, evaluations: EvaluationService, models: TrainedModelService, datasets: DatasetService
    ) -> None:
        self._evaluations = evaluations
        self._models = models
        self._datasets = datasets

    def compare_models(
        self,
        actor: Actor,
        refs: Sequence[str],
        *,
        dataset: str | None = None,
        part: str = Part.TEST,
        figure: str = DEFAULT_FIGURE,
        class_name: str | None = None,
    ) -> Comparison:
        """Two to ten models on the same part of the same dataset version, by their last evaluations there.

        Args:
            actor: needs `trained_model:review`.
            refs: names or ids; the others are compared with the first.
            dataset: a dataset version; None: that of the first model's last evaluation.
            part: train, valid or test.
            figure: one of `FIGURES_COMPARED`.
            class_name: of this class alone.

        Raises:
            NotFound: there is no such model or dataset version.
            Invalid: too few or too many models; no such figure, class or part.
            Conflict: `evaluations.missing` with the commands that make what is missing;
                `evaluations.different_parts` where the models were evaluated on different ones.
        """
        models = [self._models.get_model(actor, ref) for ref in refs]
        actor.require(Claim.TRAINED_MODEL_REVIEW)
        if figure not in FIGURES_COMPARED:
            raise make_unknown_figure(figure, FIGURES_COMPARED)
        count = len({model.id for model in models})
        if count != len(models) or not FEWEST_COMPARED <= count <= MOST_COMPARED:
            raise make_bad_count(count, FEWEST_COMPARED, MOST_COMPARED)
        found = self._find_comparable(actor, models, dataset, part)
        base = found[0]
        differences = self._evaluations.compare_with(
            actor, base.id, [each.id for each in found[1:]], figure, class_name
        )
        others = [
            ComparedModel(
                model=each.model, evaluation_id=each.id, value=difference.first, difference=difference
            )
            for each, difference in zip(found[1:], differences, strict=True)
        ]
        first = ComparedModel(
            model=base.model, evaluation_id=base.id, value=differences[0].second, difference=None
        )
        return Comparison(
            dataset_version=base.dataset_version,
            part=part,
            figure=figure,
            class_name=class_name,
            models=[first, *others],
        )

    def list_worst_images(
        self,
        actor: Actor,
        id_: UUID,
        kind: GalleryKind,
        page: PageRequest,
        *,
        shown_from: float | None = None,
    ) -> Page[GalleryImage]:
        """Images with misses or false alarms at the best confidence, the worst first.

        Args:
            actor: needs `trained_model:view`; digests of images are told to those with `dataset:view`.
            id_: of an evaluation that was a Success.
            kind: what is looked for.
            page: which of them.
            shown_from: detections of at least this confidence are told too, though they do not count; None: of none
                below the best one.

        Raises:
            NotFound: there is no such evaluation.
            Conflict: it was no Success.
            Invalid: the cursor is none of this gallery.
        """
        evaluation = self._evaluations.get_evaluation(actor, id_)
        path = self._evaluations.open_matches(actor, id_)
        offset = 0
        if page.cursor is not None:
            offset, _ = read_cursor(_GALLERY, kind, page.cursor, int)
            offset = min(max(0, offset), _FURTHEST)
        results, count = rank_worst_images(
            path, _RANKING[kind], offset=offset, limit=page.limit, shown_from=shown_from
        )
        known = self._find_images(actor, evaluation, {result.file_name for result in results})
        images: list[GalleryImage] = []
        for place, result in enumerate(results, offset + 1):
            digest, width, height = known.get(result.file_name, (None, None, None))
            images.append(GalleryImage(place=place, digest=digest, width=width, height=height, result=result))
        end = offset + len(images)
        return Page(images, make_cursor(_GALLERY, kind, end, id_) if images and end < count else None)

    def _find_comparable(
        self, actor: Actor, models: list[TrainedModelView], dataset: str | None, part: str
    ) -> list[EvaluationView]:
        """The models' last evaluations on the same part."""
        if dataset is not None:
            version = self._datasets.get_version(actor, dataset)
            version_id, version_name = version.id, version.full_name
        else:
            base = self._evaluations.find_latest(actor, models[0].id, None, part)
            if base is None:
                raise make_never_evaluated(models[0].name)
            version_id, version_name = base.dataset_version.id, base.dataset_version.name
        found: list[EvaluationView] = []
        missing: list[str] = []
        for model in models:
            evaluation = self._evaluations.find_latest(actor, model.id, version_id, part)
            if evaluation is not None:
                found.append(evaluation)
                continue
            missing.append(model.name)
            elsewhere = self._evaluations.find_latest(actor, model.id, None, part)
            if dataset is None and elsewhere is not None:
                check_same_part(found[0], elsewhere)
        if missing:
            raise make_not_evaluated(missing, version_name, part)
        return found

    def _find_images(
        self, actor: Actor, evaluation: EvaluationView, file_names: Collection[str]
    ) -> dict[str, tuple[str, int, int]]:
        """Digest, width and height of these images of the part, by file name.

        None where the version is gone, or the actor may not see it.
        """
        try:
            _, content = self._datasets.load_version(actor, str(evaluation.dataset_version.id))
        except NotFound:
            return {}
        images = content.images.filter(
            (content.images["part"] == evaluation.part) & content.images["file_name"].is_in(list(file_names))
        )
        rows = images.select("file_name", "digest", "width", "height").iter_rows()
        return {name: (digest, width, height) for name, digest, width, height in rows}
