"""What the meter is asked, and what it answers: JSON, a line each, between it and the trainer."""

import msgspec


class MeterRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What to meter.

    Attributes:
        pid: the process that is metered, with all that it started.
        devices: that it computes on, such as `["cpu"]` or `["cuda:0"]`, counted among those it may see.
        country: ISO 3166 alpha-3, or None.
    """

    pid: int
    devices: list[str]
    country: str | None


class Reading(msgspec.Struct, frozen=True, kw_only=True, tag="reading"):
    """What was used since the meter began.

    Attributes:
        duration_s: for so long it was metered.
        processor_method: `rapl`, `tdp` or `default`, see `ProcessorMeter`.
        country: whose electricity CO2 is reckoned with; None for the world's average.
        is_complete: whether all devices could be metered.
    """

    duration_s: float
    processor_wh: float
    memory_wh: float
    gpu_wh: float
    co2_g: float
    processor_method: str
    country: str | None
    is_complete: bool


class MeterFailure(msgspec.Struct, frozen=True, kw_only=True, tag="failure"):
    """Nothing is measured from here on."""

    message: str
