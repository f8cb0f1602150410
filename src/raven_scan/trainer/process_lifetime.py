"""The trainer dies with its worker, and its loader processes die with the trainer.

Two means for each, since each alone has a hole: the kernel's parent-death signal follows the *thread* that started
the process (so it must be a thread that stays while the trainer runs), and does not reach grandchildren; a watching
thread reaches the whole process group, but needs the interpreter.
"""

import ctypes
import os
import select
import signal
import sys
import threading

PARENT_PID_VARIABLE = "RAVEN_PARENT_PID"
_PR_SET_PDEATHSIG = 1
# Loaded here: a child of fork that has threads must not take the dynamic loader's lock.
_libc: ctypes.CDLL | None = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def tie_to_parent(parent_pid: int) -> None:
    """End this process, and every process it forks, as soon as `parent_pid` is gone.

    Makes this process the leader of its own process group, unless it is one already. Ends it at once where the
    parent died before the tie was there.
    """
    if os.getpgrp() != os.getpid():
        os.setpgid(0, 0)
    _ask_for_death_signal()
    if os.getppid() != parent_pid:
        # The parent died before we asked: no signal will come.
        os._exit(1)
    watcher = threading.Thread(target=_watch, args=(parent_pid,), name="parent-watch", daemon=True)
    watcher.start()


def tie_children_to_this_process() -> None:
    """Make every process forked from here on, such as those that load images, end with the one that forked it.

    SIGTERM stays blocked in them: where the whole group gets it, the one that forked them decides what happens, and
    must not find them gone in the middle of a step.
    """
    forking: list[int] = [0]

    def remember_parent() -> None:
        forking[0] = os.getpid()
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})

    def take_signals_again() -> None:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})

    def follow_parent() -> None:
        _ask_for_death_signal()
        if os.getppid() != forking[0]:
            os._exit(1)

    os.register_at_fork(
        before=remember_parent, after_in_parent=take_signals_again, after_in_child=follow_parent
    )


def _ask_for_death_signal() -> None:
    if _libc is not None and _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _watch(parent_pid: int) -> None:
    wait_for_exit(parent_pid)
    os.killpg(os.getpgrp(), signal.SIGKILL)


def wait_for_exit(pid: int, *, is_parent: bool = True) -> None:
    """Return when a process that is not ours to wait for has ended."""
    if hasattr(os, "pidfd_open"):
        try:
            descriptor = os.pidfd_open(pid)
        except ProcessLookupError:
            return
        except OSError:
            # Some sandboxes refuse the call; polling the parent's id needs no privilege.
            _poll(pid, is_parent=is_parent)
            return
        try:
            select.select([descriptor], [], [])
        finally:
            os.close(descriptor)
    else:
        _poll(pid, is_parent=is_parent)


def _poll(pid: int, *, is_parent: bool) -> None:
    waiting = threading.Event()
    while os.getppid() == pid if is_parent else _is_alive(pid):
        waiting.wait(0.5)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
