"""What runs use of energy, over REST."""

from pydantic import BaseModel, ConfigDict, Field

from raven_scan.training_runs.energy import ProcessorMethod


class EnergyOut(BaseModel):
    """What was used, in watt-hours, and grams of CO2 equivalents.

    The processor's share is measured by itself (`rapl`), or estimated from its load and its thermal design power
    (`tdp`) or a usual power a thread (`default`); memory is estimated; `gpu_wh` is of whole GPUs.
    """

    model_config = ConfigDict(from_attributes=True)

    energy_wh: float
    co2_g: float
    processor_wh: float
    memory_wh: float
    gpu_wh: float
    processor_methods: list[ProcessorMethod]
    countries: list[str] = Field(
        description="Whose electricity CO2 is reckoned with, ISO 3166 alpha-3; `world` for the world's average."
    )
    is_complete: bool = Field(description="False where a device could not be measured.")
