"""A child process of the worker: a command, a specification, an events file, and an end that is always told."""

import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from raven_scan.trainer.event_log import EventLog
from raven_scan.trainer.failures import describe_failure
from raven_scan.trainer.leash import follow_leash
from raven_scan.trainer.process_lifetime import (
    PARENT_PID_VARIABLE,
    tie_children_to_this_process,
    tie_to_parent,
)
from raven_scan.trainer.ranks import STOP_SIGNAL, find_rank, follow_first_rank
from raven_scan.trainer.stop_request import StopRequest, StopRequested

PROCESS_STARTED_AT = time.monotonic()
"""When this process began, but for the interpreter's own start."""

_CALLED_WRONGLY = 2


@dataclass(frozen=True, slots=True)
class Command:
    """What a command takes and does.

    Attributes:
        spec: type of its specification, one of `raven_scan.wire.spec`.
        run: does it; what it raises ends the process, and is told.
    """

    spec: type[Any]
    run: Callable[[Any, EventLog, StopRequest], None]


def run_command_line(arguments: list[str], commands: Mapping[str, Command], *, program: str) -> int:
    """Run one command to its end.

    Args:
        arguments: a command's name and the path of its specification.
        commands: by name.
        program: what is called, for the message to who calls it wrongly.

    Returns:
        The exit code: 0 done or stopped, 1 failed, 2 called wrongly.
    """
    parent = os.environ.get(PARENT_PID_VARIABLE)
    if parent:
        tie_to_parent(int(parent))
        follow_leash()
    tie_children_to_this_process()
    if len(arguments) != 2 or arguments[0] not in commands:
        sys.stderr.write(f"usage: python -m {program} {{{','.join(commands)}}} SPEC.json\n")
        return _CALLED_WRONGLY
    command = commands[arguments[0]]
    try:
        spec: Any = msgspec.json.decode(
            Path(arguments[1]).read_bytes(), type=command.spec, dec_hook=_decode_path
        )
    except (OSError, msgspec.MsgspecError) as error:
        sys.stderr.write(f"{arguments[1]} is no specification of {arguments[0]}: {error}\n")
        return _CALLED_WRONGLY
    rank = find_rank()
    with EventLog(spec.events if rank is None else rank.find_events_path(spec.events)) as log:
        stop = StopRequest(log)
        if rank is None:
            stop.listen(signal.SIGTERM)
        else:
            stop.listen(STOP_SIGNAL)
            follow_first_rank(rank)
        try:
            command.run(spec, log, stop)
        except StopRequested:
            stop.tell()
        except BaseException as error:  # noqa: BLE001 - whatever ends the process is told
            traceback.print_exc()
            failure = describe_failure(error)
            if rank is None:
                log.tell_failure(failure)
            else:
                # The launcher knows of all ranks which one began it.
                with EventLog(rank.failure_path) as failures:
                    failures.tell_failure(failure)
            return 1
    return 0


def end_process(exit_code: int) -> None:
    """End at once: loader processes and torch's threads need no orderly end, which takes long."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(exit_code)


def _decode_path(kind: type[Any], value: Any) -> Any:
    if kind is Path and isinstance(value, str) and value.startswith("/"):
        return Path(value)
    raise ValueError(f"expected an absolute path, got {value!r}")
