"""The server's side of a process that compares: it waits, and computes nothing itself."""

import subprocess
import sys
import threading
from typing import IO, cast

import msgspec

from raven_scan.figures.comparison_orders import (
    ComparisonAnswer,
    ComparisonOrder,
    decode_answers,
    encode_orders,
)
from raven_scan.jobs.child_environment import build_child_environment
from raven_scan.kernel.errors import Unavailable

_LONGEST_S = 600.0


def compare_in_child(orders: list[ComparisonOrder]) -> list[ComparisonAnswer]:
    """An answer to each order, from a process that ends with this one.

    Raises:
        Unavailable: `evaluations.comparison_failed`.
    """
    try:
        exit_code, content = _run(encode_orders(orders))
    except OSError as error:
        raise _make_failed(error.strerror or str(error)) from error
    if exit_code != 0:
        raise _make_failed(f"it ended with exit code {exit_code}")
    try:
        return decode_answers(content)
    except msgspec.MsgspecError as error:
        raise _make_failed("its answer is none") from error


def _run(orders: bytes) -> tuple[int, bytes]:
    """Exit code, negative where a signal ended it, and what it wrote."""
    with subprocess.Popen(
        # -P: no module is taken from the folder that the server happens to be in.
        [sys.executable, "-P", "-m", "raven_scan.figures.comparison_process"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=build_child_environment(1),
        # Ctrl-C is meant for the server, which ends it.
        start_new_session=True,
    ) as child:
        too_long = threading.Timer(_LONGEST_S, child.kill)
        too_long.daemon = True
        too_long.start()
        try:
            stdin, stdout = cast("IO[bytes]", child.stdin), cast("IO[bytes]", child.stdout)
            stdin.write(orders)
            stdin.flush()
            content = stdout.read()
            return child.wait(), content
        finally:
            too_long.cancel()
            child.kill()


def _make_failed(why: str) -> Unavailable:
    return Unavailable(
        "evaluations.comparison_failed",
        f"The process that compares did not answer: {why}.",
        hint="Try again; if it fails again, look at the machine's memory and the server's log.",
        parameters={"why": why},
    )
