"""Trained models, from outside."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Literal, Unpack

from raven_scan.client.answers import quote_ref
from raven_scan.client.asynchronous.connection import AsyncConnection
from raven_scan.client.asynchronous.downloads import download_file
from raven_scan.client.asynchronous.uploads import AsyncUploadsClient
from raven_scan.client.chosen_models import ModelsChosen, describe_chosen_models
from raven_scan.client.file_bodies import make_absolute
from raven_scan.kernel.progress import Progress, ignore_progress
from raven_scan.trained_models.schemas import TrainedModelOut, TrainedModelPage, TrainedModelSummaryOut
from raven_scan.uploads.types import UploadPurpose

_PATH = "/api/v1/trained-models"


class AsyncTrainedModelsClient:
    """Args:
    connection: to the API.
    uploads: for what the API cannot read itself.
    shares_files: the API reads this machine's files itself.
    """

    def __init__(
        self, connection: AsyncConnection, uploads: AsyncUploadsClient, *, shares_files: bool
    ) -> None:
        self._connection = connection
        self._uploads = uploads
        self._shares_files = shares_files

    async def list(
        self, *, limit: int | None = None, cursor: str | None = None, **chosen: Unpack[ModelsChosen]
    ) -> TrainedModelPage:
        """A page of the models for which all is true that is chosen.

        Args:
            limit: of a page.
            cursor: `next` of the page before, of the same sort.
            chosen: see `ModelsChosen`.
        """
        parameters = {**describe_chosen_models(chosen), "limit": limit, "cursor": cursor}
        return TrainedModelPage.model_validate(await self._connection.get(_PATH, parameters))

    def iterate(self, **chosen: Unpack[ModelsChosen]) -> AsyncIterator[TrainedModelSummaryOut]:
        """All such models; a page is asked for when the one before is used up."""
        return self._connection.iterate(
            _PATH, TrainedModelSummaryOut.model_validate, describe_chosen_models(chosen)
        )

    async def get(self, ref: str) -> TrainedModelOut:
        return TrainedModelOut.model_validate(await self._connection.get(f"{_PATH}/{quote_ref(ref)}"))

    async def edit(
        self, ref: str, *, name: str | None = None, notes: str | None = None, revision: int | None = None
    ) -> TrainedModelOut:
        """Changes name or notes; None leaves one as it is.

        Args:
            ref: name or id.
            name: a new one.
            notes: what is written about it.
            revision: of the model that was read; where somebody has changed it since, it is refused.

        Raises:
            Stale: it has another revision.
        """
        answer = await self._connection.edit(
            f"{_PATH}/{quote_ref(ref)}", {"name": name, "notes": notes}, revision=revision
        )
        return TrainedModelOut.model_validate(answer)

    async def delete(self, ref: str) -> None:
        """Puts it into the trash; refused where it is published, or something needs it."""
        await self._connection.delete(f"{_PATH}/{quote_ref(ref)}")

    async def download(
        self,
        ref: str,
        path: Path,
        *,
        file: Literal["weights", "configuration"] = "weights",
        on_progress: Progress = ignore_progress,
    ) -> str:
        """Writes a model's weights (safetensors) or its configuration (JSON) to a file; returns its SHA-256.

        Args:
            ref: name or id.
            path: of the file; there once everything has come and its digest is the server's.
            file: which of the two.
            on_progress: called while it comes.
        """
        return await download_file(
            self._connection,
            f"{_PATH}/{quote_ref(ref)}/download",
            path,
            on_progress=on_progress,
            parameters={"file": file},
        )

    async def import_path(
        self, path: Path, *, architecture: str, name: str, on_progress: Progress = ignore_progress
    ) -> TrainedModelOut:
        """Imports a checkpoint file of this machine: read in place by an API in this process, else uploaded.

        Args:
            path: a checkpoint as MMDetection writes them; nothing in it is executed.
            architecture: that it belongs to.
            name: of the new model.
            on_progress: called while it goes on.
        """
        if not self._shares_files:
            return await self.upload(path, architecture=architecture, name=name, on_progress=on_progress)
        return await self._import({"path": make_absolute(path)}, architecture, name, on_progress)

    async def upload(
        self, path: Path, *, architecture: str, name: str, on_progress: Progress = ignore_progress
    ) -> TrainedModelOut:
        """As `import_path`, always over the wire."""
        upload = await self._uploads.send(path, purpose=UploadPurpose.CHECKPOINT, on_progress=on_progress)
        return await self._import({"upload": str(upload.id)}, architecture, name, on_progress)

    async def _import(
        self, source: dict[str, str], architecture: str, name: str, on_progress: Progress
    ) -> TrainedModelOut:
        content = {**source, "architecture": architecture, "name": name}
        result = await self._connection.do_long_work(f"{_PATH}/import", on_progress, content=content)
        return TrainedModelOut.model_validate(result)

    async def pull(
        self, model: str, *, name: str | None = None, on_progress: Progress = ignore_progress
    ) -> TrainedModelOut:
        """Has the server fetch a checkpoint of MMDetection's model index, by its name or an architecture's."""
        result = await self._connection.do_long_work(
            f"{_PATH}/pull", on_progress, content={"model": model, "name": name}
        )
        return TrainedModelOut.model_validate(result)
