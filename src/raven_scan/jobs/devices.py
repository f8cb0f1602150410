"""Which devices runs compute on, told without torch."""

import os
import re
from pathlib import Path

from raven_scan.kernel.errors import Invalid

AUTOMATIC = "auto"
CPU = "cpu"
MOST_SLOTS = 64

_DRIVER_FOLDER = Path("/dev")
_CPU_SLOTS = re.compile(r"cpu(?::(\d{1,4}))?")
_GPU_SLOT = re.compile(r"cuda:(\d{1,4})")


def choose_devices(wanted: str) -> list[str]:
    """A slot each: `cpu` or `cuda:N` as it is, for `auto` all that are found."""
    return find_devices() if wanted == AUTOMATIC else [wanted]


def find_devices() -> list[str]:
    """A slot for each GPU of NVIDIA's driver that this process may use; where there is none, one for the CPU."""
    return [f"cuda:{index}" for index in range(_count_gpus())] or [CPU]


def parse_slots(text: str) -> list[str]:
    """The devices that a worker is to have, one a slot.

    Args:
        text: parts between commas: `cpu`, `cpu:N` for N slots of the CPU, `cuda:N` for the GPU number N, `cuda` for
            all GPUs.

    Returns:
        Such as `["cpu", "cpu"]` or `["cuda:0", "cuda:1"]`.

    Raises:
        Invalid: `worker.bad_slots`, or `worker.no_such_device` where the GPU is not there.
    """
    slots: list[str] = []
    for part in (part.strip() for part in text.split(",")):
        if part == "cuda":
            slots += [f"cuda:{index}" for index in range(_count_gpus())] or [_refuse_missing(part, 0)]
        elif found := _CPU_SLOTS.fullmatch(part):
            slots += [CPU] * int(found[1] or 1)
            if found[1] and not int(found[1]):
                raise _make_bad_slots(text, f"{part!r} is no slot at all")
        elif found := _GPU_SLOT.fullmatch(part):
            gpu_count = _count_gpus()
            index = int(found[1])
            slots.append(f"cuda:{index}" if index < gpu_count else _refuse_missing(part, gpu_count))
        else:
            raise _make_bad_slots(text, f"{part!r} is no device" if part else "a part is empty")
    gpus = [slot for slot in slots if slot != CPU]
    twice = next((slot for slot in gpus if gpus.count(slot) > 1), None)
    if twice is not None:
        raise _make_bad_slots(text, f"{twice} is there twice, and two runs would not share its memory")
    if len(slots) > MOST_SLOTS:
        raise _make_bad_slots(text, f"{len(slots)} slots are more than {MOST_SLOTS}")
    return slots


def _count_gpus() -> int:
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        # As CUDA reads it: what follows -1 is hidden too.
        shown = visible.partition("-1")[0]
        return len([each for each in shown.split(",") if each.strip()])
    return sum(1 for _ in _DRIVER_FOLDER.glob("nvidia[0-9]*"))


def _refuse_missing(device: str, gpu_count: int) -> str:
    there = "no GPU" if not gpu_count else "cuda:0" if gpu_count == 1 else f"cuda:0 to cuda:{gpu_count - 1}"
    raise Invalid(
        "worker.no_such_device",
        f"There is no device {device!r} for this worker; there is {there}.",
        hint="Check `nvidia-smi` and CUDA_VISIBLE_DEVICES, or leave --slots out to take what is found.",
        parameters={"device": device, "gpu_count": gpu_count},
    )


def _make_bad_slots(text: str, problem: str) -> Invalid:
    return Invalid(
        "worker.bad_slots",
        f"{text!r} are no slots of a worker: {problem}.",
        hint="Write them as cpu:2, or cuda:0,cuda:1.",
        parameters={"slots": text},
    )
