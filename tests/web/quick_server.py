"""`raven` whose worker trains in no time: python quick_server.py ARGUMENTS, with its trainer's folder in PYTHONPATH."""

import sys
from functools import partial

from raven_scan.app import worker
from raven_scan.app.cli.program import run

worker.BackgroundWorker = partial(worker.BackgroundWorker, trainer_module="quick_trainer")  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
sys.exit(run(sys.argv[1:]))
