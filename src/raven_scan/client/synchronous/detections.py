# Made from asynchronous/detections.py by scripts/make_synchronous_client.py: change that one, and run the script.
"""Detections, from outside."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from raven_scan.client.answers import RequestBody, encode_json
from raven_scan.client.blocking import call
from raven_scan.client.file_bodies import make_absolute
from raven_scan.client.image_requests import encode_form, is_text, name_path, split_images
from raven_scan.client.synchronous.connection import Connection
from raven_scan.detections.schemas import DetectionsOut, WarmModelPage
from raven_scan.kernel.errors import Invalid
from raven_scan.kernel.progress import Progress, ignore_progress

_PATH = "/api/v1/detections"
_LINES = "application/x-ndjson"
_STAGE = "images"


class DetectionsClient:
    """Args:
    connection: to the API.
    shares_files: the API reads this machine's files itself.
    """

    def __init__(self, connection: Connection, *, shares_files: bool) -> None:
        self._connection = connection
        self._shares_files = shares_files

    def detect(
        self,
        model: str,
        paths: Sequence[Path | str],
        *,
        min_confidence: float | None = None,
        batch_size: int | None = None,
        device: str | None = None,
        on_progress: Progress = ignore_progress,
    ) -> DetectionsOut:
        """Detects on images of this machine; they are sent in several requests where they are many.

        Args:
            model: NAME or NAME@N of a published model; for reviewers also any model's name or id. All images are
                looked at by the one that answers first.
            paths: of images. One that is no image has its own problem in the answer; the others are looked at.
            min_confidence: boxes of less are left out; None: where the model does best by its evaluation.
            batch_size: how many are looked at at once.
            device: cpu, or cuda:0, …; None: as the server is set up.
            on_progress: called while it goes on.

        Raises:
            Invalid: a file cannot be read, or there is none.
        """
        images = [Path(path) for path in paths]
        if not images:
            raise Invalid("client.no_images", "There is no image to look at.", hint="Give at least one.")
        answers: list[DetectionsOut] = []
        done = 0
        for together in call(self._split, images):
            settings = {
                "model": _pin(answers[0]) if answers else model,
                "min_confidence": min_confidence,
                "batch_size": batch_size,
                "device": device,
            }
            body = call(self._encode, settings, together)
            result = self._connection.do_long_work(
                _PATH, _count_from(done, len(images), on_progress), body=body, headers={"Accept": _LINES}
            )
            answers.append(DetectionsOut.model_validate(result))
            done += len(together)
        found = [image for answer in answers for image in answer.images]
        named = [
            image.model_copy(update={"name": name_path(path)})
            for path, image in zip(images, found, strict=True)
        ]
        return answers[0].model_copy(update={"images": named})

    def list_warm_models(self) -> WarmModelPage:
        """The models that processes of the server keep ready."""
        return WarmModelPage.model_validate(self._connection.get(f"{_PATH}/warm-models"))

    def _split(self, images: list[Path]) -> list[list[Path]]:
        return list(split_images(images, measures=not self._shares_files))

    def _encode(self, settings: dict[str, Any], images: list[Path]) -> RequestBody:
        if not self._shares_files or not all(is_text(path) for path in images):
            return encode_form(settings, images)
        given = {name: value for name, value in settings.items() if value is not None}
        return encode_json({**given, "paths": [make_absolute(path) for path in images]})


def _pin(answer: DetectionsOut) -> str:
    """What names this very model, whatever is published meanwhile."""
    model = answer.model
    return str(model.id) if model.version is None else f"{model.published_name}@{model.version}"


def _count_from(before: int, count: int, on_progress: Progress) -> Progress:
    """Of one request's images a progress of all."""

    def tell(stage: str, done: int, total: int) -> None:
        is_of_images = stage == _STAGE
        on_progress(stage, before + done if is_of_images else done, count if is_of_images else total)

    return tell
