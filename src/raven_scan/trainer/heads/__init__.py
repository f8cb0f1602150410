"""Detection heads that differ from MMDetection's in how they start. Importing this package registers them."""

# Before MMDetection is imported: it keeps stubs in place of operators that it does not find.
import raven_scan.trainer.operators.install_on_import  # noqa: F401  # pyright: ignore[reportUnusedImport]  # for its effect

# isort: split
from raven_scan.trainer.heads.rtmdet_head import RavenRTMDetHead

__all__ = ["RavenRTMDetHead"]
