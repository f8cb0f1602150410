"""Trained models, from outside."""

from pathlib import Path

from raven_scan.client.answers import quote_ref
from raven_scan.client.asynchronous.connection import AsyncConnection
from raven_scan.client.asynchronous.uploads import AsyncUploadsClient
from raven_scan.client.file_bodies import make_absolute
from raven_scan.kernel.progress import Progress, ignore_progress
from raven_scan.trained_models.schemas import TrainedModelOut, TrainedModelPage
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
        self,
        *,
        limit: int | None = None,
        cursor: str | None = None,
        origin: str | None = None,
        stage: str | None = None,
        architecture: str | None = None,
    ) -> TrainedModelPage:
        """Newest first."""
        return TrainedModelPage.model_validate(
            await self._connection.get(
                _PATH,
                {
                    "limit": limit,
                    "cursor": cursor,
                    "origin": origin,
                    "stage": stage,
                    "architecture": architecture,
                },
            )
        )

    async def get(self, ref: str) -> TrainedModelOut:
        return TrainedModelOut.model_validate(await self._connection.get(f"{_PATH}/{quote_ref(ref)}"))

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
