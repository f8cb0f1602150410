# Made from asynchronous/training_presets.py by scripts/make_synchronous_client.py: change that one, and run the script.
"""Presets, from outside: training parameters under a name."""

from raven_scan.client.answers import quote_ref
from raven_scan.client.synchronous.connection import Connection
from raven_scan.training_runs.schemas import PresetOut, PresetPage

_PATH = "/api/v1/training-presets"


class TrainingPresetsClient:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def list(self, *, limit: int | None = None, cursor: str | None = None) -> PresetPage:
        return PresetPage.model_validate(self._connection.get(_PATH, {"limit": limit, "cursor": cursor}))

    def create(self, *, name: str, run: str) -> PresetOut:
        """Keeps a run's parameters.

        Args:
            name: of the preset.
            run: name or id.
        """
        return PresetOut.model_validate(self._connection.post(_PATH, {"name": name, "run": run}))

    def get(self, ref: str) -> PresetOut:
        return PresetOut.model_validate(self._connection.get(f"{_PATH}/{quote_ref(ref)}"))

    def delete(self, ref: str) -> None:
        """Runs that were created with it keep their parameters."""
        self._connection.delete(f"{_PATH}/{quote_ref(ref)}")
