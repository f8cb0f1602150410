"""Adds up what a process uses: processor, memory and GPUs."""

import time
from collections.abc import Callable

from codecarbon.external.ram import RAM

from raven_scan.trainer.energy.graphics import GraphicsMeter
from raven_scan.trainer.energy.grid import find_intensity
from raven_scan.trainer.energy.processor import ProcessorMeter, ProcessTimes
from raven_scan.trainer.energy.reading import MeterRequest, Reading


class Meter:
    """Meters a process and all that it started, this one included, from its construction on."""

    def __init__(
        self,
        request: MeterRequest,
        *,
        processor: ProcessorMeter | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self._intensity_g_per_kwh, self._country = find_intensity(request.country)
        self._processor = processor or ProcessorMeter()
        self._graphics = GraphicsMeter(request.devices)
        # As if the processes' memory were all that the machine had: codecarbon's estimate by number of modules.
        self._memory = RAM(pid=request.pid, tracking_mode="process")
        self._memory_watts = 0.0
        self._times = ProcessTimes(request.pid)
        self._began_at = self._read_at = clock()
        self._processor_wh = self._memory_wh = self._graphics_wh = 0.0

    def read(self) -> Reading:
        """What was used up to now."""
        now = self._clock()
        passed_s, self._read_at = now - self._read_at, now
        self._processor_wh += self._processor.measure_wh(self._times.measure_s(), passed_s)
        # 0 where a process ended while it was looked at.
        self._memory_watts = float(self._memory.total_power().W) or self._memory_watts
        self._memory_wh += self._memory_watts * passed_s / 3600
        self._graphics_wh += self._graphics.measure_wh(passed_s)
        used_wh = self._processor_wh + self._memory_wh + self._graphics_wh
        return Reading(
            duration_s=now - self._began_at,
            processor_wh=self._processor_wh,
            memory_wh=self._memory_wh,
            gpu_wh=self._graphics_wh,
            co2_g=used_wh / 1000 * self._intensity_g_per_kwh,
            processor_method=self._processor.method,
            country=self._country,
            is_complete=self._graphics.is_complete,
        )
