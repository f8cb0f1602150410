"""How fast the platform trains, against MMDetection's own `tools/train.py`, and to what mAP.

Both sides get the same images, image size, batch, epochs, validations, checkpoints, evaluator and operators;
MMDetection has its own configuration of the architecture (its augmentation, optimiser, schedule), downloads cleared,
and its best of 0, 1 and 2 loader processes. They take turns. `images_per_s/ARCHITECTURE/DATASET` is the ratio that
counts: images trained on in a second of steady steps with one validation and one checkpoint, platform over
MMDetection. `same/...` is the same with MMDetection on the platform's own configuration, `acceleration` off: what is
gained by computing faster alone, augmentation and schedule left out.

With --quality it trains to the end instead, over seeds, and compares mAP50 on the test part.

What is done is kept in --folder: a run that was interrupted goes on there. Log on standard error; on standard output
a table, or one JSON object with --json.
"""

import argparse
import json
import statistics
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

from overhead import describe_machine
from training_quality import compare_quality
from training_running import (
    BATCH_SIZES,
    HERE,
    IMAGE_SIZE,
    PLANNED_EPOCHS,
    PROFILE_STEPS,
    TRIAL_STEPS,
    Records,
    Workload,
    make_workloads,
    run_platform,
    run_same,
    run_stock,
)

GOALS = {"rtmdet-tiny": 2.0, "yolox-nano": 2.0, "faster-rcnn-r50": 1.5, "rtmdet-lite0": 1.5}
_VERSIONS_OF = ("raven-scan", "torch", "torchvision", "onedl-mmdetection", "onedl-mmengine", "onedl-mmcv")


def main() -> None:
    arguments = parse_arguments()
    folder: Path = arguments.folder
    folder.mkdir(parents=True, exist_ok=True)
    records = Records(folder / "records.jsonl")
    workloads = list(make_workloads(folder, arguments.only, quick=arguments.quick))
    if arguments.quality:
        result = compare_quality(
            workloads,
            records,
            folder,
            sides=arguments.sides,
            seeds=arguments.seeds,
            epochs=arguments.epochs,
        )
    else:
        result = measure_speed(
            workloads,
            records,
            folder,
            pairs=arguments.pairs,
            quick=arguments.quick,
            compares_same=arguments.same,
        )
    result = {
        "benchmark": "training",
        "date": time.strftime("%Y-%m-%d"),
        "machine": describe_machine(),
        "versions": {name: version(name) for name in _VERSIONS_OF},
        **result,
    }
    if arguments.json:
        print(json.dumps(result))
    else:
        print_table(result)


def measure_speed(
    workloads: list[Workload], records: Records, folder: Path, *, pairs: int, quick: bool, compares_same: bool
) -> dict[str, Any]:
    ratios: dict[str, float] = {}
    details: dict[str, Any] = {}
    for workload in workloads:
        processes = _find_best_processes(workload, records, folder, quick=quick)
        platform: list[dict[str, Any]] = []
        stock: list[dict[str, Any]] = []
        same: list[dict[str, Any]] = []
        for pair in range(pairs):
            key = f"{workload.name}/pair-{pair}"
            platform.append(records.find_or_measure(f"{key}/platform", run_platform, workload, folder))
            stock.append(records.find_or_measure(f"{key}/stock", run_stock, workload, folder, processes))
            if compares_same:
                same.append(records.find_or_measure(f"{key}/same", run_same, workload, folder, processes))
        ratios[f"images_per_s/{workload.name}"] = _compare(platform, stock)
        if same:
            ratios[f"same/{workload.name}"] = _compare(platform, same)
        details[workload.name] = {
            "loader_processes_of_stock": processes,
            "platform": _take_medians(platform),
            "stock": _take_medians(stock),
            "same": _take_medians(same) if same else None,
            "ratio_by_pair": [
                one["images_per_s"] / other["images_per_s"]
                for one, other in zip(platform, stock, strict=True)
            ],
        }
        if not quick:
            details[workload.name]["parts"] = {
                side: records.find_or_measure(
                    f"{workload.name}/parts/{side}",
                    profile,
                    workload,
                    folder,
                    side,
                    processes,
                )
                for side in ("platform", "stock")
            }
    return {"ratios": ratios, "workloads": details}


