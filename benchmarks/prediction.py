"""Detection through the platform against MMDetection itself, on the same images, at the same batch size.

Platform: `DetectionService.detect` with a published model whose process is warm: the audit entry, the way to the
process and back, decoding, boxes as the answer has them. Bare: a process with nothing but MMDetection: its transforms
and `model.test_step`, batch by batch; once with images decoded in the loop (`bare`), once by a loader process beside it
(`bare-loader`, as MMDetection's own test loop has it). Inferencer: MMDetection's `DetInferencer`. All have their models
loaded before the clock starts, as many compute threads, and take turns, several rounds of them.

A ratio is the other's time over the platform's: above 1 the platform is faster.
Log on standard error; on standard output a table, or one JSON object with --json.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Self

import psutil

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

# Nothing of the platform but its stand-ins for MMCV's compiled operators, without which MMDetection does not start
# here. A line on standard input is a round; the answer says its seconds and its boxes.
_BARE = """
import json, sys, time
from raven_scan.trainer.operators import install
install()
import raven_scan.trainer.heads
import cv2, torch
from mmcv.transforms import Compose
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.registry import init_default_scope
from safetensors.torch import load_file
given = json.loads(sys.argv[1])
torch.set_num_threads(given["threads"])
cv2.setNumThreads(0)
init_default_scope("mmdet")
config = Config.fromfile(given["configuration"])
# JSON has no tuples, on which the transforms insist.
for transform in [*config.test_pipeline, *config.test_dataloader.dataset.pipeline]:
    for name in {"scale", "size"} & set(transform):
        transform[name] = tuple(transform[name])
    if "pad_val" in transform:
        transform["pad_val"] = {"img": tuple(transform["pad_val"]["img"])}
tensors = load_file(given["weights"])
paths, size = given["images"], given["batch_size"]

def make_loop():
    from mmdet.registry import MODELS
    model = MODELS.build(config.model)
    model.load_state_dict(tensors)
    model.to(given["device"]).eval()
    pipeline = Compose(config.test_pipeline)
    def load(index):
        return pipeline({"img_path": paths[index], "img_id": index})
    class Images(torch.utils.data.Dataset):
        def __len__(self):
            return len(paths)
        def __getitem__(self, index):
            return load(index)
    loader = torch.utils.data.DataLoader(
        Images(), batch_size=size, collate_fn=pseudo_collate, num_workers=1, persistent_workers=True
    )
    def iterate():
        if given["kind"] == "bare-loader":
            yield from loader
        else:
            for start in range(0, len(paths), size):
                yield pseudo_collate([load(index) for index in range(start, min(start + size, len(paths)))])
    def loop():
        boxes = 0
        with torch.inference_mode():
            for batch in iterate():
                for sample in model.test_step(batch):
                    found = sample.pred_instances
                    kept = found.scores >= given["min_score"]
                    boxes += len(found.bboxes[kept].cpu().tolist())
        return boxes
    return loop

def make_inferencer():
    from mmdet.apis import DetInferencer
    inferencer = DetInferencer(config, given["checkpoint"], device=given["device"], show_progress=False)
    def loop():
        answer = inferencer(paths, batch_size=size, no_save_vis=True)
        return sum(score >= given["min_score"] for each in answer["predictions"] for score in each["scores"])
    return loop

loop = make_inferencer() if given["kind"] == "inferencer" else make_loop()
print("ready", flush=True)
for _ in sys.stdin:
    started = time.monotonic()
    boxes = loop()
    print(json.dumps({"seconds": time.monotonic() - started, "boxes": int(boxes)}), flush=True)
"""

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


class BareProcess:
    """MMDetection in a process of its own; a round at a time."""

    def __init__(self, kind: str, given: dict[str, Any]) -> None:
        threads = str(given["threads"])
        self._log = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed with the process
        self._popen = subprocess.Popen(
            [sys.executable, "-c", _BARE, json.dumps({**given, "kind": kind})],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            # As the platform's processes are started.
            env={
                **os.environ,
                "OMP_NUM_THREADS": threads,
                "MKL_NUM_THREADS": threads,
                "GOMP_SPINCOUNT": "1000",
            },
        )
        self._read_until("ready")

    def measure(self) -> dict[str, float]:
        assert self._popen.stdin is not None
        self._popen.stdin.write("\n")
        self._popen.stdin.flush()
        return json.loads(self._read_until("{"))

    def _read_until(self, beginning: str) -> str:
        assert self._popen.stdout is not None
        for line in self._popen.stdout:  # the frameworks print there too
            if line.startswith(beginning):
                return line
        self._log.seek(0)
        raise SystemExit(f"MMDetection's process has ended:\n{self._log.read()[-3000:]}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._popen.kill()
        self._popen.wait()
        self._log.close()


def main() -> None:
    arguments = parse_arguments()
    with tempfile.TemporaryDirectory(prefix="raven-prediction-") as name:
        result = measure(Path(name), arguments)
    if arguments.json:
        print(json.dumps(result))
        return
    for key, value in result["ratios"].items():
        print(
            f"{key:<24} {value:6.3f}   (at least {LEAST_RATIOS[key]} asked for; above 1 the platform is faster)"
        )
    for key, value in result["ratios_of_fastest_rounds"].items():
        print(f"{key:<24} {value:6.3f}   (of the fastest round of each)")
    for kind, figures in result["images_per_s"].items():
        print(f"{kind + ', images/s':<24} {', '.join(f'{each:.2f}' for each in figures)}")


def measure(folder: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    images = find_images(folder, arguments.images)
    seconds: dict[str, list[float]] = {"platform": [], **{kind: [] for kind in LEAST_RATIOS}}
    boxes: dict[str, int] = {}
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
            taken: dict[str, float] = {}
            # Each comes first, second, … as often: the load of a machine is not the same from one to the next.
            kinds = ["platform", *bare]
            for kind in kinds[number % len(kinds) :] + kinds[: number % len(kinds)]:
                if kind == "platform":
                    taken[kind], boxes[kind] = detect(raven, files, arguments)
                else:
                    found = bare[kind].measure()
                    taken[kind], boxes[kind] = found["seconds"], int(found["boxes"])
            log(f"round {number}: " + ", ".join(f"{kind} {each:.2f} s" for kind, each in taken.items()))
            if number > 0:  # the first one is for warming up
                for kind, each in taken.items():
                    seconds[kind].append(each)
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
        "boxes": boxes,
        "images_per_s": {kind: [len(images) / each for each in taken] for kind, taken in seconds.items()},
        "ratios": {
            # Round by round, since what else the machine does changes from one to the next.
            kind: statistics.median(
                other / own for own, other in zip(seconds["platform"], seconds[kind], strict=True)
            )
            for kind in LEAST_RATIOS
        },
        "ratios_of_fastest_rounds": {
            kind: min(seconds[kind]) / min(seconds["platform"]) for kind in LEAST_RATIOS
        },
    }


def detect(raven: Platform, files: list[ImageFile], arguments: argparse.Namespace) -> tuple[float, int]:
    """Through the platform: seconds, and boxes found."""
    started = time.monotonic()
    answer = raven.detections.detect(
        LOCAL_ADMINISTRATOR,
        PUBLISHED,
        files,
        batch_size=arguments.batch_size,
        min_confidence=arguments.min_confidence,
    )
    return time.monotonic() - started, sum(len(image.boxes) for image in answer.images)


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
