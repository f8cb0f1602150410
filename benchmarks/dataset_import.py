"""What an import costs: against the plain loop that a careful user would write.

Platform: `DatasetService.import_version`: JSON decoded and every record checked, every image decoded, its digest
taken, copied into the blob store and flushed, two Parquet tables, rows in PostgreSQL. Plain: `json.load`,
pycocotools' index, and Pillow decoding every image once; it stores nothing. Also measured: reading and checking the
annotations alone, and laying a version out for a run against copying the folder.

Each measurement is a process of its own, and the two take turns. A ratio is plain over platform (seconds, or the
growth of peak memory): above 1 the platform is better. Log on standard error; on standard output a table, or one
JSON object with --json.
"""

import argparse
import io
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from PIL import Image

_PART_SHARES = {"train": 0.7, "valid": 0.15, "test": 0.15}
_CLASSES = ("bottle", "can", "tyre", "film", "rubble")
_VERSIONS_OF = ("raven-scan", "msgspec", "numpy", "opencv-python-headless", "pillow", "polars", "pycocotools")
_WIDTH, _HEIGHT = 320, 240


def main() -> None:
    arguments = _parse_arguments()
    if arguments.measure is not None:
        name, source, home = arguments.measure
        print(json.dumps(_MEASUREMENTS[name](Path(source), Path(home))))
        return
    image_count, box_count, rounds = (300, 60_000, 1) if arguments.quick else (2_000, 500_000, 3)
    with tempfile.TemporaryDirectory(prefix="raven-import-") as folder:
        source = Path(folder) / "source"
        _log(f"Drawing {image_count} images with {box_count} boxes.")
        make_source(source, image_count, box_count)
        result = compare(Path(folder), source, rounds)
    if arguments.json:
        print(json.dumps(result))
        return
    for name, ratio in result["ratios"].items():
        print(f"{name:32} {ratio:8.2f}")
    print(f"{result['machine']}; {', '.join(f'{key} {value}' for key, value in result['versions'].items())}")


