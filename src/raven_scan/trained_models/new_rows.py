"""What the row of a new model holds, by where it came from."""

from typing import Any

import msgspec

from raven_scan.access.types import Actor
from raven_scan.architectures.catalogue import Architecture, StartingWeights
from raven_scan.kernel.clock import Clock
from raven_scan.kernel.ids import make_id
from raven_scan.storage.blob_store import BlobStore
from raven_scan.trained_models.checkpoint_reading import ReadCheckpoint
from raven_scan.trained_models.coco_classes import COCO_CLASSES
from raven_scan.trained_models.model_index import IndexedCheckpoint
from raven_scan.trained_models.types import (
    NewPackagedModel,
    NewTrainedModel,
    Origin,
    ReportedFigures,
    Stage,
)

_PLATFORM = "raven-scan"


class NewModelRows:
    """Columns of new rows; none is written."""

    def __init__(self, blobs: BlobStore, clock: Clock) -> None:
        self._blobs = blobs
        self._clock = clock

    def describe_builtin(self, architecture: Architecture) -> dict[str, Any]:
        return self._describe(
            name=architecture.name,
            origin=Origin.BUILTIN,
            architecture=architecture.name,
            starting_weights=architecture.starting_weights,
            parameter_count=round(architecture.parameters_millions * 1e6),
            created_by=_PLATFORM,
        )

    def describe_trained(self, actor: Actor, new: NewTrainedModel, base_model_name: str) -> dict[str, Any]:
        """Raises NotFound where its weights are not stored."""
        return self._describe(
            name=new.name,
            origin=Origin.TRAINED,
            architecture=new.architecture,
            classes=new.classes,
            starting_weights=new.starting_weights,
            weights_digest=new.weights_digest,
            configuration_digest=new.configuration_digest,
            parameter_count=new.parameter_count,
            valid=msgspec.to_builtins(new.valid),
            test=msgspec.to_builtins(new.test),
            leak_allowed=new.leak_allowed,
            base_model_id=new.base_model_id,
            base_model_name=base_model_name,
            dataset_version_id=new.dataset_version_id,
            dataset_version_name=new.dataset_version_name,
            dataset_version_digest=new.dataset_version_digest,
            training_run_id=new.training_run_id,
            training_run_name=new.training_run_name,
            parameters=new.parameters,
            environment=new.environment,
            created_by=new.created_by or actor.name,
        )

    def describe_packaged(self, actor: Actor, new: NewPackagedModel) -> dict[str, Any]:
        test = new.package.test
        reported = None
        if test is not None and test.map is not None:
            reported = ReportedFigures(map=test.map, source=f"the platform of the key {new.package.key_name}")
        return self._describe(
            name=new.name,
            origin=Origin.IMPORTED,
            architecture=new.architecture,
            classes=new.classes,
            starting_weights=new.starting_weights,
            weights_digest=new.weights_digest,
            configuration_digest=new.configuration_digest,
            parameter_count=new.parameter_count,
            reported=msgspec.to_builtins(reported),
            leak_allowed=new.leak_allowed,
            package=msgspec.to_builtins(new.package),
            environment=new.package.models[0].environment if new.package.models else {},
            created_by=actor.name,
            created_by_id=actor.id,
        )

    def describe_checkpoint(
        self,
        actor: Actor,
        read: ReadCheckpoint,
        *,
        name: str,
        architecture: str,
        weights_digest: str,
        source: IndexedCheckpoint | None,
    ) -> dict[str, Any]:
        """Args:
        actor: who imports it.
        read: what its file holds.
        name: of the model.
        architecture: that it is of.
        weights_digest: of its stored tensors.
        source: where it was downloaded; None: it was a file.
        """
        is_coco = source is not None or read.classes == list(COCO_CLASSES)
        reported = None
        if source is not None and source.map is not None:
            reported = ReportedFigures(map=source.map, source=f"MMDetection's model index, {source.dataset}")
        return self._describe(
            name=name,
            origin=Origin.IMPORTED,
            architecture=architecture,
            classes=read.classes,
            starting_weights=StartingWeights.COCO if is_coco else None,
            weights_digest=weights_digest,
            parameter_count=read.parameter_count,
            reported=msgspec.to_builtins(reported),
            checkpoint=msgspec.to_builtins(read.report),
            environment=read.environment,
            created_by=actor.name,
            created_by_id=actor.id,
        )

    def _describe(
        self,
        *,
        name: str,
        origin: Origin,
        architecture: str,
        created_by: str,
        classes: list[str] | None = None,
        weights_digest: str | None = None,
        leak_allowed: bool = False,
        environment: dict[str, str] | None = None,
        **columns: Any,
    ) -> dict[str, Any]:
        return {
            "id": make_id(),
            "name": name,
            "origin": origin,
            "stage": Stage.CANDIDATE,
            "architecture": architecture,
            "classes": classes or [],
            "weights_digest": weights_digest,
            "weights_size_bytes": None if weights_digest is None else self._blobs.size_bytes(weights_digest),
            "leak_allowed": leak_allowed,
            "environment": environment or {},
            "created_by": created_by,
            "created_at": self._clock.now(),
            **columns,
        }
