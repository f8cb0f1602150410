"""Energy of runs: what processes tell adds up, and is shown beside the time."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from fastapi.testclient import TestClient
from pydantic import SecretStr, ValidationError

from raven_scan.access.types import LOCAL_ADMINISTRATOR, WORKER
from raven_scan.app.cli.output import Output
from raven_scan.app.cli.run_display import show_run
from raven_scan.app.server import build_app
from raven_scan.app.wiring import Platform
from raven_scan.kernel.paging import PageRequest
from raven_scan.kernel.settings import Settings
from raven_scan.training_runs.attempt import Attempt
from raven_scan.training_runs.energy import EnergyTally, ProcessorMethod, RunEnergy
from raven_scan.training_runs.estimates import estimate_run
from raven_scan.training_runs.schemas import TrainingRunOut
from raven_scan.training_runs.types import RunError, RunFilter, RunProgress, TrainingRunView
from raven_scan.web.run_pieces import draw_attempts, draw_state
from raven_scan.web.texts import NONE, Texts
from raven_scan.wire.events import DryRunDone, EnergyUsed

from .conftest import TINY
from .finished_runs import finish_run

ADMIN = LOCAL_ADMINISTRATOR
CreateRun = Callable[..., TrainingRunView]
ERROR = RunError(code="crashed", message="It crashed.", hint="Look at the log.")
T = Texts("en", ZoneInfo("UTC"))


def use(pid: int, processor_wh: float, **changes: Any) -> EnergyUsed:
    values: dict[str, Any] = {
        "time": 1.0,
        "pid": pid,
        "duration_s": 360.0,
        "processor_wh": processor_wh,
        "memory_wh": 1.0,
        "gpu_wh": 0.0,
        "co2_g": processor_wh / 2,
        "processor_method": "rapl",
        "country": "ITA",
        **changes,
    }
    return EnergyUsed(**values)


def begin(platform: Platform) -> Attempt:
    attempt = platform.execution.begin_next(WORKER, worker="here:1:1.0", free=["cpu"], capacity=["cpu"])
    assert attempt is not None
    return attempt


def record(platform: Platform, attempt: Attempt, *events: EnergyUsed) -> None:
    """As its worker does; twice, since an answer may be lost."""
    tally = EnergyTally(attempt.energy)
    for event in events:
        tally.take(event)
    for _ in range(2):
        platform.execution.record(
            WORKER,
            attempt,
            progress=RunProgress(),
            points=[],
            warnings=[],
            best=None,
            checkpoint=None,
            log=b"",
            log_position=0,
            energy=tally,
        )


def read(platform: Platform, name: str = "first") -> TrainingRunView:
    return platform.training_runs.get_run(ADMIN, name)


@pytest.fixture
def run(platform: Platform, create_run: CreateRun) -> TrainingRunView:
    """Of two attempts, of which the first was lost, on two machines."""
    create_run("first")
    platform.training_runs.schedule(ADMIN, "first")
    lost = begin(platform)
    record(platform, lost, use(1, 1.0), use(1, 4.0))
    platform.execution.lose(WORKER, lost, ERROR)
    second = begin(platform)
    # The training and the test.
    record(platform, second, use(1, 10.0, processor_method="tdp", country=None), use(2, 2.0, gpu_wh=5.0))
    return read(platform)


def test_processes_and_attempts_add_up(run: TrainingRunView, platform: Platform):
    assert run.energy == RunEnergy(
        energy_wh=4 + 10 + 2 + 5 + 3,
        co2_g=8.0,
        processor_wh=16.0,
        memory_wh=3.0,
        gpu_wh=5.0,
        processor_methods=[ProcessorMethod.RAPL, ProcessorMethod.TDP],
        countries=["ITA", "world"],
        is_complete=True,
    )
    assert [each.energy.energy_wh for each in run.attempts if each.energy] == [5.0, 19.0]
    (listed,) = platform.training_runs.list_runs(ADMIN, PageRequest(), RunFilter()).items
    assert listed.energy == run.energy


def test_a_dry_run_counts_with_itself_alone(platform: Platform, create_run: CreateRun):
    create_run("first")
    platform.training_runs.schedule(ADMIN, "first", dry_run=True)
    attempt = begin(platform)
    record(platform, attempt, use(1, 4.0, is_complete=False))
    view = read(platform)
    assert view.energy is None
    assert view.attempts[0].energy is not None
    assert not view.attempts[0].energy.is_complete


def test_a_dry_run_foretells_what_the_whole_run_will_use():
    tally = EnergyTally(None)
    assert tally.mean_power is None
    measured = DryRunDone(
        time=1.0,
        start_time_s=10.0,
        step_time_s=1.0,
        validation_image_time_s=0.1,
        checkpoint_time_s=1.0,
        peak_memory_mb=100.0,
        steps_per_epoch=1000,
    )
    sizes: dict[str, Any] = {"valid_image_count": 5, "test_image_count": 5, "device": "cpu"}
    assert estimate_run(measured, TINY, **sizes).energy_wh is None
    # 50 W for six minutes.
    tally.take(use(1, 4.0, co2_g=2.0))
    estimate = estimate_run(measured, TINY, mean_power=tally.mean_power, **sizes)
    assert estimate.energy_wh == pytest.approx(50 * estimate.time_s / 3600)
    assert estimate.co2_g == pytest.approx(20 * estimate.time_s / 3600)


def test_rest_the_command_and_the_page_show_it(
    run: TrainingRunView, platform: Platform, capsys: pytest.CaptureFixture[str]
):
    with TestClient(build_app(platform, token=None, allow_server_paths=False)) as client:
        answer = client.get("/api/v1/training-runs/first").json()
        (listed,) = client.get("/api/v1/training-runs").json()["items"]
    assert answer["energy"] == listed["energy"]
    assert answer["energy"]["energy_wh"] == 24.0
    assert answer["energy"]["processor_methods"] == ["rapl", "tdp"]
    assert [each["energy"]["co2_g"] for each in answer["attempts"]] == [2.0, 6.0]
    told = TrainingRunOut.model_validate(answer)
    show_run(Output(as_json=False), told)
    shown = capsys.readouterr().out
    assert "24 Wh, 8 g of CO2 (electricity: ITA, world's average)" in shown
    assert "GPU 5 Wh, measured" in shown
    show_run(Output(as_json=True), told)
    assert json.loads(capsys.readouterr().out)["energy"] == answer["energy"]
    assert "24 Wh, 8 g of CO2" in draw_state(run, T)
    assert "<td>19 Wh</td>" in draw_attempts(run, T)


def test_runs_are_compared_by_time_and_energy(platform: Platform, create_run: CreateRun):
    finish_run(platform, create_run("first"))
    create_run("second")
    compared = platform.run_comparisons.compare_runs(ADMIN, ["first", "second"])
    assert compared.runs[0].time_s is not None
    assert compared.runs[0].time_s >= 0
    assert compared.runs[1].time_s is None
    assert [each.energy for each in compared.runs] == [None, None]


def test_runs_of_earlier_releases_have_none(
    platform: Platform, create_run: CreateRun, capsys: pytest.CaptureFixture[str]
):
    finish_run(platform, create_run("first"))
    view = read(platform)
    assert (view.energy, view.attempts[0].energy) == (None, None)
    with TestClient(build_app(platform, token=None, allow_server_paths=False)) as client:
        answer = client.get("/api/v1/training-runs/first").json()
    assert (answer["energy"], answer["attempts"][0]["energy"]) == (None, None)
    show_run(Output(as_json=False), TrainingRunOut.model_validate(answer))
    shown = capsys.readouterr().out
    assert "Took" in shown
    assert "CO2" not in shown
    assert "CO2" not in draw_state(view, T)
    assert f"<td>{NONE}</td>" in draw_attempts(view, T)


@pytest.mark.parametrize(
    ("energy_wh", "written"),
    [(0.0123, "0.0123 Wh"), (0.4567, "0.46 Wh"), (12.34, "12.3 Wh"), (999.4, "999 Wh"), (1234.0, "1.23 kWh")],
)
def test_energy_is_written_with_few_digits(energy_wh: float, written: str):
    assert T.energy(energy_wh) == written
    assert T.co2(energy_wh) == written.replace("Wh", "g")


def test_a_country_has_three_letters(tmp_path: Path):
    assert Settings(home=tmp_path, country=" ita").country == "ITA"
    for given in ("Italy", "IT", "1TA"):
        with pytest.raises(ValidationError, match="ISO 3166"):
            Settings(home=tmp_path, country=given, token=SecretStr("x"))
