# Made from asynchronous/training_runs.py by scripts/make_synchronous_client.py: change that one, and run the script.
"""Training runs, from outside."""

import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from raven_scan.architectures.parameters import TrainingParameters
from raven_scan.client.answers import quote_ref
from raven_scan.client.blocking import pause
from raven_scan.client.synchronous.connection import Connection
from raven_scan.kernel.errors import Busy, Unavailable
from raven_scan.kernel.revisions import format_etag
from raven_scan.training_runs.schemas import (
    LogOut,
    MetricsOut,
    Options,
    PreflightOut,
    QueueOut,
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
        options: Options | Mapping[str, Any] | None = None,
        preset: str | None = None,
    ) -> TrainingRunOut:
        """A new Draft.

        Args:
            name: of the run, and of the model that comes out.
            dataset: name, name@version or id.
            base_model: name or id.
            parameters: what is left out takes its value from the preset, or its default; the server checks the bounds.
            options: when and on what it is executed; what is left out takes its default.
            preset: name or id of the preset whose parameters are taken.
        """
        content = {
            "name": name,
            "dataset": dataset,
            "base_model": base_model,
            "parameters": _dump_given(parameters),
            "options": _dump_given(options),
            "preset": preset,
        }
        return TrainingRunOut.model_validate(self._connection.post(_PATH, content))

    def clone(
        self,
        ref: str,
        *,
        name: str,
        dataset: str | None = None,
        base_model: str | None = None,
        parameters: TrainingParameters | Mapping[str, Any] | None = None,
        options: Options | Mapping[str, Any] | None = None,
    ) -> TrainingRunOut:
        """A new Draft like another run; what is not given here is as it was there."""
        content = {
            "name": name,
            "dataset": dataset,
            "base_model": base_model,
            "parameters": _dump_given(parameters),
            "options": _dump_given(options),
        }
        return self._act(ref, "clone", content)

    def list(
        self,
        *,
        search: str | None = None,
        status: str | Sequence[str] | None = None,
        dataset: str | None = None,
        base_model: str | None = None,
        architecture: str | None = None,
        created_by: str | None = None,
        created_since: datetime | None = None,
        created_until: datetime | None = None,
        ended_since: datetime | None = None,
        ended_until: datetime | None = None,
        sort: str | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> TrainingRunPage:
        """Runs for which all is true that is said here; newest first, where no order is asked for.

        Args:
            search: words, or their beginnings, of name, notes, dataset, base model, architecture or creator.
            status: one, or any of several.
            dataset: name, name@version, or id.
            base_model: name or id.
            architecture: name.
            created_by: a user's name.
            created_since: with a time zone, as all times.
            created_until: this moment is left out.
            ended_since: as for `created_since`.
            ended_until: this moment is left out.
            sort: name, status, created_at, scheduled_at, ended_at, priority or best_map50; with `-` before it from the
                highest to the lowest.
            limit: of a page.
            cursor: `next` of the page before, of the same sort.
        """
        times = {
            "created_since": created_since,
            "created_until": created_until,
            "ended_since": ended_since,
            "ended_until": ended_until,
        }
        parameters = {
            "q": search,
            "status": status,
            "dataset": dataset,
            "base_model": base_model,
            "architecture": architecture,
            "created_by": created_by,
            "sort": sort,
            "limit": limit,
            "cursor": cursor,
            **{name: moment.isoformat() if moment else None for name, moment in times.items()},
        }
        return TrainingRunPage.model_validate(self._connection.get(_PATH, parameters))

    def get(self, ref: str) -> TrainingRunOut:
        return self._read(ref, is_retried=True)

    def edit(
        self, ref: str, *, name: str | None = None, notes: str | None = None, revision: int | None = None
    ) -> TrainingRunOut:
        """Changes name or notes; None leaves one as it is. A model that the run has made keeps its name.

        Args:
            ref: name or id.
            name: a new one.
            notes: what is written about it.
            revision: of the run that was read; where somebody has changed it since, it is refused.

        Raises:
            Stale: it has another revision.
        """
        changes = {"name": name, "notes": notes}
        content = {key: value for key, value in changes.items() if value is not None}
        etag = None if revision is None else format_etag(revision)
        return TrainingRunOut.model_validate(
            self._connection.patch(f"{_PATH}/{quote_ref(ref)}", content, etag=etag)
        )

    def delete(self, ref: str) -> None:
        """Puts it into the trash; its model stays. One that is Processing must be cancelled first."""
        self._connection.delete(f"{_PATH}/{quote_ref(ref)}")

    def preflight(self, ref: str) -> PreflightOut:
        """All that speaks against scheduling it."""
        return PreflightOut.model_validate(self._connection.post(f"{_PATH}/{quote_ref(ref)}/preflight"))

    def schedule(self, ref: str, *, dry_run: bool = False) -> ScheduledOut:
        """Puts a Draft in the queue.

        Args:
            ref: name or id.
            dry_run: for a step of training and one of validation; it is a Draft again then, with its `estimate`.

        Raises:
            Conflict: with `parameters["findings"]` where the preflight found errors.
        """
        return ScheduledOut.model_validate(
            self._connection.post(
                f"{_PATH}/{quote_ref(ref)}/schedule", parameters={"dry_run": "true" if dry_run else "false"}
            )
        )

    def cancel(self, ref: str) -> TrainingRunOut:
        """Ends a run that has not ended; its last checkpoint is kept. Its processes end within seconds."""
        return self._act(ref, "cancel")

    def pause(self, ref: str) -> TrainingRunOut:
        """Asks it to pause: one that is Processing becomes Paused when its checkpoint is written."""
        return self._act(ref, "pause")

    def resume(self, ref: str) -> TrainingRunOut:
        """Has a paused run wait again; it goes on from its checkpoint."""
        return self._act(ref, "resume")

    def retry(self, ref: str, *, from_start: bool = False) -> TrainingRunOut:
        """Has a run that ended in Error or was cancelled wait again.

        Args:
            ref: name or id.
            from_start: not from its last checkpoint.
        """
        return self._act(ref, "retry", {"from_start": from_start})

    def set_priority(self, ref: str, priority: int) -> TrainingRunOut:
        """Of two that wait, the one of the higher priority comes first."""
        return self._act(ref, "priority", {"priority": priority})

    def move(self, ref: str, *, place: int) -> QueueOut:
        """Gives a run that waits another place in the queue; 1 is the first, beyond the end is the last."""
        return QueueOut.model_validate(
            self._connection.post(f"{_PATH}/{quote_ref(ref)}/move", {"place": place})
        )

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
        """The run as it is now and after each change, until it is at rest.

        That is Success, Error or Cancelled; also Paused, and Draft, which it is again after a dry run.

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
                run = self._read(ref, is_retried=False)
                heard_at = time.monotonic()
            except (Unavailable, Busy):
                if shown is None or time.monotonic() - heard_at > patience_s:
                    raise
                run = shown
            if run != shown:
                yield run
                shown = run
            if run.status in _AT_REST:
                return
            pause(poll_s)

    def wait(self, ref: str) -> TrainingRunOut:
        """Waits until it is at rest, as `watch` does."""
        last: TrainingRunOut | None = None
        for run in self.watch(ref):
            last = run
        assert last is not None  # noqa: S101 - watch yields the run at least once
        return last

    def read_logs(self, ref: str) -> Iterator[str]:
        """The log as far as it is written, in parts."""
        offset = 0
        while (part := self.logs(ref, offset=offset)).next_offset > offset:
            yield part.text
            offset = part.next_offset

    def follow_logs(self, ref: str, *, poll_s: float = _POLL_S) -> Iterator[str]:
        """The log from its beginning, and what is written until the run is at rest."""
        offset = 0
        while True:
            # The order matters: what is written before a run is at rest is read after it was seen to be.
            is_over = (self.get(ref)).status in _AT_REST
            while (part := self.logs(ref, offset=offset)).next_offset > offset:
                yield part.text
                offset = part.next_offset
            if is_over:
                return
            pause(poll_s)

    def _read(self, ref: str, *, is_retried: bool) -> TrainingRunOut:
        return TrainingRunOut.model_validate(
            self._connection.get(f"{_PATH}/{quote_ref(ref)}", is_retried=is_retried)
        )

    def _act(self, ref: str, verb: str, content: Any = None) -> TrainingRunOut:
        return TrainingRunOut.model_validate(
            self._connection.post(f"{_PATH}/{quote_ref(ref)}/{verb}", content)
        )


_AT_REST = {RunStatus.DRAFT, RunStatus.PAUSED, *(status for status in RunStatus if status.is_final)}
"""Where nothing happens to a run by itself."""


def _dump_given(given: TrainingParameters | Options | Mapping[str, Any] | None) -> dict[str, Any]:
    """What was set, as JSON; what was left out stays out, so that it is decided elsewhere."""
    if isinstance(given, TrainingParameters | Options):
        return given.model_dump(mode="json", exclude_unset=True)
    return {
        name: value.isoformat() if isinstance(value, datetime) else value
        for name, value in (given or {}).items()
    }
