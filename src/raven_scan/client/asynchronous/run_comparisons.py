"""Comparisons and reproductions of training runs, from outside."""

from collections.abc import Sequence

from raven_scan.client.answers import quote_ref
from raven_scan.client.asynchronous.connection import AsyncConnection
from raven_scan.training_runs.comparison_schemas import (
    ReproductionOut,
    ReproductionReportOut,
    RunComparisonOut,
)

_PATH = "/api/v1/training-runs"


class AsyncRunComparisonsClient:
    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def compare(
        self, runs: Sequence[str], *, metrics: Sequence[str] = (), points: int | None = None
    ) -> RunComparisonOut:
        """What differs between two to ten runs.

        Args:
            runs: names or ids; the others are compared with the first.
            metrics: whose curves are wanted; none: loss and valid/map50.
            points: at most so many of each curve.
        """
        first, *others = runs or [""]
        parameters = {"with": others, "metric": list(metrics) or None, "points": points}
        return RunComparisonOut.model_validate(
            await self._connection.get(f"{_PATH}/{quote_ref(first)}/comparison", parameters)
        )

    async def reproduce(self, run: str, *, name: str | None = None) -> ReproductionOut:
        """A Draft from the record of a run that ended in Success; to be scheduled like any other."""
        answer = await self._connection.post(f"{_PATH}/{quote_ref(run)}/reproduce", {"name": name})
        return ReproductionOut.model_validate(answer)

    async def get_reproduction(self, run: str, *, tolerance: float | None = None) -> ReproductionReportOut:
        """How a reproduction compares with the run that it reproduces.

        Args:
            run: name or id of the reproduction.
            tolerance: how much figures in 0-1 may differ; None: the server's.
        """
        return ReproductionReportOut.model_validate(
            await self._connection.get(f"{_PATH}/{quote_ref(run)}/reproduction", {"tolerance": tolerance})
        )
