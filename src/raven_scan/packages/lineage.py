"""What a model came from, as a package tells it: as far as its exporter may see."""

from dataclasses import replace

from raven_scan.access.types import Actor
from raven_scan.pixels.rules import PixelRules
from raven_scan.trained_models.service import TrainedModelService
from raven_scan.trained_models.types import PackageStep, TrainedModelView

MOST_STEPS = 50


def list_steps(
    models: TrainedModelService,
    actor: Actor,
    model: TrainedModelView,
    *,
    platform: str,
    pixel_rules: PixelRules | None,
) -> list[PackageStep]:
    """The model, and before it its base models, nearest first.

    A base model that is gone since ends the list; the step after it has its name. Where one came in by a package, what
    that told follows.

    Args:
        models: to look them up.
        actor: who exports.
        model: where it begins.
        platform: fingerprint of the key that this platform signs with.
        pixel_rules: of the images that the model learned from.
    """
    steps: list[PackageStep] = []
    current: TrainedModelView | None = model
    while current is not None and len(steps) < MOST_STEPS:
        steps.append(_make_step(current, platform))
        if current.package is not None:
            steps += current.package.models
            break
        base = current.lineage.base_model
        current = None if base is None else models.find_model(actor, base.id)
    return [replace(steps[0], pixel_rules=pixel_rules), *steps[1:MOST_STEPS]]


def _make_step(model: TrainedModelView, platform: str) -> PackageStep:
    lineage, checkpoint = model.lineage, model.checkpoint
    return PackageStep(
        platform=platform,
        id=model.id,
        name=model.name,
        origin=model.origin,
        architecture=model.architecture,
        created_at=model.created_at,
        starting_weights=model.starting_weights,
        weights_digest=model.weights_digest,
        base_model=lineage.base_model.name if lineage.base_model else None,
        dataset_version=lineage.dataset_version.name if lineage.dataset_version else None,
        dataset_digest=model.dataset_version_digest,
        training_run=lineage.training_run.name if lineage.training_run else None,
        parameters=model.parameters,
        checkpoint=checkpoint.file_name if checkpoint else None,
        checkpoint_digest=checkpoint.sha256 if checkpoint else None,
        checkpoint_url=checkpoint.url if checkpoint else None,
        environment=model.environment,
    )
