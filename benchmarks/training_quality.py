"""Whether the platform's faster training reaches the same mAP: `training.py --quality`.

Three sides train to the end, over seeds: the platform as it is; `plain`, the platform's configuration with
MMDetection's own arithmetic (float32, `acceleration` off); and `stock`, MMDetection's own configuration. Each one's
best weights are evaluated on the test part by the platform's evaluation, in float32, on the same pixels.

Not inferior: the lower 95 % bound of the platform's test mAP50 less the other side's is at least -0.02, by drawing
seeds and images anew, the same images for both. It is judged where the other side reaches 0.4.
"""

import json
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from raven_scan.architectures.catalogue import get_architecture
from raven_scan.figures.comparison import Contender
from raven_scan.figures.matches import read_matches
from raven_scan.wire.spec import EvaluateSpec
from training_running import (
    HERE,
    IMAGE_SIZE,
    WEIGHTS,
    Records,
    Workload,
    make_spec,
    run_tools_train,
    watch,
    write_spec,
)
from training_stock import build_stock_configuration

LEAST_DIFFERENCE = -0.02
JUDGED_FROM = 0.4
RESAMPLES = 2000
# Of whichever mAP50 on the valid part it takes how long to reach.
REACHED = 0.5
_PLAIN = {"precision": "float32", "memory_format": "contiguous", "acceleration": "off"}


def compare_quality(
    workloads: list[Workload], records: Records, folder: Path, *, sides: list[str], seeds: int, epochs: int
) -> dict[str, Any]:
    quality: dict[str, Any] = {}
    for workload in workloads:
        runs: dict[str, list[dict[str, Any]]] = {side: [] for side in sides}
        for seed in range(seeds):
            for side in sides:
                key = f"quality/{workload.name}/{epochs}/{side}/{seed}"
                runs[side].append(
                    records.find_or_measure(
                        key,
                        _train_and_test,
                        workload,
                        folder,
                        folder / key,
                        side,
                        seed,
                        epochs,
                    )
                )
        quality[workload.name] = {
            "epochs": epochs,
            "sides": {side: _summarise(of_side) for side, of_side in runs.items()},
            "not_inferior": {
                side: _judge(runs["platform"], of_side)
                for side, of_side in runs.items()
                if side != "platform" and "platform" in runs
            },
        }
    return {"ratios": {}, "quality": quality}


def _train_and_test(
    workload: Workload, folder: Path, kept: Path, side: str, seed: int, epochs: int
) -> dict[str, Any]:
    work = folder / "work"
    shutil.rmtree(work, ignore_errors=True)
    trained = (
        _train_stock(workload, work, seed, epochs)
        if side == "stock"
        else _train_here(workload, folder, work, side, seed, epochs)
    )
    kept.mkdir(parents=True, exist_ok=True)
    matches = kept / "matches.safetensors"
    _evaluate(workload, trained["weights"], _write_configuration(workload, folder), matches, kept)
    contender = Contender(read_matches(matches), "map50", None, seed=0)
    return {
        "test_map50": contender.value,
        "seconds": trained["seconds"],
        "valid": trained["valid"],
        "matches": str(matches),
    }


def _train_here(
    workload: Workload, folder: Path, work: Path, side: str, seed: int, epochs: int
) -> dict[str, Any]:
    parameters = {"epochs": epochs, "seed": seed, **(_PLAIN if side == "plain" else {})}
    spec = write_spec(workload, work, folder, parameters)
    started = time.time()
    watch([sys.executable, str(HERE / "training_trainer.py"), "train", str(spec)], work, {}, ends_at="end")
    valid = _read_marks(work, started)
    return {"weights": work / "out" / "weights.safetensors", "seconds": time.time() - started, "valid": valid}


