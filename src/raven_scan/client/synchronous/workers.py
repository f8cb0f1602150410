# Made from asynchronous/workers.py by scripts/make_synchronous_client.py: change that one, and run the script.
"""Workers, from outside."""

from raven_scan.client.synchronous.connection import Connection
from raven_scan.jobs.schemas import WorkerPage

_PATH = "/api/v1/system/workers"


class WorkersClient:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def list(self) -> WorkerPage:
        """Those that live, each with its devices and what they do."""
        return WorkerPage.model_validate(self._connection.get(_PATH))
