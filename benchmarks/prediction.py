"""Detection through the platform against MMDetection itself, on the same images, at the same batch size.

Platform: `DetectionService.detect` with a published model whose process is warm: the audit entry, the way to the
process and back, decoding, boxes as the answer has them. Bare: a process with nothing but MMDetection: its transforms
and `model.test_step`, batch by batch; once with images decoded in the loop (`bare`), once by a loader process beside it
(`bare-loader`, as MMDetection's own test loop has it). Inferencer: MMDetection's `DetInferencer`. All have their models
loaded before the clock starts, as many compute threads, and take turns, several rounds of them.

A ratio is the other's time, or its processor seconds, over the platform's in the same round: above 1 the platform is
faster. Told are the mean of all rounds, its standard error, and the least and greatest. What is found is
compared too: the boxes of the platform with those of the bare loop.
Log on standard error; on standard output a table, or one JSON object with --json.
"""

import argparse
import json
import math
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from numpy.typing import NDArray

from prediction_bare import BareProcess, Round, measure_processor_s
from raven_scan.access.types import LOCAL_ADMINISTRATOR
from raven_scan.app.wiring import Platform, build_platform
from raven_scan.datasets.sample_scenes import make_sample_dataset
from raven_scan.detections.types import ImageFile
from raven_scan.jobs.child_process import run_child
from raven_scan.kernel.settings import Settings
from raven_scan.wire.events import StartingWeightsBuilt
from raven_scan.wire.spec import BuildStartingWeightsSpec

SHARED = Path(__file__).resolve().parents[2] / "shared"
LEAST_RATIOS = {"bare": 0.95, "bare-loader": 0.95, "inferencer": 1.0}
CHECKPOINT = SHARED / "weights" / "yolox_nano_coco_mmdet.pth"
ARCHITECTURE = "yolox-nano"
"""The smallest one: what the platform adds weighs most beside it."""

PUBLISHED = "measured"
PREDICTING = "raven_scan.trainer predict"

# The same model as MMDetection has it: its configuration with its own reading of images, and a checkpoint.
_BARE_FILES = """
import json, sys
import torch
from raven_scan.trainer.operators import install
install()
from pathlib import Path
from safetensors.torch import load_file
from raven_scan.architectures.catalogue import get_architecture
from raven_scan.trainer.configuration import build_model_configuration
from raven_scan.trainer.configuration.pipelines import build_validation_pipeline
given = json.loads(sys.argv[1])
architecture = get_architecture(given["architecture"])
pipeline = [{"type": "LoadImageFromFile"}, *build_validation_pipeline(architecture.image_size)]
configuration = {
    "default_scope": "mmdet",
    "model": build_model_configuration(architecture, len(given["classes"]))["model"],
    "test_pipeline": pipeline,
    "test_dataloader": {"dataset": {"type": "CocoDataset", "pipeline": pipeline}},
    "visualizer": {"type": "DetLocalVisualizer", "vis_backends": [], "name": "visualizer"},
}
Path(given["configuration"]).write_text(json.dumps(configuration))
checkpoint = {"state_dict": load_file(given["weights"]), "meta": {"dataset_meta": {"classes": given["classes"]}}}
torch.save(checkpoint, given["checkpoint"])
"""


def main() -> None:
    arguments = parse_arguments()
    with tempfile.TemporaryDirectory(prefix="raven-prediction-") as name:
        result = measure(Path(name), arguments)
    if arguments.json:
        print(json.dumps(result))
        return
    for title, name in (("", "ratios"), (", processor", "ratios_of_processor_seconds")):
        for kind, each in result[name].items():
            asked = f", at least {LEAST_RATIOS[kind]} asked for" if name == "ratios" else ""
            print(
                f"{kind + title:<24} {each['mean']:6.3f} ± {each['standard_error']:.3f}"
                f"   ({each['least']:.3f} to {each['greatest']:.3f} in {arguments.rounds} rounds{asked})"
            )
    apart = result["largest_differences_from_bare"]
    print(
        f"{'boxes':<24} {result['boxes']['platform']} and {result['boxes']['bare']}: at most {apart['box_px']:.2g} px "
        f"and {apart['score']:.2g} of score apart, {apart['unpaired']} without a partner"
    )
    for kind, figures in result["images_per_s"].items():
        print(f"{kind + ', images/s':<24} {', '.join(f'{each:.2f}' for each in figures)}")


