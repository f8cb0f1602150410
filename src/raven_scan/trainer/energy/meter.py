"""The process beside the trainer that meters it: `python -m raven_scan.trainer.energy.meter`.

It reads a `MeterRequest` from its standard input, and writes a `Reading` to its standard output at intervals, the
first one soon. A further line asks for the last reading; where its standard input ends, so does it.

It is a process of its own so that neither its imports nor a GPU's driver that does not answer hold a training up, and
none of its memory is the trainer's. Of codecarbon only parts are used that read counters and tables on this machine:
its trackers would look for a configuration, write files, and may send what they found.
"""

import os
import select
import signal
import sys
import tempfile

import msgspec

from raven_scan.trainer.energy.reading import MeterFailure, MeterRequest, Reading

_FIRST_S = 2.0
_INTERVAL_S = 10.0


def main() -> int:
    # A signal to the whole process group is the trainer's to answer.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ["CODECARBON_LOG_LEVEL"] = "CRITICAL"
    # Not buffered: what comes behind it is waited for below.
    with open(0, "rb", buffering=0, closefd=False) as asked:
        request = msgspec.json.decode(asked.readline(), type=MeterRequest)
    try:
        _meter(request)
    except BrokenPipeError:
        return 0
    except Exception as error:  # noqa: BLE001 - the trainer is told whatever it is
        _write(MeterFailure(message=f"{type(error).__name__}: {error}"))
        return 1
    return 0


def _meter(request: MeterRequest) -> None:
    # One of its modules asks for the temporary folder when it is imported, which would be tried out with a file.
    tempfile.tempdir = os.curdir
    # codecarbon comes only now that it is told to be silent.
    from raven_scan.trainer.energy.measuring import Meter  # noqa: PLC0415

    meter = Meter(request)
    interval_s = _FIRST_S
    while True:
        is_told, _, _ = select.select([sys.stdin], [], [], interval_s)
        if is_told and not os.read(sys.stdin.fileno(), 1):
            return
        _write(meter.read())
        if is_told:
            return
        interval_s = _INTERVAL_S


def _write(told: Reading | MeterFailure) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(told) + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    sys.exit(main())
