from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from raven_scan.kernel.database import Database
from raven_scan.uploads.service import UploadService
from raven_scan.uploads.types import UploadPurpose

LARGEST_BYTES = 1_000_000


class Clock:
    """A clock whose hands the test turns."""

    def __init__(self) -> None:
        self.time = datetime(2026, 1, 1, tzinfo=UTC)

    def now(self) -> datetime:
        return self.time

    def turn(self, by: timedelta) -> None:
        self.time += by


class Told(list[tuple[str, int, int]]):
    """A progress that remembers."""

    def __call__(self, stage: str, done: int, total: int) -> None:
        self.append((stage, done, total))


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "uploads"


@pytest.fixture
def open_service(database: Database, folder: Path, clock: Clock) -> Callable[[], UploadService]:
    """The service as a new process has it."""
    return lambda: UploadService(database, folder, dict.fromkeys(UploadPurpose, LARGEST_BYTES), clock)


@pytest.fixture
def service(open_service: Callable[[], UploadService]) -> UploadService:
    return open_service()