def _train_stock(workload: Workload, work: Path, seed: int, epochs: int) -> dict[str, Any]:
    work.mkdir(parents=True)
    configuration = build_stock_configuration(
        get_architecture(workload.architecture),
        workload.parts,
        workload.classes,
        image_size=IMAGE_SIZE,
        batch_size=workload.batch_size,
        epochs=epochs,
        validation_interval=1,
        loader_processes=0,
        weights=WEIGHTS if workload.weights else None,
        seed=seed,
        folder=work / "out",
    )
    configuration.dump(str(work / "configuration.py"))
    started = time.time()
    run_tools_train(work / "configuration.py", work, {})
    seconds = time.time() - started
    # The best by mAP, with averaged weights where it averages.
    import torch  # noqa: PLC0415
    from safetensors.torch import save_file  # noqa: PLC0415

    (best,) = (work / "out").glob("best_coco_bbox_mAP_epoch_*.pth")
    state = torch.load(best, map_location="cpu", weights_only=False)["state_dict"]  # written just now, here
    weights = work / "weights.safetensors"
    save_file({name: tensor.clone().contiguous() for name, tensor in state.items()}, weights)
    return {"weights": weights, "seconds": seconds, "valid": _read_marks(work, started)}


def _read_marks(work: Path, started: float) -> list[tuple[float, float]]:
    told = [json.loads(line) for line in (work / "marks.jsonl").read_text().splitlines()]
    return [(each["at"] - started, each["map50"]) for each in told if each["mark"] == "validated"]


def _write_configuration(workload: Workload, folder: Path) -> Path:
    """What evaluates all sides: the platform's configuration of the model, at the benchmark's size."""
    from raven_scan.trainer.operators import install  # noqa: PLC0415 - imports torch

    install()
    from raven_scan.trainer.configuration import build_configuration, encode_configuration  # noqa: PLC0415

    spec = make_spec(workload, folder / "evaluation", folder, {"epochs": 1, "warmup_epochs": 0})
    path = folder / "evaluation" / "configuration.json"
    path.write_bytes(encode_configuration(build_configuration(spec)))
    return path


def _evaluate(workload: Workload, weights: Path, configuration: Path, matches: Path, kept: Path) -> None:
    spec = EvaluateSpec(
        architecture=workload.architecture,
        classes=workload.classes,
        configuration=configuration,
        weights=weights,
        part=workload.describe("test"),
        predictions=kept / "predictions.json",
        events=kept / "events.jsonl",
        device="cpu",
        threads=2,
        batch_size=8,
        matches=matches,
    )
    path = kept / "spec.json"
    path.write_bytes(msgspec.json.encode(spec, enc_hook=str))
    subprocess.run(
        [sys.executable, "-m", "raven_scan.trainer", "evaluate", str(path)], check=True, capture_output=True
    )


def _summarise(runs: list[dict[str, Any]]) -> dict[str, Any]:
    reached = [next((seconds for seconds, map50 in run["valid"] if map50 >= REACHED), None) for run in runs]
    return {
        "test_map50": [round(run["test_map50"] or 0.0, 4) for run in runs],
        "mean": round(statistics.mean(run["test_map50"] or 0.0 for run in runs), 4),
        "seconds": [round(run["seconds"], 1) for run in runs],
        f"seconds_to_valid_map50_{REACHED}": reached,
    }


def _judge(ours: list[dict[str, Any]], theirs: list[dict[str, Any]]) -> dict[str, Any]:
    """The difference of mean test mAP50, with its 95 % interval over seeds and images."""
    difference = _mean(ours) - _mean(theirs)
    resampled = [
        np.stack(
            [
                Contender(
                    read_matches(Path(run["matches"])), "map50", None, seed=0, resamples=RESAMPLES
                ).resampled
                for run in runs
            ]
        )
        for runs in (ours, theirs)
    ]
    count = min(each.shape[1] for each in resampled)
    random = np.random.default_rng(0)
    drawn = [
        np.take_along_axis(each[:, :count], random.integers(0, len(each), (len(each), count)), axis=0).mean(0)
        for each in resampled
    ]
    low, high = np.percentile(drawn[0] - drawn[1], [2.5, 97.5])
    is_judged = _mean(theirs) >= JUDGED_FROM
    return {
        "difference": round(difference, 4),
        "low": round(float(low), 4),
        "high": round(float(high), 4),
        "not_inferior": bool(low >= LEAST_DIFFERENCE) if is_judged else None,
    }


def _mean(runs: list[dict[str, Any]]) -> float:
    return statistics.mean(run["test_map50"] or 0.0 for run in runs)
