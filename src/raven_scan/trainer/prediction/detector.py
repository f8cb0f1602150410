"""A model that is ready to detect: its network, and the transforms that its images go through."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import torch
from mmengine.config import ConfigDict
from mmengine.device import get_device
from mmengine.registry import MODELS, init_default_scope

from raven_scan.architectures.catalogue import get_architecture
from raven_scan.trainer.configuration import build_model_configuration
from raven_scan.trainer.configuration.pipelines import build_validation_pipeline
from raven_scan.trainer.data.transforms import build_transforms
from raven_scan.trainer.evaluation.coco_metric import convert_to_coco_results
from raven_scan.trainer.failures import TrainerError
from raven_scan.trainer.prediction.image_loading import LoadedImage
from raven_scan.trainer.registration import register_parts
from raven_scan.trainer.weights import count_classes
from raven_scan.trainer.weights_file import load_strictly, read_weights
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
    class_count: int

    def predict(self, images: Sequence[LoadedImage], min_score: float) -> list[PredictedImage]:
        """Boxes of images, together in one batch; in the images' order."""
        batch = {
            "inputs": [image.sample["inputs"] for image in images],
            "data_samples": [image.sample["data_samples"] for image in images],
        }
        with torch.inference_mode():
            # Normalises, pads, predicts, scales boxes back to the source image.
            samples = self.network.test_step(batch)
        return [self._describe(*each, min_score) for each in zip(images, samples, strict=True)]

    def _describe(self, image: LoadedImage, sample: Any, min_score: float) -> PredictedImage:
        found = convert_to_coco_results(sample.to_dict(), range(self.class_count))
        found = [box for box in found if box["score"] >= min_score]
        found.sort(key=lambda box: -box["score"])
        return PredictedImage(
            index=image.index,
            width=image.width,
            height=image.height,
            exif_orientation=image.exif_orientation,
            boxes=[box["bbox"] for box in found],
            scores=[box["score"] for box in found],
            labels=[box["category_id"] for box in found],
        )


def build_detector(spec: ModelSpec) -> Detector:
    """Raises TrainerError: `refused.configuration`, `refused.weights_*`."""
    configuration, pipeline = read_configuration(spec)
    init_default_scope("mmdet")
    register_parts(configuration)
    tensors = read_weights(spec.weights)
    class_count = count_classes({name: tuple(tensor.shape) for name, tensor in tensors.items()})
    if class_count is not None and class_count != len(spec.classes):
        raise TrainerError(
            "refused.weights_class_count",
            f"The weights are for {class_count} classes, the class list has {len(spec.classes)}.",
            hint="The weights and the class list must come from the same model.",
        )
    # The heads ask their settings by attribute.
    network: torch.nn.Module = MODELS.build(ConfigDict(configuration["model"]))
    load_strictly(network, tensors, what=f"The weights file {spec.weights.name}")
    return Detector(network.to(get_device()).eval(), build_transforms(pipeline), len(spec.classes))


def read_configuration(spec: ModelSpec) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The configuration, and the transforms of its test images. Raises TrainerError: `refused.configuration`."""
    if spec.configuration is None:
        architecture = get_architecture(spec.architecture)
        built = build_model_configuration(architecture, len(spec.classes))
        return built, build_validation_pipeline(architecture.image_size)
    try:
        configuration = msgspec.json.decode(spec.configuration.read_bytes())
        _ = configuration["model"]["type"]
        pipeline = configuration["test_dataloader"]["dataset"]["pipeline"]
    except (OSError, msgspec.MsgspecError, KeyError, TypeError) as error:
        raise TrainerError(
            "refused.configuration",
            f"{spec.configuration.name} is no configuration of a trained model: {error!r}.",
            hint="The model's files are damaged: train or import it again.",
        ) from error
    return configuration, pipeline
