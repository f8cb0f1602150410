"""Every slice's tables, in one import: for migrations and tests."""

import importlib
import importlib.util
import pkgutil

import raven_scan
from raven_scan.kernel.database import Base


def load_metadata() -> None:
    for module in pkgutil.iter_modules(raven_scan.__path__):
        name = f"raven_scan.{module.name}.models"
        if importlib.util.find_spec(name):
            importlib.import_module(name)


load_metadata()

metadata = Base.metadata
