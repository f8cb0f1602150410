"""Transforms of the augmentation presets, and of validation."""

import math
from typing import Any, TypeAlias

from raven_scan.architectures.parameters import Augmentation

Transforms: TypeAlias = list[dict[str, Any]]

# The grey that YOLOX and RTMDet were trained with, and near the mean colour that the others subtract.
_PAD_VALUE = 114
MIN_BOX_SIDE_PX = 2
_MOSAIC_PROBABILITY = 0.5
# Mosaics look unlike any real image: the last part of a run goes without.
_MOSAIC_SHARE_OF_EPOCHS = 0.7

_META_KEYS = ["img_id", "img_path", "ori_shape", "img_shape", "scale_factor"]


# Smallest and largest scale of an image beside the one at which it fits.
_SCALES = {Augmentation.LIGHT: (0.8, 1.25), Augmentation.FULL: (0.6, 1.6)}


# Largest changes of hue, saturation and value; those of the full preset are MMDetection's own.
_COLOUR_DELTAS = {Augmentation.LIGHT: (5, 20, 20), Augmentation.FULL: (5, 30, 30)}


def get_largest_scale(augmentation: Augmentation) -> float:
    """How much larger than they fit, at most, training images are made."""
    return _SCALES.get(augmentation, (1.0, 1.0))[1]


def build_training_pipeline(augmentation: Augmentation, image_size: int) -> Transforms:
    """Transforms of a training sample, after loading and mosaic, up to the packed input of image_size squared."""
    if augmentation is Augmentation.OFF:
        return [*_fit(image_size), *_pack()]
    # Colour comes after the crop, where there are fewer pixels, and before padding, which stays as it is.
    if augmentation is Augmentation.LIGHT:
        return [
            {"type": "RandomFlip", "prob": 0.5, "direction": "horizontal"},
            *_jitter_scale(image_size, *_SCALES[augmentation]),
            {"type": "YOLOXHSVRandomAug", "hue_delta": 5, "saturation_delta": 20, "value_delta": 20},
            _pad(image_size),
            *_pack(),
        ]
    return [
        {"type": "RandomQuarterTurn"},
        {"type": "RandomFlip", "prob": 0.5, "direction": "horizontal"},
        *_jitter_scale(image_size, *_SCALES[augmentation]),
        {"type": "YOLOXHSVRandomAug"},
        _pad(image_size),
        *_pack(),
    ]


def build_mosaic_pipeline(augmentation: Augmentation, image_size: int, epochs: int) -> tuple[Transforms, int]:
    """Transforms that join four images, and the number of epochs, from the first, in which they are used.

    The mosaic of twice the side is scaled down again, so that objects come at half their size and smaller and the
    scale jitter brings some back.
    """
    if augmentation is not Augmentation.FULL:
        return [], 0
    mosaic = {
        "type": "Mosaic",
        "img_scale": [image_size, image_size],
        "pad_val": float(_PAD_VALUE),
        "prob": _MOSAIC_PROBABILITY,
    }
    return [mosaic], int(epochs * _MOSAIC_SHARE_OF_EPOCHS)


def build_fast_dataset(augmentation: Augmentation, image_size: int, epochs: int) -> dict[str, Any]:
    """What a training data set does with its images, for the same samples in less time.

    Images are decoded no larger than they are needed; beside that, samples are those of `build_training_pipeline` and
    `build_mosaic_pipeline` to the last bit.
    """
    needed_px = math.ceil(image_size * get_largest_scale(augmentation))
    meta_keys = [*_META_KEYS, "flip", "flip_direction"]
    packing = {"side": image_size, "pad_value": _PAD_VALUE, "min_box_side_px": MIN_BOX_SIDE_PX}
    if augmentation is Augmentation.OFF:
        return {
            "needed_px": needed_px,
            "fitted_px": image_size,
            "pipeline": [{"type": "PackFittedImage", **packing, "meta_keys": meta_keys}],
        }
    augment = {
        "type": "RavenAugmentation",
        **packing,
        "meta_keys": meta_keys,
        "scales": _SCALES[augmentation],
        "colour_deltas": _COLOUR_DELTAS[augmentation],
        "turns": augmentation is Augmentation.FULL,
    }
    dataset: dict[str, Any] = {"needed_px": needed_px, "pipeline": [augment]}
    if augmentation is Augmentation.FULL:
        mosaic = {"side": image_size, "pad_value": _PAD_VALUE, "probability": _MOSAIC_PROBABILITY}
        dataset["mosaic"] = [{"type": "RavenMosaic", **mosaic}]
        dataset["mosaic_epochs"] = int(epochs * _MOSAIC_SHARE_OF_EPOCHS)
    return dataset


def build_fast_validation_dataset(image_size: int) -> dict[str, Any]:
    """What a validation data set does with its images: samples of `build_validation_pipeline`, to the last bit."""
    packing = {"side": image_size, "pad_value": _PAD_VALUE, "meta_keys": _META_KEYS}
    return {"fitted_px": image_size, "pipeline": [{"type": "PackFittedImage", **packing}]}


def build_validation_pipeline(image_size: int) -> Transforms:
    """Transforms of a sample that is predicted on: the whole image, fit into image_size squared."""
    return [*_fit(image_size), {"type": "PackDetInputs", "meta_keys": _META_KEYS}]


def _fit(image_size: int) -> Transforms:
    size = [image_size, image_size]
    return [{"type": "Resize", "scale": size, "keep_ratio": True}, _pad(image_size)]


def _jitter_scale(image_size: int, smallest: float, largest: float) -> Transforms:
    size = [image_size, image_size]
    return [
        {"type": "RandomResize", "scale": size, "ratio_range": [smallest, largest], "keep_ratio": True},
        {"type": "RandomCrop", "crop_size": size, "allow_negative_crop": True},
    ]


def _pad(image_size: int) -> dict[str, Any]:
    return {"type": "Pad", "size": [image_size, image_size], "pad_val": {"img": [_PAD_VALUE] * 3}}


def _pack() -> Transforms:
    # Crops leave slivers of objects at the border. An image whose boxes are all gone is background, and stays.
    return [
        {"type": "FilterAnnotations", "min_gt_bbox_wh": [MIN_BOX_SIDE_PX] * 2, "keep_empty": False},
        {"type": "PackDetInputs", "meta_keys": [*_META_KEYS, "flip", "flip_direction"]},
    ]
