# Made from asynchronous/datasets.py by scripts/make_synchronous_client.py: change that one, and run the script.
"""Datasets, from outside."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from raven_scan.client.answers import quote_ref
from raven_scan.client.file_bodies import make_absolute
from raven_scan.client.synchronous.connection import Connection
from raven_scan.client.synchronous.downloads import download_file
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

    def list(
        self,
        *,
        limit: int | None = None,
        cursor: str | None = None,
        search: str | None = None,
        sort: str | None = None,
    ) -> DatasetPage:
        """Each with its newest version; newest first, where no order is asked for.

        Args:
            limit: of a page.
            cursor: `next` of the page before, of the same sort.
            search: words, or their beginnings, of name and notes.
            sort: name or created_at; with `-` before it from the highest to the lowest.
        """
        parameters = {"limit": limit, "cursor": cursor, "q": search, "sort": sort}
        return DatasetPage.model_validate(self._connection.get(_PATH, parameters))

    def iterate(self, *, search: str | None = None, sort: str | None = None) -> Iterator[DatasetOut]:
        """All such datasets; a page is asked for when the one before is used up."""
        return self._connection.iterate(_PATH, DatasetOut.model_validate, {"q": search, "sort": sort})

    def get(self, ref: str) -> DatasetOut:
        """With all its versions, by name or id; with one, by name@number or the version's id."""
        return DatasetOut.model_validate(self._connection.get(f"{_PATH}/{quote_ref(ref)}"))

    def versions(self, ref: str) -> Iterator[DatasetVersionOut]:
        """All versions of a dataset, newest first."""
        return self._connection.iterate(
            f"{_PATH}/{quote_ref(ref)}/versions", DatasetVersionOut.model_validate
        )

    def edit(
        self, ref: str, *, name: str | None = None, notes: str | None = None, revision: int | None = None
    ) -> DatasetOut:
        """Changes name or notes; None leaves one as it is.

        Args:
            ref: name or id.
            name: a new one.
            notes: what is written about it.
            revision: of the dataset that was read; where somebody has changed it since, it is refused.

        Raises:
            Stale: it has another revision.
        """
        answer = self._connection.edit(
            f"{_PATH}/{quote_ref(ref)}", {"name": name, "notes": notes}, revision=revision
        )
        return DatasetOut.model_validate(answer)

    def delete(self, ref: str) -> None:
        """Puts it, or one version of it, into the trash; refused where something needs it."""
        self._connection.delete(f"{_PATH}/{quote_ref(ref)}")

    def export(self, ref: str, path: Path, *, on_progress: Progress = ignore_progress) -> None:
        """Writes a version to a zip in COCO form.

        Args:
            ref: name@number or a version's id; the newest version by the dataset's name or id.
            path: of the zip; there once it is whole.
            on_progress: called while it comes.
        """
        download_file(
            self._connection,
            f"{_PATH}/{quote_ref(ref)}/export",
            path,
            on_progress=on_progress,
            has_digest=False,
        )

    def picture(self, ref: str, digest: str, *, size: int | None = None) -> bytes:
        """An image of a version as JPEG, upright, in the frame of its boxes.

        Args:
            ref: name@number or a version's id.
            digest: of the image, as galleries of evaluations tell it.
            size: longest side in pixels; None: the image's own.
        """
        path = f"{_PATH}/{quote_ref(ref)}/images/{quote_ref(digest)}"
        with self._connection.stream("GET", path, parameters={"size": size}) as answer:
            return answer.read()

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
