# Made from asynchronous/training_runs.py by scripts/make_synchronous_client.py: change that one, and run the script.
"""Training runs, from outside."""

import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from raven_scan.architectures.parameters import TrainingParameters
from raven_scan.client.answers import quote_ref
from raven_scan.client.blocking import pause
from raven_scan.client.chosen_runs import RunsChosen, describe_chosen
from raven_scan.client.synchronous.connection import Connection
from raven_scan.client.synchronous.downloads import download_file
from raven_scan.client.synchronous.run_events import read_events
from raven_scan.client.synchronous.training_run import TrainingRun
from raven_scan.kernel.errors import Busy, Unavailable
from raven_scan.kernel.progress import Progress, ignore_progress
from raven_scan.training_runs.schemas import (
    ArtifactOut,
    ArtifactPage,
    LogOut,
    LogSearchOut,
    MetricsOut,
    Options,
    PreflightOut,
    QueueOut,
    ScheduledOut,
    TrainingRunPage,
    TrainingRunSummary,
)
from raven_scan.training_runs.types import RunStatus

if TYPE_CHECKING:
    from raven_scan.training_runs.events_schemas import AnyRunEvent

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
    ) -> TrainingRun:
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
        return TrainingRun.bind(self._connection.post(_PATH, content), self)

    def clone(
        self,
        ref: str,
        *,
        name: str,
        dataset: str | None = None,
        base_model: str | None = None,
        parameters: TrainingParameters | Mapping[str, Any] | None = None,
        options: Options | Mapping[str, Any] | None = None,
    ) -> TrainingRun:
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
        self, *, limit: int | None = None, cursor: str | None = None, **chosen: Unpack[RunsChosen]
    ) -> TrainingRunPage:
        """A page of the runs for which all is true that is chosen.

        Args:
            limit: of a page.
            cursor: `next` of the page before, of the same sort.
            chosen: see `RunsChosen`.
        """
        parameters = {**describe_chosen(chosen), "limit": limit, "cursor": cursor}
        return TrainingRunPage.model_validate(self._connection.get(_PATH, parameters))

    def iterate(self, **chosen: Unpack[RunsChosen]) -> Iterator[TrainingRunSummary]:
        """All such runs; a page is asked for when the one before is used up."""
        return self._connection.iterate(_PATH, TrainingRunSummary.model_validate, describe_chosen(chosen))

    def get(self, ref: str) -> TrainingRun:
        return self._read(ref, is_retried=True)

    def edit(
        self, ref: str, *, name: str | None = None, notes: str | None = None, revision: int | None = None
    ) -> TrainingRun:
        """Changes name or notes; None leaves one as it is. A model that the run has made keeps its name.

        Args:
            ref: name or id.
            name: a new one.
            notes: what is written about it.
            revision: of the run that was read; where somebody has changed it since, it is refused.

        Raises:
            Stale: it has another revision.
        """
        answer = self._connection.edit(
            f"{_PATH}/{quote_ref(ref)}", {"name": name, "notes": notes}, revision=revision
        )
        return TrainingRun.bind(answer, self)

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
        answer = self._connection.post(
            f"{_PATH}/{quote_ref(ref)}/schedule", parameters={"dry_run": "true" if dry_run else "false"}
        )
        scheduled = ScheduledOut.model_validate(answer)
        scheduled.run = TrainingRun.bind(answer["run"], self)
        return scheduled

    def cancel(self, ref: str) -> TrainingRun:
        """Ends a run that has not ended; its last checkpoint is kept. Its processes end within seconds."""
        return self._act(ref, "cancel")

    def pause(self, ref: str) -> TrainingRun:
        """Asks it to pause: one that is Processing becomes Paused when its checkpoint is written."""
        return self._act(ref, "pause")

    def resume(self, ref: str) -> TrainingRun:
        """Has a paused run wait again; it goes on from its checkpoint."""
        return self._act(ref, "resume")

    def retry(self, ref: str, *, from_start: bool = False) -> TrainingRun:
        """Has a run that ended in Error or was cancelled wait again.

        Args:
            ref: name or id.
            from_start: not from its last checkpoint.
        """
        return self._act(ref, "retry", {"from_start": from_start})

    def artifacts(self, ref: str) -> ArtifactPage:
        """What it has to download: log, metrics, parameters, checkpoints, and the files of its model."""
        return ArtifactPage.model_validate(self._connection.get(f"{_PATH}/{quote_ref(ref)}/artifacts"))

    def download_artifact(
        self, ref: str, artifact: ArtifactOut, path: Path, *, on_progress: Progress = ignore_progress
    ) -> str:
        """Writes one of them to a file; returns its SHA-256. Checkpoints and models are verified.

        Args:
            ref: name or id of the run.
            artifact: as `artifacts` tells it.
            path: of the file; there once everything has come.
            on_progress: called while it comes.
        """
        return download_file(
            self._connection,
            f"{_PATH}/{quote_ref(ref)}/artifacts/{quote_ref(artifact.name)}",
            path,
            on_progress=on_progress,
            has_digest=artifact.digest is not None,
        )

    def set_priority(self, ref: str, priority: int) -> TrainingRun:
        """Of two that wait, the one of the higher priority comes first."""
        return self._act(ref, "priority", {"priority": priority})

    def move(self, ref: str, *, place: int) -> QueueOut:
        """Gives a run that waits another place in the queue; 1 is the first, beyond the end is the last."""
        return QueueOut.model_validate(
            self._connection.post(f"{_PATH}/{quote_ref(ref)}/move", {"place": place})
        )

    def metrics(
        self,
        ref: str,
        *,
        names: Sequence[str] = (),
        points: int | None = None,
        from_step: int | None = None,
        to_step: int | None = None,
    ) -> MetricsOut:
        """All metrics, or those named.

        Args:
            ref: name or id.
            names: of metrics.
            points: at most so many of each, for a chart: the first, the last, and what stands out; None: every one.
            from_step: none before this.
            to_step: none after this.
        """
        parameters = {"name": names, "points": points, "from_step": from_step, "to_step": to_step}
        return MetricsOut.model_validate(
            self._connection.get(f"{_PATH}/{quote_ref(ref)}/metrics", parameters)
        )

    def logs(
        self, ref: str, *, offset: int = 0, limit: int | None = None, tail_lines: int | None = None
    ) -> LogOut:
        """A part of the log from a byte on, or the last so many lines."""
        parameters = {"offset": offset, "limit": limit, "tail_lines": tail_lines}
        return LogOut.model_validate(self._connection.get(f"{_PATH}/{quote_ref(ref)}/logs", parameters))

    def search_log(self, ref: str, words: str, *, offset: int = 0, line: int = 1) -> LogSearchOut:
        """The lines of the log that have `words` in them; `next_offset` and `next_line` of an answer go on."""
        parameters = {"q": words, "offset": offset, "line": line}
        return LogSearchOut.model_validate(
            self._connection.get(f"{_PATH}/{quote_ref(ref)}/logs/search", parameters)
        )

    def events(
        self,
        ref: str,
        *,
        history: bool = True,
        metrics: bool = True,
        log: bool = False,
        last_event_id: str | None = None,
        patience_s: float = _PATIENCE_S,
    ) -> Generator["AnyRunEvent"]:
        """What happens to a run, each thing once, until it is at rest; the last event is an EndEvent.

        Args:
            ref: name or id.
            history: metrics and log from the beginning, not from now on.
            metrics: tell metrics.
            log: tell the log.
            last_event_id: goes on behind this one.
            patience_s: how long a server that is away (it may be restarting) is waited for.

        Raises:
            Unavailable: the server was away for longer.
        """
        told = {"history": history, "metrics": metrics, "log": log}
        return read_events(
            self._connection,
            f"{_PATH}/{quote_ref(ref)}/events",
            {name: "true" if is_told else "false" for name, is_told in told.items()},
            last_event_id=last_event_id,
            patience_s=patience_s,
        )

    def watch(
        self,
        ref: str,
        *,
        poll_s: float = _POLL_S,
        patience_s: float = _PATIENCE_S,
        timeout_s: float | None = None,
    ) -> Iterator[TrainingRun]:
        """The run as it is now and after each change, until it is at rest.

        That is Success, Error or Cancelled; also Paused, and Draft, which it is again after a dry run.

        Args:
            ref: name or id.
            poll_s: how often to look.
            patience_s: how long a server that is away (it may be restarting) is waited for.
            timeout_s: how long the run may take to be at rest.

        Raises:
            Unavailable: the server was away for longer.
            TimeoutError: the run was not at rest in time.
        """
        shown: TrainingRun | None = None
        began_at = heard_at = time.monotonic()
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
            if timeout_s is not None and time.monotonic() - began_at > timeout_s:
                raise TimeoutError(
                    f"The training run {run.name!r} is still {run.status} after {timeout_s} s."
                )
            pause(poll_s)

    def wait(self, ref: str, *, timeout_s: float | None = None) -> TrainingRun:
        """Waits until it is at rest, as `watch` does.

        Raises:
            TimeoutError: it was not within `timeout_s`.
        """
        last: TrainingRun | None = None
        for run in self.watch(ref, timeout_s=timeout_s):
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

    def _read(self, ref: str, *, is_retried: bool) -> TrainingRun:
        answer = self._connection.get(f"{_PATH}/{quote_ref(ref)}", is_retried=is_retried)
        return TrainingRun.bind(answer, self)

    def _act(self, ref: str, verb: str, content: Any = None) -> TrainingRun:
        answer = self._connection.post(f"{_PATH}/{quote_ref(ref)}/{verb}", content)
        return TrainingRun.bind(answer, self)


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
