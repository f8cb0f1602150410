"""Every slice's tables, in one import: for writing migrations, and for the test that upgrade equals models."""

import importlib
import importlib.util

from raven_scan.kernel.database import Base

for _slice in (
    "storage",
    "jobs",
    "access",
    "platform_settings",
    "notifications",
    "uploads",
    "datasets",
    "trained_models",
    "evaluations",
    "publishing",
    "packages",
    "training_runs",
):
    if importlib.util.find_spec(f"raven_scan.{_slice}.models"):
        importlib.import_module(f"raven_scan.{_slice}.models")

importlib.import_module("raven_scan.access.audit_models")
importlib.import_module("raven_scan.app.request_keys")

metadata = Base.metadata