def profile(workload: Workload, folder: Path, side: str, processes: int) -> dict[str, float]:
    """Seconds a step, by part; with what measuring it costs."""
    marks = {"RAVEN_TRAINING_PARTS": "1", "RAVEN_TRAINING_STEPS": str(PROFILE_STEPS)}
    if side == "stock":
        return run_stock(workload, folder, processes, marks=marks)["parts"]
    return run_platform(workload, folder, marks=marks)["parts"]


def _find_best_processes(workload: Workload, records: Records, folder: Path, *, quick: bool) -> int:
    """How many loader processes suit MMDetection's side best: 0, 1 or 2."""
    marks = {"RAVEN_TRAINING_STEPS": str(TRIAL_STEPS)}
    speeds = {
        processes: records.find_or_measure(
            f"{workload.name}/trial/{processes}",
            run_stock,
            workload,
            folder,
            processes,
            marks=marks,
        )["images_per_s"]
        for processes in ((0, 2) if quick else (0, 1, 2))
    }
    return max(speeds, key=lambda processes: speeds[processes])


def _compare(ours: list[dict[str, Any]], theirs: list[dict[str, Any]]) -> float:
    """The median over pairs of the ratio of images a second."""
    return statistics.median(
        one["images_per_s"] / other["images_per_s"] for one, other in zip(ours, theirs, strict=True)
    )


def _take_medians(runs: list[dict[str, Any]]) -> dict[str, Any]:
    names = ("images_per_s", "step_s", "after_last_step_s", "first_step_after_s", "peak_memory_mb")
    medians: dict[str, Any] = {name: statistics.median(run[name] for run in runs) for name in names}
    return {**medians, "arithmetic": runs[0]["arithmetic"], "steady_steps": runs[0]["steady_steps"]}


def print_table(result: dict[str, Any]) -> None:
    print(f"{result['date']}, {result['machine']['processor']}, {result['machine']['cores']} cores")
    for name, ratio in result["ratios"].items():
        kind, architecture = name.split("/")[:2]
        goal = f"at least {GOALS[architecture]} asked for" if kind == "images_per_s" else ""
        print(f"{name:<44} {ratio:8.3f}   {goal}")
    for name, workload in result.get("workloads", {}).items():
        print(f"\n{name}, batch {BATCH_SIZES.get(name.split('/')[0], 8)}, {IMAGE_SIZE} px")
        for side in ("platform", "stock", "same"):
            medians = workload[side]
            if medians is None:
                continue
            print(
                f"  {side:<9} {medians['images_per_s']:7.2f} images/s  step {medians['step_s']:.3f} s  validation and "
                f"checkpoint {medians['after_last_step_s']:.2f} s  first step after "
                f"{medians['first_step_after_s']:.1f} s  {medians['peak_memory_mb']:.0f} MB  "
                f"{medians['arithmetic'] or ''}"
            )
        for side, parts in workload.get("parts", {}).items():
            print(f"  parts of a step, {side}: " + ", ".join(f"{part} {s:.3f}" for part, s in parts.items()))
    for name, quality in result.get("quality", {}).items():
        print(f"\n{name}: {json.dumps(quality)}")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    parser.add_argument("--quick", action="store_true", help="rtmdet-tiny on the demo's scenes, one pair")
    parser.add_argument(
        "--only", action="append", default=[], help="an architecture, a dataset, or both: a/b"
    )
    parser.add_argument("--pairs", type=int, default=None, help="how often each is measured (default 3)")
    parser.add_argument(
        "--same", action="store_true", help="also MMDetection on the platform's own configuration"
    )
    parser.add_argument("--quality", action="store_true", help="train to the end, and compare mAP50")
    parser.add_argument("--seeds", type=int, default=3, help="of --quality (default 3)")
    parser.add_argument(
        "--sides", nargs="+", default=["platform", "plain", "stock"], help="of --quality (default all)"
    )
    parser.add_argument("--epochs", type=int, default=PLANNED_EPOCHS, help="of --quality (default 20)")
    parser.add_argument(
        "--folder", type=Path, default=HERE.parent / "build" / "training-benchmark", help="kept for going on"
    )
    arguments = parser.parse_args()
    if arguments.pairs is None:
        arguments.pairs = 1 if arguments.quick else 3
    arguments.folder = arguments.folder.resolve()
    return arguments


if __name__ == "__main__":
    main()
