"""The job, with real child processes: trainers that misbehave, and MMDetection itself."""

import threading
from collections.abc import Callable, Iterator

import psutil
import pytest
from tests.metric_points import list_points

from raven_scan.access.types import LOCAL_ADMINISTRATOR
from raven_scan.app.wiring import Platform
from raven_scan.jobs.dispatcher import TakenWork
from raven_scan.kernel.settings import Settings
from raven_scan.training_runs.attempt_inputs import AttemptTools
from raven_scan.training_runs.tasks import TrainingRunJob
from raven_scan.training_runs.types import CLASS_METRICS, AttemptEnd, RunStatus, TrainingRunView

from .conftest import list_children

ADMIN = LOCAL_ADMINISTRATOR
ScheduleRun = Callable[..., TrainingRunView]
DEADLINE_S = 60.0


def make_job(
    platform: Platform, trainer_module: str = "raven_scan.trainer", settings: Settings | None = None
) -> TrainingRunJob:
    return TrainingRunJob(
        AttemptTools(
            execution=platform.execution,
            datasets=platform.datasets,
            models=platform.trained_models,
            blobs=platform.blobs,
            checks=platform.checks,
            settings=settings or platform.settings,
            clock=platform.clock,
            worker="elsewhere:1:0.00",
            threads=1,
            drain_s=6.0,
            trainer_module=trainer_module,
        )
    )


def take(job: TrainingRunJob) -> TakenWork:
    work = job.take_next(free=["cpu"], capacity=["cpu"])
    assert work is not None
    return work


def execute(platform: Platform, run: TrainingRunView, trainer_module: str) -> TrainingRunView:
    """Every attempt, to the run's end."""
    job = make_job(platform, trainer_module)
    while work := job.take_next(free=["cpu"], capacity=["cpu"]):
        work.run(threading.Event())
    return platform.training_runs.get_run(ADMIN, str(run.id))


@pytest.mark.parametrize(
    ("behaviour", "code", "words"),
    [
        ("crash", "crashed.signal", "SIGABRT"),
        ("killed", "crashed.killed", "SIGKILL"),
        ("silent_exit", "crashed", "exit code 0"),
        ("garbage", "unreadable_events", "cannot be read"),
        ("refuse", "out_of_memory", "No memory is left."),
    ],
)
def test_every_failure_says_which_it_was(
    platform: Platform,
    schedule_run: ScheduleRun,
    misbehaving_trainer: Callable[[str], str],
    behaviour: str,
    code: str,
    words: str,
):
    run = execute(platform, schedule_run(), misbehaving_trainer(behaviour))
    assert run.status is RunStatus.ERROR
    assert run.error
    assert run.error.code == code
    assert words in run.error.message
    assert run.error.hint
    assert run.error.log_tail
    assert [point.value for point in list_points(platform, "first", ["loss"])] == [2.5]
    assert not list(platform.settings.work_folder.iterdir())
    assert platform.trained_models.find_model(ADMIN, "first") is None


def test_the_log_has_what_the_trainer_printed(
    platform: Platform, schedule_run: ScheduleRun, misbehaving_trainer: Callable[[str], str]
):
    execute(platform, schedule_run(), misbehaving_trainer("crash"))
    assert "about to crash" in platform.training_runs.read_log(ADMIN, "first", 0, 100_000).text


@pytest.fixture
def hanging_job(
    platform: Platform, schedule_run: ScheduleRun, misbehaving_trainer: Callable[[str], str]
) -> Iterator[tuple[TrainingRunView, threading.Event, threading.Thread]]:
    """A job whose trainer hangs, with a child of its own, after its first step."""
    run = schedule_run()
    stop = threading.Event()
    job = make_job(platform, misbehaving_trainer("hang"))
    thread = threading.Thread(target=take(job).run, args=(stop,))
    thread.start()
    pause = threading.Event()
    for _ in range(int(DEADLINE_S / 0.05)):
        if platform.training_runs.get_run(ADMIN, "first").progress.step == 1:
            break
        pause.wait(0.05)
    yield run, stop, thread
    stop.set()
    thread.join(DEADLINE_S)


