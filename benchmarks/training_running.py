"""Trainings of both sides for `training.py`: workloads, child processes, and what is read of them."""

import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec

from raven_scan.architectures.catalogue import get_architecture
from raven_scan.jobs.child_environment import KEEPING_MEMORY
from raven_scan.wire.spec import PartSpec, TrainSpec
from training_stock import build_stock_configuration

HERE = Path(__file__).resolve().parent
SHARED = HERE.parents[1] / "shared"
WEIGHTS = SHARED / "weights" / "yolox_nano_coco_mmdet.pth"
IMAGE_SIZE = 416
# What a whole run would be; schedules and the end of mosaics follow from it.
PLANNED_EPOCHS = 20
WARMUP_STEPS = 5
LEAST_STEADY_STEPS = 40
TRIAL_STEPS = 14
PROFILE_STEPS = 16
# MMDetection's own of Faster R-CNN is two images.
BATCH_SIZES = {"faster-rcnn-r50": 2}
# As MMDetection's configurations have them: by itself, the platform freezes more where there are few images.
FROZEN_STAGES = {"faster-rcnn-r50": 1, "rtmdet-lite0": 1}
ARCHITECTURES = ("rtmdet-tiny", "yolox-nano", "faster-rcnn-r50", "rtmdet-lite0")
_OF_WORKER = {
    "GOMP_SPINCOUNT": "1000",
    "OMP_NUM_THREADS": str(os.cpu_count() or 1),
    "MKL_NUM_THREADS": str(os.cpu_count() or 1),
    **KEEPING_MEMORY,
}


