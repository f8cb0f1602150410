"""Checkpoints from outside: read without executing anything in them, and kept as safetensors."""

from raven_scan.trainer.foreign_checkpoint.errors import NotACheckpointError
from raven_scan.trainer.foreign_checkpoint.fit import MismatchedTensor, WeightsFit, fit_to_model
from raven_scan.trainer.foreign_checkpoint.reading import CheckpointReport, read_foreign_checkpoint

__all__ = [
    "CheckpointReport",
    "MismatchedTensor",
    "NotACheckpointError",
    "WeightsFit",
    "fit_to_model",
    "read_foreign_checkpoint",
]
