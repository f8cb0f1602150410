"""The worker processes of a campaign: as many as there should be, started again when they have ended."""

import os
import random
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

_FOLDER = Path(__file__).parent
_STOP_TIMEOUT_S = 30.0
_LONGEST_ABSENCE_S = 2.0
_MOST_FAILURES = 30
"""Ends of workers that nobody struck; a few are due to a database that was away when they started."""

ENVIRONMENT = {
    # Recoveries are quick, so that a campaign ends in time.
    "RAVEN_LEASE_TIMEOUT_S": "4",
    "RAVEN_HANG_TIMEOUT_S": "10",
    "RAVEN_DEVICE": "cpu",
    "OMP_NUM_THREADS": "1",
}


def start_worker(
    home: Path,
    log: Path,
    *,
    host: str | None = None,
    trainer: str = "witnessed_trainer",
    environment: dict[str, str] | None = None,
) -> subprocess.Popen[bytes]:
    """`log`: its output is appended to it."""
    given = {name: value for name, value in os.environ.items() if not name.startswith("RAVEN_")} | (
        ENVIRONMENT if environment is None else environment
    )
    with log.open("ab") as output:
        return subprocess.Popen(
            [
                sys.executable,
                str(_FOLDER / "worker_process.py"),
                f"--parent={os.getpid()}",
                f"--trainer={trainer}",
                *([f"--host={host}"] if host else []),
            ],
            env={
                **given,
                "RAVEN_HOME": str(home),
                "PYTHONPATH": os.pathsep.join(filter(None, [str(_FOLDER), os.environ.get("PYTHONPATH")])),
            },
            stdout=output,
            stderr=subprocess.STDOUT,
        )


@dataclass
class _Slot:
    host: str | None
    process: subprocess.Popen[bytes]
    start_at: float | None = None


class WorkerPool:
    """Some workers of one home, the last one as of another machine where there are at least two."""

    def __init__(self, home: Path, logs: Path, count: int, generator: random.Random) -> None:
        self._home = home
        self._logs = logs
        self._generator = generator
        hosts = [None] * (count - 1) + ["another-host" if count > 1 else None]
        self._slots = [
            _Slot(host, start_worker(home, self._log_path(index), host=host))
            for index, host in enumerate(hosts)
        ]
        self._failures = 0
        self.deaths = 0
        self.ended_at: dict[int, float] = {}
        """By process id, when it was seen that it had ended; in seconds since 1970."""

    def keep(self) -> None:
        """Starts those again that have ended, each a moment later. To be called often."""
        now = time.monotonic()
        for index, slot in enumerate(self._slots):
            if slot.process.poll() is None:
                continue
            if slot.start_at is None:
                self.deaths += 1
                self.ended_at[slot.process.pid] = time.time()
                self._failures += slot.process.returncode > 0
                if self._failures > _MOST_FAILURES:
                    raise RuntimeError("The workers do not start.")
                slot.start_at = now + self._generator.uniform(0, _LONGEST_ABSENCE_S)
            elif now >= slot.start_at:
                slot.start_at = None
                slot.process = start_worker(self._home, self._log_path(index), host=slot.host)

    def stop(self) -> None:
        """Drains all of them; raises TimeoutExpired where one does not end."""
        for slot in self._slots:
            slot.process.terminate()
        for slot in self._slots:
            try:
                slot.process.wait(_STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                slot.process.kill()
                slot.process.wait()
                raise

    def kill(self) -> None:
        for slot in self._slots:
            slot.process.kill()
            slot.process.wait()

    def read_logs(self) -> str:
        return "\n".join(path.read_text(errors="replace") for path in sorted(self._logs.glob("worker-*.log")))

    def _log_path(self, index: int) -> Path:
        return self._logs / f"worker-{index}.log"
