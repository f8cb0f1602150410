"""How images are prepared for a model, read from the transforms of its test images."""

from typing import Any

from raven_scan.trainer.failures import TrainerError
from raven_scan.wire.onnx import OnnxPreparation


def describe_preparation(pipeline: list[dict[str, Any]], size_multiple: int) -> OnnxPreparation:
    """The same as data.

    Args:
        pipeline: as `configuration.pipelines.build_validation_pipeline` builds it.
        size_multiple: of the input's sides.

    Raises:
        TrainerError: `refused.onnx_preparation`, where images are prepared in another way.
    """
    match pipeline:
        case [
            {"type": "Resize", "scale": [width, height], "keep_ratio": True, **resize},
            {"type": "Pad", "size": [padded_width, padded_height], "pad_val": {"img": value}, **pad},
            {"type": "PackDetInputs"},
        ] if (width, height) == (padded_width, padded_height) and not resize and not pad:
            return OnnxPreparation(
                width=width, height=height, size_multiple=size_multiple, padding_value=list(value)
            )
        case _:
            raise TrainerError(
                "refused.onnx_preparation",
                "The model's configuration prepares images in a way that cannot be told in onnx.json: "
                f"{', '.join(str(each.get('type')) for each in pipeline)}.",
                hint="Only models whose images are resized into a square and padded can be exported as ONNX.",
            )
