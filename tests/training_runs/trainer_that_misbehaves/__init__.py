"""Children that the worker must cope with; each is started as `python -m trainer_that_misbehaves.<name>`."""

import json
import os
import sys
import time
from pathlib import Path
from typing import Any


def read_spec() -> dict[str, Any]:
    return json.loads(Path(sys.argv[2]).read_bytes())


def emit(spec: dict[str, Any], **event: Any) -> None:
    with Path(spec["events"]).open("a") as file:
        file.write(json.dumps({"time": time.time(), **event}) + "\n")


def start(spec: dict[str, Any]) -> None:
    emit(spec, event="started", pid=os.getpid(), device="cpu", versions={})
    emit(spec, event="phase", phase="training")
    emit(
        spec,
        event="step",
        step=1,
        epoch=0,
        learning_rate=0.1,
        losses={"loss": 2.5, "loss_box": 1.5},
        step_time_s=0.1,
        data_time_s=0.0,
        memory_mb=100.0,
    )