def make_source(folder: Path, image_count: int, box_count: int) -> None:
    """A COCO dataset of smooth noise, boxes evenly over the images."""
    rng = np.random.default_rng(7)
    first = 0
    for part, share in _PART_SHARES.items():
        (folder / part).mkdir(parents=True)
        count = round(image_count * share)
        boxes = round(box_count * share)
        images: list[dict[str, Any]] = [
            {"id": n + 1, "file_name": f"{first + n:06}.jpg", "width": _WIDTH, "height": _HEIGHT}
            for n in range(count)
        ]
        for image in images:
            coarse = rng.integers(0, 255, (_HEIGHT // 8, _WIDTH // 8, 3), dtype=np.uint8)
            file = io.BytesIO()
            Image.fromarray(coarse).resize((_WIDTH, _HEIGHT)).save(file, "JPEG", quality=90)
            (folder / part / image["file_name"]).write_bytes(file.getvalue())
        corners = rng.uniform(0, (_WIDTH - 60, _HEIGHT - 60), (boxes, 2)).round(2)
        sizes = rng.uniform(2, 59, (boxes, 2)).round(2)
        annotations = [
            {
                "id": n + 1,
                "image_id": n % count + 1,
                "category_id": n % len(_CLASSES) + 1,
                "bbox": [x, y, width, height],
                "area": width * height,
                "iscrowd": 0,
                "segmentation": [[x, y, x + width, y, x + width, y + height]],
            }
            for n, ((x, y), (width, height)) in enumerate(zip(corners.tolist(), sizes.tolist(), strict=True))
        ]
        categories = [{"id": n, "name": name} for n, name in enumerate(_CLASSES, 1)]
        coco = {"images": images, "annotations": annotations, "categories": categories}
        (folder / part / "annotations_coco.json").write_text(json.dumps(coco))
        first += count


def compare(folder: Path, source: Path, rounds: int) -> dict[str, Any]:
    found: dict[str, list[dict[str, float]]] = {name: [] for name in _MEASUREMENTS}
    for turn in range(rounds):
        for name in _MEASUREMENTS:
            home = folder / f"{name}-{turn}"
            command = [sys.executable, __file__, "--measure", name, str(source), str(home)]
            answer = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
            found[name].append(json.loads(answer))
            _log(f"{name}: {answer.strip()}")
            shutil.rmtree(home, ignore_errors=True)
    median = {
        (name, measure): statistics.median(values[measure] for values in found[name])
        for name in found
        for measure in found[name][0]
    }
    pairs = {
        "time/import": ("plain", "import", "seconds"),
        "memory/import": ("plain", "import", "peak_bytes"),
        "time/annotations": ("plain", "annotations", "annotations_seconds"),
        "time/layout": ("plain", "import", "layout_seconds"),
        "disk/layout": ("plain", "import", "layout_bytes"),
    }
    return {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {psutil.virtual_memory().total >> 30} GiB",
        "versions": {"python": platform.python_version(), **{name: version(name) for name in _VERSIONS_OF}},
        "ratios": {
            key: round(median[plain, measure] / median[ours, measure], 3)
            for key, (plain, ours, measure) in pairs.items()
        },
    }


def _measure_plain(source: Path, home: Path) -> dict[str, float]:
    from pycocotools.coco import COCO  # noqa: PLC0415 - what one measurement needs, another must not pay for

    home.mkdir()
    before_bytes = _find_peak_bytes()
    started = time.perf_counter()
    annotations_seconds = 0.0
    for part in _PART_SHARES:
        before = time.perf_counter()
        coco = COCO()
        with (source / part / "annotations_coco.json").open() as file:
            coco.dataset = json.load(file)
        sys.stdout, printed = io.StringIO(), sys.stdout
        coco.createIndex()
        sys.stdout = printed
        annotations_seconds += time.perf_counter() - before
        for image in coco.dataset["images"]:
            with Image.open(source / part / image["file_name"]) as opened:
                opened.load()
                assert opened.size == (image["width"], image["height"])
    seconds = time.perf_counter() - started
    peak_bytes = _find_peak_bytes() - before_bytes
    started = time.perf_counter()
    shutil.copytree(source, home / "copy")
    return {
        "seconds": seconds,
        "annotations_seconds": annotations_seconds,
        "peak_bytes": peak_bytes,
        "layout_seconds": time.perf_counter() - started,
        "layout_bytes": _count_bytes(home / "copy"),
    }


def _measure_annotations(source: Path, home: Path) -> dict[str, float]:
    from raven_scan.datasets.annotated_part import read_part  # noqa: PLC0415
    from raven_scan.datasets.problems import ProblemReport  # noqa: PLC0415
    from raven_scan.datasets.source_folder import find_source_parts  # noqa: PLC0415

    del home
    report = ProblemReport()
    started = time.perf_counter()
    for part in find_source_parts(source, report):
        read_part(part, report)
    seconds = time.perf_counter() - started
    report.refuse()
    return {"annotations_seconds": seconds}


def _measure_import(source: Path, home: Path) -> dict[str, float]:
    from raven_scan.access.types import LOCAL_ADMINISTRATOR  # noqa: PLC0415
    from raven_scan.app.wiring import build_platform  # noqa: PLC0415
    from raven_scan.datasets.types import ImportOptions  # noqa: PLC0415
    from raven_scan.kernel.settings import Settings  # noqa: PLC0415

    # The platform imports these when it needs them; the plain loop has its imports behind it too.
    for name in ("importing", "layout"):
        import_module(f"raven_scan.datasets.{name}")
    with build_platform(Settings(home=home)) as platform_:
        before = _find_peak_bytes()
        started = time.perf_counter()
        made = platform_.datasets.import_version(LOCAL_ADMINISTRATOR, source, ImportOptions(name="measured"))
        seconds = time.perf_counter() - started
        peak_bytes = _find_peak_bytes() - before
        started = time.perf_counter()
        platform_.datasets.lay_out(LOCAL_ADMINISTRATOR, made.id, home / "layout")
        return {
            "seconds": seconds,
            "peak_bytes": peak_bytes,
            "layout_seconds": time.perf_counter() - started,
            "layout_bytes": _count_bytes(home / "layout"),
        }


_MEASUREMENTS: dict[str, Callable[[Path, Path], dict[str, float]]] = {
    "plain": _measure_plain,
    "annotations": _measure_annotations,
    "import": _measure_import,
}


def _count_bytes(folder: Path) -> int:
    """On the disk; a link is its own size, not its target's."""
    return sum(path.lstat().st_size for path in folder.rglob("*") if not path.is_dir())


def _find_peak_bytes() -> int:
    """Since this program began: getrusage would count what its parent had before."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split(maxsplit=1)[0]) * 1024


def _log(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="What an import costs against a plain loop.")
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    parser.add_argument("--quick", action="store_true", help="a smaller form that ends within a minute")
    parser.add_argument("--measure", nargs=3, help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
