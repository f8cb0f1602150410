"""What runs use of energy, and the CO2 of it; attempts and their processes add up."""

from dataclasses import asdict, dataclass
from enum import StrEnum
from functools import reduce
from operator import add
from typing import Any

from raven_scan.wire.events import EnergyUsed

WORLD = "world"
"""Stands where a country's code does: the world's average."""


class ProcessorMethod(StrEnum):
    """How the processor's share is known."""

    RAPL = "rapl"
    TDP = "tdp"
    DEFAULT = "default"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEnergy:
    """What was used, in watt-hours.

    Attributes:
        energy_wh: processor, memory and GPUs together.
        co2_g: grams of CO2 equivalents.
        gpu_wh: of whole GPUs; 0 where none was used.
        processor_methods: how the processor's share is known: measured by itself (`rapl`), estimated from its thermal
            design power and load (`tdp`), or from a usual power a thread and load (`default`). Several where attempts
            were on several machines.
        countries: whose electricity it was, ISO 3166 alpha-3; `world` for the world's average.
        is_complete: False where a device could not be measured.
    """

    energy_wh: float
    co2_g: float
    processor_wh: float
    memory_wh: float
    gpu_wh: float
    processor_methods: list[ProcessorMethod]
    countries: list[str]
    is_complete: bool

    def __add__(self, other: "RunEnergy") -> "RunEnergy":
        return RunEnergy(
            energy_wh=self.energy_wh + other.energy_wh,
            co2_g=self.co2_g + other.co2_g,
            processor_wh=self.processor_wh + other.processor_wh,
            memory_wh=self.memory_wh + other.memory_wh,
            gpu_wh=self.gpu_wh + other.gpu_wh,
            processor_methods=sorted({*self.processor_methods, *other.processor_methods}),
            countries=sorted({*self.countries, *other.countries}),
            is_complete=self.is_complete and other.is_complete,
        )


class EnergyTally:
    """Adds up what the processes of an attempt tell, which are totals of each.

    Args:
        before: what earlier attempts of the run used; None where that is not known.
    """

    def __init__(self, before: RunEnergy | None) -> None:
        self._before = before
        self._told: dict[int, EnergyUsed] = {}

    def take(self, event: EnergyUsed) -> None:
        self._told[event.pid] = event

    @property
    def attempt(self) -> RunEnergy | None:
        """None where nothing was told."""
        used = [_convert(event) for event in self._told.values()]
        return reduce(add, used) if used else None

    @property
    def run(self) -> RunEnergy | None:
        """Earlier attempts included."""
        attempt = self.attempt
        return (
            self._before if attempt is None else attempt if self._before is None else self._before + attempt
        )

    @property
    def mean_power(self) -> tuple[float, float] | None:
        """Watts, and grams of CO2 an hour, of this attempt; None where nothing was told."""
        hours = sum(event.duration_s for event in self._told.values()) / 3600
        used = self.attempt
        return None if used is None or hours <= 0 else (used.energy_wh / hours, used.co2_g / hours)


def parse_energy(stored: dict[str, Any] | None) -> RunEnergy | None:
    """As `describe_energy` has it."""
    if stored is None:
        return None
    fields: dict[str, Any] = {
        **stored,
        "processor_methods": [ProcessorMethod(method) for method in stored["processor_methods"]],
    }
    return RunEnergy(**fields)


def describe_energy(energy: RunEnergy) -> dict[str, Any]:
    """As JSON."""
    return asdict(energy)


def _convert(event: EnergyUsed) -> RunEnergy:
    return RunEnergy(
        energy_wh=event.energy_wh,
        co2_g=event.co2_g,
        processor_wh=event.processor_wh,
        memory_wh=event.memory_wh,
        gpu_wh=event.gpu_wh,
        processor_methods=[ProcessorMethod(event.processor_method)],
        countries=[event.country or WORLD],
        is_complete=event.is_complete,
    )
