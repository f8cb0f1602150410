"""Training and validation data: COCO parts as MMDetection data sets, in an order and with augmentation that repeat.

Importing this package registers its classes with MMDetection.
"""

# Before MMDetection is imported: it keeps stubs in place of operators that it does not find.
import raven_scan.trainer.operators.install_on_import  # noqa: F401  # pyright: ignore[reportUnusedImport]  # for its effect

# isort: split
from raven_scan.trainer.data.augmentation import RavenAugmentation
from raven_scan.trainer.data.coco_dataset import RavenCocoDataset
from raven_scan.trainer.data.collation import collate_batch
from raven_scan.trainer.data.epoch_sampler import RavenEpochSampler
from raven_scan.trainer.data.image_loading import LoadRavenImage
from raven_scan.trainer.data.mosaic import RavenMosaic
from raven_scan.trainer.data.packing import PackFittedImage
from raven_scan.trainer.data.quarter_turn import RandomQuarterTurn

__all__ = [
    "LoadRavenImage",
    "PackFittedImage",
    "RandomQuarterTurn",
    "RavenAugmentation",
    "RavenCocoDataset",
    "RavenEpochSampler",
    "RavenMosaic",
    "collate_batch",
]
