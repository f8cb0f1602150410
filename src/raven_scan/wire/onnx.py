"""A model as ONNX: what the trainer is asked for, and what it tells of the file that it wrote.

An `OnnxReport` as JSON is the `onnx.json` beside a `model.onnx`: all that somebody needs to run it elsewhere.
"""

from pathlib import Path

import msgspec

from raven_scan.wire.spec import PartSpec


class ExportOnnxSpec(msgspec.Struct, frozen=True, kw_only=True):
    """Write a model as ONNX, and check that it finds what it finds in PyTorch.

    Attributes:
        configuration: the stored MMDetection configuration as JSON; None where there is none: it is then built from
            architecture and classes.
        weights: safetensors.
        part: whose images it is checked on; None for generated pictures.
        most_images: how many of the part are looked at, spread evenly over it.
        model: where to write the ONNX file.
    """

    architecture: str
    classes: list[str]
    configuration: Path | None
    weights: Path
    part: PartSpec | None
    most_images: int
    model: Path
    events: Path
    threads: int


class OnnxTensor(msgspec.Struct, frozen=True, kw_only=True):
    """An input or an output of the graph.

    Attributes:
        shape: a number, or the name of what the caller chooses or the images decide.
    """

    name: str
    dtype: str
    shape: list[int | str]
    meaning: str


class OnnxPreparation(msgspec.Struct, frozen=True, kw_only=True):
    """How an upright image becomes a row of the input. Normalisation is in the graph.

    Attributes:
        width, height: the input's sides that the model was trained at, pixels.
        size_multiple: other sides may be given, where they are multiples of this.
        channels: order of the colours.
        scale: the factor of both sides.
        scaled_size: width and height after it.
        interpolation: between pixels.
        padding: where the rest is filled.
        padding_value: with what, in each channel.
    """

    width: int
    height: int
    size_multiple: int
    channels: str = "RGB"
    scale: str = "min(width / image_width, height / image_height)"
    scaled_size: str = "floor(side * scale + 0.5)"
    interpolation: str = "bilinear, pixel centres aligned, no antialiasing"
    padding: str = "right and bottom"
    padding_value: list[int]


class OnnxSelection(msgspec.Struct, frozen=True, kw_only=True):
    """Which detections the graph gives.

    Attributes:
        min_score: of those that it gives.
        max_overlap: two detections of a class in an image overlap by no more (intersection over union).
        most_per_image: None where it gives all.
    """

    min_score: float
    max_overlap: float
    most_per_image: int | None


class OnnxTolerance(msgspec.Struct, frozen=True, kw_only=True):
    """What may differ.

    Attributes:
        box_px: a coordinate, in pixels of the input.
        score: a score.
        share: of the detections, as many may differ by more than that: where two boxes are nearly as good as each
            other, the last bit of a number decides which one stays.
    """

    box_px: float
    score: float
    share: float


class OnnxAgreement(msgspec.Struct, frozen=True, kw_only=True):
    """How ONNX Runtime and PyTorch agreed, both on the CPU, on the same pixels.

    A detection is paired with the one of its class in its image that overlaps it most, from 0.5 on, each with at most
    one.

    Attributes:
        images: `part` or `generated`.
        image_count: images that were looked at.
        images_in_part: of as many; None for generated ones.
        detection_count: PyTorch's and ONNX Runtime's together, from `min_score` on.
        unpaired_share: of them, those without a partner.
        beyond_share: those without one, and those whose partner differs by more than the tolerance.
        box_difference_px: the largest of a coordinate between partners, in pixels of the input.
        score_difference: the largest between partners.
    """

    images: str
    image_count: int
    images_in_part: int | None
    min_score: float
    detection_count: int
    unpaired_share: float
    beyond_share: float
    box_difference_px: float
    score_difference: float
    tolerance: OnnxTolerance


class OnnxReport(msgspec.Struct, frozen=True, kw_only=True):
    """A model as ONNX, and how it agreed with PyTorch.

    Attributes:
        format: of this document.
        opset: of ONNX's standard operators; no others are in the graph.
        classes: names in the order of the labels.
        versions: of what exported and checked it.
    """

    format: int = 1
    architecture: str
    classes: list[str]
    opset: int
    size_bytes: int
    input: OnnxTensor
    outputs: list[OnnxTensor]
    preparation: OnnxPreparation
    selection: OnnxSelection
    agreement: OnnxAgreement
    versions: dict[str, str]
