"""What processes use of the processor's energy: their share of what was measured, or an estimate from their load."""

import csv
import platform
from collections.abc import Iterable
from importlib.resources import files
from pathlib import Path
from typing import Any

import psutil
from codecarbon.core.cpu import DEFAULT_POWER_PER_CORE, TDP, is_rapl_available
from codecarbon.core.util import count_physical_cpus
from codecarbon.external.hardware import CPU

RAPL, ESTIMATED, DEFAULT = "rapl", "tdp", "default"
RAPL_FOLDER = Path("/sys/class/powercap/intel-rapl/subsystem")
_IDLE = ("idle", "iowait", "steal")
_IN_OTHERS = ("guest", "guest_nice")


class ProcessorMeter:
    """Energy by processor time.

    `method` says how it is known:
    - `rapl`: the processor counts its energy itself. The processes' share is that of their time among all processor
      time that anybody used: what the machine needs when it is idle is shared out too.
    - `tdp`: from the processor's thermal design power, as codecarbon's data have it, by the share of all processor
      time that the processes used, whether others used the rest or nobody.
    - `default`: likewise, from 4 W a thread, since the processor is not in the data.

    Args:
        model: of the processor; None for this machine's.
        rapl_folder: where Linux has the counters.
    """

    def __init__(self, *, model: str | None = None, rapl_folder: Path = RAPL_FOLDER) -> None:
        self._model = find_model() if model is None else model
        self._threads = psutil.cpu_count() or 1
        self._counted: CPU | None = None
        self._watts = 0.0
        if is_rapl_available(str(rapl_folder)):
            self.method = RAPL
            self._counted = CPU(
                output_dir=".", mode="intel_rapl", model=self._model, tdp=0, rapl_dir=str(rapl_folder)
            )
            self._counted.start()
        elif (watts := find_design_watts(self._model)) is not None:
            self.method = ESTIMATED
            self._watts = watts * count_physical_cpus()
        else:
            self.method = DEFAULT
            self._watts = float(DEFAULT_POWER_PER_CORE * self._threads)
        self._busy_s = _measure_busy_s()

    def measure_wh(self, processor_s: float, duration_s: float) -> float:
        """Of the time since the last call.

        Args:
            processor_s: how much processor time the processes used.
            duration_s: how long it was.
        """
        busy_s = _measure_busy_s()
        before_s, self._busy_s = self._busy_s, busy_s
        if self._counted is None:
            return self._watts * min(processor_s / self._threads, duration_s) / 3600
        _, energy = self._counted.measure_power_and_energy(duration_s)
        passed_s = max(busy_s - before_s, processor_s)
        return float(energy.kWh) * 1000 * (processor_s / passed_s if passed_s > 0 else 0.0)


def find_model() -> str:
    """Such as `Intel(R) Core(TM) i7-8550U CPU @ 1.80GHz`; codecarbon would ask a process that probes the processor."""
    try:
        for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def find_design_watts(model: str) -> float | None:
    """Thermal design power of a processor, as codecarbon finds it; None where it is not in its data."""
    table = (files("codecarbon") / "data/hardware/cpu_power.csv").read_text("utf-8")
    rows = list(csv.DictReader(table.splitlines()))
    names: Any = {"Name": [row["Name"] for row in rows]}
    # Only the matching of names: its constructor imports pandas, and probes the processor in a process of its own.
    find: Any = getattr(TDP.__new__(TDP), "_get_matching_cpu")  # noqa: B009
    matched = find(model, names)
    try:
        return next((float(row["TDP"]) for row in rows if row["Name"] == matched), None)
    except ValueError:
        return None  # some of the table are no numbers


class ProcessTimes:
    """Processor time of a process and of all that it started."""

    def __init__(self, pid: int) -> None:
        self._process = psutil.Process(pid)
        self._before_s = 0.0
        self._before_s = self._read_s()

    def measure_s(self) -> float:
        """Since the last call."""
        before_s, self._before_s = self._before_s, self._read_s()
        return max(0.0, self._before_s - before_s)

    def _read_s(self) -> float:
        try:
            started = self._process.children(recursive=True)
        except psutil.Error:
            return self._before_s  # it is gone, and uses nothing more
        return sum(map(_read_process_s, [self._process, *started]))


def _read_process_s(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.Error:
        return 0.0
    # What has ended is in its parent's.
    return times.user + times.system + times.children_user + times.children_system


def _measure_busy_s() -> float:
    """Processor time that anybody used since this machine started."""
    times: Any = psutil.cpu_times()
    names: Iterable[str] = times._fields
    return sum(getattr(times, name) for name in names if name not in (*_IDLE, *_IN_OTHERS))
