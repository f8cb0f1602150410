"""MMDetection alone, for `benchmarks/prediction.py`: its loop, and its `DetInferencer`, in processes of their own."""

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import psutil
from numpy.typing import NDArray

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
        boxes = []
        with torch.inference_mode():
            for batch in iterate():
                for sample in model.test_step(batch):
                    found = sample.pred_instances
                    kept = found.scores >= given["min_score"]
                    parts = found.bboxes[kept], found.scores[kept, None], found.labels[kept, None]
                    boxes.append(torch.cat(parts, dim=1).cpu().tolist())
        return boxes
    return loop

def make_inferencer():
    from mmdet.apis import DetInferencer
    inferencer = DetInferencer(config, given["checkpoint"], device=given["device"], show_progress=False)
    def loop():
        answer = inferencer(paths, batch_size=size, no_save_vis=True)
        return [
            [
                [*box, score, label]
                for box, score, label in zip(each["bboxes"], each["scores"], each["labels"])
                if score >= given["min_score"]
            ]
            for each in answer["predictions"]
        ]
    return loop

loop = make_inferencer() if given["kind"] == "inferencer" else make_loop()
print("ready", flush=True)
for _ in sys.stdin:
    started = time.monotonic()
    boxes = loop()
    print(json.dumps({"seconds": time.monotonic() - started, "boxes": boxes}), flush=True)
"""


@dataclass(frozen=True)
class Round:
    """What all images took once.

    Attributes:
        processor_s: of all processes that work on it.
        boxes: image by image (B, 6): x1 y1 x2 y2, score, label.
    """

    seconds: float
    processor_s: float
    boxes: list[NDArray[np.float64]]


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

    def measure(self) -> Round:
        assert self._popen.stdin is not None
        before = measure_processor_s(self._popen.pid)
        self._popen.stdin.write("\n")
        self._popen.stdin.flush()
        answer = json.loads(self._read_until("{"))
        boxes = [np.array(each, np.float64).reshape(-1, 6) for each in answer["boxes"]]
        return Round(answer["seconds"], measure_processor_s(self._popen.pid) - before, boxes)

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


def measure_processor_s(pid: int, mark: str = "") -> float:
    """Of a process and those that it started, where `mark` is in their command lines."""
    process = psutil.Process(pid)
    children = [each for each in process.children(recursive=True) if mark in " ".join(each.cmdline())]
    return sum(times.user + times.system for times in (each.cpu_times() for each in [process, *children]))
