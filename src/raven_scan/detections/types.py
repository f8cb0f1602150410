"""Values of detections."""

from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

DEFAULT_CONFIDENCE = 0.3
"""Where nobody measured at which confidence a model does best."""

DEFAULT_BATCH_SIZE, LARGEST_BATCH_SIZE = 8, 64


@dataclass(frozen=True, slots=True)
class RequestLimits:
    """What a request may hold."""

    most_images: int
    most_bytes: int


@dataclass(frozen=True, slots=True)
class ImageFile:
    """An image to be looked at. `name`: what whoever asks calls it."""

    path: Path
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AnsweringModel:
    """The model that detected.

    Attributes:
        id, name: of the trained model.
        published_name, version: what it is published as, where that was asked for; None of an unpublished one.
    """

    id: UUID
    name: str
    published_name: str | None
    version: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectedBox:
    """Something that was found.

    Attributes:
        score: confidence in 0-1.
        x, y, width, height: in pixels of the image, upright; x and y of the corner at the top left.
    """

    class_name: str
    score: float
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class ImageProblem:
    """Why nothing can be had from an image; its code begins with `detection.image_`."""

    code: str
    message: str
    hint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageDetections:
    """What was found on an image.

    Attributes:
        name: as whoever asked calls it.
        width, height: in pixels, upright; None where it cannot be read.
        exif_orientation: the tag that was applied to have it upright; 1 where nothing was to be done.
        boxes: best score first.
        problem: why there are none; None where the image was looked at.
    """

    name: str
    width: int | None = None
    height: int | None = None
    exif_orientation: int = 1
    boxes: list[DetectedBox] = field(default_factory=list[DetectedBox])
    problem: ImageProblem | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Detections:
    """An answer.

    Attributes:
        classes: that the model knows, in the order of its label index.
        min_confidence: boxes of less were left out.
        images: in the order in which they were given.
    """

    model: AnsweringModel
    classes: list[str]
    min_confidence: float
    images: list[ImageDetections]


@dataclass(frozen=True, slots=True, kw_only=True)
class WarmModelView:
    """A model that a process of this server keeps ready.

    Attributes:
        process_id: of the process; another one after it was started anew.
        request_count: what this process answered.
        memory_bytes: that it takes at the moment.
        is_busy: it answers somebody.
    """

    model: UUID
    name: str
    device: str
    process_id: int
    request_count: int
    memory_bytes: int
    is_busy: bool
