"""Packages of models, and the keys that are trusted, from outside."""

from pathlib import Path

from raven_scan.client.answers import quote_ref
from raven_scan.client.asynchronous.connection import AsyncConnection
from raven_scan.client.asynchronous.downloads import download_file
from raven_scan.client.asynchronous.uploads import AsyncUploadsClient
from raven_scan.client.file_bodies import make_absolute
from raven_scan.kernel.progress import Progress, ignore_progress
from raven_scan.packages.schemas import PackageKeyOut, PackageKeyPage, PackageOut
from raven_scan.trained_models.schemas import TrainedModelOut
from raven_scan.uploads.types import UploadPurpose

_MODELS = "/api/v1/trained-models"
_KEYS = "/api/v1/package-keys"


class AsyncPackagesClient:
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

    async def make(
        self, model: str, *, onnx: bool = False, on_progress: Progress = ignore_progress
    ) -> PackageOut:
        """Has a model packed; the package can be downloaded for a day.

        Args:
            model: name or id.
            onnx: with the model as ONNX too.
            on_progress: called while it goes on.
        """
        made = await self._connection.do_long_work(
            f"{_MODELS}/{quote_ref(model)}/package", on_progress, content={"onnx": onnx}
        )
        return PackageOut.model_validate(made)

    async def download(
        self, package: PackageOut, path: Path, *, on_progress: Progress = ignore_progress
    ) -> str:
        """Writes a package that was made to a file, there once it is whole and verified; returns its SHA-256."""
        return await download_file(
            self._connection,
            f"{_MODELS}/{package.model_id}/package/{package.digest}",
            path,
            on_progress=on_progress,
        )

    async def export(
        self, model: str, path: Path, *, onnx: bool = False, on_progress: Progress = ignore_progress
    ) -> PackageOut:
        """Packs a model and writes the package to a file.

        Args:
            model: name or id.
            path: of the zip; there once everything has come and its digest is the server's.
            onnx: with the model as ONNX too.
            on_progress: called while it goes on.
        """
        made = await self.make(model, onnx=onnx, on_progress=on_progress)
        await self.download(made, path, on_progress=on_progress)
        return made

    async def import_path(
        self, path: Path, *, name: str | None = None, on_progress: Progress = ignore_progress
    ) -> TrainedModelOut:
        """Imports a package of this machine: read in place by an API in this process, else uploaded.

        Args:
            path: of the zip.
            name: of the new model; without it the name that it had.
            on_progress: called while it goes on.
        """
        content: dict[str, str | None] = {"name": name}
        if self._shares_files:
            content["path"] = make_absolute(path)
        else:
            upload = await self._uploads.send(path, purpose=UploadPurpose.PACKAGE, on_progress=on_progress)
            content["upload"] = str(upload.id)
        result = await self._connection.do_long_work(
            f"{_MODELS}/packages/import", on_progress, content=content
        )
        return TrainedModelOut.model_validate(result)

    async def get_own_key(self) -> PackageKeyOut:
        """The platform's own public key, for others to trust."""
        return PackageKeyOut.model_validate(await self._connection.get(f"{_KEYS}/own"))

    async def list_keys(
        self, *, limit: int | None = None, cursor: str | None = None, sort: str | None = None
    ) -> PackageKeyPage:
        """Keys that are trusted, and those that were revoked, in the order in which they came."""
        parameters = {"limit": limit, "cursor": cursor, "sort": sort}
        return PackageKeyPage.model_validate(await self._connection.get(_KEYS, parameters))

    async def trust_key(self, key: str, *, name: str) -> PackageKeyOut:
        """Believes packages that are signed with this key: a line `ssh-ed25519 …`, or PEM."""
        return PackageKeyOut.model_validate(await self._connection.post(_KEYS, {"key": key, "name": name}))

    async def revoke_key(self, ref: str) -> None:
        """Refuses what this key signed from now on; by name or id."""
        await self._connection.delete(f"{_KEYS}/{quote_ref(ref)}")
