"""Processes are created by one thread that lives as long as this process.

Linux sends a child its parent-death signal (PR_SET_PDEATHSIG) when the *thread* that created it ends.
A job's thread ends long before the process does, so it must not be the one that creates the trainer.
"""

import os
import subprocess
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from pathlib import Path
from queue import SimpleQueue
from typing import IO


class _Spawner:
    def __init__(self) -> None:
        self.pid = os.getpid()
        self._asked: SimpleQueue[
            tuple[list[str], Path, dict[str, str], IO[bytes], Sequence[int], Future[subprocess.Popen[bytes]]]
        ]
        self._asked = SimpleQueue()
        # Daemon: an executor's threads are joined at exit while other threads still supervise their children.
        threading.Thread(target=self._run, name="spawner", daemon=True).start()

    def spawn(
        self,
        arguments: list[str],
        folder: Path,
        environment: dict[str, str],
        log: IO[bytes],
        descriptors: Sequence[int],
    ) -> subprocess.Popen[bytes]:
        future: Future[subprocess.Popen[bytes]] = Future()
        self._asked.put((arguments, folder, environment, log, descriptors, future))
        return future.result()

    def _run(self) -> None:
        while True:
            arguments, folder, environment, log, descriptors, future = self._asked.get()
            try:
                process = subprocess.Popen(
                    arguments,
                    cwd=folder,
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                    pass_fds=descriptors,
                )
            except BaseException as error:  # noqa: BLE001 - it belongs to whoever asked
                future.set_exception(error)
            else:
                future.set_result(process)


_lock = threading.Lock()
_spawner: _Spawner | None = None


def spawn_process(
    arguments: list[str],
    *,
    folder: Path,
    environment: dict[str, str],
    log: IO[bytes],
    descriptors: Sequence[int] = (),
) -> subprocess.Popen[bytes]:
    """Starts a process in a session of its own; its output goes to `log`, and it inherits `descriptors`.

    Raises OSError.
    """
    global _spawner  # noqa: PLW0603 - one a process, made when first needed
    with _lock:
        # A fork copies the variable, but not the thread.
        if _spawner is None or _spawner.pid != os.getpid():
            _spawner = _Spawner()
        spawner = _spawner
    return spawner.spawn(arguments, folder, environment, log, descriptors)
