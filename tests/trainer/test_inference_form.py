"""The form of a network that predicts faster finds what the network finds."""

import copy
from typing import Any

import numpy as np
import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.registry import MODELS, init_default_scope
from tests.trainer.lively_models import draw, enliven

from raven_scan.architectures.catalogue import Family, get_architecture
from raven_scan.trainer.configuration import build_model_configuration
from raven_scan.trainer.export.agreement import Detections, Differences
from raven_scan.trainer.prediction.inference_form import prepare_for_inference
from raven_scan.trainer.registration import register_parts

SIDE_PX = 256
ARCHITECTURES = [
    "yolox-nano",
    "rtmdet-lite0",
    pytest.param("rtmdet-tiny", marks=pytest.mark.long),
    pytest.param("retinanet-r50", marks=pytest.mark.long),
    pytest.param("faster-rcnn-r50", marks=pytest.mark.long),
    pytest.param("dino-r50", marks=pytest.mark.long),
]


def build(name: str) -> Any:
    architecture = get_architecture(name)
    configuration = build_model_configuration(architecture, 3)
    init_default_scope("mmdet")
    register_parts(configuration)
    network: Any = MODELS.build(ConfigDict(configuration["model"]))
    if architecture.family is Family.DINO:
        torch.manual_seed(3)
        network.init_weights()
    else:
        enliven(network)
    return network.eval()


def predict(network: Any, pixels: list[torch.Tensor]) -> list[Detections]:
    from mmdet.structures import DetDataSample  # noqa: PLC0415 - after the operators are installed

    shape = {"ori_shape": (SIDE_PX, SIDE_PX), "img_shape": (SIDE_PX, SIDE_PX), "scale_factor": (1.0, 1.0)}
    batch = {"inputs": pixels, "data_samples": [DetDataSample(metainfo=shape) for _ in pixels]}
    with torch.inference_mode():
        found = [each.pred_instances for each in network.test_step(batch)]
    return [Detections(each.bboxes.numpy(), each.scores.numpy(), each.labels.numpy()) for each in found]


def check_features(network: Any, inputs: torch.Tensor) -> None:
    """In double precision, where what is left of a difference is no rounding."""
    changed = copy.deepcopy(network)
    prepare_for_inference(changed)
    with torch.inference_mode():
        expected, found = network.extract_feat(inputs.double()), changed.extract_feat(inputs.double())
    for one, other in zip(expected, found, strict=True):
        torch.testing.assert_close(other, one, rtol=0, atol=1e-10 * float(one.abs().max()))


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_it_finds_what_the_network_finds(name: str):
    torch.set_num_threads(1)
    network = build(name)
    changed = copy.deepcopy(network)
    prepare_for_inference(changed)
    # Nothing was overlooked, where what is left would still be right.
    assert not any(isinstance(each, torch.nn.BatchNorm2d) for each in changed.modules())
    assert any(isinstance(each, torch.nn.BatchNorm2d) for each in network.modules())
    random = np.random.default_rng(1)
    images = [torch.from_numpy(draw(random, SIDE_PX, SIDE_PX)).permute(2, 0, 1) for _ in range(3)]
    check_features(copy.deepcopy(network).double(), network.data_preprocessor({"inputs": images})["inputs"])
    if name.startswith("dino"):
        return  # it learns for long before it finds anything
    differences = Differences(min_score=0.05)
    for expected, found in zip(predict(network, images), predict(changed, images), strict=True):
        differences.add(expected, found)
    agreement = differences.conclude("part", None)
    assert agreement.detection_count > 10
    assert agreement.unpaired_share == 0
    assert agreement.box_difference_px < 0.02
    assert agreement.score_difference < 1e-3


def test_a_convolution_that_is_shared_is_merged_with_each_norm():
    head = build("rtmdet-lite0").bbox_head
    assert head.cls_convs[0][0].conv is head.cls_convs[1][0].conv
    prepare_for_inference(head)
    assert head.cls_convs[0][0].conv is not head.cls_convs[1][0].conv


def test_what_is_not_known_stays():
    class Subclass(torch.nn.Conv2d):
        pass

    kept = torch.nn.Sequential(
        Subclass(3, 3, 1),
        torch.nn.BatchNorm2d(3),
        torch.nn.Conv2d(3, 3, 1),
        torch.nn.BatchNorm2d(3, track_running_stats=False),
        torch.nn.Conv2d(3, 3, 1),
        torch.nn.GroupNorm(1, 3),
    ).eval()
    kinds = [type(each) for each in kept]
    prepare_for_inference(kept)
    assert [type(each) for each in kept] == kinds
