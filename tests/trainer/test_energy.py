"""What the trainer tells of its energy, and that measuring it costs and breaks nothing."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
from codecarbon.core.cpu import TDP

from raven_scan.trainer.energy import processor
from raven_scan.trainer.energy.graphics import find_indices
from raven_scan.trainer.energy.grid import find_intensity
from raven_scan.trainer.energy.measuring import Meter
from raven_scan.trainer.energy.metering import METER_MODULE, meter_energy
from raven_scan.trainer.energy.processor import (
    DEFAULT,
    ESTIMATED,
    RAPL,
    ProcessorMeter,
    ProcessTimes,
    find_design_watts,
)
from raven_scan.trainer.energy.reading import MeterRequest
from raven_scan.trainer.event_log import EventLog
from raven_scan.wire.events import EnergyUsed, EventReader, Message, Stopped, TrainingDone
from raven_scan.wire.spec import EnergySpec

UNKNOWN = "A processor of tomorrow"
# What a process opens for writing, and whom it asks, to its standard error.
AUDIT = """
import os, runpy, sys
def note(event, given):
    if event.startswith("socket.") or event == "subprocess.Popen":
        os.write(2, f"{event} {given[0]}\\n".encode())
    elif event == "open" and isinstance(given[2], int) and given[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
        os.write(2, f"written {given[0]}\\n".encode())
sys.dont_write_bytecode = True
sys.addaudithook(note)
runpy.run_module(sys.argv[1], run_name="__main__")
"""
# Programs of the drivers of GPUs, which have an answer of their own where there are none.
ASKED = {"subprocess.Popen nvidia-smi", "subprocess.Popen rocm-smi", "subprocess.Popen lscpu"}


def spin(seconds: float) -> None:
    began_at = time.process_time()
    while time.process_time() - began_at < seconds:
        pass


def write_counter(folder: Path, joules: float) -> None:
    """As Linux shows the energy of a processor's package."""
    domain = folder / "intel-rapl" / "intel-rapl:0"
    domain.mkdir(parents=True, exist_ok=True)
    (domain / "name").write_text("package-0\n")
    (domain / "max_energy_range_uj").write_text("262143328850\n")
    (domain / "energy_uj").write_text(f"{round(joules * 1e6)}\n")


def test_the_meter_asks_no_network_writes_nothing_and_ends_with_who_started_it(tmp_path: Path):
    request = {"pid": os.getpid(), "devices": ["cuda:0"], "country": "ITA"}
    meter = subprocess.Popen(
        [sys.executable, "-P", "-c", AUDIT, METER_MODULE],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=tmp_path,
        env={**os.environ, "HOME": str(tmp_path), "TMPDIR": str(tmp_path), "CODECARBON_SAVE_TO_API": "true"},
    )
    # What is asked at once is not lost.
    out, err = meter.communicate(json.dumps(request).encode() + b"\nlast\n", timeout=60)
    assert meter.returncode == 0, err
    reading = json.loads(out)
    assert reading["country"] == "ITA"
    assert reading["memory_wh"] > 0
    assert set(err.decode().splitlines()) <= ASKED
    assert list(tmp_path.iterdir()) == []
    left = subprocess.run(
        [sys.executable, "-m", METER_MODULE],
        input=json.dumps(request).encode() + b"\n",
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert (left.returncode, left.stdout, left.stderr) == (0, b"", b"")


def list_children() -> list[psutil.Process]:
    """Of this process; those of fixtures of other tests live on."""
    return psutil.Process().children()


@pytest.mark.parametrize("module", ["raven_scan.trainer.energy.missing", "this"])
def test_a_meter_that_fails_holds_nobody_up(tmp_path: Path, module: str):
    before = list_children()
    with EventLog(tmp_path / "events.jsonl") as log:
        meter_energy(EnergySpec(), ["cpu"], log, module=module)
        began_at = time.monotonic()
        log.emit(Stopped(time=1.0, epoch=0, step=0))
        assert time.monotonic() - began_at < 10
    assert [type(event) for event in EventReader(tmp_path / "events.jsonl").read_new()] == [Stopped]
    assert list_children() == before


def test_why_nothing_is_measured_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "failing_meter.py").write_text(
        "import raven_scan.trainer.energy.measuring as measuring\n"
        "from raven_scan.trainer.energy.meter import main\n"
        "class Broken:\n    def __init__(self, request):\n        raise PermissionError('not for you')\n"
        "measuring.Meter = Broken\nmain()\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with EventLog(tmp_path / "events.jsonl") as log:
        meter_energy(EnergySpec(), ["cpu"], log, module="failing_meter")
        log.emit(Stopped(time=1.0, epoch=0, step=0))
    told, end = EventReader(tmp_path / "events.jsonl").read_new()
    assert isinstance(told, Message)
    assert told.text == "Energy is not measured: PermissionError: not for you."
    assert isinstance(end, Stopped)


def test_the_last_reading_comes_before_the_end_and_an_unknown_country_is_told(tmp_path: Path):
    with EventLog(tmp_path / "events.jsonl") as log:
        meter_energy(EnergySpec(country="XXX"), ["cpu"], log)
        spin(0.3)
        log.emit(Stopped(time=1.0, epoch=0, step=0))
    warning, energy, end = EventReader(tmp_path / "events.jsonl").read_new()
    assert isinstance(warning, Message)
    assert (warning.level, warning.code) == ("warning", "unknown_country")
    assert isinstance(energy, EnergyUsed)
    assert energy.energy_wh > 0
    assert energy.country is None
    assert energy.co2_g == pytest.approx(energy.energy_wh * 0.475)
    assert isinstance(end, Stopped)


def test_only_one_rank_of_several_is_metered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    before = list_children()
    with EventLog(tmp_path / "events.jsonl") as log:
        # The launcher.
        meter_energy(EnergySpec(), ["cpu", "cpu"], log)
        monkeypatch.setenv("RAVEN_RANKS", str(tmp_path))
        monkeypatch.setenv("RANK", "1")
        meter_energy(EnergySpec(), ["cpu", "cpu"], log)
        assert list_children() == before
        log.emit(Stopped(time=1.0, epoch=0, step=0))
    assert len(EventReader(tmp_path / "events.jsonl").read_new()) == 1


def test_energy_is_not_measured_where_nobody_asked(tmp_path: Path):
    before = list_children()
    with EventLog(tmp_path / "events.jsonl") as log:
        meter_energy(None, ["cpu"], log)
        assert list_children() == before


def test_of_what_a_processor_counts_the_share_of_its_time_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    busy = SimpleNamespace(_fields=("user", "system", "idle", "iowait", "guest"))
    times = {"user": 100.0, "system": 10.0, "idle": 50.0, "iowait": 5.0, "guest": 30.0}
    monkeypatch.setattr(processor.psutil, "cpu_times", lambda: SimpleNamespace(_fields=busy._fields, **times))
    write_counter(tmp_path, 1000)
    meter = ProcessorMeter(model=UNKNOWN, rapl_folder=tmp_path / "intel-rapl")
    assert meter.method == RAPL
    write_counter(tmp_path, 1000 + 7200)
    times.update(user=106.0, system=12.0, idle=90.0, guest=35.0)
    assert meter.measure_wh(2.0, 10.0) == pytest.approx(2 * 2 / 8, rel=1e-4)
    # The counter has wrapped around, and nobody else did anything.
    write_counter(tmp_path, 5)
    times.update(user=108.0)
    expected_j = 262143.328850 - 8200 + 5
    assert meter.measure_wh(2.5, 10.0) == pytest.approx(expected_j / 3600, rel=1e-4)


def test_a_processor_without_counters_is_estimated_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(processor.psutil, "cpu_count", lambda: 8)
    monkeypatch.setattr(processor, "count_physical_cpus", lambda: 2)
    unknown = ProcessorMeter(model=UNKNOWN, rapl_folder=tmp_path)
    assert unknown.method == DEFAULT
    assert unknown.measure_wh(1800, 3600) == pytest.approx(8 * 4 * 0.5 / 8)
    known = ProcessorMeter(model="Intel(R) Core(TM) i7-8550U CPU @ 1.80GHz", rapl_folder=tmp_path)
    assert known.method == ESTIMATED
    assert known.measure_wh(3600, 3600) == pytest.approx(2 * 15 / 8)


@pytest.mark.parametrize(
    "model",
    [
        "Intel(R) Core(TM) i7-8550U CPU @ 1.80GHz",
        "AMD EPYC 7763 64-Core Processor",
        "AMD Ryzen 9 5950X 16-Core Processor",
        "Intel(R) Xeon(R) Gold 6248 CPU @ 2.50GHz",
        "Intel(R) Xeon(R) Processor",
        UNKNOWN,
        "",
    ],
)
def test_design_powers_are_codecarbons(model: str):
    whole = TDP.__new__(TDP)
    assert find_design_watts(model) == whole._get_cpu_power_from_registry(model)  # pyright: ignore[reportPrivateUsage]


def test_processor_time_of_children_counts_while_they_live_and_after():
    times = ProcessTimes(os.getpid())
    times.measure_s()
    loop = "import time\nwhile time.process_time() < 0.3: pass\nprint(flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", loop], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        child.stdout.readline()
        assert times.measure_s() >= 0.25
        child.communicate(b"\n")
    assert times.measure_s() < 0.2


def test_a_process_that_is_gone_uses_nothing_more():
    ended = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    meter = Meter(MeterRequest(pid=ended.pid, devices=["cpu"], country=None))
    ended.communicate(b"\n")
    before, after = meter.read(), meter.read()
    assert before.processor_wh == after.processor_wh
    assert after.duration_s > before.duration_s


def test_intensity_is_the_countrys_or_the_worlds():
    world, of_nobody = find_intensity(None)
    assert (world, of_nobody) == (475.0, None)
    assert find_intensity("XXX") == (world, None)
    intensity, country = find_intensity("ITA")
    assert country == "ITA"
    assert 100 < intensity < world


@pytest.mark.parametrize(
    ("devices", "environment", "names", "found"),
    [
        (["cuda:1"], {}, "AA", [1]),
        (["cuda:0", "cuda:1"], {}, "AAA", [0, 1]),
        (["cuda:0"], {"CUDA_VISIBLE_DEVICES": "1"}, "AA", [1]),
        (["cuda:1"], {"CUDA_VISIBLE_DEVICES": "1"}, "AA", []),
        (["cuda:0"], {"CUDA_VISIBLE_DEVICES": "GPU-b"}, "AB", [1]),
        (["cuda:0"], {"CUDA_VISIBLE_DEVICES": "MIG-b"}, "AB", []),
        (["cuda:0"], {}, "AB", []),
        (["cuda:0"], {"CUDA_DEVICE_ORDER": "PCI_BUS_ID"}, "AB", [0]),
        (["cuda:0"], {}, "", []),
    ],
)
def test_a_gpu_is_metered_where_its_number_says_which_it_is(
    devices: list[str], environment: dict[str, str], names: str, found: list[int]
):
    known = [
        {"gpu_index": index, "name": name, "uuid": f"GPU-{'abc'[index]}"} for index, name in enumerate(names)
    ]
    assert find_indices(devices, known, environment) == found


def test_a_training_tells_what_it_used(
    tmp_path: Path, make_train_spec: Callable[..., Any], run_trainer: Callable[..., Any]
):
    spec = make_train_spec(tmp_path / "work", parameters={"epochs": 1}, energy=EnergySpec(country="ITA"))
    result = run_trainer("train", spec)
    assert result.exit_code == 0, result.output
    told = result.of(EnergyUsed)
    assert told
    assert result.events.index(told[-1]) < result.events.index(result.of(TrainingDone)[0])
    assert told[-1].processor_wh > 0
    assert told[-1].memory_wh > 0
    assert told[-1].gpu_wh == 0
    assert told[-1].is_complete
    assert told[-1].country == "ITA"
    assert "codecarbon" not in result.output
    assert not [*tmp_path.rglob("emissions*"), *tmp_path.rglob("*.csv")]
