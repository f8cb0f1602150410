"""The use case of detections: find what a model knows, on images that are not kept."""

import os
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil

from raven_scan.access.audit import Target, record
from raven_scan.access.types import Actor, Claim
from raven_scan.detections.errors import (
    make_bad_request,
    make_image_problem,
    make_no_device,
    make_too_many,
)
from raven_scan.detections.model_choice import ChosenModel, ModelChoice
from raven_scan.detections.types import (
    DEFAULT_BATCH_SIZE,
    LARGEST_BATCH_SIZE,
    DetectedBox,
    Detections,
    ImageDetections,
    ImageFile,
    RequestLimits,
    WarmModelView,
)
from raven_scan.detections.warm_model import ProcessSettings
from raven_scan.detections.warm_models import PoolSettings, Request, WarmModels
from raven_scan.jobs.devices import CPU, choose_devices, find_devices
from raven_scan.kernel.database import Database
from raven_scan.kernel.progress import Progress, ignore_progress
from raven_scan.kernel.settings import Settings
from raven_scan.storage.scratch import hold_scratch_folder
from raven_scan.wire.prediction import PredictedImage

_MOST_LOADER_THREADS = 8


class DetectionService:
    """Detects with models in processes of their own, which keep them ready for the next request.

    Args:
        database: for the audit trail.
        choice: finds models.
        settings: limits.
    """

    def __init__(self, database: Database, choice: ModelChoice, settings: Settings) -> None:
        self._database = database
        self._choice = choice
        self._settings = settings
        self._warm = WarmModels(
            PoolSettings(
                most_models=settings.warm_models,
                most_memory_bytes=settings.warm_model_memory_bytes,
                idle_s=settings.warm_model_idle_s,
            ),
            self._make_process_settings,
        )

    def detect(
        self,
        actor: Actor,
        model: str,
        images: Sequence[ImageFile],
        *,
        min_confidence: float | None = None,
        batch_size: int = DEFAULT_BATCH_SIZE,
        device: str | None = None,
        progress: Progress = ignore_progress,
    ) -> Detections:
        """Detects on images. One that cannot be read has its own problem; the others are looked at.

        Args:
            actor: needs `detection:create`; for a model that is not published `trained_model:review` too.
            model: `NAME` or `NAME@N` of a published model; for a reviewer any model's name or id.
            images: they are read, and not kept.
            min_confidence: boxes of less are left out; None: where the model does best by its evaluation, else 0.3.
            batch_size: how many are looked at at once.
            device: `cpu` or `cuda:N`; None: as the settings say.
            progress: told of images.

        Raises:
            NotFound, Forbidden, Conflict: as `ModelChoice.choose`.
            Invalid: no images, too many, or settings out of their bounds; the model cannot be loaded.
            Busy: too many requests wait for the model.
            Unavailable: its process failed twice, or took too long.
        """
        actor.require(Claim.DETECTION_CREATE)
        chosen = self._choice.choose(actor, model)
        self._check(images, min_confidence, batch_size)
        device = self._choose_device(device)
        confidence = chosen.confidence if min_confidence is None else min_confidence
        # Before anything is found: nobody detects without an entry.
        self._record(actor, chosen, len(images))
        found: dict[int, PredictedImage] = {}

        def take(images_done: list[PredictedImage]) -> None:
            found.update({image.index: image for image in images_done})
            progress("images", len(found), len(images))

        self._warm.predict(
            chosen.loadable,
            device,
            Request(
                images=[image.path for image in images],
                batch_size=batch_size,
                min_confidence=confidence,
                timeout_s=self._settings.detection_timeout_s,
                on_images=take,
                on_loading=lambda: progress("loading the model", 0, 0),
            ),
        )
        classes = chosen.loadable.classes
        return Detections(
            model=chosen.answering,
            classes=classes,
            min_confidence=confidence,
            images=[_describe(image, found[index], classes) for index, image in enumerate(images)],
        )

    @property
    def limits(self) -> RequestLimits:
        return RequestLimits(self._settings.largest_detection_images, self._settings.largest_detection_bytes)

    @contextmanager
    def open_folder(self, actor: Actor) -> Generator[Path]:
        """Where images that arrive may be written; gone with the context."""
        actor.require(Claim.DETECTION_CREATE)
        with hold_scratch_folder(self._settings.work_folder, "detection") as folder:
            yield folder

    def list_warm_models(self, actor: Actor) -> list[WarmModelView]:
        """The models that processes of this server keep ready."""
        actor.require(Claim.SYSTEM_VIEW)
        return self._warm.list_models()

    def close(self) -> None:
        """Ends all processes; requests that they are answering fail."""
        self._warm.close()

    def _check(self, images: Sequence[ImageFile], min_confidence: float | None, batch_size: int) -> None:
        if not images:
            raise make_bad_request("There is no image to look at.", "Send at least one.")
        if len(images) > self._settings.largest_detection_images:
            raise make_too_many(len(images), self._settings.largest_detection_images)
        if min_confidence is not None and not 0 <= min_confidence <= 1:
            raise make_bad_request(
                "The confidence is not between 0 and 1.", "Leave it out for the model's own."
            )
        if not 1 <= batch_size <= LARGEST_BATCH_SIZE:
            raise make_bad_request(
                f"The batch size is not between 1 and {LARGEST_BATCH_SIZE}.",
                f"Leave it out for {DEFAULT_BATCH_SIZE}.",
            )

    def _choose_device(self, wanted: str | None) -> str:
        if wanted is None:
            return choose_devices(self._settings.device)[0]
        known = sorted({CPU, *find_devices()})
        if wanted not in known:
            raise make_no_device(wanted, known)
        return wanted

    def _record(self, actor: Actor, chosen: ChosenModel, image_count: int) -> None:
        answering = chosen.answering
        with self._database.transaction() as session:
            record(
                session,
                actor,
                "detection.created",
                Target("trained_model", answering.id, answering.name),
                published=answering.published_name,
                version=answering.version,
                image_count=image_count,
            )

    def _make_process_settings(self, device: str) -> ProcessSettings:
        cores = psutil.cpu_count(logical=False) or 1
        return ProcessSettings(
            folder=self._settings.work_folder,
            threads=cores if device == CPU else 1,
            # Computing needs a core for itself.
            loader_threads=min(_MOST_LOADER_THREADS, max(1, len(os.sched_getaffinity(0)) - 1)),
            image_memory_bytes=self._settings.detection_memory_bytes,
            largest_image_pixels=self._settings.largest_image_pixels,
        )


def _describe(image: ImageFile, found: PredictedImage, classes: list[str]) -> ImageDetections:
    if found.problem is not None:
        problem = make_image_problem(image.name, found.problem.code, found.problem.sentence)
        return ImageDetections(name=image.name, problem=problem)
    return ImageDetections(
        name=image.name,
        width=found.width,
        height=found.height,
        exif_orientation=found.exif_orientation,
        boxes=[
            DetectedBox(class_name=classes[label], score=score, x=x, y=y, width=width, height=height)
            for (x, y, width, height), score, label in zip(
                found.boxes, found.scores, found.labels, strict=True
            )
        ],
    )
