"""MMCV's compiled operators (`mmcv._ext`) over torchvision's, for the installation that has none.

Call `install()` before anything imports `mmcv.ops` or `mmdet.models`. From an MMDetection configuration the
same is done by `custom_imports = dict(imports=["raven_scan.trainer.operators.install_on_import"])`.
"""

from raven_scan.trainer.operators.installation import install
from raven_scan.trainer.operators.uncovered import OperatorNotCoveredError

__all__ = ["OperatorNotCoveredError", "install"]
