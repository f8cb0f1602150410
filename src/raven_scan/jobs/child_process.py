"""A child process that does one command of the trainer, and its supervision."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

import msgspec
import psutil

from raven_scan.jobs.child_environment import build_child_environment
from raven_scan.jobs.child_errors import (
    check_silence,
    describe_log,
    make_cancellation,
    make_crash,
    make_failure,
    make_stop,
    make_timeout,
)
from raven_scan.jobs.spawner import spawn_process
from raven_scan.kernel.errors import Unavailable
from raven_scan.wire.events import AnyEvent, EnergyUsed, EventReader, Failed, Stopped

TRAINER_MODULE = "raven_scan.trainer"

_LOOK_INTERVAL_S = 0.05
_KILL_TIMEOUT_S = 10.0
_LONGEST_TAIL_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class ChildExit:
    """How a child ended.

    Attributes:
        exit_code: what it returned, or None where a signal ended it.
        signal: name of the signal that ended it (`SIGKILL`), or None.
    """

    exit_code: int | None
    signal: str | None

    def __str__(self) -> str:
        return f"exit code {self.exit_code}" if self.signal is None else f"signal {self.signal}"


class ChildProcess:
    """A running `python -m raven_scan.trainer COMMAND SPEC.json`, in a session and process group of its own.

    What it leaves behind in its process group is killed when it ends. Safe to use from several threads.
    """

    def __init__(self, popen: subprocess.Popen[bytes], log_path: Path) -> None:
        self._popen = popen
        self._lock = threading.Lock()
        self._exit: ChildExit | None = None
        self.pid = popen.pid
        self.log_path = log_path

    @classmethod
    def start(
        cls,
        command: str,
        spec: msgspec.Struct,
        *,
        folder: Path,
        log_path: Path,
        threads: int,
        extra_env: Mapping[str, str] | None = None,
        module: str = TRAINER_MODULE,
        descriptors: Sequence[int] = (),
    ) -> "ChildProcess":
        """Writes the specification to `folder`, starts the child there.

        Args:
            command: such as `train`.
            spec: one of `wire.spec`, with absolute paths.
            folder: working folder, must exist; gets `<command>.spec.json`.
            log_path: the child's output is appended to it.
            threads: compute threads on a CPU.
            extra_env: added to the child's minimal environment.
            module: Python module that takes the command and the specification.
            descriptors: open files that the child inherits under the same numbers.

        Raises:
            Unavailable: `child_process.not_started`.
        """
        spec_path = folder / f"{command}.spec.json"
        try:
            temporary = spec_path.with_suffix(".part")
            temporary.write_bytes(msgspec.json.encode(spec, enc_hook=_encode_path))
            temporary.replace(spec_path)
            with log_path.open("ab") as log:
                popen = spawn_process(
                    [sys.executable, "-m", module, command, str(spec_path)],
                    folder=folder,
                    environment=build_child_environment(threads, extra_env),
                    log=log,
                    descriptors=descriptors,
                )
        except OSError as error:
            raise Unavailable(
                "child_process.not_started",
                f"The process for {command} could not be started: {error.strerror or error}.",
                hint="Check memory, disk space and the limit of processes of this machine.",
                parameters={"command": command},
            ) from error
        return cls(popen, log_path)

    @property
    def exit(self) -> ChildExit | None:
        """How it ended, once `poll`, `wait` or `terminate` has seen it; None before."""
        return self._exit

    def poll(self) -> ChildExit | None:
        """How it ended, or None while it runs."""
        with self._lock:
            if self._exit is not None:
                return self._exit
            # Looked at without reaping: while the zombie holds its id, no stranger can have the group's.
            ended = os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            if ended is None:
                return None
            self._signal_group(signal.SIGKILL)
            code = self._popen.wait()
            self._exit = ChildExit(code, None) if code >= 0 else ChildExit(None, _name_signal(-code))
            return self._exit

    def wait(self, timeout_s: float | None = None) -> ChildExit | None:
        """How it ended, or None where it still runs after `timeout_s`."""
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while (ended := self.poll()) is None:
            left_s = _LOOK_INTERVAL_S if deadline is None else deadline - time.monotonic()
            if left_s <= 0:
                return None
            time.sleep(min(_LOOK_INTERVAL_S, left_s))
        return ended

    def ask_to_end(self) -> None:
        """SIGTERM, to the child itself alone: its own children are its to end."""
        with self._lock:
            if self._exit is None:
                # Not Popen.send_signal, which reaps. The id is still the child's, dead or alive.
                os.kill(self.pid, signal.SIGTERM)

    def terminate(self, grace_s: float) -> ChildExit:
        """Asks it to end (SIGTERM), kills it, its group and all its descendants after `grace_s`.

        Only the child itself is asked: its own children are its to end, and a loader process that falls first
        would look like a crash.

        Raises:
            Unavailable: `child_process.not_ended`, where the system cannot even kill it (stuck in a device).
        """
        descendants = self._find_descendants()
        if grace_s > 0:
            self.ask_to_end()
            self.wait(grace_s)
        descendants |= self._find_descendants()
        with self._lock:
            if self._exit is None:
                self._signal_group(signal.SIGKILL)
        for descendant in descendants:
            try:
                descendant.kill()
            except psutil.NoSuchProcess:
                continue
        ended = self.wait(_KILL_TIMEOUT_S)
        _, alive = psutil.wait_procs(list(descendants), timeout=_KILL_TIMEOUT_S)
        if ended is None or alive:
            left = [process.pid for process in alive] or [self.pid]
            raise Unavailable(
                "child_process.not_ended",
                f"Process {', '.join(map(str, left))} does not end, not even when killed.",
                hint="It is probably stuck in a device or a network folder: restart the machine.",
                parameters={"pids": left},
            )
        return ended

    def tail_log(self, lines: int) -> list[str]:
        """The last lines of its output, [] where there is none."""
        try:
            with self.log_path.open("rb") as file:
                size_bytes = file.seek(0, os.SEEK_END)
                file.seek(max(0, size_bytes - _LONGEST_TAIL_BYTES))
                content = file.read()
        except FileNotFoundError:
            return []
        return content.decode(errors="replace").splitlines()[-lines:]

    def _signal_group(self, number: signal.Signals) -> None:
        try:
            os.killpg(self.pid, number)
        except ProcessLookupError:
            return

    def _find_descendants(self) -> set[psutil.Process]:
        try:
            return set(psutil.Process(self.pid).children(recursive=True)) if self.poll() is None else set()
        except psutil.NoSuchProcess:
            return set()


class EventListener(Protocol):
    def __call__(self, event: AnyEvent, /) -> None: ...


EventType = TypeVar("EventType", bound=AnyEvent)


def run_child(
    command: str,
    spec: msgspec.Struct,
    *,
    expected: type[EventType],
    noun: str,
    folder: Path,
    log_path: Path,
    timeout_s: float,
    threads: int = 1,
    on_event: EventListener | None = None,
    extra_env: Mapping[str, str] | None = None,
    module: str = TRAINER_MODULE,
    find_stop: Callable[[], float | None] | None = None,
    find_silence_limit_s: Callable[[], float] | None = None,
    grace_s: float = 2.0,
) -> EventType:
    """Runs a command of the trainer to its end, and returns the event that is its result.

    Whatever happens, the child and its descendants are gone when this returns or raises.

    Args:
        command: such as `read-checkpoint`.
        spec: has `events`, the file the child appends to; what is in it already is passed over.
        expected: type of the event that is the result. Nothing after it is waited for.
        noun: what the codes of errors begin with, such as `trained_model`.
        folder: working folder, must exist.
        log_path: the child's output is appended to it.
        timeout_s: longer than this, it hangs.
        threads: compute threads on a CPU.
        on_event: told of each event, the last too; what it raises ends the child.
        extra_env: added to the child's minimal environment.
        module: Python module that takes the command and the specification.
        find_stop: asked often; a number asks the child to end, and ends it after so many seconds. What it still
            tells is taken in. The shortest answer counts.
        find_silence_limit_s: asked often; a child that tells no event for longer hangs.
        grace_s: time to end by itself when it is done.

    Raises:
        Invalid: `<noun>.refused.…`, the child refuses what it was given.
        Unavailable: `<noun>.<code of Failed>`, or `<noun>.` with `crashed`, `stopped` (by somebody else),
            `timed_out`, `hung`, `unreadable_events`, `cancelled`.
    """
    events_path: Path = _get_events_path(spec)
    reader = EventReader(events_path, offset=events_path.stat().st_size if events_path.exists() else 0)
    deadline = time.monotonic() + timeout_s
    child = ChildProcess.start(
        command, spec, folder=folder, log_path=log_path, threads=threads, extra_env=extra_env, module=module
    )
    heard_at = time.monotonic()
    ending = _Ending(child, find_stop)
    was_stopped = False
    try:
        while True:
            looked_at = time.monotonic()
            # The exit is looked at before the file, so that what was written before it is read after it.
            ended = child.poll()
            for event in _read_events(reader, child, noun, command):
                # What meters a trainer goes on when that hangs.
                heard_at = heard_at if isinstance(event, EnergyUsed) else time.monotonic()
                if on_event is not None:
                    on_event(event)
                if isinstance(event, expected):
                    child.wait(grace_s)
                    return event
                if isinstance(event, Failed) and not ending.is_asked:
                    raise make_failure(event, noun)
                was_stopped = was_stopped or isinstance(event, Stopped)
            if ending.is_asked and (ended is not None or ending.is_overdue):
                raise make_cancellation(noun, command)
            if ended is not None:
                raise (make_stop if was_stopped else make_crash)(child, noun, command, ended)
            if not ending.ask():
                if time.monotonic() > deadline:
                    raise make_timeout(child, noun, command, timeout_s)
                # Not until now: asking may have taken long, and what it said meanwhile is still to be read.
                check_silence(child, noun, command, looked_at - heard_at, find_silence_limit_s)
            child.wait(_LOOK_INTERVAL_S)
    finally:
        # One that was asked to end has had its time.
        child.terminate(0.0 if ending.is_asked else grace_s)


class _Ending:
    """Whether a child is to end, and until when it may."""

    def __init__(self, child: ChildProcess, find_stop: Callable[[], float | None] | None) -> None:
        self._child = child
        self._find_stop = find_stop
        self._stop_at: float | None = None

    @property
    def is_asked(self) -> bool:
        return self._stop_at is not None

    @property
    def is_overdue(self) -> bool:
        return self._stop_at is not None and time.monotonic() > self._stop_at

    def ask(self) -> bool:
        """Asks the child to end, once, where it must; tells whether it must."""
        grace_s = self._find_stop() if self._find_stop is not None else None
        if grace_s is not None:
            if self._stop_at is None:
                self._child.ask_to_end()
            at = time.monotonic() + grace_s
            self._stop_at = at if self._stop_at is None else min(at, self._stop_at)
        return self.is_asked


def _get_events_path(spec: msgspec.Struct) -> Path:
    return Path(getattr(spec, "events"))  # noqa: B009 - each specification has it, their base class does not


def _read_events(reader: EventReader, child: ChildProcess, noun: str, command: str) -> Iterator[AnyEvent]:
    try:
        while events := reader.read_new():
            yield from events
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Unavailable(
            f"{noun}.unreadable_events",
            f"The process for {command} wrote an event that cannot be read: {error}.",
            hint="The log has its output. The versions of server and trainer may differ: install again.",
            parameters=describe_log(child, command),
        ) from error


def _encode_path(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value)
    raise NotImplementedError(f"{type(value).__name__} has no place in a specification")


def _name_signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
