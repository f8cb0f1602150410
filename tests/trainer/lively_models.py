"""Models that find something everywhere: trained ones would take too long to have."""

import re
from typing import Any

import numpy as np
import torch

_SIDE_PX = 128
_SCORES = re.compile(r"(conv_cls|conv_obj|rtm_cls|retina_cls|fc_cls|rpn_cls)(\.\d+)?\.")
_BOXES = re.compile(r"(conv_reg|rtm_reg|retina_reg|fc_reg|rpn_reg)(\.\d+)?\.weight")


def draw(random: np.random.Generator, height: int, width: int) -> np.ndarray:
    pixels = random.integers(90, 130, (height, width, 3)).astype(np.uint8)
    for _ in range(6):
        x, y = (int(random.integers(0, side - 10)) for side in (width, height))
        pixels[y : y + int(random.integers(8, 60)), x : x + int(random.integers(8, 60))] = random.integers(
            256, size=3
        )
    return pixels


def enliven(network: Any) -> None:
    """Give a network weights that find something everywhere, with scores all over."""
    torch.manual_seed(3)
    random = np.random.default_rng(3)
    network.init_weights()
    for name, parameter in network.named_parameters():
        if _SCORES.search(name):
            torch.nn.init.normal_(parameter, std=0.05)
        elif _BOXES.search(name):
            torch.nn.init.normal_(parameter, std=0.01)
    network.train()
    norms = [each for each in network.modules() if isinstance(each, torch.nn.BatchNorm2d)]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
        norm.train()
    pixels = np.stack([draw(random, _SIDE_PX, _SIDE_PX) for _ in range(16)])
    images = list(torch.from_numpy(pixels).permute(0, 3, 1, 2))
    with torch.no_grad():
        features = network.extract_feat(network.data_preprocessor({"inputs": images})["inputs"])
        if hasattr(network, "bbox_head"):
            network.bbox_head(features)
    network.eval()
