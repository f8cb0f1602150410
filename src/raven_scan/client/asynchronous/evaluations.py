"""Evaluations of models, from outside."""

import time
from collections.abc import AsyncIterator, Sequence
from typing import Any

from raven_scan.client.answers import quote_ref
from raven_scan.client.asynchronous.connection import AsyncConnection
from raven_scan.client.blocking import pause_async
from raven_scan.evaluations.schemas import ComparisonOut, EvaluationOut, EvaluationPage, GalleryPage
from raven_scan.evaluations.types import DEFAULT_FIGURE, EvaluationStatus, GalleryKind
from raven_scan.kernel.errors import Busy, Unavailable

_PATH = "/api/v1/evaluations"
_POLL_S = 0.5
_PATIENCE_S = 60.0


class AsyncEvaluationsClient:
    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def request(self, model: str, dataset: str, *, part: str = "test") -> EvaluationOut:
        """Has a model evaluated by the next worker that is free.

        Args:
            model: name or id.
            dataset: name@version or id; the newest version by its name alone.
            part: train, valid or test.
        """
        content = {"model": model, "dataset": dataset, "part": part}
        return EvaluationOut.model_validate(await self._connection.post(_PATH, content))

    async def list(
        self,
        *,
        model: str | None = None,
        dataset: str | None = None,
        part: str | None = None,
        status: EvaluationStatus | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> EvaluationPage:
        """A page of evaluations, newest first; None chooses nothing."""
        parameters = {"model": model, "dataset": dataset, "part": part, "status": status}
        answer = await self._connection.get(_PATH, {**parameters, "limit": limit, "cursor": cursor})
        return EvaluationPage.model_validate(answer)

    async def of_model(
        self, model: str, *, limit: int | None = None, cursor: str | None = None
    ) -> EvaluationPage:
        """A page of a model's evaluations, newest first. Raises NotFound where there is no such model."""
        answer = await self._connection.get(
            f"/api/v1/trained-models/{quote_ref(model)}/evaluations", {"limit": limit, "cursor": cursor}
        )
        return EvaluationPage.model_validate(answer)

    def iterate(
        self, *, model: str | None = None, dataset: str | None = None, part: str | None = None
    ) -> AsyncIterator[EvaluationOut]:
        """All such evaluations; a page is asked for when the one before is used up."""
        parameters = {"model": model, "dataset": dataset, "part": part}
        return self._connection.iterate(_PATH, EvaluationOut.model_validate, parameters)

    async def get(self, evaluation_id: str) -> EvaluationOut:
        return await self._read(evaluation_id, is_retried=True)

    async def cancel(self, evaluation_id: str) -> EvaluationOut:
        """Ends one that waits or is processed."""
        answer = await self._connection.post(f"{_PATH}/{quote_ref(evaluation_id)}/cancel")
        return EvaluationOut.model_validate(answer)

    async def watch(
        self, evaluation_id: str, *, poll_s: float = _POLL_S, patience_s: float = _PATIENCE_S
    ) -> AsyncIterator[EvaluationOut]:
        """The evaluation as it is now and after each change, until it has ended.

        Args:
            evaluation_id: of the evaluation.
            poll_s: how often to look.
            patience_s: how long a server that is away (it may be restarting) is waited for.

        Raises:
            Unavailable: the server was away for longer.
        """
        shown: EvaluationOut | None = None
        heard_at = time.monotonic()
        while True:
            try:
                evaluation = await self._read(evaluation_id, is_retried=False)
                heard_at = time.monotonic()
            except (Unavailable, Busy):
                if shown is None or time.monotonic() - heard_at > patience_s:
                    raise
                evaluation = shown
            if evaluation != shown:
                yield evaluation
                shown = evaluation
            if evaluation.status.is_final:
                return
            await pause_async(poll_s)

    async def wait(self, evaluation_id: str) -> EvaluationOut:
        """Waits until it has ended."""
        last: EvaluationOut | None = None
        async for evaluation in self.watch(evaluation_id):
            last = evaluation
        assert last is not None  # noqa: S101 - watch yields it at least once
        return last

    async def report(self, evaluation_id: str) -> dict[str, Any]:
        """All figures of one that was a Success, as `figures.report.EvaluationReport` has them."""
        report: dict[str, Any] = await self._connection.get(f"{_PATH}/{quote_ref(evaluation_id)}/report")
        return report

    async def log(self, evaluation_id: str) -> str:
        """The last part of what the process that evaluated told."""
        return str((await self._connection.get(f"{_PATH}/{quote_ref(evaluation_id)}/log"))["text"])

    async def worst_images(
        self,
        evaluation_id: str,
        *,
        kind: GalleryKind | str = GalleryKind.MISSED,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> GalleryPage:
        """Images with misses (`missed`) or false alarms (`false-alarms`), the worst first."""
        parameters = {"kind": str(kind), "limit": limit, "cursor": cursor}
        answer = await self._connection.get(f"{_PATH}/{quote_ref(evaluation_id)}/images", parameters)
        return GalleryPage.model_validate(answer)

    async def compare(
        self,
        models: Sequence[str],
        *,
        dataset: str | None = None,
        part: str = "test",
        figure: str = DEFAULT_FIGURE,
        class_name: str | None = None,
    ) -> ComparisonOut:
        """Two to ten models by their last evaluations on the same part; the others are compared with the first.

        Args:
            models: names or ids.
            dataset: name@version or id; None: that of the first model's last evaluation.
            part: train, valid or test.
            figure: map50, map, map75, precision, recall, f1, …
            class_name: of this class alone.
        """
        parameters = {
            "model": models,
            "dataset": dataset,
            "part": part,
            "figure": figure,
            "class": class_name,
        }
        return ComparisonOut.model_validate(await self._connection.get(f"{_PATH}/comparison", parameters))

    async def _read(self, evaluation_id: str, *, is_retried: bool) -> EvaluationOut:
        answer = await self._connection.get(f"{_PATH}/{quote_ref(evaluation_id)}", is_retried=is_retried)
        return EvaluationOut.model_validate(answer)
