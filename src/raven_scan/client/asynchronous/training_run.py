"""A training run that can be acted on."""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from pydantic import PrivateAttr

from raven_scan.architectures.parameters import TrainingParameters
from raven_scan.training_runs.schemas import (
    ArtifactOut,
    FindingOut,
    MetricsOut,
    Options,
    PreflightOut,
    TrainingRunOut,
)

if TYPE_CHECKING:
    from raven_scan.client.asynchronous.training_runs import AsyncTrainingRunsClient
    from raven_scan.training_runs.events_schemas import AnyRunEvent


class AsyncTrainingRun(TrainingRunOut):
    """A run as the API describes it, with what can be done to it.

    What acts on the run brings this object up to date, and returns it.
    """

    _runs: "AsyncTrainingRunsClient" = PrivateAttr()

    @classmethod
    def bind(cls, answer: Any, runs: "AsyncTrainingRunsClient") -> Self:
        """The run that the API has answered."""
        run = cls.model_validate(answer)
        run._runs = runs  # noqa: SLF001 - of this class
        return run

    @property
    def ref(self) -> str:
        """Its id: a name may be changed."""
        return str(self.id)

    async def refresh(self) -> Self:
        """Reads it again."""
        return self._become(await self._runs.get(self.ref))

    async def wait(self, *, timeout_s: float | None = None) -> Self:
        """Waits until it is at rest: Success, Error, Cancelled, Paused, or Draft after a dry run.

        Raises:
            TimeoutError: it was not within `timeout_s`.
            Unavailable: the server was away for long.
        """
        return self._become(await self._runs.wait(self.ref, timeout_s=timeout_s))

    async def events(self, *, log: bool = False, history: bool = True) -> AsyncGenerator["AnyRunEvent"]:
        """What happens to it, until it is at rest; see `raven.runs.events`. This object is kept up to date."""
        # Closed with the loop that reads it, also where that is left early.
        async with aclosing(self._runs.events(self.ref, log=log, history=history)) as told:
            async for event in told:
                if event.event == "run":
                    self._become(event.run)
                elif event.event == "progress":
                    self.progress = event.progress
                yield event

    async def preflight(self) -> PreflightOut:
        """All that speaks against scheduling it."""
        return await self._runs.preflight(self.ref)

    async def schedule(self, *, dry_run: bool = False) -> Sequence[FindingOut]:
        """Puts it in the queue; returns what the preflight found, short of errors. Raises Conflict."""
        scheduled = await self._runs.schedule(self.ref, dry_run=dry_run)
        self._become(scheduled.run)
        return scheduled.findings

    async def cancel(self) -> Self:
        """Ends it; its last checkpoint is kept."""
        return self._become(await self._runs.cancel(self.ref))

    async def pause(self) -> Self:
        """Asks it to pause."""
        return self._become(await self._runs.pause(self.ref))

    async def resume(self) -> Self:
        """Has it wait again, once paused."""
        return self._become(await self._runs.resume(self.ref))

    async def retry(self, *, from_start: bool = False) -> Self:
        """Has it wait again, after Error or Cancelled."""
        return self._become(await self._runs.retry(self.ref, from_start=from_start))

    async def set_priority(self, priority: int) -> Self:
        """Of two that wait, the one of the higher priority comes first."""
        return self._become(await self._runs.set_priority(self.ref, priority))

    async def edit(self, *, name: str | None = None, notes: str | None = None) -> Self:
        """Changes name or notes. Raises Stale where somebody else has since this was read."""
        return self._become(await self._runs.edit(self.ref, name=name, notes=notes, revision=self.revision))

    async def delete(self) -> None:
        """Puts it into the trash; its model stays."""
        await self._runs.delete(self.ref)

    async def clone(
        self,
        *,
        name: str,
        dataset: str | None = None,
        base_model: str | None = None,
        parameters: TrainingParameters | Mapping[str, Any] | None = None,
        options: Options | Mapping[str, Any] | None = None,
    ) -> "AsyncTrainingRun":
        """A new Draft like it; what is not given is as it is here."""
        return await self._runs.clone(
            self.ref,
            name=name,
            dataset=dataset,
            base_model=base_model,
            parameters=parameters,
            options=options,
        )

    async def metrics(self, *, names: Sequence[str] = (), points: int | None = None) -> MetricsOut:
        """Its metrics; see `raven.runs.metrics`."""
        return await self._runs.metrics(self.ref, names=names, points=points)

    async def artifacts(self) -> Sequence[ArtifactOut]:
        """What it has to download: log, metrics, parameters, checkpoints, and the files of its model."""
        return (await self._runs.artifacts(self.ref)).items

    async def download_artifact(self, artifact: ArtifactOut, path: Path) -> str:
        """Writes one of them to a file, and returns its SHA-256; checkpoints and models are verified."""
        return await self._runs.download_artifact(self.ref, artifact, path)

    def read_logs(self) -> AsyncIterator[str]:
        """Its log as far as it is written, in parts."""
        return self._runs.read_logs(self.ref)

    def follow_logs(self) -> AsyncIterator[str]:
        """Its log, and what is written until it is at rest."""
        return self._runs.follow_logs(self.ref)

    def _become(self, other: TrainingRunOut) -> Self:
        for field in TrainingRunOut.model_fields:
            setattr(self, field, getattr(other, field))
        return self
