"""A training on several devices of one machine: a process each (a rank), started and watched by torch's own launcher.

The trainer itself becomes the launcher. Rank 0 tells the run's events and writes its files; each rank leaves what it
failed with in a folder, where the launcher finds the cause. Ranks end with the launcher, and with rank 0.
"""

import os
import re
import shutil
import signal
import sys
import threading
import time
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from raven_scan.trainer.failures import TrainerError
from raven_scan.trainer.process_lifetime import PARENT_PID_VARIABLE, wait_for_exit
from raven_scan.trainer.stop_request import StopRequest
from raven_scan.wire.events import EventReader, Failed
from raven_scan.wire.spec import TrainSpec

RANKS_VARIABLE = "RAVEN_RANKS"
STOP_SIGNAL = signal.SIGUSR1
"""Asks rank 0 to stop. SIGTERM is what torch's launcher ends all ranks with when one has failed."""

_FOLDER = "ranks"
_SHUTDOWN_S = 2
# As long as the slowest validation of one rank may keep the others waiting.
_COLLECTIVE_TIMEOUT = timedelta(hours=2)
_LOOK_INTERVAL_S = 0.05
# What the others run into when one is gone.
_CONSEQUENCE = re.compile(
    r"gloo|nccl|NCCL|DistBackendError|DistNetworkError|DistStoreError|Connection (closed|reset)"
)


@dataclass(frozen=True, slots=True)
class Rank:
    """This process among those of its training.

    Attributes:
        number: 0 tells and writes.
        folder: where ranks leave what the launcher is to find.
    """

    number: int
    folder: Path

    @property
    def failure_path(self) -> Path:
        return self.folder / f"{self.number}.failure.jsonl"

    def find_events_path(self, events: Path) -> Path:
        return events if self.number == 0 else self.folder / f"{self.number}.events.jsonl"


def find_rank() -> Rank | None:
    """None where this process was not started by `launch_ranks`."""
    folder = os.environ.get(RANKS_VARIABLE)
    return None if folder is None else Rank(int(os.environ["RANK"]), Path(folder))


def follow_first_rank(rank: Rank) -> None:
    """Rank 0 says which process it is; the others end when it does."""
    path = rank.folder / "0.pid"
    if rank.number == 0:
        temporary = path.with_suffix(".part")
        temporary.write_text(str(os.getpid()))
        temporary.replace(path)
    else:
        threading.Thread(target=_end_with_first, args=(path,), name="first-rank-watch", daemon=True).start()


def _end_with_first(path: Path) -> None:
    while (pid := _read_pid(path)) is None:
        time.sleep(_LOOK_INTERVAL_S)
    wait_for_exit(pid, is_parent=False)
    # If that was a failure, it is rank 0's to tell.
    os._exit(0)


def _read_pid(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except FileNotFoundError:
        return None


def join_ranks(device: str) -> None:
    """Meet the other ranks. After this, mmengine.dist knows of them."""
    import torch.distributed  # noqa: PLC0415 - devices are hidden first

    # Each process sees its own device alone.
    os.environ["LOCAL_RANK"] = "0"
    if device == "cpu":
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    torch.distributed.init_process_group("gloo" if device == "cpu" else "nccl", timeout=_COLLECTIVE_TIMEOUT)


def launch_ranks(spec: TrainSpec, stop: StopRequest) -> None:
    """Start this process's command once for each device, and wait for all.

    Raises:
        TrainerError: a rank failed; with what it told.
    """
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError  # noqa: PLC0415
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch  # noqa: PLC0415

    folder = spec.work_folder / _FOLDER
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    os.environ[RANKS_VARIABLE] = str(folder)
    os.environ[PARENT_PID_VARIABLE] = str(os.getpid())
    stop.forward_to(lambda: _ask_first_rank(folder))
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=len(spec.devices),
        run_id=f"{spec.run_id}-{spec.attempt}",
        rdzv_backend="c10d",
        # A port that is free.
        rdzv_endpoint="127.0.0.1:0",
        local_addr="127.0.0.1",
        max_restarts=0,
        # SIGTERM is ours: see STOP_SIGNAL.
        signals_to_handle="SIGQUIT",
        shutdown_timeout=_SHUTDOWN_S,
    )
    try:
        elastic_launch(config, sys.executable)("-m", "raven_scan.trainer", *sys.argv[1:])
    except ChildFailedError as error:
        raise _find_cause(folder, error.failures, spec.devices) from error
    shutil.rmtree(folder, ignore_errors=True)


def _ask_first_rank(folder: Path) -> bool:
    pid = _read_pid(folder / "0.pid")
    if pid is None:
        return False
    try:
        os.kill(pid, STOP_SIGNAL)
    except ProcessLookupError:
        return False
    return True


def _find_cause(folder: Path, failures: dict[int, Any], devices: list[str]) -> TrainerError:
    """What began it, of all that ranks ran into because one of them was gone."""
    told = sorted(
        (
            (event.time, int(path.name.split(".", 1)[0]), event)
            for path in folder.glob("*.failure.jsonl")
            for event in EventReader(path).read_new()
            if isinstance(event, Failed)
        ),
        key=lambda each: each[0],
    )
    causes = [each for each in told if not _is_consequence(each[2])]
    killed = [
        (rank, -failure.exitcode)
        for rank, failure in failures.items()
        if failure.exitcode < 0 and -failure.exitcode != signal.SIGTERM
    ]
    if not causes and killed:
        rank, number = killed[0]
        name = signal.Signals(number).name
        return TrainerError(
            "crashed.rank",
            f"The process of device {devices[rank]} (rank {rank}) was ended by {name}.",
            hint="Where nobody did it, the system was short of memory: lower the batch size or the image size.",
            evidence={"rank": rank, "device": devices[rank], "signal": name},
        )
    if not told:
        rank, failure = next(iter(failures.items()))
        return TrainerError(
            "crashed.rank",
            f"The process of device {devices[rank]} (rank {rank}) ended with exit code {failure.exitcode}.",
            hint="The last lines of its output say more.",
            evidence={"rank": rank, "device": devices[rank], "exit_code": failure.exitcode},
        )
    _, rank, event = (causes or told)[0]
    return TrainerError(
        event.code,
        event.message,
        hint=event.hint,
        detail=event.detail,
        evidence={**event.evidence, "rank": rank, "device": devices[rank]},
    )


def _is_consequence(failure: Failed) -> bool:
    return failure.code == "crashed.exception" and _CONSEQUENCE.search(failure.message) is not None
