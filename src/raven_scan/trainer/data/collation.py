"""Samples as a batch: one tensor of pixels, and few arrays where it is handed from one process to another."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from mmdet.structures import DetDataSample
from mmengine.registry import FUNCTIONS
from mmengine.structures import InstanceData
from numpy.typing import NDArray
from torch.utils.data import get_worker_info

from raven_scan.trainer.data.packing import make_instances

_Boxes = tuple[NDArray[np.float32], NDArray[np.int64], list[int]]


class Batch(dict[str, Any]):
    """`inputs`, uint8 (N, 3, H, W), and `data_samples`, as MMDetection's models take them.

    Between processes it travels as pixels in shared memory and the boxes of all samples in a few arrays: each tensor by
    itself would take a file in shared memory, and a connection to hand it over. What arrives is a plain dict.
    """

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        samples: list[DetDataSample] = self["data_samples"]
        return _unpack_batch, (
            self["inputs"],
            [sample.metainfo for sample in samples],
            _join_boxes([sample.gt_instances for sample in samples]),
            _join_boxes([sample.ignored_instances for sample in samples]),
        )


@FUNCTIONS.register_module()
def collate_batch(samples: Sequence[dict[str, Any]]) -> Batch:
    """Stack samples whose pixels are of one size."""
    images: list[torch.Tensor] = [sample["inputs"] for sample in samples]
    stacked = None
    if get_worker_info() is not None:
        # Right where it is handed over from.
        size = sum(image.numel() for image in images)
        storage = torch.UntypedStorage._new_shared(size)  # noqa: SLF001 - as torch's own collation does  # pyright: ignore[reportPrivateUsage]
        stacked = torch.empty(0, dtype=torch.uint8).set_(storage).view(len(images), *images[0].shape)
    pixels = torch.stack(images, out=stacked)
    return Batch(inputs=pixels, data_samples=[sample["data_samples"] for sample in samples])


def _join_boxes(instances: list[Any]) -> _Boxes:
    boxes = [each.bboxes.tensor.numpy() for each in instances]
    labels = [each.labels.numpy() for each in instances]
    return np.concatenate(boxes), np.concatenate(labels), [len(each) for each in labels]


def _separate_boxes(joined: _Boxes) -> list[InstanceData]:
    boxes, labels, counts = joined
    ends = np.cumsum(counts).tolist()
    return [
        make_instances(boxes, labels, slice(end - count, end))
        for end, count in zip(ends, counts, strict=True)
    ]


def _unpack_batch(
    pixels: torch.Tensor, metainfo: list[dict[str, Any]], boxes: _Boxes, ignored: _Boxes
) -> dict[str, Any]:
    samples: list[DetDataSample] = []
    for facts, found, left_out in zip(
        metainfo, _separate_boxes(boxes), _separate_boxes(ignored), strict=True
    ):
        sample = DetDataSample(metainfo=facts)
        sample.gt_instances = found
        sample.ignored_instances = left_out
        samples.append(sample)
    return {"inputs": pixels, "data_samples": samples}
