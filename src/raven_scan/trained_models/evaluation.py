"""Evaluates a model again, or what it was before any training, each in a fresh process."""

from dataclasses import dataclass
from pathlib import Path

from raven_scan.access.types import Actor, Claim
from raven_scan.jobs.child_process import run_child
from raven_scan.kernel.errors import Invalid
from raven_scan.trained_models.service import TrainedModelService
from raven_scan.trained_models.types import Figures, TrainedModelView
from raven_scan.wire.events import Evaluated, StartingWeightsBuilt
from raven_scan.wire.spec import BuildStartingWeightsSpec, EvaluateSpec, PartSpec

_LONGEST_S = 24 * 3600.0
_BATCH_SIZE = 8


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What a model scores on a part.

    Attributes:
        predictions: COCO results JSON, in the folder that the caller gave.
    """

    figures: Figures
    predictions: Path


class ModelEvaluation:
    """Evaluates models that were trained here.

    Args:
        models: the service.
        device: `cpu` or `cuda:N`.
        threads: compute threads on a CPU.
    """

    def __init__(self, models: TrainedModelService, *, device: str = "cpu", threads: int = 1) -> None:
        self._models = models
        self._device = device
        self._threads = threads

    def evaluate(self, actor: Actor, ref: str, part: PartSpec, folder: Path) -> Evaluation:
        """Evaluates the model of this name or id.

        Args:
            actor: needs `trained_model:view`.
            ref: name or id.
            part: laid out on the disk.
            folder: for working files and the predictions; must exist.

        Raises:
            NotFound: there is no such model.
            Invalid: the model was not trained here, so how to run it is not known.
        """
        actor.require(Claim.TRAINED_MODEL_VIEW)
        model = self._models.get_model(actor, ref)
        weights = self._models.open_weights(actor, model.id)
        if weights is None:
            raise _make_not_trained(model)
        return self._evaluate(actor, model, weights, part, folder, name="trained")

    def evaluate_untrained(self, actor: Actor, ref: str, part: PartSpec, folder: Path) -> Evaluation:
        """Evaluates the same detector with its architecture's own starting weights, as `evaluate` does."""
        actor.require(Claim.TRAINED_MODEL_VIEW)
        model = self._models.get_model(actor, ref)
        weights = folder / "untrained.safetensors"
        run_child(
            "build-starting-weights",
            BuildStartingWeightsSpec(
                architecture=model.architecture,
                classes=model.classes,
                seed=0,
                weights=weights,
                events=folder / "untrained.build.events.jsonl",
            ),
            expected=StartingWeightsBuilt,
            noun="trained_model",
            folder=folder,
            log_path=folder / "evaluation.log",
            timeout_s=_LONGEST_S,
            threads=self._threads,
        )
        return self._evaluate(actor, model, weights, part, folder, name="untrained")

    def _evaluate(
        self, actor: Actor, model: TrainedModelView, weights: Path, part: PartSpec, folder: Path, *, name: str
    ) -> Evaluation:
        configuration = self._models.open_configuration(actor, model.id)
        if configuration is None:
            raise _make_not_trained(model)
        predictions = folder / f"{name}.predictions.json"
        evaluated = run_child(
            "evaluate",
            EvaluateSpec(
                architecture=model.architecture,
                classes=model.classes,
                configuration=configuration,
                weights=weights,
                part=part,
                predictions=predictions,
                events=folder / f"{name}.evaluate.events.jsonl",
                device=self._device,
                threads=self._threads,
                batch_size=_BATCH_SIZE,
            ),
            expected=Evaluated,
            noun="trained_model",
            folder=folder,
            log_path=folder / "evaluation.log",
            timeout_s=_LONGEST_S,
            threads=self._threads,
        )
        figures = Figures.collect(
            evaluated.figures,
            by_class=evaluated.by_class,
            image_count=evaluated.image_count,
            box_count=evaluated.box_count,
        )
        return Evaluation(figures, predictions)


def _make_not_trained(model: TrainedModelView) -> Invalid:
    return Invalid(
        "trained_model.not_trained_here",
        f"The model {model.name!r} was not trained here, so its configuration is not known.",
        hint="Train on it first: raven runs create --base-model.",
        parameters={"name": model.name},
    )
