"""Detections over REST."""

from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from raven_scan.detections.types import DEFAULT_BATCH_SIZE, LARGEST_BATCH_SIZE

LONGEST_REF = 300
DEVICE_PATTERN = r"^(cpu|cuda:\d{1,2})$"


class _Schema(BaseModel):
    model_config = ConfigDict(from_attributes=True)


class DetectionRequest(BaseModel):
    """What to detect with, and how."""

    model_config = ConfigDict(extra="forbid")

    model: Annotated[str, Field(min_length=1, max_length=LONGEST_REF)]
    min_confidence: Annotated[float | None, Field(ge=0, le=1)] = None
    batch_size: Annotated[int, Field(ge=1, le=LARGEST_BATCH_SIZE)] = DEFAULT_BATCH_SIZE
    device: Annotated[str | None, Field(pattern=DEVICE_PATTERN)] = None


class PathsRequest(DetectionRequest):
    """On files of the platform's own machine, for its owner alone."""

    paths: Annotated[list[str], Field(min_length=1)]


class AnsweringModelOut(_Schema):
    """The model that detected; `published_name` and `version` are null where it is not published."""

    id: UUID
    name: str
    published_name: str | None
    version: int | None


class DetectedBoxOut(_Schema):
    """Something that was found, in pixels of the upright image; `x` and `y` are of the corner at the top left."""

    class_name: str
    score: float
    x: float
    y: float
    width: float
    height: float


class ImageProblemOut(_Schema):
    """Why nothing can be had from an image."""

    code: str
    message: str
    hint: str


class ImageDetectionsOut(_Schema):
    """What was found on an image, best score first; where it could not be read, its problem."""

    name: str
    width: int | None
    height: int | None
    exif_orientation: Annotated[
        int, Field(description="The tag that was applied to have it upright; 1 is none.")
    ]
    boxes: list[DetectedBoxOut]
    problem: ImageProblemOut | None


class DetectionsOut(_Schema):
    """An answer; its images are in the order in which they were given."""

    model: AnsweringModelOut
    classes: list[str]
    min_confidence: float
    images: list[ImageDetectionsOut]


class WarmModelOut(_Schema):
    """A model that a process of this server keeps ready."""

    model: UUID
    name: str
    device: str
    process_id: int
    request_count: Annotated[int, Field(description="What this process was asked since it started.")]
    memory_bytes: int
    is_busy: bool


class WarmModelPage(BaseModel):
    items: list[WarmModelOut]
