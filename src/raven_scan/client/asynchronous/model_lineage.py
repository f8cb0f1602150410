"""Lineage and verification of trained models, from outside."""

from raven_scan.client.answers import quote_ref
from raven_scan.client.asynchronous.connection import AsyncConnection
from raven_scan.kernel.progress import Progress, ignore_progress
from raven_scan.trained_models.lineage_schemas import LineageGraphOut, ModelProofOut

_PATH = "/api/v1/trained-models"


class AsyncLineageClient:
    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def get(self, model: str) -> LineageGraphOut:
        """Where a model, by name or id, comes from, and what came of it."""
        return LineageGraphOut.model_validate(
            await self._connection.get(f"{_PATH}/{quote_ref(model)}/lineage")
        )

    async def verify(self, model: str, *, on_progress: Progress = ignore_progress) -> ModelProofOut:
        """Has the server read weights, configuration and dataset version again, and compare their digests."""
        result = await self._connection.do_long_work(f"{_PATH}/{quote_ref(model)}/verify", on_progress)
        return ModelProofOut.model_validate(result)