@dataclass(frozen=True, slots=True)
class Workload:
    """An architecture on a dataset that lies in parts."""

    architecture: str
    dataset: str
    parts: Path
    classes: list[str]
    weights: Path | None
    weights_classes: list[str] | None

    @property
    def name(self) -> str:
        return f"{self.architecture}/{self.dataset}"

    @property
    def batch_size(self) -> int:
        return BATCH_SIZES.get(self.architecture, 8)

    def count_images(self, part: str) -> int:
        return len(json.loads((self.parts / part / "annotations_coco.json").read_bytes())["images"])

    def describe(self, part: str) -> PartSpec:
        return PartSpec(folder=self.parts / part, image_count=self.count_images(part))

    @property
    def speed_epochs(self) -> int:
        """Epochs that have enough steps."""
        steps = -(-self.count_images("train") // self.batch_size)
        return -(-(LEAST_STEADY_STEPS + WARMUP_STEPS) // steps)


class Records:
    """Measurements by key, a JSON line each; what is there is not measured again."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: dict[str, Any] = {}
        if path.exists():
            for line in path.read_text().splitlines():
                record = json.loads(line)
                self._known[record["key"]] = record["value"]

    def find_or_measure(self, key: str, measure: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        if key not in self._known:
            value = measure(*arguments, **named)
            with self._path.open("a") as file:
                file.write(json.dumps({"key": key, "value": value}) + "\n")
            self._known[key] = value
            log(f"{key}: {_summarise(value)}")
        return self._known[key]


def run_platform(workload: Workload, folder: Path, *, marks: dict[str, str] | None = None) -> dict[str, Any]:
    """The trainer as the worker starts it, ended after its first validation and the checkpoint of it."""
    parameters = {
        "epochs": PLANNED_EPOCHS,
        "validation_interval": workload.speed_epochs,
        "checkpoint_interval": workload.speed_epochs,
    }
    work = folder / "work"
    spec = write_spec(workload, work, folder, parameters)
    # Decided once for a model, a size and a machine, as the platform does: told apart from the steady speed.
    return watch(
        [sys.executable, str(HERE / "training_trainer.py"), "train", str(spec)],
        work,
        {"RAVEN_TRAINING_VALIDATIONS": "0", **(marks or {})},
        ends_at="checkpoint",
    )


def run_stock(
    workload: Workload, folder: Path, processes: int, *, marks: dict[str, str] | None = None
) -> dict[str, Any]:
    """MMDetection's `tools/train.py` on its own configuration."""
    work = folder / "work"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    configuration = build_stock_configuration(
        get_architecture(workload.architecture),
        workload.parts,
        workload.classes,
        image_size=IMAGE_SIZE,
        batch_size=workload.batch_size,
        epochs=PLANNED_EPOCHS,
        validation_interval=workload.speed_epochs,
        loader_processes=processes,
        weights=WEIGHTS if workload.weights else None,
        seed=0,
        folder=work / "out",
    )
    configuration.dump(str(work / "configuration.py"))
    return run_tools_train(work / "configuration.py", work, marks or {"RAVEN_TRAINING_VALIDATIONS": "1"})


def run_same(workload: Workload, folder: Path, processes: int) -> dict[str, Any]:
    """MMDetection's `tools/train.py` on the platform's configuration, `acceleration` off."""
    from raven_scan.trainer.operators import install  # noqa: PLC0415 - imports torch

    install()
    from raven_scan.trainer.configuration import (  # noqa: PLC0415
        build_configuration,
        encode_configuration,
    )

    parameters = {
        "epochs": PLANNED_EPOCHS,
        "validation_interval": workload.speed_epochs,
        "checkpoint_interval": workload.speed_epochs,
        "precision": "float32",
        "memory_format": "contiguous",
        "acceleration": "off",
        "loader_processes": processes,
    }
    work = folder / "work"
    spec = make_spec(workload, work, folder, parameters)
    configuration = json.loads(encode_configuration(build_configuration(spec)))
    configuration["custom_imports"]["imports"].append("training_marks")
    (work / "configuration.json").write_text(json.dumps(configuration))
    return run_tools_train(work / "configuration.json", work, {"RAVEN_TRAINING_VALIDATIONS": "1"})


def run_tools_train(configuration: Path, work: Path, marks: dict[str, str]) -> dict[str, Any]:
    package = find_spec("mmdet")
    if package is None or package.origin is None:
        raise SystemExit("MMDetection is not installed.")
    script = Path(package.origin).parent / ".mim" / "tools" / "train.py"
    return watch([sys.executable, str(script), str(configuration)], work, marks, ends_at="end")


def make_spec(workload: Workload, work: Path, folder: Path, parameters: dict[str, Any]) -> TrainSpec:
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    return TrainSpec(
        run_id="benchmark",
        attempt=1,
        architecture=workload.architecture,
        classes=workload.classes,
        parameters={
            "batch_size": workload.batch_size,
            "image_size": IMAGE_SIZE,
            "frozen_stages": FROZEN_STAGES.get(workload.architecture, 0),
            **parameters,
        },
        train=workload.describe("train"),
        valid=workload.describe("valid"),
        test=workload.describe("test"),
        weights=workload.weights,
        weights_classes=workload.weights_classes,
        resume_from=[],
        work_folder=work / "out",
        events=work / "events.jsonl",
        devices=["cpu"],
        threads=os.cpu_count() or 1,
        cache_folder=folder / "cache",
        cache_bytes=2**30,
    )


def write_spec(workload: Workload, work: Path, folder: Path, parameters: dict[str, Any]) -> Path:
    spec = make_spec(workload, work, folder, parameters)
    path = work / "spec.json"
    path.write_bytes(msgspec.json.encode(spec, enc_hook=str))
    return path


def watch(command: list[str], work: Path, marks: dict[str, str], *, ends_at: str) -> dict[str, Any]:
    """Run a training, look at its memory meanwhile, and read its marks."""
    from raven_scan.trainer.memory import MemoryMeter  # noqa: PLC0415 - imports torch

    path = work / "marks.jsonl"
    environment = {
        **os.environ,
        "CUDA_VISIBLE_DEVICES": os.environ.get("CUDA_VISIBLE_DEVICES", ""),
        "PYTHONPATH": str(HERE),
        "RAVEN_TRAINING_MARKS": str(path),
        **marks,
        # As its worker starts it.
        **(_OF_WORKER if str(HERE / "training_trainer.py") in command else {}),
    }
    started = time.time()
    with (work / "output.txt").open("w") as output:
        process = subprocess.Popen(
            command, env=environment, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
        meter = MemoryMeter(process.pid)
        while process.poll() is None:
            meter.read_peak_mb()
            if ends_at == "checkpoint" and _has_checkpoint_after_validation(work / "events.jsonl"):
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                break
            time.sleep(0.1)
    told = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    steps = [each for each in told if each["mark"] == "step"]
    if len(steps) <= WARMUP_STEPS:
        raise SystemExit(f"The training did no steps:\n{(work / 'output.txt').read_text()[-3000:]}")
    validated = [each for each in told if each["mark"] == "validated"]
    ended_at = _read_checkpoint_time(work / "events.jsonl") if ends_at == "checkpoint" else None
    if ended_at is None:
        ended_at = validated[0]["at"] if validated else steps[-1]["at"]
    seconds = ended_at - steps[WARMUP_STEPS - 1]["at"]
    parts: dict[str, list[float]] = {}
    for step in steps[WARMUP_STEPS:]:
        for name, value in step["parts"].items():
            parts.setdefault(name, []).append(value)
    return {
        "images_per_s": sum(each["images"] for each in steps[WARMUP_STEPS:]) / seconds,
        "step_s": statistics.median(
            after["at"] - before["at"] for before, after in pairwise(steps[WARMUP_STEPS:])
        ),
        "steady_steps": len(steps) - WARMUP_STEPS,
        "after_last_step_s": ended_at - steps[-1]["at"],
        "first_step_after_s": steps[0]["at"] - started,
        "peak_memory_mb": meter.measure_peak_mb() if process.poll() is None else meter.read_peak_mb(),
        "arithmetic": _read_arithmetic(work / "events.jsonl"),
        "parts": {name: sum(values) / len(values) for name, values in parts.items()},
    }


def make_workloads(folder: Path, only: list[str], *, quick: bool) -> Iterator[Workload]:
    datasets = _lay_out(folder)
    for architecture in ARCHITECTURES:
        for dataset in datasets:
            names = {architecture, dataset, f"{architecture}/{dataset}"}
            if quick and names.isdisjoint({"rtmdet-tiny/scenes"}):
                continue
            if only and names.isdisjoint(only):
                continue
            parts = folder / "parts" / dataset
            document = json.loads((parts / "train" / "annotations_coco.json").read_bytes())
            weights = _convert_weights(folder) if architecture == "yolox-nano" and WEIGHTS.is_file() else None
            yield Workload(
                architecture=architecture,
                dataset=dataset,
                parts=parts,
                classes=[category["name"] for category in document["categories"]],
                weights=weights,
                weights_classes=None,
            )


def _lay_out(folder: Path) -> list[str]:
    """Parts as the platform lays them out, of the demo's scenes and, where it is there, AquaTrash."""
    sources = {"scenes": folder / "scenes"}
    if (SHARED / "data" / "aquatrash").is_dir():
        sources["aquatrash"] = SHARED / "data" / "aquatrash"
    missing = [name for name in sources if not (folder / "parts" / name / "layout.json").exists()]
    if missing:
        os.environ.pop("RAVEN_SERVER", None)
        os.environ.pop("RAVEN_DATABASE_URL", None)
        os.environ["RAVEN_HOME"] = str(folder / "home")
        script = [sys.executable, str(HERE / "training_parts.py"), str(folder)]
        subprocess.run([*script, *(f"{name}={sources[name]}" for name in missing)], check=True)
    return list(sources)


def _convert_weights(folder: Path) -> Path:
    """The shared checkpoint as the platform keeps it."""
    path = folder / "yolox-nano.safetensors"
    if not path.exists():
        import torch  # noqa: PLC0415
        from safetensors.torch import save_file  # noqa: PLC0415

        state = torch.load(WEIGHTS, weights_only=True)["state_dict"]
        save_file({name: tensor.contiguous() for name, tensor in state.items()}, path)
    return path


def _read_events(path: Path) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text().splitlines() if line.endswith("}")]


def _has_checkpoint_after_validation(path: Path) -> bool:
    return _read_checkpoint_time(path) is not None


def _read_checkpoint_time(path: Path) -> float | None:
    has_validated = False
    for event in _read_events(path):
        if event["event"] == "validated":
            has_validated = True
        if event["event"] == "checkpoint_written" and has_validated:
            return event["time"]
    return None


def _read_arithmetic(path: Path) -> str | None:
    for event in _read_events(path):
        if event["event"] == "configured":
            return f"{event['precision']}, {event['memory_format']}"
    return None


def _summarise(value: Any) -> str:
    if isinstance(value, dict) and "images_per_s" in value:
        return f"{value['images_per_s']:.2f} images/s, {value['step_s']:.3f} s a step"
    return json.dumps(value)[:200]


def log(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)
