"""Looks at the machine: devices, shared memory, installed packages."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil

from raven_scan.app.housekeeping.checks import Check, format_size, make_error, make_ok, make_warning
from raven_scan.app.housekeeping.tested_versions import TESTED_VERSIONS
from raven_scan.jobs.devices import AUTOMATIC, CPU, find_devices

_SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - looked at, not written to
_LEAST_SHARED_BYTES = 1 << 30
_DRIVER = Path("/proc/driver/nvidia/version")
_PROBE_TIMEOUT_S = 120.0
_PROBE = """
import json, torch
devices = [torch.cuda.get_device_properties(index) for index in range(torch.cuda.device_count())]
print(json.dumps([[device.name, device.total_memory] for device in devices]))
"""
_CLASHING = ("opencv-python", "opencv-contrib-python", "opencv-contrib-python-headless")


def check_devices(wanted: str) -> Iterator[Check]:
    """What runs can compute on.

    Args:
        wanted: the setting: `auto`, `cpu` or `cuda:N`.
    """
    devices = find_devices()
    gpus = [device for device in devices if device != CPU]
    if wanted not in (AUTOMATIC, CPU) and wanted not in gpus:
        yield make_error(
            "devices",
            f"RAVEN_DEVICE is {wanted}, but there is {'no GPU' if not gpus else 'only ' + ', '.join(gpus)}.",
            "Check `nvidia-smi` and CUDA_VISIBLE_DEVICES, or set RAVEN_DEVICE to auto.",
        )
    if not gpus:
        if _DRIVER.exists() and "CUDA_VISIBLE_DEVICES" not in os.environ:
            yield make_warning(
                "devices",
                "NVIDIA's driver is loaded, but no GPU is in /dev.",
                "In a container, give it the GPUs: --gpus all, with NVIDIA's container toolkit.",
            )
        cores = psutil.cpu_count(logical=False) or 1
        yield make_ok("devices", f"Runs compute on the CPU: {cores} cores, {_describe_memory()}.")
        return
    yield _probe_gpus(gpus)


def check_shared_memory() -> Iterator[Check]:
    """Loader processes hand batches over in it."""
    try:
        found = os.statvfs(_SHARED_MEMORY)
    except OSError:
        yield make_error(
            "shared memory",
            f"There is no {_SHARED_MEMORY}, through which loader processes hand over images.",
            "Mount it, or train with --loader-processes 0.",
        )
        return
    size_bytes = found.f_frsize * found.f_blocks
    message = f"{_SHARED_MEMORY} has {format_size(size_bytes)}."
    if size_bytes < _LEAST_SHARED_BYTES:
        yield make_warning(
            "shared memory",
            message,
            "Loader processes may die for want of it. In Docker: --shm-size=2g, or --ipc=host.",
        )
    else:
        yield make_ok("shared memory", message)


def check_versions() -> Iterator[Check]:
    """Installed packages against those that this release was tested with."""
    missing: list[str] = []
    others: list[str] = []
    for name, tested in TESTED_VERSIONS.items():
        installed = _find_version(name)
        if installed is None:
            missing.append(name)
        elif installed.partition("+")[0] != tested:
            others.append(f"{name} {installed} instead of {tested}")
    clashing = [name for name in _CLASHING if _find_version(name) is not None]
    install = "Install the lock: pip install --no-deps -r requirements/lock.txt."
    if missing:
        yield make_error("versions", f"Packages are missing: {', '.join(missing)}.", install)
    if clashing:
        yield make_error(
            "versions",
            f"{', '.join(clashing)} is installed beside opencv-python-headless; both bring the module cv2.",
            f"pip uninstall {' '.join(clashing)}, then pip install --force-reinstall --no-deps "
            f"opencv-python-headless=={TESTED_VERSIONS['opencv-python-headless']}.",
        )
    if others:
        yield make_warning("versions", f"This release was tested with others: {'; '.join(others)}.", install)
    if not missing and not clashing and not others:
        yield make_ok("versions", f"{len(TESTED_VERSIONS)} packages have the versions that were tested.")


def _probe_gpus(gpus: list[str]) -> Check:
    """Asks PyTorch, in a child: this process must stay without it."""
    fault = "PyTorch finds no GPU"
    try:
        probe = subprocess.run(
            [sys.executable, "-c", _PROBE], capture_output=True, timeout=_PROBE_TIMEOUT_S, check=False
        )
        found: list[tuple[str, int]] = json.loads(probe.stdout) if probe.returncode == 0 else []
        if probe.returncode != 0:
            fault = probe.stderr.decode(errors="replace").strip().splitlines()[-1:][0]
    except (subprocess.TimeoutExpired, ValueError, IndexError):
        found, fault = [], "PyTorch did not answer"
    if len(found) < len(gpus):
        return make_error(
            "devices",
            f"There are {len(gpus)} GPUs, but PyTorch can use {len(found)}: {fault}.",
            "Check `nvidia-smi`; the driver must be as new as PyTorch's CUDA. RAVEN_DEVICE=cpu does without.",
        )
    names = ", ".join(f"{name} ({format_size(memory_bytes)})" for name, memory_bytes in found)
    return make_ok("devices", f"PyTorch can use {len(found)}: {names}; {_describe_memory()}.")


def _describe_memory() -> str:
    memory = psutil.virtual_memory()
    return f"{format_size(memory.total)} of memory"


def _find_version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
