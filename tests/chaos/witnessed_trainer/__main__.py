"""The trainers of the campaign, with a witness: no two trainers of one run live at the same time.

    python -m witnessed_trainer train|evaluate SPEC.json        (with `tests/chaos` on PYTHONPATH)

Runs of the architecture `yolox-nano` get `raven_scan.trainer` itself, all others the tiny one. Each trainer holds a
lock of its own as long as its process lives; one that starts and finds another's lock of the same run held tells it.
"""

import fcntl
import json
import os
import runpy
import sys
import time
from pathlib import Path

from raven_scan.trainer.process_lifetime import tie_to_parent

REAL_ARCHITECTURE = "yolox-nano"


def bear_witness(spec_path: Path) -> None:
    """The locks are in `<folder>/witness`.

    Args:
        spec_path: `<folder>/home/work/<run>/attempt-<n>/<command>.spec.json`.
    """
    run, attempt = spec_path.parents[1].name, spec_path.parent.name
    folder = spec_path.parents[4] / "witness"
    (folder / run).mkdir(parents=True, exist_ok=True)
    own = folder / run / f"{attempt}.{spec_path.stem}.{os.getpid()}.lock"
    lock = os.open(own, os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    # Loader processes end with the trainer, but not within the same millisecond: they hold nothing.
    os.register_at_fork(after_in_child=lambda: os.close(lock))
    for other in (folder / run).glob("*.lock"):
        if other != own and is_held(other):
            holder = int(other.name.split(".")[-2])
            state = find_state(holder)
            if state in {"", "X", "Z"}:
                continue  # killed: the kernel is about to let go of its lock
            line = {
                "run": run,
                "own": own.name,
                "other": other.name,
                "holder": holder,
                "state": state,
                "time": time.time(),
            }
            with (folder / "overlaps.jsonl").open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")


def is_held(path: Path) -> bool:
    descriptor = os.open(path, os.O_RDWR)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def find_state(pid: int) -> str:
    """R, S, D, T (stopped), Z, or empty where there is no such process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
    except OSError:
        return ""


if __name__ == "__main__":
    # As early as the real trainer does, which imports its frameworks afterwards.
    tie_to_parent(int(os.environ["RAVEN_PARENT_PID"]))
    path = Path(sys.argv[2])
    bear_witness(path)
    is_real = json.loads(path.read_bytes())["architecture"] == REAL_ARCHITECTURE
    runpy.run_module("raven_scan.trainer" if is_real else "tiny_trainer", run_name="__main__", alter_sys=True)
