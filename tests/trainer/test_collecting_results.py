"""What several ranks predicted comes together as one process would have it."""

import multiprocessing
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch
import torch.distributed

from raven_scan.trainer.command_line import end_process
from raven_scan.trainer.evaluation.coco_metric import RavenCocoMetric
from raven_scan.wire.spec import PartSpec

_FORK = multiprocessing.get_context("fork")


def predict(document: dict[str, Any], image: dict[str, Any]) -> dict[str, Any]:
    """The true boxes; of every other image moved, so that the figures are neither nought nor one."""
    boxes = [each["bbox"] for each in document["annotations"] if each["image_id"] == image["id"]]
    labels = [each["category_id"] for each in document["annotations"] if each["image_id"] == image["id"]]
    shift = 6.0 * (image["id"] % 2)
    corners = [[x + shift, y, x + w + shift, y + h] for x, y, w, h in boxes]
    return {
        "img_id": image["id"],
        "pred_instances": {
            "bboxes": torch.tensor(corners).reshape(-1, 4),
            "scores": torch.linspace(0.9, 0.1, len(boxes)) - image["id"] / 1000,
            "labels": torch.tensor([{7: 0, 11: 1}[label] for label in labels], dtype=torch.int64),
        },
    }


def measure(part: PartSpec, classes: list[str], rank: int, world_size: int) -> dict[str, float]:
    path = part.folder / "annotations_coco.json"
    document = msgspec.json.decode(path.read_bytes())
    metric = RavenCocoMetric(str(path))
    metric.dataset_meta = {"classes": classes}
    images = document["images"]
    # As MMEngine's sampler shares them out: in turn, and some twice until all shares are equally long.
    padded = (images * 2)[: -(-len(images) // world_size) * world_size]
    metric.process(None, [predict(document, image) for image in padded[rank::world_size]])
    return metric.evaluate(len(images))


def run_rank(part: PartSpec, classes: list[str], rank: int, port: int, results: Path) -> None:
    torch.distributed.init_process_group(
        "gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=2
    )
    figures = measure(part, classes, rank, 2)
    (results / str(rank)).write_bytes(msgspec.json.encode(figures))
    torch.distributed.barrier()
    end_process(0)


def test_two_ranks_find_the_figures_of_one(
    write_part_of: Callable[..., PartSpec], class_names: list[str], tmp_path: Path
):
    # An odd number of images: one is seen twice.
    part = write_part_of(tmp_path / "valid", 7, 4)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    ranks = [
        _FORK.Process(target=run_rank, args=(part, class_names, rank, port, tmp_path)) for rank in range(2)
    ]
    for rank in ranks:
        rank.start()
    for rank in ranks:
        rank.join(60)
        assert rank.exitcode == 0
    alone = measure(part, class_names, 0, 1)
    assert 0.1 < alone["coco/bbox_mAP"] < 0.9
    for rank in range(2):
        found = msgspec.json.decode((tmp_path / str(rank)).read_bytes())
        for name, value in alone.items():
            assert (found[name] is None) == (value != value), name  # noqa: PLR0124 - not a number
            if found[name] is not None:
                assert found[name] == pytest.approx(value, rel=1e-12), name
