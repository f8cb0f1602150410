"""Backbones that MMDetection does not have. Importing this package registers them."""

from raven_scan.trainer.backbones.efficientnet_lite import EfficientNetLite0

__all__ = ["EfficientNetLite0"]