def test_a_stopped_worker_hands_its_run_back_and_leaves_no_process(
    platform: Platform, hanging_job: tuple[TrainingRunView, threading.Event, threading.Thread]
):
    run, stop, thread = hanging_job
    children = list_children()
    assert len(children) >= 2
    stop.set()
    thread.join(DEADLINE_S)
    assert not thread.is_alive()
    _, alive = psutil.wait_procs(children, timeout=10)
    assert not alive
    view = platform.training_runs.get_run(ADMIN, str(run.id))
    assert view.status is RunStatus.WAITING
    assert view.attempts[0].end is AttemptEnd.WORKER_STOPPED


def test_a_worker_that_lost_its_run_ends_its_trainer_and_changes_nothing(
    platform: Platform, hanging_job: tuple[TrainingRunView, threading.Event, threading.Thread]
):
    run, _, thread = hanging_job
    children = list_children()
    platform.run_control.cancel(ADMIN, str(run.id))
    thread.join(DEADLINE_S)
    assert not thread.is_alive()
    _, alive = psutil.wait_procs(children, timeout=10)
    assert not alive
    view = platform.training_runs.get_run(ADMIN, str(run.id))
    assert view.status is RunStatus.CANCELLED
    assert view.error is None
    assert view.attempts[0].end is AttemptEnd.CANCELLED


def check_energy(run: TrainingRunView) -> None:
    """Of training and test, the only attempt's."""
    assert run.energy is not None
    assert run.energy.energy_wh > 0
    assert run.energy.co2_g == pytest.approx(run.energy.energy_wh * 0.475)
    assert run.energy.countries == ["world"]
    assert run.attempts[0].energy == run.energy


def test_mmdetection_trains_a_model_with_figures_and_lineage(platform: Platform, schedule_run: ScheduleRun):
    run = execute(platform, schedule_run(), "raven_scan.trainer")
    log = platform.training_runs.read_log(ADMIN, "first", 0, 1_000_000).text
    assert run.status is RunStatus.SUCCESS, log
    assert run.progress.epoch == 2
    assert run.model
    model = platform.trained_models.get_model(ADMIN, "first")
    assert model.id == run.model.id
    assert model.test
    assert model.test.map is not None
    assert model.test.box_count == 8
    evaluation = platform.evaluations.find_latest(ADMIN, model.id, run.dataset_version.id)
    assert evaluation
    assert evaluation.training_run_id == run.id
    assert (evaluation.image_count, evaluation.box_count) == (8, 8)
    assert evaluation.figures
    assert evaluation.figures["map"].value == pytest.approx(model.test.map)
    assert platform.evaluations.read_report(ADMIN, evaluation.id).figures == evaluation.figures
    assert platform.evaluations.open_matches(ADMIN, evaluation.id).is_file()
    assert model.classes == ["waste"]
    environment = run.attempts[0].environment
    assert environment is not None
    assert {"raven-scan", "python", "torch", "operating-system", "device", "threads"} <= set(environment)
    assert model.environment == environment
    assert run.record is not None
    assert run.record.weights_digest == model.weights_digest
    assert run.record.dataset_version_digest == model.dataset_version_digest
    assert run.record.dataset_version_digest is not None
    lineage = model.lineage
    assert lineage.training_run is not None
    assert lineage.training_run.id == run.id
    assert model.lineage.dataset_version is not None
    assert model.lineage.dataset_version.id == run.dataset_version.id
    assert model.lineage.base_model
    assert model.lineage.base_model.id == run.base_model.id
    weights = platform.trained_models.open_weights(ADMIN, model.id)
    assert weights
    assert weights.stat().st_size > 100_000
    loads = list_points(platform, "first", ["device_load_percent"])
    assert loads
    assert all(point.value is not None and 0 <= point.value <= 100 for point in loads)
    check_energy(run)
    names = {point.name for point in list_points(platform, "first")}
    assert {"energy_wh", "co2_g", "loss", "learning_rate", "valid/map", "valid/map50"} <= names
    measured = platform.datasets.get_version(ADMIN, str(run.dataset_version.id)).parts["valid"].boxes_by_class
    of_classes = {f"{CLASS_METRICS}{name}" for name, count in measured.items() if count}
    assert {name for name in names if name.startswith(CLASS_METRICS)} == of_classes
    assert not list(platform.settings.work_folder.iterdir())
    assert run.checkpoints == []
    assert platform.recovery.list_blob_digests(ADMIN) == []
