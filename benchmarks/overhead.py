"""What the platform costs: a run through it against MMDetection's own training loop on the same configuration.

Platform: from scheduling a run to its Success, with worker, database, trainer, checkpoints, evaluation of the test
part in a fresh process, and the trained model stored. Bare: a process that does what MMDetection's tools do,
`Runner.from_cfg(configuration)`, `train()`, and `test()` on the best checkpoint, with the configuration that the
platform stored. Both build the model, validate, write checkpoints and evaluate once; they take turns.

The ratio is bare time over platform time, after 3 s that any start of a run may cost: above 1 the platform is faster.
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
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil

from raven_scan.access.types import LOCAL_ADMINISTRATOR
from raven_scan.app.cli.session import open_platform
from raven_scan.app.wiring import Platform
from raven_scan.app.worker import BackgroundWorker
from raven_scan.client import RavenClient
from raven_scan.datasets.sample_scenes import make_sample_dataset

SHARED = Path(__file__).resolve().parents[2] / "shared"
FIXED_S = 3.0
LEAST_SPEED = 0.97
_VERSIONS_OF = (
    "raven-scan",
    "torch",
    "torchvision",
    "onedl-mmdetection",
    "onedl-mmengine",
    "onedl-mmcv",
    "numpy",
)
_PILOT_EPOCHS = 2
# A run a little longer than asked for is still one of at least that length when the machine is faster later.
_MARGIN = 1.15


# What MMDetection's tools/train.py and tools/test.py do. It imports nothing of the platform but what the
# configuration names.
_BARE_TRAINING = """
import json, sys
from mmengine.config import Config
from mmengine.runner import Runner

configuration, folder = sys.argv[1:]
config = Config.fromfile(configuration)
config.work_dir = folder
runner = Runner.from_cfg(config)
runner.train()
runner.load_checkpoint(runner.message_hub.get_info("best_ckpt"))
with open(folder + "/metrics.json", "w") as file:
    json.dump(runner.test(), file)
"""


@dataclass(frozen=True, slots=True)
class Workload:
    """A run to measure: a dataset in COCO form, a base model of the platform, parameters without epochs."""

    name: str
    dataset: Path
    checkpoint: Path | None
    architecture: str
    parameters: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Measured:
    seconds: float
    map50: float | None


def main() -> None:
    arguments = _parse_arguments()
    with tempfile.TemporaryDirectory(prefix="raven-overhead-") as name:
        result = measure(Path(name), quick=arguments.quick, minutes=arguments.minutes, pairs=arguments.pairs)
    if arguments.json:
        print(json.dumps(result))
        return
    for key, value in result["ratios"].items():
        print(f"{key:<40} {value:8.3f}   (at least {LEAST_SPEED} asked for; above 1 the platform is faster)")
    for kind in ("platform", "bare"):
        print(f"{kind + ' s':<40} {', '.join(f'{each:.1f}' for each in result[kind + '_s'])}")


def measure(folder: Path, *, quick: bool, minutes: float, pairs: int) -> dict[str, Any]:
    workload = make_workload(folder, quick=quick)
    os.environ.pop("RAVEN_SERVER", None)
    os.environ.pop("RAVEN_DATABASE_URL", None)
    os.environ["RAVEN_HOME"] = str(folder / "home")
    with open_session(workload) as (raven_platform, raven):
        epochs = 2 if quick else _find_epochs(raven_platform, raven, workload, folder, minutes * 60)
        _log(f"{workload.name}: {epochs} epochs, {pairs} times each")
        through: list[Measured] = []
        bare: list[Measured] = []
        configuration = folder / "configuration.json"
        for pair in range(pairs):
            first = run_platform(raven_platform, raven, workload, f"run-{pair}", epochs, configuration)
            second = run_bare(configuration, folder / f"bare-{pair}")
            through.append(first)
            bare.append(second)
            _log(
                f"platform {first.seconds:.1f} s, mAP50 {first.map50}; "
                f"bare {second.seconds:.1f} s, mAP50 {second.map50}"
            )
    ratio = statistics.median(one.seconds for one in bare) / (
        statistics.median(one.seconds for one in through) - FIXED_S
    )
    return {
        "benchmark": "overhead",
        "quick": quick,
        "machine": describe_machine(),
        "versions": {name: version(name) for name in _VERSIONS_OF},
        "workload": {"name": workload.name, "epochs": epochs, **workload.parameters},
        "platform_s": [one.seconds for one in through],
        "bare_s": [one.seconds for one in bare],
        "test_map50": {"platform": through[-1].map50, "bare": bare[-1].map50},
        "ratios": {f"speed/{workload.name}": ratio},
    }


def make_workload(folder: Path, *, quick: bool) -> Workload:
    if quick:
        make_sample_dataset(folder / "dataset", image_count=24, seed=1)
        parameters = {"image_size": 96, "batch_size": 4, "augmentation": "light"}
        return Workload("yolox-nano-tiny", folder / "dataset", None, "yolox-nano", parameters)
    parameters = {"image_size": 416, "batch_size": 8, "augmentation": "light"}
    checkpoint = SHARED / "weights" / "yolox_nano_coco_mmdet.pth"
    dataset = SHARED / "data" / "aquatrash"
    if checkpoint.is_file() and dataset.is_dir():
        return Workload("yolox-nano-aquatrash", dataset, checkpoint, "yolox-nano", parameters)
    make_sample_dataset(folder / "dataset")
    return Workload("yolox-nano-scenes", folder / "dataset", None, "yolox-nano", parameters)


@contextmanager
def work_in_background(raven_platform: Platform) -> Generator[None]:
    worker = BackgroundWorker(raven_platform)
    worker.start()
    try:
        yield
    finally:
        worker.stop()


@contextmanager
def open_session(workload: Workload) -> Generator[tuple[Platform, RavenClient]]:
    """The platform with a worker, and the workload's dataset and base model in it."""
    with open_platform() as (raven_platform, raven), work_in_background(raven_platform):
        _log(f"importing {workload.dataset}")
        raven.datasets.import_path(workload.dataset, name="dataset")
        if workload.checkpoint is not None:
            raven.models.import_path(workload.checkpoint, architecture=workload.architecture, name="base")
        yield raven_platform, raven


