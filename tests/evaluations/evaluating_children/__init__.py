"""Children that evaluate without a framework; each is started as `python -m evaluating_children.<name>`."""

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

# Started with this folder's parent on the path, where `pretended_detector` is too.
from pretended_detector import write_evaluation


def read_spec() -> dict[str, Any]:
    return json.loads(Path(sys.argv[2]).read_bytes())


def emit(spec: dict[str, Any], event: str, **values: Any) -> None:
    with Path(spec["events"]).open("a") as file:
        file.write(json.dumps({"time": time.time(), "event": event, **values}) + "\n")


def start(spec: dict[str, Any]) -> None:
    emit(spec, "started", pid=os.getpid(), device="cpu", versions={})
    emit(spec, "phase", phase="evaluation")
    emit(spec, "evaluation_progress", done=4, total=8)


def finish(spec: dict[str, Any]) -> None:
    part = Path(spec["part"]["folder"])
    report = write_evaluation(
        part, spec["classes"], report=Path(spec["report"]), matches=Path(spec["matches"])
    )
    sys.stdout.write("evaluated, with the password hunter2hunter2 in its log\n")
    sys.stdout.flush()
    emit(
        spec,
        "evaluated",
        figures={},
        by_class={},
        image_count=report.counts.images,
        box_count=report.counts.boxes,
        images_per_s=100.0,
    )
