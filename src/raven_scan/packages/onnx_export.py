"""A model as ONNX, made and checked in a child process."""

import os
from pathlib import Path
from uuid import UUID

from raven_scan.access.types import WORKER, Actor, Claim
from raven_scan.architectures.catalogue import get_architecture
from raven_scan.architectures.onnx_families import ONNX_FAMILIES
from raven_scan.datasets.service import DatasetService
from raven_scan.jobs.child_process import TRAINER_MODULE, run_child
from raven_scan.kernel.errors import Invalid, NotFound
from raven_scan.kernel.progress import Progress, ignore_progress
from raven_scan.trained_models.errors import make_no_file
from raven_scan.trained_models.service import TrainedModelService
from raven_scan.trained_models.types import TrainedModelView
from raven_scan.wire.events import AnyEvent, EvaluationProgress, OnnxExported
from raven_scan.wire.onnx import ExportOnnxSpec, OnnxReport
from raven_scan.wire.spec import PartSpec

MODEL_FILE = "model.onnx"

_MOST_IMAGES = 200
_LONGEST_S = 3600.0
_MOST_THREADS = 4


class OnnxExport:
    """Converts models, one at a time.

    Args:
        models: the service.
        datasets: whose test parts the converted models are checked on.
        threads: of the child; half of the cores where it is None.
        trainer_module: what is run as the trainer.
    """

    def __init__(
        self,
        models: TrainedModelService,
        datasets: DatasetService,
        *,
        threads: int | None = None,
        trainer_module: str = TRAINER_MODULE,
    ) -> None:
        self._models = models
        self._datasets = datasets
        self._threads = threads or min(_MOST_THREADS, max(1, len(os.sched_getaffinity(0)) // 2))
        self._trainer_module = trainer_module

    def export(
        self,
        actor: Actor,
        model: TrainedModelView,
        folder: Path,
        *,
        version_id: UUID | None = None,
        progress: Progress = ignore_progress,
    ) -> OnnxReport:
        """Writes the model as `model.onnx`, once ONNX Runtime is seen to find with it what PyTorch finds.

        It is checked on up to 200 images of a test part, or on generated pictures where there is none. Of the same
        model and release it is the same bytes.

        Args:
            actor: needs `trained_model:export`; the test part need not be theirs to see.
            model: any with weights of its own.
            folder: to write to, and for working files; must exist.
            version_id: dataset version whose test part it is checked on; without it the one that it learned from.
            progress: told of images that were looked at.

        Returns:
            What belongs beside the file, as `onnx.json`.

        Raises:
            Invalid: `package.onnx_family`; `package.refused.onnx_differs` and other refusals of the child.
            NotFound: the model has no weights of its own, or a blob is lost.
            Unavailable: the child failed.
        """
        actor.require(Claim.TRAINED_MODEL_EXPORT)
        _check_family(model)
        weights = self._models.open_weights(actor, model.id)
        if weights is None:
            raise make_no_file(model.name, "weights")

        def take(event: AnyEvent) -> None:
            if isinstance(event, EvaluationProgress):
                progress("checking the ONNX form", event.done, event.total)

        return run_child(
            "export-onnx",
            ExportOnnxSpec(
                architecture=model.architecture,
                classes=model.classes,
                configuration=self._models.open_configuration(actor, model.id),
                weights=weights,
                part=self._lay_out(model, version_id, folder),
                most_images=_MOST_IMAGES,
                model=folder / MODEL_FILE,
                events=folder / "onnx.events.jsonl",
                threads=self._threads,
            ),
            expected=OnnxExported,
            noun="package",
            folder=folder,
            log_path=folder / "onnx.log",
            timeout_s=_LONGEST_S,
            threads=self._threads,
            on_event=take,
            module=self._trainer_module,
        ).report

    def _lay_out(self, model: TrainedModelView, version_id: UUID | None, folder: Path) -> PartSpec | None:
        own = model.lineage.dataset_version
        chosen = version_id or (None if own is None else own.id)
        if chosen is None:
            return None
        try:
            part = self._datasets.lay_out(WORKER, chosen, folder / "onnx.data").test
        except NotFound:
            if version_id is not None:
                raise
            return None  # a model outlives what it learned from
        return part if part.image_count else None


def _check_family(model: TrainedModelView) -> None:
    family = get_architecture(model.architecture).family
    if family not in ONNX_FAMILIES:
        raise Invalid(
            "package.onnx_family",
            f"The model {model.name!r} cannot be exported as ONNX: models of the family {family.value} cannot.",
            hint=f"Export it without ONNX. These families can: {', '.join(each.value for each in ONNX_FAMILIES)}.",
            parameters={"family": family.value, "families": [each.value for each in ONNX_FAMILIES]},
        )
