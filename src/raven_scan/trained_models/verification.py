"""Proves that a model is what it was: its weights, its configuration, and the dataset version that it learned from."""

from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

from raven_scan.access.types import Actor
from raven_scan.datasets.verification import VersionVerification
from raven_scan.kernel.errors import NotFound
from raven_scan.kernel.progress import Progress, ignore_progress
from raven_scan.kernel.verification import Verdict, VerifiedItem
from raven_scan.storage.blob_store import BlobStore
from raven_scan.storage.proof import prove_blob
from raven_scan.trained_models.service import TrainedModelService
from raven_scan.trained_models.types import Origin, TrainedModelView

_HINT = "Restore it from a backup. Do not use the model until then: what it answers is not what was measured."
_WORDS = {
    Verdict.GOOD: "what was stored",
    Verdict.DAMAGED: "not what was stored",
    Verdict.MISSING: "not in the storage",
}


@dataclass(frozen=True, slots=True)
class WrittenDown:
    """Digests that somebody else wrote down of a model when it was made."""

    weights_digest: str | None
    configuration_digest: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelProof:
    """What was found.

    Attributes:
        is_good: nothing is damaged or missing.
        items: a verdict each.
    """

    model_id: UUID
    model_name: str
    is_good: bool
    items: list[VerifiedItem]


def _find_nothing(run_id: UUID) -> WrittenDown | None:
    del run_id


class ModelVerification:
    """Reads models again, with all that they learned from.

    Args:
        models: the models.
        versions: proves versions of datasets.
        blobs: where files are.
        find_written_down: what a run wrote down of the model that it made; None where it is gone, or older than that.
    """

    def __init__(
        self,
        models: TrainedModelService,
        versions: VersionVerification,
        blobs: BlobStore,
        *,
        find_written_down: Callable[[UUID], WrittenDown | None] = _find_nothing,
    ) -> None:
        self._models = models
        self._versions = versions
        self._blobs = blobs
        self._find_written_down = find_written_down

    def verify(self, actor: Actor, ref: str, progress: Progress = ignore_progress) -> ModelProof:
        """Reads every file whole, and compares its sha256 with what was stored.

        Args:
            actor: needs `trained_model:view`; and `dataset:view`, without which the dataset version is not looked at.
            ref: name or id.
            progress: told of stages and images.

        Raises:
            NotFound: there is no such model.
        """
        model = self._models.get_model(actor, ref)
        items = [
            self._judge_file("weights", model.weights_digest, model, progress),
            self._judge_file("configuration", model.configuration_digest, model, progress),
            *self._judge_record(model),
            *self._judge_version(actor, model, progress),
        ]
        return ModelProof(
            model_id=model.id,
            model_name=model.name,
            is_good=not any(item.is_bad for item in items),
            items=items,
        )

    def _judge_file(
        self, item: str, digest: str | None, model: TrainedModelView, progress: Progress
    ) -> VerifiedItem:
        if digest is None:
            reason = "builtin, and the package builds it" if model.origin is Origin.BUILTIN else "imported"
            return VerifiedItem(
                item=item,
                verdict=Verdict.NOT_CHECKED,
                message=f"{model.name} has no file of its {item}: it is {reason}.",
                count=0,
            )
        progress(item, 0, 0)
        verdict = prove_blob(self._blobs, digest)
        return VerifiedItem(
            item=item,
            verdict=verdict,
            message=f"The {item} of {model.name}: {_WORDS[verdict]}.",
            digest=digest,
            hint="" if verdict is Verdict.GOOD else _HINT,
        )

    def _judge_record(self, model: TrainedModelView) -> list[VerifiedItem]:
        """Whether the model still names the files that its run made."""
        run = model.lineage.training_run
        noted = None if run is None else self._find_written_down(run.id)
        if run is None or noted is None or noted.weights_digest is None:
            return []
        is_good = (noted.weights_digest, noted.configuration_digest) == (
            model.weights_digest,
            model.configuration_digest,
        )
        return [
            VerifiedItem(
                item="record of the run",
                verdict=Verdict.GOOD if is_good else Verdict.DAMAGED,
                message=f"Weights and configuration are those that the run {run.name} made."
                if is_good
                else f"Weights or configuration are not those that the run {run.name} made.",
                hint="" if is_good else _HINT,
            )
        ]

    def _judge_version(self, actor: Actor, model: TrainedModelView, progress: Progress) -> list[VerifiedItem]:
        version = model.lineage.dataset_version
        if version is None:
            return []
        try:
            return self._versions.verify_version(
                actor, version.id, expected_digest=model.dataset_version_digest, progress=progress
            )
        except NotFound:
            return [
                VerifiedItem(
                    item="dataset version",
                    verdict=Verdict.NOT_CHECKED,
                    message=f"{version.name} is deleted, or you may not see it.",
                    digest=model.dataset_version_digest,
                    count=0,
                )
            ]
