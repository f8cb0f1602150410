"""How busy a worker's machine is."""

import threading
from types import SimpleNamespace

import psutil
import pytest

from raven_scan.jobs.gpu_load import DeviceLoad
from raven_scan.jobs.machine_load import LoadMeter, WorkerLoad, parse_load

GPU = DeviceLoad(utilisation_percent=87.0, memory_used_bytes=2, memory_total_bytes=8)


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def times(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Processor times as the system tells them; what guests use, their host has used too."""
    times = SimpleNamespace(user=10.0, system=5.0, idle=100.0, iowait=1.0, guest=3.0)
    fields = tuple(vars(times))

    def read() -> SimpleNamespace:
        return SimpleNamespace(**{name: getattr(times, name) for name in fields}, _fields=fields)

    monkeypatch.setattr(psutil, "cpu_times", read)
    return times


def test_memory_is_told_at_once_and_the_processor_once_there_is_something_to_tell(clock: Clock):
    meter = LoadMeter(["cpu"], clock=clock)
    load = meter.measure()
    assert load.processor_percent is None
    assert load.memory_used_bytes is not None
    assert load.memory_total_bytes is not None
    assert load.memory_total_bytes == psutil.virtual_memory().total
    assert 0 < load.memory_used_bytes < load.memory_total_bytes
    assert load.devices == {}


def test_the_processors_share_is_of_the_time_since_the_measurement_before(
    clock: Clock, times: SimpleNamespace
):
    meter = LoadMeter(["cpu"], clock=clock)
    clock.now_s += 2
    times.user, times.guest, times.idle, times.iowait = 12.0, 5.0, 105.0, 2.0
    assert meter.measure().processor_percent == 25.0
    # Too soon to say anything new.
    clock.now_s += 0.1
    times.user += 100
    assert meter.measure().processor_percent == 25.0
    clock.now_s += 2
    assert meter.measure().processor_percent == 100.0


def test_the_load_of_a_slot_of_the_cpu_is_that_of_all_cores(clock: Clock, times: SimpleNamespace):
    meter = LoadMeter(["cpu"], clock=clock)
    clock.now_s += 1
    times.user += 30
    times.idle += 10
    assert meter.measure_percent() == 75.0


def test_clocks_of_the_system_that_went_backwards_are_no_load(clock: Clock, times: SimpleNamespace):
    meter = LoadMeter(["cpu"], clock=clock)
    clock.now_s += 2
    times.idle -= 50
    assert meter.measure().processor_percent is None


def test_gpus_are_told_until_their_load_is_old(clock: Clock):
    asked = threading.Event()

    def ask() -> dict[str, DeviceLoad]:
        asked.set()
        return {"cuda:0": GPU}

    meter = LoadMeter(["cuda:0", "cuda:1"], gpus=ask, clock=clock)
    assert meter.measure().devices == {}
    meter.start()
    assert asked.wait(30)
    meter.stop()
    for _ in range(3000):
        if meter.measure().devices:
            break
        threading.Event().wait(0.01)
    assert meter.measure().devices == {"cuda:0": GPU}
    assert meter.measure_percent() == GPU.utilisation_percent
    clock.now_s += 11
    assert meter.measure().devices == {}, "nobody answers any more"
    assert meter.measure_percent() is None, "the processor's load is not the GPU's"


def test_a_driver_that_does_not_answer_holds_no_heartbeat_up(clock: Clock):
    never, asked = threading.Event(), threading.Event()

    def ask() -> dict[str, DeviceLoad]:
        asked.set()
        never.wait(60)
        return {}

    meter = LoadMeter(["cuda:0"], gpus=ask, clock=clock)
    meter.start()
    assert asked.wait(30)
    assert meter.measure().memory_total_bytes
    meter.stop()
    never.set()


def test_a_worker_without_gpus_asks_for_none():
    meter = LoadMeter(["cpu", "cpu"], gpus=lambda: pytest.fail("asked"))
    meter.start()
    assert meter.measure().devices == {}
    meter.stop()


@pytest.mark.parametrize(
    ("stored", "load"),
    [
        (None, None),
        ({}, WorkerLoad()),
        ({"processor_percent": 5, "of_a_later_release": 1}, WorkerLoad(processor_percent=5.0)),
        (
            {"devices": {"cuda:0": {"memory_total_bytes": 8}}},
            WorkerLoad(devices={"cuda:0": DeviceLoad(memory_total_bytes=8)}),
        ),
        ({"processor_percent": "much"}, None),
        ([], None),
    ],
)
def test_what_a_worker_of_another_release_told_is_understood_or_left_out(
    stored: object, load: WorkerLoad | None
):
    assert parse_load(stored) == load
