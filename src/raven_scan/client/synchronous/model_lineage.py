# Made from asynchronous/model_lineage.py by scripts/make_synchronous_client.py: change that one, and run the script.
"""Lineage and verification of trained models, from outside."""

from raven_scan.client.answers import quote_ref
from raven_scan.client.synchronous.connection import Connection
from raven_scan.kernel.progress import Progress, ignore_progress
from raven_scan.trained_models.lineage_schemas import LineageGraphOut, ModelProofOut

_PATH = "/api/v1/trained-models"


class LineageClient:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def get(self, model: str) -> LineageGraphOut:
        """Where a model, by name or id, comes from, and what came of it."""
        return LineageGraphOut.model_validate(self._connection.get(f"{_PATH}/{quote_ref(model)}/lineage"))

    def verify(self, model: str, *, on_progress: Progress = ignore_progress) -> ModelProofOut:
        """Has the server read weights, configuration and dataset version again, and compare their digests."""
        result = self._connection.do_long_work(f"{_PATH}/{quote_ref(model)}/verify", on_progress)
        return ModelProofOut.model_validate(result)
