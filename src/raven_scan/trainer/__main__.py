"""The child process: `python -m raven_scan.trainer COMMAND SPEC.json`.

COMMAND is `train`, `evaluate`, `read-checkpoint` or `build-starting-weights`; the specification is the one of
`raven_scan.wire.spec` for it. News goes to the events file that the specification names; text for people goes to
standard error. Exit codes: 0 done, 1 failed (the last event says why), 2 called wrongly.

With `RAVEN_PARENT_PID` set, the process and all that it starts end when that parent, which must be its own, ends.
"""

import os
import sys
import time
import traceback
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec

from raven_scan.trainer.device import restrict_devices, set_up_device
from raven_scan.trainer.event_log import EventLog
from raven_scan.trainer.failures import describe_failure
from raven_scan.trainer.process_lifetime import tie_children_to_this_process, tie_to_parent
from raven_scan.wire.events import Started
from raven_scan.wire.spec import BuildStartingWeightsSpec, EvaluateSpec, ReadCheckpointSpec, TrainSpec

AnySpec = TrainSpec | EvaluateSpec | ReadCheckpointSpec | BuildStartingWeightsSpec

PARENT_PID_VARIABLE = "RAVEN_PARENT_PID"
_SPECS: dict[str, type[AnySpec]] = {
    "train": TrainSpec,
    "evaluate": EvaluateSpec,
    "read-checkpoint": ReadCheckpointSpec,
    "build-starting-weights": BuildStartingWeightsSpec,
}
_VERSIONS_OF = ("torch", "torchvision", "onedl-mmdetection", "onedl-mmengine", "onedl-mmcv")
_CALLED_WRONGLY = 2


def main(arguments: list[str]) -> int:
    parent = os.environ.get(PARENT_PID_VARIABLE)
    if parent:
        tie_to_parent(int(parent))
    tie_children_to_this_process()
    if len(arguments) != 2 or arguments[0] not in _SPECS:
        sys.stderr.write(f"usage: python -m raven_scan.trainer {{{','.join(_SPECS)}}} SPEC.json\n")
        return _CALLED_WRONGLY
    try:
        spec = msgspec.json.decode(
            Path(arguments[1]).read_bytes(), type=_SPECS[arguments[0]], dec_hook=_decode_path
        )
    except (OSError, msgspec.MsgspecError) as error:
        sys.stderr.write(f"{arguments[1]} is no specification of {arguments[0]}: {error}\n")
        return _CALLED_WRONGLY
    with EventLog(spec.events) as log:
        try:
            _run(spec, log)
        except BaseException as error:  # noqa: BLE001 - whatever ends the process is told
            failure = describe_failure(error)
            traceback.print_exc()
            log.tell_failure(failure.code, failure.message, failure.hint, failure.detail)
            return 1
    return 0


def _decode_path(kind: type[Any], value: Any) -> Any:
    if kind is Path and isinstance(value, str) and value.startswith("/"):
        return Path(value)
    raise ValueError(f"expected an absolute path, got {value!r}")


def _run(spec: AnySpec, log: EventLog) -> None:
    # What is read and built only is small: it runs on the CPU with a thread.
    device, threads = _find_device(spec)
    restrict_devices(device)
    # MMCV's operators come before anything that imports mmcv.ops.
    from raven_scan.trainer.operators import install  # noqa: PLC0415 - the frameworks take seconds

    install()
    set_up_device(device, threads)
    command = _import_command(spec)
    log.emit(
        Started(
            time=time.time(),
            pid=os.getpid(),
            device=device,
            versions={name: version(name) for name in _VERSIONS_OF},
        )
    )
    command(spec, log)


def _find_device(spec: AnySpec) -> tuple[str, int]:
    if isinstance(spec, TrainSpec):
        return spec.devices[0], spec.threads
    return (spec.device, spec.threads) if isinstance(spec, EvaluateSpec) else ("cpu", 1)


def _import_command(spec: AnySpec) -> Callable[[Any, EventLog], None]:
    match spec:
        case TrainSpec():
            from raven_scan.trainer.training import train  # noqa: PLC0415

            return train
        case EvaluateSpec():
            from raven_scan.trainer.evaluation.evaluate import evaluate  # noqa: PLC0415

            return evaluate
        case ReadCheckpointSpec():
            from raven_scan.trainer.checkpoint_reading import read_checkpoint  # noqa: PLC0415

            return read_checkpoint
        case BuildStartingWeightsSpec():
            from raven_scan.trainer.starting_weights import build_starting_weights  # noqa: PLC0415

            return build_starting_weights


if __name__ == "__main__":
    exit_code = main(sys.argv[1:])
    # Loader processes and torch's threads need no orderly end, which takes long.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(exit_code)
