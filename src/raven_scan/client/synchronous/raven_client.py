# Made from asynchronous/raven_client.py by scripts/make_synchronous_client.py: change that one, and run the script.
"""The client: the API's nouns, over a server or over an application in this process."""

from types import TracebackType
from typing import Self

import httpx

from raven_scan.client.addresses import DEFAULT_TIMEOUT_S, IN_PROCESS_URL, choose_server, make_headers
from raven_scan.client.answers import RetryRules
from raven_scan.client.in_process import Application, InProcessTransport
from raven_scan.client.synchronous.audit import AuditClient
from raven_scan.client.synchronous.connection import Connection
from raven_scan.client.synchronous.datasets import DatasetsClient
from raven_scan.client.synchronous.detections import DetectionsClient
from raven_scan.client.synchronous.evaluations import EvaluationsClient
from raven_scan.client.synchronous.model_lineage import LineageClient
from raven_scan.client.synchronous.notifications import NotificationsClient
from raven_scan.client.synchronous.packages import PackagesClient
from raven_scan.client.synchronous.policy import PolicyClient
from raven_scan.client.synchronous.published_models import PublishedModelsClient
from raven_scan.client.synchronous.roles import RolesClient
from raven_scan.client.synchronous.run_comparisons import RunComparisonsClient
from raven_scan.client.synchronous.run_queue import QueueClient
from raven_scan.client.synchronous.session import SessionClient
from raven_scan.client.synchronous.subscriptions import SubscriptionsClient
from raven_scan.client.synchronous.system import SystemClient
from raven_scan.client.synchronous.tokens import TokensClient
from raven_scan.client.synchronous.trained_models import TrainedModelsClient
from raven_scan.client.synchronous.training_presets import TrainingPresetsClient
from raven_scan.client.synchronous.training_runs import TrainingRunsClient
from raven_scan.client.synchronous.trash import TrashClient
from raven_scan.client.synchronous.uploads import UploadsClient
from raven_scan.client.synchronous.users import UsersClient
from raven_scan.client.synchronous.workers import WorkersClient


class RavenClient:
    """Raven Scan's API; what it refuses is raised as the errors of `kernel.errors`.

    Args:
        base_url: of the server; None: RAVEN_SERVER, or http://127.0.0.1:8700.
        token: of the user; None: RAVEN_TOKEN.
        timeout_s: how long an answer may take.
        retry_rules: for what is safe to repeat; None: four tries, with pauses that grow.
        transport: how requests travel; None: over the network.
    """

    def __init__(
        self,
        base_url: str | None = None,
        token: str | None = None,
        *,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        retry_rules: RetryRules | None = None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        is_in_process = isinstance(transport, InProcessTransport)
        http = httpx.Client(
            base_url=choose_server(base_url), headers=make_headers(token), transport=transport
        )
        self._connection = Connection(
            http,
            timeout_s=timeout_s,
            retry_rules=RetryRules(tries=1) if is_in_process else retry_rules,
            sends_keys=not is_in_process,
        )
        self.uploads = UploadsClient(self._connection)
        self.datasets = DatasetsClient(self._connection, self.uploads, shares_files=is_in_process)
        self.models = TrainedModelsClient(self._connection, self.uploads, shares_files=is_in_process)
        self.packages = PackagesClient(self._connection, self.uploads, shares_files=is_in_process)
        self.detections = DetectionsClient(self._connection, shares_files=is_in_process)
        self.evaluations = EvaluationsClient(self._connection)
        self.lineage = LineageClient(self._connection)
        self.published = PublishedModelsClient(self._connection)
        self.policy = PolicyClient(self._connection)
        self.runs = TrainingRunsClient(self._connection)
        self.run_comparisons = RunComparisonsClient(self._connection)
        self.queue = QueueClient(self._connection)
        self.presets = TrainingPresetsClient(self._connection)
        self.workers = WorkersClient(self._connection)
        self.notifications = NotificationsClient(self._connection)
        self.subscriptions = SubscriptionsClient(self._connection)
        self.system = SystemClient(self._connection)
        self.trash = TrashClient(self._connection)
        self.users = UsersClient(self._connection)
        self.roles = RolesClient(self._connection)
        self.tokens = TokensClient(self._connection)
        self.session = SessionClient(self._connection)
        self.audit = AuditClient(self._connection)

    @classmethod
    def in_process(cls, application: Application) -> Self:
        """The client of an ASGI application in this process: no server, no socket, no token."""
        return cls(IN_PROCESS_URL, transport=InProcessTransport(application))

    def get_version(self) -> str:
        """The server's version."""
        return str((self._connection.get("/api/v1/system/version"))["version"])

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

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._connection.base_url!r})"