def run_platform(
    raven_platform: Platform,
    raven: RavenClient,
    workload: Workload,
    name: str,
    epochs: int,
    configuration: Path,
) -> Measured:
    """A run from scheduling to Success; its stored configuration is written to `configuration`."""
    created = raven.runs.create(
        name=name,
        dataset="dataset",
        base_model="base" if workload.checkpoint else workload.architecture,
        parameters={**workload.parameters, "epochs": epochs},
    )
    started = time.monotonic()
    raven.runs.schedule(created.name)
    run = raven.runs.wait(created.name)
    seconds = time.monotonic() - started
    if run.model is None:
        raise SystemExit(f"The run ended in {run.status}: {run.error}\n{raven.runs.logs(name).text[-3000:]}")
    model = raven_platform.trained_models.get_model(LOCAL_ADMINISTRATOR, run.model.name)
    stored = raven_platform.trained_models.open_configuration(LOCAL_ADMINISTRATOR, model.id)
    if stored is None:
        raise SystemExit("The trained model has no configuration.")
    configuration.write_bytes(_point_to_source(raven_platform, stored))
    figures = raven.models.get(run.model.name).test
    return Measured(seconds, figures.map50 if figures else None)


def run_bare(configuration: Path, folder: Path) -> Measured:
    """The same configuration in MMDetection's own loop, in a process of its own."""
    folder.mkdir()
    threads = str(psutil.cpu_count(logical=False) or 1)
    environment = {**os.environ, "OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads}
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", _BARE_TRAINING, str(configuration), str(folder)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    seconds = time.monotonic() - started
    if done.returncode:
        raise SystemExit(f"The bare training failed:\n{done.stdout[-3000:]}")
    metrics = json.loads((folder / "metrics.json").read_text())
    return Measured(seconds, metrics["coco/bbox_mAP_50"])


def _point_to_source(raven_platform: Platform, stored: Path) -> bytes:
    """The working folder that the stored configuration names is gone: lay its data out again."""
    configuration = json.loads(stored.read_bytes())
    folder = raven_platform.settings.home / "bare-data"
    if not folder.exists():
        version_id = raven_platform.datasets.get_version(LOCAL_ADMINISTRATOR, "dataset").id
        folder.mkdir()
        raven_platform.datasets.lay_out(LOCAL_ADMINISTRATOR, version_id, folder / "data")
    earlier = str(Path(configuration["train_dataloader"]["dataset"]["folder"]).parent)
    text = json.dumps(configuration)
    return text.replace(earlier, str(folder / "data")).encode()


def _find_epochs(
    raven_platform: Platform, raven: RavenClient, workload: Workload, folder: Path, least_s: float
) -> int:
    """How many epochs last so long, by a pilot; it also warms the file cache for both."""
    _log("pilot")
    configuration = folder / "pilot.json"
    run_platform(raven_platform, raven, workload, "pilot", _PILOT_EPOCHS, configuration)
    short = run_bare(configuration, folder / "pilot-bare")
    run_platform(raven_platform, raven, workload, "pilot-longer", 2 * _PILOT_EPOCHS, configuration)
    longer = run_bare(configuration, folder / "pilot-bare-longer")
    epoch_s = max(0.1, (longer.seconds - short.seconds) / _PILOT_EPOCHS)
    _log(f"an epoch takes {epoch_s:.1f} s")
    return max(_PILOT_EPOCHS, math.ceil(least_s * _MARGIN / epoch_s))


def describe_machine() -> dict[str, Any]:
    return {
        "system": platform.platform(),
        "processor": platform.processor() or platform.machine(),
        "cores": psutil.cpu_count(logical=False),
        "threads": psutil.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 2**30, 1),
        "python": platform.python_version(),
        "load_average": os.getloadavg(),
    }


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    parser.add_argument(
        "--quick", action="store_true", help="a small run on drawn images: shows that it works"
    )
    parser.add_argument(
        "--minutes", type=float, default=5.0, help="least length of a measured run (default 5)"
    )
    parser.add_argument("--pairs", type=int, default=1, help="how often each is measured (default 1)")
    return parser.parse_args()


def _log(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
