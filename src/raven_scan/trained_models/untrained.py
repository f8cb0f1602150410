"""What a model was before any training: the same detector with its architecture's own starting weights, evaluated."""

from pathlib import Path

from raven_scan.access.types import Actor, Claim
from raven_scan.jobs.child_process import run_child
from raven_scan.kernel.errors import Invalid
from raven_scan.trained_models.service import TrainedModelService
from raven_scan.trained_models.types import Figures
from raven_scan.wire.events import Evaluated, StartingWeightsBuilt
from raven_scan.wire.spec import BuildStartingWeightsSpec, EvaluateSpec, PartSpec

_NOUN = "trained_model"
_LONGEST_S = 24 * 3600.0
_BATCH_SIZE = 8


def evaluate_untrained(
    models: TrainedModelService, actor: Actor, ref: str, part: PartSpec, folder: Path, *, threads: int
) -> Figures:
    """Evaluates it on the CPU, in a fresh process.

    Args:
        models: the service.
        actor: needs `trained_model:view`.
        ref: name or id of a model that was trained here.
        part: laid out on the disk.
        folder: for working files; must exist.
        threads: compute threads.

    Raises:
        NotFound: there is no such model.
        Invalid: the model was not trained here, so how to run it is not known.
    """
    actor.require(Claim.TRAINED_MODEL_VIEW)
    model = models.get_model(actor, ref)
    configuration = models.open_configuration(actor, model.id)
    if configuration is None:
        raise Invalid(
            "trained_model.not_trained_here",
            f"The model {model.name!r} was not trained here, so its configuration is not known.",
            hint="Train on it first: `raven runs create --base-model`.",
            parameters={"name": model.name},
        )
    weights = folder / "untrained.safetensors"
    log = folder / "evaluation.log"
    run_child(
        "build-starting-weights",
        BuildStartingWeightsSpec(
            architecture=model.architecture,
            classes=model.classes,
            seed=0,
            weights=weights,
            events=folder / "build.events.jsonl",
        ),
        expected=StartingWeightsBuilt,
        noun=_NOUN,
        folder=folder,
        log_path=log,
        timeout_s=_LONGEST_S,
        threads=threads,
    )
    evaluated = run_child(
        "evaluate",
        EvaluateSpec(
            architecture=model.architecture,
            classes=model.classes,
            configuration=configuration,
            weights=weights,
            part=part,
            predictions=folder / "predictions.json",
            events=folder / "evaluate.events.jsonl",
            device="cpu",
            threads=threads,
            batch_size=_BATCH_SIZE,
        ),
        expected=Evaluated,
        noun=_NOUN,
        folder=folder,
        log_path=log,
        timeout_s=_LONGEST_S,
        threads=threads,
    )
    return Figures.collect(
        evaluated.figures,
        by_class=evaluated.by_class,
        image_count=evaluated.image_count,
        box_count=evaluated.box_count,
    )
