"""The client: the API's nouns, over a server or over an application in this process."""

from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import httpx

import raven_scan
from raven_scan.client.connection import Connection
from raven_scan.client.datasets import DatasetsClient
from raven_scan.client.in_process import Application, InProcessTransport
from raven_scan.client.notifications import NotificationsClient
from raven_scan.client.run_queue import QueueClient
from raven_scan.client.trained_models import TrainedModelsClient
from raven_scan.client.training_presets import TrainingPresetsClient
from raven_scan.client.training_runs import TrainingRunsClient
from raven_scan.client.workers import WorkersClient
from raven_scan.kernel.errors import Invalid

_IN_PROCESS_URL = "http://in-process"


class RavenClient:
    """Raven Scan's API; what it refuses is raised as the errors of `kernel.errors`.

    Args:
        base_url: of the server, as http://127.0.0.1:8700.
        token: the server's; None sends none.
        transport: how requests travel; None: over the network.
    """

    def __init__(
        self, base_url: str, token: str | None = None, *, transport: httpx.BaseTransport | None = None
    ) -> None:
        parts = urlsplit(base_url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise Invalid(
                "client.bad_address",
                f"{base_url!r} is not a server's address.",
                hint="An address is like http://127.0.0.1:8700; see RAVEN_SERVER.",
            )
        headers = {"User-Agent": f"raven-scan/{raven_scan.__version__}"}
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        self._connection = Connection(httpx.Client(base_url=base_url, headers=headers, transport=transport))
        shares_files = isinstance(transport, InProcessTransport)
        self.datasets = DatasetsClient(self._connection, shares_files=shares_files)
        self.models = TrainedModelsClient(self._connection, shares_files=shares_files)
        self.runs = TrainingRunsClient(self._connection)
        self.queue = QueueClient(self._connection)
        self.presets = TrainingPresetsClient(self._connection)
        self.workers = WorkersClient(self._connection)
        self.notifications = NotificationsClient(self._connection)

    @classmethod
    def in_process(cls, application: Application) -> Self:
        """The client of an ASGI application in this process: no server, no socket, no token."""
        return cls(_IN_PROCESS_URL, transport=InProcessTransport(application))

    def get_version(self) -> str:
        """The server's version."""
        return str(self._connection.get("/api/v1/system")["version"])

    def close(self) -> None:
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
