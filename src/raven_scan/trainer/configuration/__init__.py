"""MMDetection configurations as plain data, from an architecture and typed parameters."""

from raven_scan.trainer.configuration.assembly import (
    build_configuration,
    build_model_configuration,
    build_test_configuration,
)
from raven_scan.trainer.configuration.json_form import encode_configuration

__all__ = [
    "build_configuration",
    "build_model_configuration",
    "build_test_configuration",
    "encode_configuration",
]
