"""From PyTorch to a file of ONNX's standard operators."""

import warnings
from pathlib import Path
from typing import Any

import torch

from raven_scan.trainer.export.detectors import ExportableDetector
from raven_scan.wire.onnx import OnnxTensor

# RoiAlign knows of pixel centres from 16 on; what is newer fewer runtimes read.
OPSET = 17
INPUT = OnnxTensor(
    name="images",
    dtype="uint8",
    shape=["batch", "height", "width", 3],
    meaning="images as they are decoded, prepared as `preparation` says",
)
OUTPUTS = [
    OnnxTensor(
        name="boxes",
        dtype="float32",
        shape=["detections", 4],
        meaning="x1 y1 x2 y2 in pixels of the input; image by image, best score first",
    ),
    OnnxTensor(name="scores", dtype="float32", shape=["detections"], meaning="0 to 1"),
    OnnxTensor(name="labels", dtype="int64", shape=["detections"], meaning="place in `classes`, from 0"),
    OnnxTensor(
        name="image_indices", dtype="int64", shape=["detections"], meaning="which image of the batch, from 0"
    ),
]
# Small, and of no size that anybody would ask for: what the tracer took for a constant shows in the check.
_EXAMPLE_SHAPE = (2, 64, 96, 3)


def write_graph(detector: ExportableDetector, path: Path) -> None:
    """Write the detector as ONNX, for any batch and image size.

    Raises:
        torch.onnx.errors.OnnxExporterError: it has an operation that ONNX has no standard operator for.
    """
    pixels = torch.randint(256, _EXAMPLE_SHAPE, dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    axes = {each.name: _name_axes(each) for each in (INPUT, *OUTPUTS)}
    with torch.inference_mode(), warnings.catch_warnings():
        # The exporter is torch's older one (docs/decisions/0155-traced-to-onnx.md), and its tracer warns of whatever
        # might become a constant; whether something did is looked at in the check.
        warnings.simplefilter("ignore")
        export: Any = torch.onnx.export
        export(
            detector,
            (pixels,),
            str(path),
            dynamo=False,
            opset_version=OPSET,
            input_names=[INPUT.name],
            output_names=[each.name for each in OUTPUTS],
            dynamic_axes=axes,
        )


def _name_axes(tensor: OnnxTensor) -> dict[int, str]:
    return {axis: side for axis, side in enumerate(tensor.shape) if isinstance(side, str)}
