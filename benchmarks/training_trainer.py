"""For `training.py`: `python -m raven_scan.trainer` with the marks of `training_marks.py`."""

import sys
from typing import Any

from raven_scan.trainer import registration

_register = registration.register_parts


def register_parts(configuration: dict[str, Any]) -> None:
    _register(configuration)
    # Only now: it imports MMDetection, which is to find the platform's operators.
    import training_marks  # noqa: F401, PLC0415  # pyright: ignore[reportUnusedImport]  # for its effect


registration.register_parts = register_parts

# Imports training, and with it the function above, later.
from raven_scan.trainer.__main__ import main  # noqa: E402
from raven_scan.trainer.command_line import end_process  # noqa: E402

if __name__ == "__main__":
    end_process(main(sys.argv[1:]))
