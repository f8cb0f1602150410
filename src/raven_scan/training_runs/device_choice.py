"""Which of a worker's devices a run gets."""

from collections.abc import Sequence

from raven_scan.training_runs.types import DeviceKind


def get_kind(device: str) -> DeviceKind:
    """Of `cpu` or `cuda:N`."""
    return DeviceKind(device.partition(":")[0])


def choose_kind(asked: DeviceKind, capacity: Sequence[str]) -> DeviceKind:
    """What a worker gives to a run: one that does not care gets a GPU where the worker has any."""
    if asked is not DeviceKind.AUTO:
        return asked
    has_gpu = any(get_kind(device) is DeviceKind.CUDA for device in capacity)
    return DeviceKind.CUDA if has_gpu else DeviceKind.CPU


def list_kinds(devices: Sequence[str]) -> list[DeviceKind]:
    return list(dict.fromkeys(get_kind(device) for device in devices))
