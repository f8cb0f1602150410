"""Which device runs compute on, told without torch."""

from pathlib import Path

AUTOMATIC = "auto"


def choose_device(wanted: str) -> str:
    """`cpu` or `cuda:N`; for `auto` the first GPU of NVIDIA's driver, or the CPU where there is none."""
    if wanted != AUTOMATIC:
        return wanted
    return "cuda:0" if any(Path("/dev").glob("nvidia[0-9]*")) else "cpu"