def measure(folder: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    images = find_images(folder, arguments.images)
    rounds: dict[str, list[Round]] = {"platform": [], **{kind: [] for kind in LEAST_RATIOS}}
    loads: list[float] = []
    with open_home(folder, arguments.device) as raven, ExitStack() as stack:
        given = {
            **publish_model(raven, folder),
            "images": [str(path) for path in images],
            "batch_size": arguments.batch_size,
            "threads": psutil.cpu_count(logical=False) or 1,
            "device": arguments.device,
            "min_score": arguments.min_confidence,
        }
        bare = {kind: stack.enter_context(BareProcess(kind, given)) for kind in LEAST_RATIOS}
        files = [ImageFile(path, path.name) for path in images]
        for number in range(arguments.rounds + 1):
            loads.append(os.getloadavg()[0])
            taken: dict[str, Round] = {}
            # Each comes first, second, … as often: the load of a machine is not the same from one to the next.
            kinds = ["platform", *bare]
            for kind in kinds[number % len(kinds) :] + kinds[: number % len(kinds)]:
                is_platform = kind == "platform"
                taken[kind] = detect(raven, files, arguments) if is_platform else bare[kind].measure()
            log(
                f"round {number}: "
                + ", ".join(f"{k} {each.seconds:.2f} s ({each.processor_s:.2f})" for k, each in taken.items())
            )
            if number > 0:  # the first one is for warming up
                for kind, each in taken.items():
                    rounds[kind].append(each)
    last = {kind: each[-1].boxes for kind, each in rounds.items()}
    return {
        "benchmark": "prediction",
        "machine": describe_machine(loads),
        "workload": {
            "images": len(images),
            "source": "drawn" if folder in images[0].parents else "aquatrash",
            "architecture": ARCHITECTURE,
            "weights": "coco" if CHECKPOINT.is_file() else "random",
            "batch_size": arguments.batch_size,
            "device": arguments.device,
        },
        "boxes": {kind: sum(map(len, boxes)) for kind, boxes in last.items()},
        "largest_differences_from_bare": compare_boxes(last["platform"], last["bare"]),
        "images_per_s": {
            kind: [len(images) / each.seconds for each in taken] for kind, taken in rounds.items()
        },
        "ratios": compare_rounds(rounds, lambda each: each.seconds),
        "ratios_of_processor_seconds": compare_rounds(rounds, lambda each: each.processor_s),
    }


def compare_rounds(
    rounds: dict[str, list[Round]], read: Callable[[Round], float]
) -> dict[str, dict[str, float]]:
    """Round by round, since what else the machine does changes from one to the next."""
    compared: dict[str, dict[str, float]] = {}
    for kind in LEAST_RATIOS:
        ratios = [
            read(other) / read(own) for own, other in zip(rounds["platform"], rounds[kind], strict=True)
        ]
        spread = statistics.stdev(ratios) if len(ratios) > 1 else 0.0
        compared[kind] = {
            "mean": statistics.fmean(ratios),
            "standard_error": spread / math.sqrt(len(ratios)),
            "least": min(ratios),
            "greatest": max(ratios),
        }
    return compared


def compare_boxes(own: list[NDArray[np.float64]], other: list[NDArray[np.float64]]) -> dict[str, float]:
    """Each box with the nearest of the same class on the other side; what has none is counted."""
    box_px = score = 0.0
    unpaired = 0
    for first, second in zip(own, other, strict=True):
        for found, sought in ((first, second), (second, first)):
            for row in found:
                same = sought[sought[:, 5] == row[5]]
                apart = np.abs(same[:, :4] - row[:4]).max(axis=1)
                if not len(same) or apart.min() > 1.0:
                    unpaired += 1
                    continue
                box_px = max(box_px, float(apart.min()))
                score = max(score, float(abs(same[apart.argmin(), 4] - row[4])))
    return {"box_px": box_px, "score": score, "unpaired": unpaired}


def detect(raven: Platform, files: list[ImageFile], arguments: argparse.Namespace) -> Round:
    """Through the platform. The process of the model is one of this one's children."""
    before = measure_processor_s(os.getpid(), PREDICTING)
    started = time.monotonic()
    answer = raven.detections.detect(
        LOCAL_ADMINISTRATOR,
        PUBLISHED,
        files,
        batch_size=arguments.batch_size,
        min_confidence=arguments.min_confidence,
    )
    seconds = time.monotonic() - started
    labels = {name: number for number, name in enumerate(answer.classes)}
    boxes = [
        np.array(
            [
                (box.x, box.y, box.x + box.width, box.y + box.height, box.score, labels[box.class_name])
                for box in image.boxes
            ]
        ).reshape(-1, 6)
        for image in answer.images
    ]
    return Round(seconds, measure_processor_s(os.getpid(), PREDICTING) - before, boxes)


def find_images(folder: Path, count: int) -> list[Path]:
    """AquaTrash's test part, or drawn scenes; where there are fewer than asked for, they come again."""
    part = SHARED / "data" / "aquatrash" / "test"
    if not part.is_dir():
        make_sample_dataset(folder / "scenes", image_count=64)
        part = folder / "scenes" / "train"
    images = sorted(path for path in part.iterdir() if path.suffix.lower() in {".jpg", ".jpeg", ".png"})
    return [images[index % len(images)] for index in range(count or len(images))]


@contextmanager
def open_home(folder: Path, device: str) -> Generator[Platform]:
    with build_platform(Settings(home=folder / "home", device=device)) as raven:
        yield raven


def publish_model(raven: Platform, folder: Path) -> dict[str, Any]:
    """Publishes a model; returns the paths of what MMDetection needs for the same one."""
    checkpoint = CHECKPOINT
    if not checkpoint.is_file():
        checkpoint = folder / "starting.safetensors"
        run_child(
            "build-starting-weights",
            BuildStartingWeightsSpec(
                architecture=ARCHITECTURE,
                classes=["waste"],
                seed=0,
                weights=checkpoint,
                events=folder / "events.jsonl",
            ),
            expected=StartingWeightsBuilt,
            noun="benchmark",
            folder=folder,
            log_path=folder / "output.log",
            timeout_s=600,
        )
    models = raven.trained_models
    model = models.import_checkpoint(
        LOCAL_ADMINISTRATOR, checkpoint, architecture=ARCHITECTURE, name="imported"
    )
    raven.publishing.publish(
        LOCAL_ADMINISTRATOR,
        model.name,
        name=PUBLISHED,
        override="It is measured how fast it is, not how good.",
    )
    weights = models.open_weights(LOCAL_ADMINISTRATOR, model.id)
    given = {
        "configuration": str(folder / "bare.json"),
        "weights": str(weights),
        "checkpoint": str(folder / "bare.pth"),
        "architecture": ARCHITECTURE,
        "classes": model.classes,
    }
    subprocess.run([sys.executable, "-c", _BARE_FILES, json.dumps(given)], check=True, capture_output=True)
    return given


def describe_machine(loads: Sequence[float]) -> dict[str, Any]:
    return {
        "system": platform.platform(),
        "processor": platform.processor() or platform.machine(),
        "cores": psutil.cpu_count(logical=False),
        "memory_gb": round(psutil.virtual_memory().total / 2**30, 1),
        "python": platform.python_version(),
        "load_average": {"lowest": min(loads), "highest": max(loads)},
    }


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    parser.add_argument("--images", type=int, default=0, help="how many; default: those of the test part")
    parser.add_argument("--rounds", type=int, default=8, help="how often each is measured (default 8)")
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--device", default="cpu", help="cpu (default) or cuda:0")
    parser.add_argument("--min-confidence", type=float, default=0.05)
    return parser.parse_args()


def log(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
