"""Presets, from outside: training parameters under a name."""

from raven_scan.client.answers import quote_ref
from raven_scan.client.asynchronous.connection import AsyncConnection
from raven_scan.training_runs.schemas import PresetOut, PresetPage

_PATH = "/api/v1/training-presets"


class AsyncTrainingPresetsClient:
    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def list(self, *, limit: int | None = None, cursor: str | None = None) -> PresetPage:
        return PresetPage.model_validate(
            await self._connection.get(_PATH, {"limit": limit, "cursor": cursor})
        )

    async def create(self, *, name: str, run: str) -> PresetOut:
        """Keeps a run's parameters.

        Args:
            name: of the preset.
            run: name or id.
        """
        return PresetOut.model_validate(await self._connection.post(_PATH, {"name": name, "run": run}))

    async def get(self, ref: str) -> PresetOut:
        return PresetOut.model_validate(await self._connection.get(f"{_PATH}/{quote_ref(ref)}"))

    async def delete(self, ref: str) -> None:
        """Runs that were created with it keep their parameters."""
        await self._connection.delete(f"{_PATH}/{quote_ref(ref)}")
