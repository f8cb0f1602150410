"""How much CO2 a country's electricity brings, from codecarbon's data."""

import json
from importlib.resources import files
from typing import Any

_FOLDER = "data/private_infra"


def find_intensity(country: str | None) -> tuple[float, str | None]:
    """Grams of CO2 equivalents a kWh, and whose they are.

    Args:
        country: ISO 3166 alpha-3.

    Returns:
        Those of the country; where there is none, or nothing is known of it, the world's average and None.
    """
    if country is not None:
        mix: Any = _read("global_energy_mix.json").get(country, {})
        intensity = mix.get("carbon_intensity")
        if intensity is not None:
            return float(intensity), country
    return float(_read("carbon_intensity_per_source.json")["world_average"]), None


def _read(name: str) -> dict[str, Any]:
    # codecarbon's own reader imports pandas for tables that are not needed here.
    return json.loads((files("codecarbon") / _FOLDER / name).read_text("utf-8"))
