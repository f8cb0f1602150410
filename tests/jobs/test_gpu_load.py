"""The load of GPUs, as NVIDIA's driver tells it; here a driver is pretended."""

import ctypes
from dataclasses import dataclass, field
from typing import Any

import pytest

from raven_scan.jobs.gpu_load import DeviceLoad, GpuLoads

NOT_SUPPORTED, GPU_IS_LOST = 3, 15
GB = 10**9


@dataclass
class Gpu:
    uuid: str
    model: str = "H100"
    busy: int = 0
    used: int = 0
    total: int = 80 * GB
    utilisation_code: int = 0
    memory_code: int = 0


@dataclass
class Nvml:
    """What is used of NVML: functions that write to where their last argument points, and return a code."""

    gpus: list[Gpu]
    init_codes: list[int] = field(default_factory=list[int])
    loads: int = 0

    def load(self, name: str) -> Any:
        assert name == "libnvidia-ml.so.1"
        self.loads += 1
        return self

    def nvmlInit_v2(self) -> int:  # noqa: N802 - NVML's
        return self.init_codes.pop(0) if self.init_codes else 0

    def nvmlDeviceGetCount_v2(self, count: Any) -> int:  # noqa: N802
        count._obj.value = len(self.gpus)
        return 0

    def nvmlDeviceGetHandleByIndex_v2(self, index: int, handle: Any) -> int:  # noqa: N802
        handle._obj.value = index + 1
        return 0

    def nvmlDeviceGetHandleByUUID(self, uuid: bytes, handle: Any) -> int:  # noqa: N802
        handle._obj.value = 1 + [gpu.uuid for gpu in self.gpus].index(uuid.decode())
        return 0

    def nvmlDeviceGetName(self, handle: ctypes.c_void_p, text: Any, size: ctypes.c_uint) -> int:  # noqa: N802
        text.value = self._find(handle).model.encode()[: size.value]
        return 0

    def nvmlDeviceGetUUID(self, handle: ctypes.c_void_p, text: Any, size: ctypes.c_uint) -> int:  # noqa: N802
        text.value = self._find(handle).uuid.encode()[: size.value]
        return 0

    def nvmlDeviceGetUtilizationRates(self, handle: ctypes.c_void_p, rates: Any) -> int:  # noqa: N802
        gpu = self._find(handle)
        rates._obj.gpu = gpu.busy
        return gpu.utilisation_code

    def nvmlDeviceGetMemoryInfo(self, handle: ctypes.c_void_p, memory: Any) -> int:  # noqa: N802
        gpu = self._find(handle)
        memory._obj.total, memory._obj.used = gpu.total, gpu.used
        return gpu.memory_code

    def _find(self, handle: ctypes.c_void_p) -> Gpu:
        assert handle.value is not None
        return self.gpus[handle.value - 1]


@pytest.fixture(autouse=True)
def _no_choice_of_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.delenv("CUDA_DEVICE_ORDER", raising=False)


def list_busy(nvml: Nvml, *devices: str) -> dict[str, float | None]:
    loads = GpuLoads(devices, load_library=nvml.load).measure()
    return {device: load.utilisation_percent for device, load in loads.items()}


def test_each_gpu_of_the_worker_is_told():
    nvml = Nvml([Gpu("GPU-a", busy=96, used=71 * GB), Gpu("GPU-b", busy=3), Gpu("GPU-c", busy=50)])
    loads = GpuLoads(["cuda:2", "cuda:0"], load_library=nvml.load)
    assert loads.measure() == {
        "cuda:2": DeviceLoad(50.0, 0, 80 * GB),
        "cuda:0": DeviceLoad(96.0, 71 * GB, 80 * GB),
    }
    nvml.gpus[0].busy = 10
    assert loads.measure()["cuda:0"].utilisation_percent == 10.0
    assert nvml.loads == 1


def test_what_the_driver_does_not_tell_is_not_known():
    nvml = Nvml(
        [
            Gpu("GPU-a", busy=7, utilisation_code=NOT_SUPPORTED, used=GB),
            Gpu("GPU-b", busy=8, memory_code=NOT_SUPPORTED),
            Gpu("GPU-c", utilisation_code=GPU_IS_LOST, memory_code=GPU_IS_LOST),
        ]
    )
    loads = GpuLoads(["cuda:0", "cuda:1", "cuda:2"], load_library=nvml.load)
    assert loads.measure() == {"cuda:0": DeviceLoad(None, GB, 80 * GB), "cuda:1": DeviceLoad(8.0, None, None)}


def test_without_a_driver_nothing_is_known_until_it_is_there():
    nvml = Nvml([Gpu("GPU-a", busy=5)], init_codes=[9])

    def load(name: str) -> Any:
        if nvml.loads == 0:
            nvml.loads = 1
            raise OSError(name)
        return nvml.load(name)

    loads = GpuLoads(["cuda:0"], load_library=load)
    assert loads.measure() == {}
    assert loads.measure() == {}, "the driver is not loaded"
    assert loads.measure()["cuda:0"].utilisation_percent == 5.0


@pytest.mark.parametrize(
    ("visible", "busy"),
    [
        ("2,0", {"cuda:0": 30.0, "cuda:1": 10.0}),
        ("GPU-b7", {"cuda:0": 20.0}),
        ("GPU-", {}),
        ("MIG-c", {"cuda:0": 30.0}),
        ("7", {}),
    ],
)
def test_gpus_are_counted_among_those_that_the_process_may_see(
    monkeypatch: pytest.MonkeyPatch, visible: str, busy: dict[str, float]
):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    nvml = Nvml([Gpu("GPU-a", busy=10), Gpu("GPU-b7", busy=20), Gpu("MIG-c", busy=30)])
    assert list_busy(nvml, "cuda:0", "cuda:1") == busy


def test_where_gpus_differ_and_cuda_may_count_otherwise_a_number_says_nothing(
    monkeypatch: pytest.MonkeyPatch,
):
    nvml = Nvml([Gpu("GPU-a", model="T4", busy=10), Gpu("GPU-b", busy=20)])
    assert list_busy(nvml, "cuda:0") == {}
    monkeypatch.setenv("CUDA_DEVICE_ORDER", "PCI_BUS_ID")
    assert list_busy(nvml, "cuda:0") == {"cuda:0": 10.0}
