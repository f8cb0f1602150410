# Made from asynchronous/datasets.py by scripts/make_synchronous_client.py: change that one, and run the script.
"""Datasets, from outside."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from raven_scan.client.answers import quote_ref
from raven_scan.client.file_bodies import make_absolute
from raven_scan.client.synchronous.connection import Connection
from raven_scan.client.synchronous.uploads import UploadsClient
from raven_scan.datasets.schemas import Bands, DatasetOut, DatasetPage, DatasetVersionOut
from raven_scan.kernel.progress import Progress, ignore_progress
from raven_scan.uploads.types import UploadPurpose

_PATH = "/api/v1/datasets"


class DatasetsClient:
    """Args:
    connection: to the API.
    uploads: for what the API cannot read itself.
    shares_files: the API reads this machine's files itself.
    """

    def __init__(self, connection: Connection, uploads: UploadsClient, *, shares_files: bool) -> None:
        self._connection = connection
        self._uploads = uploads
        self._shares_files = shares_files

    def list(self, *, limit: int | None = None, cursor: str | None = None) -> DatasetPage:
        """Newest first, each with its newest version."""
        return DatasetPage.model_validate(self._connection.get(_PATH, {"limit": limit, "cursor": cursor}))

    def get(self, ref: str) -> DatasetOut:
        """With all its versions, by name or id; with one, by name@number or the version's id."""
        return DatasetOut.model_validate(self._connection.get(f"{_PATH}/{quote_ref(ref)}"))

    def import_path(
        self,
        path: Path,
        *,
        name: str,
        class_map: Mapping[str, str] | None = None,
        single_class: str | None = None,
        bands: Bands | None = None,
        allow_leak: bool = False,
        seed: int = 0,
        on_progress: Progress = ignore_progress,
    ) -> DatasetVersionOut:
        """Imports a folder or zip of this machine: read in place by an API in this process, else uploaded.

        Args:
            path: in COCO form, with train, valid and test, or without a split.
            name: of the dataset; one that is there gets a new version.
            class_map: old class name to new class name.
            single_class: makes every class this one.
            bands: that become red, green and blue, counted from 1.
            allow_leak: admits identical images in several parts.
            seed: of the split, where the source has none.
            on_progress: called while it goes on.

        Raises:
            Invalid: `dataset.refused`, with all that is wrong in `parameters["problems"]`.
        """
        content: dict[str, Any] = {
            "name": name,
            "class_map": dict(class_map or {}),
            "single_class": single_class,
            "bands": bands,
            "allow_leak": allow_leak,
            "seed": seed,
        }
        if self._shares_files:
            content["path"] = make_absolute(path)
        else:
            upload = self._uploads.send(path, purpose=UploadPurpose.DATASET, on_progress=on_progress)
            content["upload"] = str(upload.id)
        result = self._connection.do_long_work(f"{_PATH}/import", on_progress, content=content)
        return DatasetVersionOut.model_validate(result)
