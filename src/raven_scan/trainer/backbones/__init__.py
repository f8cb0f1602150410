"""Backbones that MMDetection does not have. Importing this package registers them."""

# Before MMDetection is imported: it keeps stubs in place of operators that it does not find.
import raven_scan.trainer.operators.install_on_import  # noqa: F401  # pyright: ignore[reportUnusedImport]  # for its effect

# isort: split
from raven_scan.trainer.backbones.efficientnet_lite import EfficientNetLite0

__all__ = ["EfficientNetLite0"]
