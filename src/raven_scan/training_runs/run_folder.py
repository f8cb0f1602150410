"""What a run keeps on the disk: its log and its checkpoints, a folder a run."""

from contextlib import suppress
from datetime import datetime
from uuid import UUID

from raven_scan.kernel.settings import Settings
from raven_scan.training_runs.types import LogRange

LARGEST_LOG_RANGE_BYTES = 1 << 20


class RunFolder:
    """The folder of a run, and the working folders of its attempts."""

    def __init__(self, settings: Settings, run_id: UUID) -> None:
        self.run_id = run_id
        self.path = settings.runs_folder / str(run_id)
        self.log_path = self.path / "log.txt"
        self.checkpoints = self.path / "checkpoints"
        self.work = settings.work_folder / str(run_id)

    def create(self) -> None:
        self.path.mkdir(parents=True, exist_ok=True, mode=0o700)

    def write_log(self, now: datetime, line: str) -> None:
        """Appends a line of the platform's own. A disk that is full keeps no run from ending as it must."""
        with suppress(OSError), self.log_path.open("a", encoding="utf-8") as log:
            log.write(f"{now:%Y-%m-%d %H:%M:%S} - platform - {line}\n")

    def read_log(self, offset: int, limit_bytes: int) -> LogRange:
        """A part of the log, cut at the end of a line where there is one; empty where there is no log yet."""
        limit_bytes = min(limit_bytes, LARGEST_LOG_RANGE_BYTES)
        try:
            with self.log_path.open("rb") as log:
                size_bytes = log.seek(0, 2)
                offset = min(offset, size_bytes)
                log.seek(offset)
                content = log.read(limit_bytes)
        except FileNotFoundError:
            return LogRange(text="", offset=0, next_offset=0, size_bytes=0)
        whole = content.rfind(b"\n") + 1
        if whole:
            content = content[:whole]
        return LogRange(
            text=content.decode(errors="replace"),
            offset=offset,
            next_offset=offset + len(content),
            size_bytes=size_bytes,
        )

    def read_log_tail(self, lines: int) -> list[str]:
        try:
            size_bytes = self.log_path.stat().st_size
        except FileNotFoundError:
            return []
        text = self.read_log(max(0, size_bytes - (64 << 10)), 64 << 10).text
        return text.splitlines()[-lines:]
