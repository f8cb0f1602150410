"""How busy NVIDIA's GPUs are, asked of the driver's own library, NVML, without a package and without CUDA.

Source: NVIDIA, NVML API Reference Guide: `nvmlInit_v2`, `nvmlDeviceGetCount_v2`, `nvmlDeviceGetHandleByIndex_v2`,
`nvmlDeviceGetHandleByUUID`, `nvmlDeviceGetName`, `nvmlDeviceGetUUID`, `nvmlDeviceGetUtilizationRates`,
`nvmlDeviceGetMemoryInfo`; CUDA C++ Programming Guide: `CUDA_VISIBLE_DEVICES`, `CUDA_DEVICE_ORDER`.
"""

import ctypes
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

_LIBRARY = "libnvidia-ml.so.1"
_TEXT_BYTES = 96
_PCI_ORDER = "PCI_BUS_ID"


@dataclass(frozen=True, slots=True)
class DeviceLoad:
    """Load of a GPU, by all that use it. None is what the driver does not tell.

    Attributes:
        utilisation_percent: of the last moments, how many it computed in, 0-100.
    """

    utilisation_percent: float | None = None
    memory_used_bytes: int | None = None
    memory_total_bytes: int | None = None


class _Utilisation(ctypes.Structure):
    _fields_ = (("gpu", ctypes.c_uint), ("memory", ctypes.c_uint))


class _Memory(ctypes.Structure):
    _fields_ = (("total", ctypes.c_ulonglong), ("free", ctypes.c_ulonglong), ("used", ctypes.c_ulonglong))


class _NvmlError(Exception):
    """The driver refused."""


class GpuLoads:
    """Asks the driver for the load of some GPUs.

    Args:
        devices: `cuda:N`, with N counted among the GPUs that this process may see.
        load_library: opens NVML.
    """

    def __init__(self, devices: Sequence[str], *, load_library: Callable[[str], Any] = ctypes.CDLL) -> None:
        self._devices = devices
        self._load_library = load_library
        self._nvml: Any = None
        self._handles: dict[str, ctypes.c_void_p] = {}

    def measure(self) -> dict[str, DeviceLoad]:
        """By device; one of which nothing can be told is missing."""
        if self._nvml is None:
            try:
                self._open()
            except (OSError, AttributeError, _NvmlError):
                return {}  # there is no driver, or it is not ready yet
        loads = {device: self._ask(handle) for device, handle in self._handles.items()}
        return {device: load for device, load in loads.items() if load != DeviceLoad()}

    def _open(self) -> None:
        nvml = self._load_library(_LIBRARY)
        _check(nvml.nvmlInit_v2())
        self._handles = _find_handles(nvml, self._devices)
        self._nvml = nvml

    def _ask(self, handle: ctypes.c_void_p) -> DeviceLoad:
        utilisation, memory = _Utilisation(), _Memory()
        has_utilisation = self._nvml.nvmlDeviceGetUtilizationRates(handle, ctypes.byref(utilisation)) == 0
        has_memory = self._nvml.nvmlDeviceGetMemoryInfo(handle, ctypes.byref(memory)) == 0
        return DeviceLoad(
            utilisation_percent=float(utilisation.gpu) if has_utilisation else None,
            memory_used_bytes=int(memory.used) if has_memory else None,
            memory_total_bytes=int(memory.total) if has_memory else None,
        )


def _find_handles(nvml: Any, devices: Sequence[str]) -> dict[str, ctypes.c_void_p]:
    """Which GPU of the driver each device is.

    CUDA counts the fastest GPU first, the driver by their places on the bus: where GPUs differ and nobody asked CUDA
    to count as the driver does, a number does not say which one is meant.
    """
    count = ctypes.c_uint()
    _check(nvml.nvmlDeviceGetCount_v2(ctypes.byref(count)))
    handles = [_get_handle(nvml.nvmlDeviceGetHandleByIndex_v2, index) for index in range(count.value)]
    models = {_read_text(nvml.nvmlDeviceGetName, handle) for handle in handles}
    is_counted_alike = len(models) == 1 or os.environ.get("CUDA_DEVICE_ORDER") == _PCI_ORDER
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    shown = [str(index) for index in range(len(handles))]
    if visible is not None:
        shown = [each.strip() for each in visible.split(",") if each.strip()]
    found: dict[str, ctypes.c_void_p] = {}
    for device in devices:
        index = int(device.rpartition(":")[2])
        entry = shown[index] if index < len(shown) else ""
        if entry.isdecimal():
            if is_counted_alike and int(entry) < len(handles):
                found[device] = handles[int(entry)]
        elif entry.startswith("GPU-"):  # its beginning is enough for CUDA
            of_name = [each for each in handles if _read_text(nvml.nvmlDeviceGetUUID, each).startswith(entry)]
            if len(of_name) == 1:
                found[device] = of_name[0]
        elif entry.startswith("MIG-"):
            found[device] = _get_handle(nvml.nvmlDeviceGetHandleByUUID, entry.encode())
    return found


def _get_handle(get: Callable[..., int], of: int | bytes) -> ctypes.c_void_p:
    handle = ctypes.c_void_p()
    _check(get(of, ctypes.byref(handle)))
    return handle


def _read_text(read: Callable[..., int], handle: ctypes.c_void_p) -> str:
    text = ctypes.create_string_buffer(_TEXT_BYTES)
    _check(read(handle, text, ctypes.c_uint(_TEXT_BYTES)))
    return text.value.decode(errors="replace")


def _check(code: int) -> None:
    if code != 0:
        raise _NvmlError(code)
