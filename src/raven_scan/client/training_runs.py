"""Training runs, from outside."""

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from raven_scan.architectures.parameters import TrainingParameters
from raven_scan.client.connection import Connection, quote_ref
from raven_scan.kernel.errors import Busy, Unavailable
from raven_scan.training_runs.schemas import (
    LogOut,
    MetricsOut,
    PreflightOut,
    ScheduledOut,
    TrainingRunOut,
    TrainingRunPage,
)
from raven_scan.training_runs.types import RunStatus

_PATH = "/api/v1/training-runs"
_POLL_S = 0.5
_PATIENCE_S = 60.0


class TrainingRunsClient:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def create(
        self,
        *,
        name: str,
        dataset: str,
        base_model: str,
        parameters: TrainingParameters | Mapping[str, Any] | None = None,
    ) -> TrainingRunOut:
        """A new Draft.

        Args:
            name: of the run, and of the model that comes out.
            dataset: name, name@version or id.
            base_model: name or id.
            parameters: what is left out takes its default; the server checks the bounds.
        """
        if isinstance(parameters, TrainingParameters):
            parameters = parameters.model_dump(mode="json", exclude_unset=True)
        content = {
            "name": name,
            "dataset": dataset,
            "base_model": base_model,
            "parameters": dict(parameters or {}),
        }
        return TrainingRunOut.model_validate(self._connection.post(_PATH, content))

    def list(
        self, *, limit: int | None = None, cursor: str | None = None, status: str | None = None
    ) -> TrainingRunPage:
        """Newest first."""
        return TrainingRunPage.model_validate(
            self._connection.get(_PATH, {"limit": limit, "cursor": cursor, "status": status})
        )

    def get(self, ref: str) -> TrainingRunOut:
        return TrainingRunOut.model_validate(self._connection.get(f"{_PATH}/{quote_ref(ref)}"))

    def preflight(self, ref: str) -> PreflightOut:
        """All that speaks against scheduling it."""
        return PreflightOut.model_validate(self._connection.post(f"{_PATH}/{quote_ref(ref)}/preflight"))

    def schedule(self, ref: str) -> ScheduledOut:
        """Raises Conflict with `parameters["findings"]` where the preflight found errors."""
        return ScheduledOut.model_validate(self._connection.post(f"{_PATH}/{quote_ref(ref)}/schedule"))

    def metrics(self, ref: str, *, names: Sequence[str] = ()) -> MetricsOut:
        """All metrics, or those named."""
        return MetricsOut.model_validate(
            self._connection.get(f"{_PATH}/{quote_ref(ref)}/metrics", {"name": names})
        )

    def logs(self, ref: str, *, offset: int = 0, limit: int | None = None) -> LogOut:
        return LogOut.model_validate(
            self._connection.get(f"{_PATH}/{quote_ref(ref)}/logs", {"offset": offset, "limit": limit})
        )

    def watch(
        self, ref: str, *, poll_s: float = _POLL_S, patience_s: float = _PATIENCE_S
    ) -> Iterator[TrainingRunOut]:
        """The run as it is now and after each change, until it is Success, Error or Cancelled.

        Args:
            ref: name or id.
            poll_s: how often to look.
            patience_s: how long a server that is away (it may be restarting) is waited for.

        Raises:
            Unavailable: the server was away for longer.
        """
        shown: TrainingRunOut | None = None
        heard_at = time.monotonic()
        while True:
            try:
                run = self.get(ref)
                heard_at = time.monotonic()
            except (Unavailable, Busy):
                if shown is None or time.monotonic() - heard_at > patience_s:
                    raise
                run = shown
            if run != shown:
                yield run
                shown = run
            if run.status.is_final:
                return
            time.sleep(poll_s)

    def wait(self, ref: str) -> TrainingRunOut:
        """Waits for its end."""
        *_, last = self.watch(ref)
        return last

    def read_logs(self, ref: str) -> Iterator[str]:
        """The log as far as it is written, in parts."""
        offset = 0
        while (part := self.logs(ref, offset=offset)).next_offset > offset:
            yield part.text
            offset = part.next_offset

    def follow_logs(self, ref: str, *, poll_s: float = _POLL_S) -> Iterator[str]:
        """The log from its beginning, and what is written until the run is over."""
        offset = 0
        while True:
            # The order matters: what is written before a run is over is read after it was seen to be over.
            is_over = self.get(ref).status in _QUIET
            while (part := self.logs(ref, offset=offset)).next_offset > offset:
                yield part.text
                offset = part.next_offset
            if is_over:
                return
            time.sleep(poll_s)


_QUIET = {status for status in RunStatus if status.is_final} | {RunStatus.DRAFT}
