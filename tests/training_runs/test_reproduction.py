"""Runs are run again from their records, and compared with what they were."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from raven_scan.access.types import LOCAL_ADMINISTRATOR
from raven_scan.app.wiring import Platform
from raven_scan.architectures.parameters import Augmentation
from raven_scan.kernel.errors import Conflict, NotFound, RavenError
from raven_scan.training_runs.reproduction import ReproductionReport
from raven_scan.training_runs.reproduction_verdicts import ReproductionVerdict
from raven_scan.training_runs.types import DeviceKind, RunOptions, RunStatus, TrainingRunView

from .conftest import TINY
from .finished_runs import ENVIRONMENT, finish_run
from .test_job import execute

ADMIN = LOCAL_ADMINISTRATOR
CreateRun = Callable[..., TrainingRunView]


def reproduce(platform: Platform, **outcome: object) -> ReproductionReport:
    """Of the run `first`, with an outcome."""
    run, _ = platform.run_reproductions.reproduce(ADMIN, "first")
    finish_run(platform, run, **outcome)  # pyright: ignore[reportArgumentType]
    return platform.run_reproductions.get_report(ADMIN, run.name)


def test_a_reproduction_has_the_inputs_parameters_and_device_of_the_record(
    platform: Platform, create_run: CreateRun
):
    options = RunOptions(priority=5, time_limit_s=100_000)
    finish_run(platform, create_run(parameters=TINY.model_copy(update={"seed": 3}), options=options))
    original = platform.training_runs.get_run(ADMIN, "first")
    run, findings = platform.run_reproductions.reproduce(ADMIN, "first")
    assert run.name == "first-reproduced"
    assert run.status is RunStatus.DRAFT
    # Of a run from before there was a choice: what it computed with is MMDetection's own.
    plain = {"precision": "float32", "memory_format": "contiguous", "acceleration": "off"}
    assert run.parameters.model_dump() == {**original.parameters.model_dump(), **plain}
    assert (run.dataset_version, run.base_model) == (original.dataset_version, original.base_model)
    # It ran on the CPU; when and how long it may run is not what it learned from.
    assert run.options == replace(RunOptions(), device_kind=DeviceKind.CPU)
    assert run.reproduces is not None
    assert (run.reproduces.id, run.reproduces.name) == (original.id, "first")
    assert {finding.code for finding in findings} <= {"reproduction.other_version"}
    assert platform.run_reproductions.reproduce(ADMIN, "first")[0].name == "first-reproduced-2"
    assert platform.run_reproductions.reproduce(ADMIN, "first", name="mine")[0].name == "mine"
    with pytest.raises(Conflict):
        platform.run_reproductions.reproduce(ADMIN, "first", name="mine")
    pending = platform.run_reproductions.get_report(ADMIN, "mine")
    assert pending.verdict is ReproductionVerdict.PENDING
    assert pending.is_weights_equal is None


def test_what_a_run_measured_is_not_measured_again(platform: Platform, create_run: CreateRun):
    measured = {"precision": "bfloat16", "memory_format": "channels_last"}
    hooks = [{"type": "RavenArithmeticHook", **measured, "accelerated": True}]
    finish_run(platform, create_run(), hooks=hooks)
    original = platform.training_runs.get_run(ADMIN, "first")
    assert original.parameters.precision == "auto"
    report = reproduce(platform, hooks=hooks)
    run = platform.training_runs.get_run(ADMIN, report.run.name)
    assert run.parameters.model_dump() == {**original.parameters.model_dump(), **measured}
    assert report.differences == []


def test_the_same_weights_are_a_reproduction(platform: Platform, create_run: CreateRun):
    finish_run(platform, create_run())
    report = reproduce(platform)
    assert report.verdict is ReproductionVerdict.IDENTICAL
    assert report.is_weights_equal
    assert report.is_configuration_equal  # though it names another folder
    assert report.differences == []
    assert report.largest_difference == 0
    platform.run_stewardship.edit(ADMIN, "first", name="renamed")
    followed = platform.training_runs.get_run(ADMIN, report.run.name).reproduces
    assert followed is not None
    assert followed.name == "renamed"
    # What becomes of the models changes nothing of that.
    platform.model_stewardship.delete(ADMIN, "first")
    assert platform.run_reproductions.get_report(ADMIN, report.run.name).verdict is report.verdict


def test_a_damaged_configuration_is_not_known_to_be_the_same(platform: Platform, create_run: CreateRun):
    finish_run(platform, create_run())
    report = reproduce(platform)
    assert report.is_configuration_equal
    digest = platform.trained_models.get_model(ADMIN, "first").configuration_digest
    path = platform.blobs.get_path(digest or "")
    path.chmod(0o600)
    path.write_bytes(b"{")
    report = platform.run_reproductions.get_report(ADMIN, report.run.name)
    assert report.is_configuration_equal is None
    assert report.verdict is ReproductionVerdict.IDENTICAL


@pytest.mark.parametrize(
    ("map50", "verdict"),
    [(0.515, ReproductionVerdict.WITHIN_TOLERANCE), (0.45, ReproductionVerdict.DIFFERENT)],
)
def test_other_weights_are_judged_by_their_figures(
    platform: Platform, create_run: CreateRun, map50: float, verdict: ReproductionVerdict
):
    finish_run(platform, create_run())
    report = reproduce(platform, value=2.0, test_map50=map50, environment={**ENVIRONMENT, "torch": "3.0.0"})
    assert report.verdict is verdict
    assert report.is_weights_equal is False
    assert report.largest_difference == pytest.approx(abs(map50 - 0.5))
    assert [(each.name, each.values) for each in report.differences] == [("torch", ["2.14.1", "3.0.0"])]
    assert "torch" in report.message
    loose = platform.run_reproductions.get_report(ADMIN, report.run.name, tolerance=0.1)
    assert loose.verdict is ReproductionVerdict.WITHIN_TOLERANCE


def test_what_may_make_a_difference_is_said_before(platform: Platform, create_run: CreateRun):
    finish_run(platform, create_run(), environment={**ENVIRONMENT, "torch": "1.0.0"})
    findings = platform.run_reproductions.reproduce(ADMIN, "first")[1]
    assert any("torch 1.0.0" in finding.message for finding in findings)
    with platform.database.transaction() as session:
        # A run that is older than records.
        session.connection().exec_driver_sql("UPDATE training_runs SET record = NULL WHERE name = 'first'")
        session.connection().exec_driver_sql("UPDATE training_run_attempts SET environment = NULL")
    findings = platform.run_reproductions.reproduce(ADMIN, "first")[1]
    assert [finding.code for finding in findings] == ["reproduction.no_record", "reproduction.no_environment"]
    with platform.database.transaction() as session:
        session.connection().exec_driver_sql(
            """UPDATE training_runs SET record = '{"dataset_version_digest": "x", "base_weights_digest": "y"}'"""
        )
    findings = platform.run_reproductions.reproduce(ADMIN, "first")[1]
    assert [finding.code for finding in findings][:2] == [
        "reproduction.dataset_changed",
        "reproduction.base_model_changed",
    ]


def test_what_cannot_be_reproduced_is_refused(platform: Platform, create_run: CreateRun):
    def refuse(act: Callable[[], object], kind: type[RavenError] = Conflict) -> RavenError:
        with pytest.raises(kind) as refused:
            act()
        assert refused.value.hint
        return refused.value

    create_run("draft")
    reproductions = platform.run_reproductions
    assert refuse(lambda: reproductions.reproduce(ADMIN, "draft")).code == "training_run.not_reproduced"
    code = refuse(lambda: reproductions.get_report(ADMIN, "draft"), NotFound).code
    assert code == "training_run.reproduces_nothing"
    platform.run_stewardship.delete(ADMIN, "draft")
    finish_run(platform, create_run())
    report = reproduce(platform)
    with platform.database.transaction() as session:
        session.connection().exec_driver_sql("UPDATE datasets SET deleted_at = now(), deleted_by = 'me'")
    refused = refuse(lambda: reproductions.reproduce(ADMIN, "first"))
    assert refused.code == "training_run.dataset_gone"
    assert "squares@1" in refused.message
    platform.run_stewardship.delete(ADMIN, "first")
    code = refuse(lambda: reproductions.get_report(ADMIN, report.run.name), NotFound).code
    assert code == "training_run.original_gone"


@pytest.mark.long
def test_training_on_a_cpu_again_gives_the_same_bits(platform: Platform, create_run: CreateRun):
    run = create_run(parameters=TINY.model_copy(update={"augmentation": Augmentation.FULL}))
    platform.training_runs.schedule(ADMIN, run.name)
    first = execute(platform, run, "raven_scan.trainer")
    assert first.status is RunStatus.SUCCESS
    environment = first.attempts[0].environment
    assert environment is not None
    assert environment["device"] == "cpu"
    assert {"python", "torch", "onedl-mmdetection", "operating-system", "raven-scan"} <= set(environment)
    again, findings = platform.run_reproductions.reproduce(ADMIN, "first")
    assert findings == []
    platform.training_runs.schedule(ADMIN, again.name)
    assert execute(platform, again, "raven_scan.trainer").status is RunStatus.SUCCESS
    report = platform.run_reproductions.get_report(ADMIN, again.name)
    assert report.verdict is ReproductionVerdict.IDENTICAL
    assert report.is_configuration_equal
    assert report.differences == []
