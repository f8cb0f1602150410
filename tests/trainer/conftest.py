"""Fixtures that run the trainer for real: a tiny dataset, and the child process as the worker starts it."""

import json
import os
import select
import subprocess
import sys
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

import cv2
import msgspec
import numpy as np
import pytest

from raven_scan.trainer.operators import install
from raven_scan.wire.events import AnyEvent, EventReader, Failed, Step
from raven_scan.wire.spec import PartSpec, TrainSpec

# Before any test module imports mmcv.ops.
install()

CLASSES = ["déchets 垃圾", "it's {{ fileDirname }} 'x'"]
CATEGORY_IDS = [7, 11]
_COLOURS = [(0, 0, 255), (255, 0, 0)]
_SIDE_PX = 128
_TIMEOUT_S = 300
EventType = TypeVar("EventType")


@dataclass(frozen=True)
class ChildResult:
    exit_code: int
    events: list[AnyEvent]
    output: str

    def of(self, kind: type[EventType]) -> list[EventType]:
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def failure(self) -> Failed:
        assert isinstance(self.events[-1], Failed), self.output[-2000:]
        return self.events[-1]

    @property
    def losses(self) -> dict[int, dict[str, float]]:
        return {step.step: step.losses for step in self.of(Step)}


class SpecMaker(Protocol):
    def __call__(
        self, work_folder: Path, *, parameters: dict[str, Any] | None = None, **changes: Any
    ) -> TrainSpec: ...


def write_part(folder: Path, image_count: int, seed: int) -> PartSpec:
    """Grey noise with one to three coloured rectangles an image; every fifth image has none."""
    folder.mkdir(parents=True)
    random = np.random.default_rng(seed)
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number in range(1, image_count + 1):
        pixels = random.integers(90, 130, (_SIDE_PX, _SIDE_PX, 3)).astype(np.uint8)
        for _ in range(0 if number % 5 == 0 else int(random.integers(1, 4))):
            width, height = (int(side) for side in random.integers(20, 50, 2))
            x, y = (int(place) for place in random.integers(0, _SIDE_PX - 50, 2))
            label = int(random.integers(2))
            pixels[y : y + height, x : x + width] = _COLOURS[label]
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": number,
                    "category_id": CATEGORY_IDS[label],
                    "bbox": [x, y, width, height],
                    "area": width * height,
                    "iscrowd": 0,
                }
            )
        cv2.imwrite(str(folder / f"{number}.png"), pixels)
        images.append({"id": number, "file_name": f"{number}.png", "width": _SIDE_PX, "height": _SIDE_PX})
    categories = [{"id": key, "name": name} for key, name in zip(CATEGORY_IDS, CLASSES, strict=True)]
    document = {"images": images, "annotations": annotations, "categories": categories}
    (folder / "annotations_coco.json").write_text(json.dumps(document))
    return PartSpec(folder=folder, image_count=image_count)


@pytest.fixture(scope="session")
def write_part_of() -> Callable[[Path, int, int], PartSpec]:
    return write_part


@pytest.fixture(scope="session")
def class_names() -> list[str]:
    return CLASSES


@pytest.fixture(scope="session")
def tiny_parts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, PartSpec]:
    folder = tmp_path_factory.mktemp("tiny")
    return {
        "train": write_part(folder / "train", 24, 1),
        "valid": write_part(folder / "valid", 6, 2),
        "test": write_part(folder / "test", 6, 3),
    }


@pytest.fixture(scope="session")
def small_parts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, PartSpec]:
    """Three batches of four, the last one smaller."""
    folder = tmp_path_factory.mktemp("small")
    return {"train": write_part(folder / "train", 10, 1), "valid": write_part(folder / "valid", 4, 2)}


