"""The architectures that the platform can build.

Nothing here imports torch or MMDetection: a configuration is named by its path in MMDetection's config folder.
"""

from dataclasses import dataclass
from enum import StrEnum


class StartingWeights(StrEnum):
    """What weights have learned from before a run starts on them."""

    RANDOM = "random"
    IMAGENET = "imagenet"
    COCO = "coco"


class Family(StrEnum):
    """Architectures that share their kind of head, input and optimiser settings."""

    RTMDET = "rtmdet"
    YOLOX = "yolox"
    FASTER_RCNN = "faster-rcnn"
    RETINANET = "retinanet"
    DINO = "dino"


class UnknownArchitectureError(Exception):
    """No architecture has this name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"There is no architecture {name!r}. There are: {', '.join(_BY_NAME)}.")
        self.name = name


@dataclass(frozen=True, slots=True)
class Architecture:
    """A detector that the platform can build.

    Attributes:
        name: as users write it, such as `rtmdet-tiny`.
        config: MMDetection's own configuration, a path in its config folder.
        starting_weights: what it starts from without a checkpoint.
        image_size: default side of the square input, pixels.
        image_size_min: the smallest side that it can be trained at.
        size_divisor: the input's side must be a multiple of it.
        frozen_stages: default count of frozen backbone stages when fine-tuning.
        frozen_stages_few_images: the same where the model has learned to detect and there are few training images.
        stages: how many backbone stages can be frozen; the stem is frozen with the first one.
        learning_rate: default peak learning rate on pretrained weights at batch size 8 (AdamW).
        learning_rate_from_random: the same on random weights.
        weight_decay: default weight decay.
        parameters_millions: trainable parameters with 80 classes.
        memory_mb: for the preflight: (fixed, per image of 640 x 640 in a batch) while training in float32, measured as
            the process's peak on a CPU; on a GPU the device needs less.
        pretrained: name in MMDetection's model index of its COCO checkpoint, or None.
    """

    name: str
    title: str
    family: Family
    config: str
    starting_weights: StartingWeights
    image_size: int
    image_size_min: int
    size_divisor: int
    frozen_stages: int
    frozen_stages_few_images: int
    stages: int
    learning_rate: float
    learning_rate_from_random: float
    weight_decay: float
    parameters_millions: float
    memory_mb: tuple[int, int]
    pretrained: str | None

    def estimate_memory_bytes(self, batch_size: int, image_size: int) -> int:
        """Memory that training in float32 takes on the device, in bytes: a rough figure for the preflight."""
        fixed_mb, per_image_mb = self.memory_mb
        return int((fixed_mb + per_image_mb * batch_size * (image_size / 640) ** 2) * 2**20)


def _rtmdet(
    size: str, *, parameters_millions: float, memory_mb: tuple[int, int], learning_rate: float
) -> Architecture:
    return Architecture(
        name=f"rtmdet-{size}",
        title=f"RTMDet {size}",
        family=Family.RTMDET,
        config=f"rtmdet/rtmdet_{size}_8xb32-300e_coco.py",
        starting_weights=StartingWeights.RANDOM,
        image_size=640,
        image_size_min=64,
        size_divisor=32,
        frozen_stages=0,
        frozen_stages_few_images=4,
        stages=4,
        learning_rate=learning_rate,
        learning_rate_from_random=1e-3,
        weight_decay=0.05,
        parameters_millions=parameters_millions,
        memory_mb=memory_mb,
        pretrained=f"rtmdet_{size}_8xb32-300e_coco",
    )


def _yolox(
    size: str,
    *,
    image_size: int,
    parameters_millions: float,
    memory_mb: tuple[int, int],
    pretrained: str | None,
) -> Architecture:
    return Architecture(
        name=f"yolox-{size}",
        title=f"YOLOX {size}",
        family=Family.YOLOX,
        config=f"yolox/yolox_{size}_8xb8-300e_coco.py",
        starting_weights=StartingWeights.RANDOM,
        image_size=image_size,
        image_size_min=64,
        size_divisor=32,
        frozen_stages=0,
        frozen_stages_few_images=4,
        stages=4,
        learning_rate=1e-3,
        learning_rate_from_random=1e-3,
        weight_decay=0.05,
        parameters_millions=parameters_millions,
        memory_mb=memory_mb,
        pretrained=pretrained,
    )


def _resnet(
    name: str,
    title: str,
    family: Family,
    config: str,
    *,
    parameters_millions: float,
    memory_mb: tuple[int, int],
    pretrained: str,
) -> Architecture:
    return Architecture(
        name=name,
        title=title,
        family=family,
        config=config,
        starting_weights=StartingWeights.RANDOM,
        image_size=800,
        # DINO picks 900 queries from the cells of its feature maps, and needs that many.
        image_size_min=224 if family is Family.DINO else 64,
        size_divisor=32,
        frozen_stages=1,
        frozen_stages_few_images=1,
        stages=4,
        learning_rate=1e-4,
        learning_rate_from_random=2e-4,
        weight_decay=1e-4 if family is Family.DINO else 0.05,
        parameters_millions=parameters_millions,
        memory_mb=memory_mb,
        pretrained=pretrained,
    )


_ARCHITECTURES = (
    Architecture(
        name="rtmdet-lite0",
        title="RTMDet head on EfficientNet-Lite0",
        family=Family.RTMDET,
        config="rtmdet/rtmdet_tiny_8xb32-300e_coco.py",
        starting_weights=StartingWeights.IMAGENET,
        image_size=416,
        image_size_min=64,
        size_divisor=32,
        frozen_stages=1,
        frozen_stages_few_images=1,
        stages=5,
        learning_rate=1e-3,
        learning_rate_from_random=1e-3,
        weight_decay=0.05,
        parameters_millions=4.5,
        memory_mb=(920, 800),
        pretrained=None,
    ),
    _rtmdet("tiny", parameters_millions=4.9, memory_mb=(930, 420), learning_rate=1e-3),
    _rtmdet("s", parameters_millions=8.9, memory_mb=(1000, 520), learning_rate=1e-3),
    _rtmdet("m", parameters_millions=24.7, memory_mb=(1260, 910), learning_rate=5e-4),
    _rtmdet("l", parameters_millions=52.3, memory_mb=(1720, 1420), learning_rate=5e-4),
    _yolox("nano", image_size=416, parameters_millions=0.9, memory_mb=(870, 380), pretrained=None),
    _yolox(
        "tiny",
        image_size=416,
        parameters_millions=5.1,
        memory_mb=(940, 490),
        pretrained="yolox_tiny_8x8_300e_coco",
    ),
    _yolox(
        "s",
        image_size=640,
        parameters_millions=9.0,
        memory_mb=(980, 640),
        pretrained="yolox_s_8x8_300e_coco",
    ),
    _resnet(
        "faster-rcnn-r50",
        "Faster R-CNN, ResNet-50",
        Family.FASTER_RCNN,
        "faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py",
        parameters_millions=41.8,
        memory_mb=(1680, 880),
        pretrained="faster-rcnn_r50_fpn_mstrain_3x_coco",
    ),
    _resnet(
        "faster-rcnn-r101",
        "Faster R-CNN, ResNet-101",
        Family.FASTER_RCNN,
        "faster_rcnn/faster-rcnn_r101_fpn_1x_coco.py",
        parameters_millions=60.8,
        memory_mb=(1950, 1200),
        pretrained="faster-rcnn_r101_fpn_ms-3x_coco",
    ),
    _resnet(
        "retinanet-r50",
        "RetinaNet, ResNet-50",
        Family.RETINANET,
        "retinanet/retinanet_r50_fpn_1x_coco.py",
        parameters_millions=38.0,
        memory_mb=(1480, 880),
        pretrained="retinanet_r50_fpn_ms-640-800-3x_coco",
    ),
    _resnet(
        "dino-r50",
        "DINO, ResNet-50",
        Family.DINO,
        "dino/dino-4scale_r50_8xb2-12e_coco.py",
        parameters_millions=47.8,
        memory_mb=(1600, 5500),
        pretrained="dino-4scale_r50_8xb2-12e_coco",
    ),
)

_BY_NAME = {architecture.name: architecture for architecture in _ARCHITECTURES}


def get_architecture(name: str) -> Architecture:
    """Raises UnknownArchitectureError where no architecture has this name."""
    try:
        return _BY_NAME[name]
    except KeyError:
        raise UnknownArchitectureError(name) from None


def list_architectures() -> tuple[Architecture, ...]:
    return _ARCHITECTURES
