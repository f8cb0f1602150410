"""Datasets over REST. Bands are counted from 1 here, as mapping tools count them."""

from datetime import datetime
from typing import Annotated, Any, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, model_validator

from raven_scan.datasets.types import DatasetVersionView, DatasetView, ImportOptions

_Band = Annotated[int, Field(ge=1, le=65_536)]
Bands = tuple[_Band, _Band, _Band]


class _Schema(BaseModel):
    model_config = ConfigDict(from_attributes=True)


class DatasetImport(BaseModel):
    """A dataset to import: one that was uploaded, or at a path on the server's own machine, where that is allowed.

    `bands` are those that become red, green and blue, counted from 1.
    """

    model_config = ConfigDict(extra="forbid")

    path: str | None = None
    upload: UUID | None = Field(default=None, description="A complete upload, instead of a path.")
    name: str
    class_map: dict[str, str] = Field(default_factory=dict, description="Old class name to new class name.")
    single_class: str | None = Field(default=None, description="Makes every class this one.")
    allow_leak: bool = Field(default=False, description="Admits identical images in several parts.")
    bands: Bands | None = None
    seed: int = Field(default=0, description="Of the split, where the source has none.")

    @model_validator(mode="after")
    def _check_source(self) -> Self:
        if (self.path is None) == (self.upload is None):
            raise ValueError("give either a path or an upload")
        return self

    def make_options(self) -> ImportOptions:
        bands = None if self.bands is None else (self.bands[0] - 1, self.bands[1] - 1, self.bands[2] - 1)
        return ImportOptions(
            name=self.name,
            class_map=self.class_map,
            single_class=self.single_class,
            allow_leak=self.allow_leak,
            bands=bands,
            seed=self.seed,
        )


class PartOut(_Schema):
    """A part of the split; crowds are not counted as boxes."""

    image_count: int
    box_count: int
    crowd_count: int
    background_count: int
    boxes_by_class: dict[str, int]


class NoticeOut(_Schema):
    code: str
    message: str
    count: int
    examples: list[str]


class PixelRulesOut(BaseModel):
    bands: list[int] | None
    percentiles: list[list[float]] | None


class DatasetVersionOut(BaseModel):
    """An immutable version; `full_name` is name@number."""

    id: UUID
    dataset_id: UUID
    dataset_name: str
    full_name: str
    number: int
    digest: str
    classes: list[str]
    parts: dict[str, PartOut]
    pixel_rules: PixelRulesOut
    leak_allowed: bool
    leaked_image_count: int
    image_bytes: int
    options: dict[str, Any]
    warnings: list[NoticeOut]
    created_at: datetime
    created_by: str


class DatasetVersionPage(BaseModel):
    items: list[DatasetVersionOut]
    next: str | None


class DatasetOut(BaseModel):
    """A dataset with its newest 50 versions, newest first; a list shows the newest alone."""

    id: UUID
    name: str
    notes: str
    revision: int
    created_at: datetime
    created_by: str
    version_count: int
    versions: list[DatasetVersionOut]


class DatasetPage(BaseModel):
    items: list[DatasetOut]
    next: str | None


class DatasetEdit(BaseModel):
    """What is to change; what is left out stays."""

    model_config = ConfigDict(extra="forbid")

    name: str | None = None
    notes: str | None = None


def describe_version(version: DatasetVersionView) -> dict[str, Any]:
    """The content of a DatasetVersionOut, to be encoded by msgspec."""
    rules = version.pixel_rules
    content = {name: getattr(version, name) for name in _SAME_IN_BOTH}
    content["pixel_rules"] = {
        "bands": None if rules.bands is None else [band + 1 for band in rules.bands],
        "percentiles": rules.percentiles,
    }
    return content


def describe_dataset(dataset: DatasetView) -> dict[str, Any]:
    """The content of a DatasetOut, to be encoded by msgspec."""
    return {
        "id": dataset.id,
        "name": dataset.name,
        "notes": dataset.notes,
        "revision": dataset.revision,
        "created_at": dataset.created_at,
        "created_by": dataset.created_by,
        "version_count": dataset.version_count,
        "versions": [describe_version(version) for version in dataset.versions],
    }


_SAME_IN_BOTH = [name for name in DatasetVersionOut.model_fields if name != "pixel_rules"]
