"""A process that has imported the frameworks, and forks itself for each trainer that it is asked for.

Each line that it reads names a trainer's arguments, its environment, and the file for what it says; each line that it
writes is an exit code. A trainer that starts as the worker starts it takes seconds of the processor to import them.
"""

import json
import os
import sys
from importlib import import_module
from typing import NoReturn

from raven_scan.trainer import __main__ as program
from raven_scan.trainer.command_line import end_process
from raven_scan.trainer.deferred_imports import defer_imports
from raven_scan.trainer.device import restrict_devices

_DEVICE = "cpu"
# Heads come first: they see to MMCV's operators before MMDetection is imported.
_FRAMEWORKS = ("heads", "backbones", "training", "evaluation.evaluate")


def serve() -> None:
    # What is said while modules are imported is no answer.
    answers = os.dup(1)
    os.dup2(2, 1)
    restrict_devices(_DEVICE)
    defer_imports()
    for name in _FRAMEWORKS:
        import_module(f"raven_scan.trainer.{name}")
    for line in sys.stdin:
        asked = json.loads(line)
        pid = os.fork()
        if pid == 0:
            become_trainer(asked["arguments"], asked["environment"], asked["output"])
        _, status = os.waitpid(pid, 0)
        os.write(answers, f"{os.waitstatus_to_exitcode(status)}\n".encode())


def become_trainer(arguments: list[str], environment: dict[str, str], output: str) -> NoReturn:
    os.setsid()
    nothing = os.open(os.devnull, os.O_RDONLY)
    said = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    for number, descriptor in enumerate((nothing, said, said)):
        os.dup2(descriptor, number)
    os.environ.clear()
    os.environ.update(environment | {"RAVEN_PARENT_PID": str(os.getppid()), "CUDA_VISIBLE_DEVICES": ""})
    # It insists on being called before torch is imported, as it was above.
    program.restrict_devices = expect_device
    end_process(program.main(arguments))
    raise AssertionError


def expect_device(device: str) -> None:
    if device != _DEVICE:
        raise ValueError(device)


if __name__ == "__main__":
    serve()