@pytest.fixture(scope="session")
def make_train_spec(tiny_parts: dict[str, PartSpec]) -> SpecMaker:
    def make(work_folder: Path, *, parameters: dict[str, Any] | None = None, **changes: Any) -> TrainSpec:
        work_folder.mkdir(parents=True, exist_ok=True)
        decided = {
            "epochs": 3,
            "batch_size": 4,
            "image_size": 64,
            "learning_rate": 1e-3,
            "loader_processes": 0,
            "seed": 5,
            **(parameters or {}),
        }
        values: dict[str, Any] = {
            "run_id": "run-1",
            "attempt": 1,
            "architecture": "yolox-nano",
            "classes": CLASSES,
            "parameters": decided,
            **tiny_parts,
            "weights": None,
            "weights_classes": None,
            "resume_from": [],
            "work_folder": work_folder,
            "events": work_folder / "events.jsonl",
            "devices": ["cpu"],
            "threads": 1,
            **changes,
        }
        return TrainSpec(**values)

    return make


def write_spec(spec: msgspec.Struct, path: Path) -> Path:
    path.write_bytes(msgspec.json.encode(spec, enc_hook=str))
    return path


@pytest.fixture(scope="session")
def write_spec_file() -> Callable[[msgspec.Struct, Path], Path]:
    return write_spec


@pytest.fixture(scope="session")
def build_command() -> Callable[[str, msgspec.Struct, Path], list[str]]:
    def build(command: str, spec: msgspec.Struct, folder: Path) -> list[str]:
        path = write_spec(spec, folder / "spec.json")
        return [sys.executable, "-m", "raven_scan.trainer", command, str(path)]

    return build


@pytest.fixture(scope="session")
def ready_trainer() -> Generator[subprocess.Popen[bytes]]:
    """Becomes a trainer in no time, see there."""
    with subprocess.Popen(
        [sys.executable, "-P", str(Path(__file__).with_name("ready_trainer.py"))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        bufsize=0,
    ) as process:
        yield process
        assert process.stdin is not None
        process.stdin.close()
        process.wait(_TIMEOUT_S)


@pytest.fixture(scope="session")
def run_trainer(
    tmp_path_factory: pytest.TempPathFactory, ready_trainer: subprocess.Popen[bytes]
) -> Callable[..., ChildResult]:
    """On one device in a process that has imported all it needs; on several, and for its costs, in a new one."""

    def run(command: str, spec: Any, *, is_new: bool = False) -> ChildResult:
        folder = tmp_path_factory.mktemp("spec")
        arguments = [command, str(write_spec(spec, folder / "spec.json"))]
        output = folder / "output"
        if is_new or command == "dry-run" or len(getattr(spec, "devices", [])) > 1:
            exit_code = run_anew(arguments, output)
        else:
            exit_code = ask(ready_trainer, arguments, output)
        events = EventReader(spec.events).read_new()
        return ChildResult(exit_code, events, output.read_text())

    return run


def run_anew(arguments: list[str], output: Path) -> int:
    with output.open("wb") as said:
        return subprocess.run(
            [sys.executable, "-m", "raven_scan.trainer", *arguments],
            env={**os.environ, "RAVEN_PARENT_PID": str(os.getpid())},
            start_new_session=True,
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            timeout=_TIMEOUT_S,
            check=False,
        ).returncode


def ask(ready_trainer: subprocess.Popen[bytes], arguments: list[str], output: Path) -> int:
    assert ready_trainer.stdin is not None
    assert ready_trainer.stdout is not None
    asked = {"arguments": arguments, "environment": dict(os.environ), "output": str(output)}
    ready_trainer.stdin.write(json.dumps(asked).encode() + b"\n")
    if not select.select([ready_trainer.stdout], [], [], _TIMEOUT_S)[0]:
        ready_trainer.kill()  # its trainer ends with it
        raise TimeoutError(output.read_text())
    return int(ready_trainer.stdout.readline())


@pytest.fixture(scope="session")
def finished_run(
    make_train_spec: SpecMaker,
    run_trainer: Callable[..., ChildResult],
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[TrainSpec, ChildResult]:
    """Three epochs of six steps, never interrupted."""
    spec = make_train_spec(tmp_path_factory.mktemp("finished") / "work")
    return spec, run_trainer("train", spec)
