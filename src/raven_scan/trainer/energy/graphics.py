"""What GPUs use, as their driver counts it."""

import os
from collections.abc import Mapping, Sequence
from typing import Any

from codecarbon.core.gpu import AllGPUDevices, is_gpu_details_available
from codecarbon.core.units import Time

_PCI_ORDER = "PCI_BUS_ID"


class GraphicsMeter:
    """Energy of whole GPUs: others that use one at the same time are in it.

    Args:
        devices: `cuda:N`, with N counted among the GPUs that the process may see; others are passed over.
    """

    def __init__(self, devices: Sequence[str]) -> None:
        wanted = [device for device in devices if device.startswith("cuda")]
        self._indices: set[int] = set()
        self._driver: Any = None
        if wanted and is_gpu_details_available():
            self._driver = AllGPUDevices()
            known: list[dict[str, Any]] = self._driver.get_gpu_static_info()
            self._indices = set(find_indices(wanted, known, os.environ))
            self._driver.start()
        self.is_complete = len(self._indices) == len(wanted)

    def measure_wh(self, duration_s: float) -> float:
        """Of the time since the last call."""
        if not self._indices:
            return 0.0
        used: list[dict[str, Any]] = self._driver.get_delta(Time.from_seconds(duration_s))
        return 1000 * sum(
            float(each["delta_energy_consumption"].kWh) for each in used if each["gpu_index"] in self._indices
        )


def find_indices(
    devices: Sequence[str], known: Sequence[Mapping[str, Any]], environment: Mapping[str, str]
) -> list[int]:
    """The driver's numbers of devices; what cannot be told is left out.

    CUDA counts the fastest GPU first, the driver by their places on the bus: where GPUs differ and nobody asked CUDA
    to count as the driver does, a number does not say which one is meant.

    Args:
        devices: `cuda:N`, with N counted among those visible.
        known: `gpu_index`, `name` and `uuid` of each GPU.
        environment: has `CUDA_VISIBLE_DEVICES` and `CUDA_DEVICE_ORDER`, where they are set.
    """
    indices = [int(each["gpu_index"]) for each in known]
    is_counted_alike = (
        len({each["name"] for each in known}) == 1 or environment.get("CUDA_DEVICE_ORDER") == _PCI_ORDER
    )
    visible = environment.get("CUDA_VISIBLE_DEVICES")
    shown = (
        [str(index) for index in indices]
        if visible is None
        else [each.strip() for each in visible.split(",") if each.strip()]
    )
    found: list[int] = []
    for device in devices:
        index = int(device.rpartition(":")[2])
        entry = shown[index] if index < len(shown) else ""
        if entry.isdecimal():
            if is_counted_alike and int(entry) in indices:
                found.append(int(entry))
        elif entry.startswith("GPU-"):  # its beginning is enough for CUDA
            of_name = [int(each["gpu_index"]) for each in known if str(each["uuid"]).startswith(entry)]
            found += of_name if len(of_name) == 1 else []
    return found
