"""How busy a worker's machine and its devices are, told with its heartbeat. None is what nobody could measure."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import psutil

from raven_scan.jobs.devices import CPU
from raven_scan.jobs.gpu_load import DeviceLoad, GpuLoads
from raven_scan.jobs.housekeeper import Housekeeper

_SHORTEST_S = 0.5
"""The system counts processor time in hundredths of a second: over less, a share says nothing."""
_GPU_INTERVAL_S = 2.0
_STALE_S = 10.0


@dataclass(frozen=True, slots=True)
class WorkerLoad:
    """Load of the machine that a worker runs on, and of its GPUs.

    Attributes:
        processor_percent: of all cores together, 0-100, since the heartbeat before.
        memory_used_bytes: what is not available to programs any more.
        devices: of GPUs, by slot, such as `cuda:0`; a CPU's load is the machine's.
    """

    processor_percent: float | None = None
    memory_used_bytes: int | None = None
    memory_total_bytes: int | None = None
    devices: dict[str, DeviceLoad] = field(default_factory=dict[str, DeviceLoad])


class LoadMeter:
    """Measures the load of this machine and of a worker's devices.

    GPUs are asked in a thread of its own: a driver that has lost its device may answer after minutes or never, and no
    heartbeat waits for that.

    Args:
        slots: the worker's devices.
        gpus: asks the GPUs; None for those of NVIDIA's driver.
    """

    def __init__(
        self,
        slots: Sequence[str],
        *,
        gpus: Callable[[], dict[str, DeviceLoad]] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self._times = psutil.cpu_times()
        self._times_at = clock()
        self._processor_percent: float | None = None
        self._of_gpus: dict[str, DeviceLoad] = {}
        self._of_gpus_at = 0.0
        devices = [slot for slot in slots if slot != CPU]
        self._measure_gpus = gpus or GpuLoads(devices).measure
        self._asker = Housekeeper(self._ask_gpus, interval_s=_GPU_INTERVAL_S) if devices else None

    def start(self) -> None:
        if self._asker is not None:
            self._asker.start()

    def stop(self) -> None:
        """Waits for nothing: what is under way ends with the process."""
        if self._asker is not None:
            self._asker.stop(0.0)

    def measure(self) -> WorkerLoad:
        """As it is now; takes a tenth of a millisecond, and waits for nothing."""
        memory = psutil.virtual_memory()
        is_young = self._clock() - self._of_gpus_at < _STALE_S
        return WorkerLoad(
            processor_percent=self._measure_processor(),
            memory_used_bytes=memory.total - memory.available,
            memory_total_bytes=memory.total,
            devices=self._of_gpus if is_young else {},
        )

    def measure_percent(self) -> float | None:
        """How busy the devices are: the mean of the GPUs, or of all cores where there is none, 0-100."""
        load = self.measure()
        if self._asker is None:
            return load.processor_percent
        told = [device.utilisation_percent for device in load.devices.values()]
        known = [percent for percent in told if percent is not None]
        return sum(known) / len(known) if known else None

    def _measure_processor(self) -> float | None:
        now = self._clock()
        if now - self._times_at >= _SHORTEST_S:
            times = psutil.cpu_times()
            spent, idle = _count_times(self._times, times)
            if spent > 0:
                self._processor_percent = round(100 * max(0.0, 1 - idle / spent), 1)
            self._times, self._times_at = times, now
        return self._processor_percent

    def _ask_gpus(self) -> None:
        self._of_gpus = self._measure_gpus()
        self._of_gpus_at = self._clock()


def parse_load(stored: object) -> WorkerLoad | None:
    """What a worker told, which may be of another release; None where it told nothing that is understood."""
    try:
        return msgspec.convert(stored, WorkerLoad | None)
    except msgspec.ValidationError:
        return None


def _count_times(before: Any, after: Any) -> tuple[float, float]:
    """Processor seconds between, and those of them that were idle; guests' are counted with their hosts' already."""
    passed = {name: getattr(after, name) - getattr(before, name) for name in after._fields}
    spent = sum(seconds for name, seconds in passed.items() if not name.startswith("guest"))
    return spent, passed["idle"] + passed.get("iowait", 0.0)
