"""The trainer's end of the meter. Whatever goes wrong with it, a training goes on."""

import os
import subprocess
import sys
import threading
import time
from contextlib import suppress
from typing import IO, cast

import msgspec

from raven_scan.trainer.energy.reading import MeterFailure, MeterRequest, Reading
from raven_scan.trainer.event_log import EventLog
from raven_scan.trainer.ranks import find_rank
from raven_scan.wire.events import EnergyUsed
from raven_scan.wire.spec import EnergySpec

METER_MODULE = "raven_scan.trainer.energy.meter"
_LAST_READING_S = 1.0


def meter_energy(
    energy: EnergySpec | None, devices: list[str], log: EventLog, *, module: str = METER_MODULE
) -> None:
    """Start to tell what this process uses, until the event that ends it; of several ranks, what all use together.

    To be called before devices are hidden from this process.

    Args:
        energy: None: it is not asked for.
        devices: of the whole training.
        log: told of it.
        module: of the meter.
    """
    rank = find_rank()
    tells = rank.number == 0 if rank is not None else len(devices) == 1
    if energy is None or not tells:
        return
    # All ranks are children of one launcher.
    request = MeterRequest(
        pid=os.getpid() if rank is None else os.getppid(), devices=devices, country=energy.country
    )
    try:
        metering = _Metering(request, log, module)
    except OSError as error:
        log.tell(f"Energy is not measured: {error}.")
        return
    log.before_end(metering.end)


class _Metering:
    def __init__(self, request: MeterRequest, log: EventLog, module: str) -> None:
        self._request = request
        self._log = log
        self._process = subprocess.Popen(
            [sys.executable, "-m", module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
        )
        self._asked = cast("IO[bytes]", self._process.stdin)
        self._told = cast("IO[bytes]", self._process.stdout)
        self._ask(msgspec.json.encode(request))
        self._listener = threading.Thread(target=self._listen, name="energy", daemon=True)
        self._listener.start()

    def end(self) -> None:
        """Tells the last reading; waits for it, but not for long."""
        self._ask(b"last")
        self._listener.join(_LAST_READING_S)
        self._process.kill()
        self._process.wait()
        with suppress(OSError):
            self._asked.close()

    def _ask(self, line: bytes) -> None:
        # A meter that has ended is not asked.
        with suppress(OSError):
            self._asked.write(line + b"\n")

    def _listen(self) -> None:
        with suppress(OSError, msgspec.MsgspecError), self._told:
            for line in self._told:
                self._tell(msgspec.json.decode(line, type=Reading | MeterFailure))

    def _tell(self, reading: Reading | MeterFailure) -> None:
        if isinstance(reading, MeterFailure):
            self._log.tell(f"Energy is not measured: {reading.message}.", code="energy_not_measured")
            return
        wanted, self._request = self._request.country, msgspec.structs.replace(self._request, country=None)
        if wanted is not None and reading.country is None:
            self._log.tell(
                f"Nothing is known of the electricity of the country {wanted}: CO2 is reckoned with the world's "
                "average.",
                level="warning",
                code="unknown_country",
            )
        self._log.emit(
            EnergyUsed(
                time=time.time(),
                pid=os.getpid(),
                duration_s=reading.duration_s,
                processor_wh=reading.processor_wh,
                memory_wh=reading.memory_wh,
                gpu_wh=reading.gpu_wh,
                co2_g=reading.co2_g,
                processor_method=reading.processor_method,
                country=reading.country,
                is_complete=reading.is_complete,
            )
        )
