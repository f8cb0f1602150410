"""The child process: `python -m raven_scan.trainer COMMAND SPEC.json`.

COMMAND is `train`, `dry-run`, `evaluate`, `predict`, `read-checkpoint`, `build-starting-weights` or `export-onnx`; its
specification is one of `raven_scan.wire.spec`, `PredictSpec` or `ExportOnnxSpec`. News goes to the events file that the
specification names; text for people goes to standard error. Exit codes: 0 done, or stopped where it was asked to (the
last event says which), 1 failed (the last event says why), 2 called wrongly.

With `RAVEN_PARENT_PID` set, the process and all that it starts end when that parent, which must be its own, ends.
On SIGTERM it ends soon: while it trains, after the step at hand and a checkpoint.
"""

import os
import sys
import time
from typing import Any

from raven_scan.trainer.command_line import Command, end_process, run_command_line
from raven_scan.trainer.deferred_imports import defer_imports, importing
from raven_scan.trainer.device import restrict_devices, set_up_device
from raven_scan.trainer.energy.metering import meter_energy
from raven_scan.trainer.environment import describe_environment, list_versions
from raven_scan.trainer.event_log import EventLog
from raven_scan.trainer.loader_queues import end_at_queue_errors
from raven_scan.trainer.ranks import find_rank, join_ranks, launch_ranks
from raven_scan.trainer.stop_request import StopRequest
from raven_scan.wire.events import Started
from raven_scan.wire.onnx import ExportOnnxSpec
from raven_scan.wire.prediction import PredictSpec
from raven_scan.wire.spec import BuildStartingWeightsSpec, EvaluateSpec, ReadCheckpointSpec, TrainSpec


def main(arguments: list[str]) -> int:
    return run_command_line(
        arguments,
        {
            "train": Command(TrainSpec, _train),
            "dry-run": Command(TrainSpec, _dry_run),
            "evaluate": Command(EvaluateSpec, _evaluate),
            "predict": Command(PredictSpec, _predict),
            "read-checkpoint": Command(ReadCheckpointSpec, _read_checkpoint),
            "build-starting-weights": Command(BuildStartingWeightsSpec, _build_starting_weights),
            "export-onnx": Command(ExportOnnxSpec, _export_onnx),
        },
        program="raven_scan.trainer",
    )


# The frameworks are imported only when the process's devices are chosen; they take seconds.


def _train(spec: TrainSpec, log: EventLog, stop: StopRequest) -> None:
    if not _set_up_ranks(spec, log, stop):
        return
    with importing():
        from raven_scan.trainer.training import train  # noqa: PLC0415

    train(spec, log, stop)


def _dry_run(spec: TrainSpec, log: EventLog, stop: StopRequest) -> None:
    if not _set_up_ranks(spec, log, stop):
        return
    with importing():
        from raven_scan.trainer.dry_run import dry_run  # noqa: PLC0415

    dry_run(spec, log, stop)


def _evaluate(spec: EvaluateSpec, log: EventLog, _stop: StopRequest) -> None:
    meter_energy(spec.energy, [spec.device], log)
    _set_up(spec.device, spec.threads)
    with importing():
        from raven_scan.trainer.evaluation.evaluate import evaluate  # noqa: PLC0415

    _tell_start(log, spec.device)
    evaluate(spec, log)


def _predict(spec: PredictSpec, log: EventLog, _stop: StopRequest) -> None:
    _set_up(spec.device, spec.threads)
    with importing():
        from raven_scan.trainer.prediction.serving import serve_predictions  # noqa: PLC0415

    _tell_start(log, spec.device)
    serve_predictions(spec, log)


# What is read and built only is small: it runs on the CPU with a thread.


def _read_checkpoint(spec: ReadCheckpointSpec, log: EventLog, _stop: StopRequest) -> None:
    _set_up("cpu", 1)
    with importing():
        from raven_scan.trainer.checkpoint_reading import read_checkpoint  # noqa: PLC0415

    _tell_start(log, "cpu")
    read_checkpoint(spec, log)


def _build_starting_weights(spec: BuildStartingWeightsSpec, log: EventLog, _stop: StopRequest) -> None:
    _set_up("cpu", 1)
    with importing():
        from raven_scan.trainer.starting_weights import build_starting_weights  # noqa: PLC0415

    _tell_start(log, "cpu")
    build_starting_weights(spec, log)


def _export_onnx(spec: ExportOnnxSpec, log: EventLog, _stop: StopRequest) -> None:
    # Both sides of the check are on the CPU.
    _set_up("cpu", spec.threads)
    with importing():
        from raven_scan.trainer.export.exporting import export_onnx  # noqa: PLC0415

    _tell_start(log, "cpu")
    export_onnx(spec, log)


def _set_up_ranks(spec: TrainSpec, log: EventLog, stop: StopRequest) -> bool:
    """Returns whether this process is to do the work; otherwise others have done it."""
    meter_energy(spec.energy, spec.devices, log)
    rank = find_rank()
    if rank is None and len(spec.devices) > 1:
        launch_ranks(spec, stop)
        return False
    device = spec.devices[0 if rank is None else rank.number]
    _set_up(device, spec.threads, is_accelerated=spec.parameters.get("acceleration", "on") == "on")
    if rank is not None:
        join_ranks(device)
    environment = describe_environment(device, device_count=len(spec.devices), threads=spec.threads)
    _tell_start(log, ", ".join(spec.devices), environment)
    return True


def _set_up(device: str, threads: int, *, is_accelerated: bool = False) -> Any:
    restrict_devices(device)
    defer_imports()
    # MMCV's operators come before anything that imports mmcv.ops.
    with importing():
        from raven_scan.trainer.operators import install  # noqa: PLC0415

        install()
        set_up_device(device, threads, flushes_denormals=is_accelerated)
    end_at_queue_errors()


def _tell_start(log: EventLog, device: str, environment: dict[str, str] | None = None) -> None:
    log.emit(
        Started(
            time=time.time(),
            pid=os.getpid(),
            device=device,
            versions=list_versions(),
            environment=environment or {},
        )
    )


if __name__ == "__main__":
    end_process(main(sys.argv[1:]))
