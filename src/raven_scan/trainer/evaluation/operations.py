"""How much a model computes for an image."""

from typing import Any

import torch
from mmengine.dataset import pseudo_collate
from torch.utils.flop_counter import FlopCounterMode

from raven_scan.figures.report import Flops


def count_operations(model: torch.nn.Module, sample: dict[str, Any]) -> Flops:
    """Floating-point operations of the prediction of one image, post-processing as far as it multiplies matrices.

    Convolutions, matrix products and attention are counted, by PyTorch's own formulas; a multiplication and an
    addition are two. Heads that look at candidates count those of this image.

    Args:
        model: on its device, for evaluation.
        sample: of a data set, as `__getitem__` gives it.
    """
    network: Any = model
    try:
        with torch.no_grad():
            data = network.data_preprocessor(pseudo_collate([sample]), False)  # noqa: FBT003 - MMDetection's
            height, width = (int(side) for side in data["inputs"].shape[-2:])
            with FlopCounterMode(display=False) as counter:
                network(**data, mode="predict")
    # Any model may fail in its own way; what it detects does not depend on this count.
    except Exception as error:  # noqa: BLE001
        return Flops(reason=f"They could not be counted: {type(error).__name__}: {error}")
    return Flops(value=int(counter.get_total_flops()), input_size_px=(height, width))
