"""The parts that a configuration needs beside MMDetection's."""

import importlib
from typing import Any

from raven_scan.trainer.failures import TrainerError

_OURS = "raven_scan.trainer."


def register_parts(configuration: dict[str, Any]) -> None:
    """Import what the configuration's `custom_imports` names: modules of the trainer, which register their classes.

    Raises:
        TrainerError: `refused.configuration`, where it names anything else.
    """
    for name in configuration.get("custom_imports", {}).get("imports", []):
        if not isinstance(name, str) or not name.startswith(_OURS):
            raise TrainerError(
                "refused.configuration",
                f"The configuration asks for the module {name!r}, which is none of the trainer's.",
                hint="Take the configuration as the platform stored it.",
            )
        importlib.import_module(name)
