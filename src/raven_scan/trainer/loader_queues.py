"""A loader process that cannot hand over what it loaded ends, and is told of; by itself it would be waited for forever.

Batches go through a queue that has a thread of its own in the loader process. What that thread runs into, such as too
little shared memory, Python prints and forgets.
"""

import multiprocessing.queues
import os
import signal
import traceback
from typing import Any


def end_at_queue_errors() -> None:
    """For every process that is forked from here on."""
    queue: Any = multiprocessing.queues.Queue
    queue._on_queue_feeder_error = staticmethod(_end_process)  # noqa: SLF001 - the place that Python's source offers


def _end_process(error: BaseException, _message: Any) -> None:
    traceback.print_exception(error)
    # As the system itself does it where a page of shared memory cannot be had.
    os.kill(os.getpid(), signal.SIGBUS if "shared memory" in str(error) else signal.SIGABRT)
