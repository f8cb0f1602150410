"""The client: the API's nouns, over a server or over an application in this process."""

from types import TracebackType
from typing import Self

import httpx

from raven_scan.client.addresses import DEFAULT_TIMEOUT_S, IN_PROCESS_URL, choose_server, make_headers
from raven_scan.client.answers import RetryRules
from raven_scan.client.asynchronous.audit import AsyncAuditClient
from raven_scan.client.asynchronous.connection import AsyncConnection
from raven_scan.client.asynchronous.datasets import AsyncDatasetsClient
from raven_scan.client.asynchronous.detections import AsyncDetectionsClient
from raven_scan.client.asynchronous.evaluations import AsyncEvaluationsClient
from raven_scan.client.asynchronous.model_lineage import AsyncLineageClient
from raven_scan.client.asynchronous.notifications import AsyncNotificationsClient
from raven_scan.client.asynchronous.packages import AsyncPackagesClient
from raven_scan.client.asynchronous.policy import AsyncPolicyClient
from raven_scan.client.asynchronous.published_models import AsyncPublishedModelsClient
from raven_scan.client.asynchronous.roles import AsyncRolesClient
from raven_scan.client.asynchronous.run_comparisons import AsyncRunComparisonsClient
from raven_scan.client.asynchronous.run_queue import AsyncQueueClient
from raven_scan.client.asynchronous.session import AsyncSessionClient
from raven_scan.client.asynchronous.subscriptions import AsyncSubscriptionsClient
from raven_scan.client.asynchronous.system import AsyncSystemClient
from raven_scan.client.asynchronous.tokens import AsyncTokensClient
from raven_scan.client.asynchronous.trained_models import AsyncTrainedModelsClient
from raven_scan.client.asynchronous.training_presets import AsyncTrainingPresetsClient
from raven_scan.client.asynchronous.training_runs import AsyncTrainingRunsClient
from raven_scan.client.asynchronous.trash import AsyncTrashClient
from raven_scan.client.asynchronous.uploads import AsyncUploadsClient
from raven_scan.client.asynchronous.users import AsyncUsersClient
from raven_scan.client.asynchronous.workers import AsyncWorkersClient
from raven_scan.client.in_process import Application, AsyncInProcessTransport


class AsyncRavenClient:
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
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        is_in_process = isinstance(transport, AsyncInProcessTransport)
        http = httpx.AsyncClient(
            base_url=choose_server(base_url), headers=make_headers(token), transport=transport
        )
        self._connection = AsyncConnection(
            http,
            timeout_s=timeout_s,
            retry_rules=RetryRules(tries=1) if is_in_process else retry_rules,
            sends_keys=not is_in_process,
        )
        self.uploads = AsyncUploadsClient(self._connection)
        self.datasets = AsyncDatasetsClient(self._connection, self.uploads, shares_files=is_in_process)
        self.models = AsyncTrainedModelsClient(self._connection, self.uploads, shares_files=is_in_process)
        self.packages = AsyncPackagesClient(self._connection, self.uploads, shares_files=is_in_process)
        self.detections = AsyncDetectionsClient(self._connection, shares_files=is_in_process)
        self.evaluations = AsyncEvaluationsClient(self._connection)
        self.lineage = AsyncLineageClient(self._connection)
        self.published = AsyncPublishedModelsClient(self._connection)
        self.policy = AsyncPolicyClient(self._connection)
        self.runs = AsyncTrainingRunsClient(self._connection)
        self.run_comparisons = AsyncRunComparisonsClient(self._connection)
        self.queue = AsyncQueueClient(self._connection)
        self.presets = AsyncTrainingPresetsClient(self._connection)
        self.workers = AsyncWorkersClient(self._connection)
        self.notifications = AsyncNotificationsClient(self._connection)
        self.subscriptions = AsyncSubscriptionsClient(self._connection)
        self.system = AsyncSystemClient(self._connection)
        self.trash = AsyncTrashClient(self._connection)
        self.users = AsyncUsersClient(self._connection)
        self.roles = AsyncRolesClient(self._connection)
        self.tokens = AsyncTokensClient(self._connection)
        self.session = AsyncSessionClient(self._connection)
        self.audit = AsyncAuditClient(self._connection)

    @classmethod
    def in_process(cls, application: Application) -> Self:
        """The client of an ASGI application in this process: no server, no socket, no token."""
        return cls(IN_PROCESS_URL, transport=AsyncInProcessTransport(application))

    async def get_version(self) -> str:
        """The server's version."""
        return str((await self._connection.get("/api/v1/system/version"))["version"])

    async def aclose(self) -> None:
        await self._connection.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._connection.base_url!r})"
