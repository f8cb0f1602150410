"""A model that is ready to detect: its network, and the transforms that its images go through."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from raven_scan.architectures.catalogue import get_architecture
from raven_scan.trainer.configuration import build_model_configuration
from raven_scan.trainer.configuration.pipelines import build_validation_pipeline
from raven_scan.trainer.data.transforms import build_transforms
from raven_scan.trainer.evaluation.collected_detections import read_detections
from raven_scan.trainer.loaded_network import load_network, read_stored_configuration
from raven_scan.trainer.prediction.image_loading import LoadedImage
from raven_scan.wire.onnx import ExportOnnxSpec
from raven_scan.wire.prediction import PredictedImage, PredictSpec

ModelSpec = PredictSpec | ExportOnnxSpec


@dataclass(frozen=True, slots=True)
class Detector:
    """Attributes:
    network: MMDetection's, with its weights, on its device.
    transforms: of an image that was read, as in evaluation.
    """

    network: Any
    transforms: list[Any]

    def predict(self, images: Sequence[LoadedImage], min_score: float) -> list[PredictedImage]:
        """Boxes of images, together in one batch; in the images' order."""
        batch = {
            "inputs": [image.sample["inputs"] for image in images],
            "data_samples": [image.sample["data_samples"] for image in images],
        }
        with torch.inference_mode():
            # Normalises, pads, predicts, scales boxes back to the source image.
            samples = self.network.test_step(batch)
        return [
            _describe(image, sample.to_dict(), min_score)
            for image, sample in zip(images, samples, strict=True)
        ]


def _describe(image: LoadedImage, sample: dict[str, Any], min_score: float) -> PredictedImage:
    boxes, scores, labels = read_detections(sample)
    kept = np.flatnonzero(scores >= min_score)
    kept = kept[np.argsort(-scores[kept], kind="stable")]
    return PredictedImage(
        index=image.index,
        width=image.width,
        height=image.height,
        exif_orientation=image.exif_orientation,
        boxes=boxes[kept].tolist(),
        scores=scores[kept].tolist(),
        labels=labels[kept].tolist(),
    )


def build_detector(spec: ModelSpec) -> Detector:
    """Raises TrainerError: `refused.configuration`, `refused.weights_*`."""
    configuration, pipeline = read_configuration(spec)
    network = load_network(configuration, spec.weights, spec.classes)
    return Detector(network, build_transforms(pipeline))


def read_configuration(spec: ModelSpec) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The configuration, and the transforms of its test images. Raises TrainerError: `refused.configuration`."""
    if spec.configuration is None:
        architecture = get_architecture(spec.architecture)
        built = build_model_configuration(architecture, len(spec.classes))
        return built, build_validation_pipeline(architecture.image_size)
    configuration = read_stored_configuration(spec.configuration)
    return configuration, configuration["test_dataloader"]["dataset"]["pipeline"]
