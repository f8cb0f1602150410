"""RTMDet's head, started so that it learns from the first step."""

from typing import Any

from mmdet.models.dense_heads import RTMDetSepBNHead
from mmdet.registry import MODELS
from torch import nn

_FIRST_DISTANCE_STRIDES = 1.0


@MODELS.register_module()  # pyright: ignore[reportUntypedClassDecorator]
class RavenRTMDetHead(RTMDetSepBNHead):
    """MMDetection's head, whose first boxes reach one stride to each side.

    RTMDet-tiny and -s predict distances as they are, not as exponents, and MMDetection starts them at zero: boxes
    of no size overlap nothing, and as both losses are weighted by the overlap, there is next to no gradient for
    hundreds of steps. Weights and their names are MMDetection's; loaded ones replace this start.
    """

    def init_weights(self) -> None:
        super().init_weights()
        if not self.exp_on_reg:
            layers: Any = self.rtm_reg
            for distances in layers:
                nn.init.constant_(distances.bias, _FIRST_DISTANCE_STRIDES)
