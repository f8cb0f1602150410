"""Starts a child from a thread that ends, tells its pid and the thread's end, then waits to be killed."""

import sys
import threading
import time
from pathlib import Path

from raven_scan.jobs.child_process import ChildProcess
from raven_scan.wire.spec import BuildStartingWeightsSpec


def main() -> None:
    folder, modules = map(Path, sys.argv[1:])
    spec = BuildStartingWeightsSpec(
        architecture="yolox-nano", classes=[], seed=0, weights=folder / "w", events=folder / "events.jsonl"
    )
    started: list[ChildProcess] = []

    def start() -> None:
        started.append(
            ChildProcess.start(
                "hang",
                spec,
                folder=folder,
                log_path=folder / "log",
                threads=1,
                module="child_that_obeys",
                extra_env={"PYTHONPATH": str(modules)},
            )
        )

    thread = threading.Thread(target=start)
    thread.start()
    thread.join()
    print(started[0].pid, flush=True)  # noqa: T201 - the test reads it
    time.sleep(600)


main()
