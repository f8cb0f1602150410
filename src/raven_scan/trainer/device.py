"""Which device and how many threads the process computes with; decided before torch is imported."""

import os
import re
import sys
from typing import Any

from raven_scan.trainer.failures import TrainerError

_CUDA = re.compile(r"cuda:(\d+)")


def restrict_devices(device: str) -> None:
    """Let this process see only the device that it was given.

    MMEngine takes the first accelerator that it sees and asks nobody, so the others are hidden. To be called before
    torch is imported.

    Args:
        device: `cpu` or `cuda:N`, with N counted among the devices that this process may see.

    Raises:
        TrainerError: `refused.no_such_device`.
    """
    if "torch" in sys.modules:
        raise RuntimeError("Devices must be hidden before torch is imported.")
    if device == "cpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
        return
    found = _CUDA.fullmatch(device)
    if found is None:
        raise _no_such_device(device)
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        os.environ["CUDA_VISIBLE_DEVICES"] = found[1]
        return
    devices = [each.strip() for each in visible.split(",") if each.strip()]
    if int(found[1]) >= len(devices):
        raise _no_such_device(device)
    os.environ["CUDA_VISIBLE_DEVICES"] = devices[int(found[1])]


def set_up_device(device: str, threads: int, *, flushes_denormals: bool = False) -> Any:
    """Tell torch, OpenCV and MMEngine what to use.

    Args:
        device: as for `restrict_devices`.
        threads: compute threads on a CPU.
        flushes_denormals: numbers below 1e-38 become 0. Processors take a hundred times as long on them, and the
            gradients of two-stage detectors are full of them: Faster R-CNN took three times as long a step.

    Returns:
        The torch.device.

    Raises:
        TrainerError: `refused.no_such_device`.
    """
    import cv2  # noqa: PLC0415 - late: restrict_devices comes first
    import mmengine.device.utils  # noqa: PLC0415
    import torch  # noqa: PLC0415

    if flushes_denormals:
        # Before the first operation: threads that exist already would not follow.
        torch.set_flush_denormal(True)
    torch.set_num_threads(max(1, threads))
    # In loader processes OpenCV's own threads would compete with those of the training step.
    cv2.setNumThreads(0)
    if device == "cpu":
        mmengine.device.utils.DEVICE = "cpu"
        return torch.device("cpu")
    if not torch.cuda.is_available():
        raise _no_such_device(device)
    mmengine.device.utils.DEVICE = "cuda"
    torch.cuda.set_device(0)
    return torch.device("cuda:0")


def _no_such_device(device: str) -> TrainerError:
    return TrainerError(
        "refused.no_such_device",
        f"The device {device!r} is not on this machine, or the process may not see it.",
        hint="Choose cpu, or check the GPU with nvidia-smi and that torch was installed with CUDA.",
    )
