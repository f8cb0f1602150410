"""What a worker tells the process that collects for it."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from pydantic import SecretStr

from raven_scan.kernel.settings import Settings


@dataclass(frozen=True, slots=True)
class CollectionOrder:
    """The settings, whole, and how much the log is told."""

    settings: Settings
    log_level: str

    def encode(self) -> bytes:
        """A line that holds secrets: only for a pipe."""
        document = {"settings": self.settings.model_dump(), "log_level": self.log_level}
        return json.dumps(document, default=_reveal).encode() + b"\n"

    @classmethod
    def decode(cls, line: bytes) -> Self:
        document = json.loads(line)
        # Each setting is given, so that none is taken from the environment.
        return cls(Settings(**document["settings"]), document["log_level"])


def _reveal(value: Any) -> str:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, Path):
        return str(value)
    raise TypeError(type(value).__name__)
