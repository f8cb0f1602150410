"""What is checked before a run is scheduled; all findings are told, not the first alone."""

import psutil

from raven_scan.access.types import Actor
from raven_scan.architectures.catalogue import Architecture
from raven_scan.architectures.parameters import TrainingParameters
from raven_scan.kernel.errors import NotFound
from raven_scan.kernel.findings import Finding, Severity

_GIB = 1 << 30
