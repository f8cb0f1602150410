"""The job that evaluates, with real child processes that need no framework."""

import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from pydantic import SecretStr
from sqlalchemy import text
from tests.training_runs.conftest import list_children

from raven_scan.access.types import LOCAL_ADMINISTRATOR, WORKER, Actor, Claim
from raven_scan.app.wiring import Platform
from raven_scan.datasets.types import DatasetVersionView
from raven_scan.evaluations.measuring import EvaluationTools
from raven_scan.evaluations.tasks import EvaluationJob
from raven_scan.evaluations.types import EvaluationProgress, EvaluationStatus, EvaluationView
from raven_scan.jobs.dispatcher import TakenWork
from raven_scan.jobs.held_attempts import release_attempt
from raven_scan.jobs.lease import LeaseLost
from raven_scan.jobs.worker_names import make_worker_name
from raven_scan.kernel.ids import make_id

from .conftest import MakeModel

ADMIN = LOCAL_ADMINISTRATOR
OPERATOR = Actor(make_id(), "operator", frozenset({Claim.SYSTEM_VIEW}))
"""Who may see workers, and no models."""
HERE = Path(__file__).parent
DEADLINE_S = 60.0


@pytest.fixture
def use_child(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    """Gives the module of a child: one of `evaluating_children`, or of `trainer_that_misbehaves`."""

    def choose(name: str) -> str:
        folders = [str(HERE), str(HERE.parent / "training_runs"), os.environ.get("PYTHONPATH", "")]
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join(folders))
        is_able = (HERE / "evaluating_children" / f"{name}.py").is_file()
        return f"evaluating_children.{name}" if is_able else f"trainer_that_misbehaves.{name}"

    return choose


def make_job(platform: Platform, module: str, worker: str = "elsewhere:1:0.00") -> EvaluationJob:
    return EvaluationJob(
        EvaluationTools(
            execution=platform.evaluation_execution,
            datasets=platform.datasets,
            models=platform.trained_models,
            blobs=platform.blobs,
            settings=platform.settings,
            clock=platform.clock,
            worker=worker,
            threads=1,
            trainer_module=module,
        )
    )


def take(job: EvaluationJob) -> TakenWork:
    work = job.take_next(free=["cpu"], capacity=["cpu"])
    assert work is not None
    return work


@pytest.fixture
def asked(platform: Platform, dataset: DatasetVersionView, make_model: MakeModel) -> EvaluationView:
    make_model()
    return platform.evaluations.request(ADMIN, "first", dataset.full_name)


def execute(platform: Platform, asked: EvaluationView, module: str) -> EvaluationView:
    """Every attempt, to its end."""
    job = make_job(platform, module)
    while work := job.take_next(free=["cpu"], capacity=["cpu"]):
        work.run(threading.Event())
    assert list_children() == []
    assert not list(platform.settings.work_folder.iterdir())
    return platform.evaluations.get_evaluation(ADMIN, asked.id)


def test_an_evaluation_ends_with_figures_a_report_and_matches(
    platform: Platform, asked: EvaluationView, use_child: Callable[[str], str]
):
    hidden = platform.settings.model_copy(update={"token": SecretStr("hunter2hunter2")})
    done = execute(replace(platform, settings=hidden), asked, use_child("able"))
    assert done.status is EvaluationStatus.SUCCESS, done.error
    assert (done.image_count, done.box_count, done.images_per_s) == (8, 8, 100.0)
    assert (done.progress.done, done.progress.total) == (8, 8)
    assert done.figures
    report = platform.evaluations.read_report(ADMIN, asked.id)
    assert report.figures == done.figures
    assert report.counts.images == 8
    assert platform.evaluations.open_matches(ADMIN, asked.id).is_file()
    log = platform.evaluations.read_log(ADMIN, asked.id)
    assert "evaluated" in log
    assert "hunter2" not in log
    latest = platform.evaluations.find_latest(ADMIN, done.model.id, done.dataset_version.id)
    assert latest == done


def test_every_failure_says_which_it_was(
    platform: Platform, asked: EvaluationView, use_child: Callable[[str], str]
):
    for child, code, words in (
        ("crash", "crashed.signal", "SIGABRT"),
        ("silent_exit", "crashed", "exit code 0"),
        ("garbage", "unreadable_events", "cannot be read"),
        ("refuse", "out_of_memory", "No memory is left."),
        ("killed", "crashed.killed", "SIGKILL"),
        ("forgetful", "crashed.internal", "went wrong"),
    ):
        ended = execute(platform, asked, use_child(child))
        assert ended.status is EvaluationStatus.ERROR
        assert ended.error
        assert ended.error.code == code
        assert words in ended.error.message
        assert ended.error.hint
        # What came from outside is tried again.
        assert ended.attempt_count == (3 if child == "killed" else 1)
        if child == "crash":
            assert "about to crash" in ended.error.log_tail[0]
            assert "about to crash" in platform.evaluations.read_log(ADMIN, asked.id)
        asked = platform.evaluations.request(ADMIN, "first", "squares")


@pytest.fixture
def at_work(
    platform: Platform, asked: EvaluationView, use_child: Callable[[str], str]
) -> Iterator[tuple[EvaluationView, threading.Event, threading.Thread]]:
    """An evaluation whose child waits, with a child of its own, after half of the images."""
    stop = threading.Event()
    thread = threading.Thread(target=take(make_job(platform, use_child("patient"))).run, args=(stop,))
    thread.start()
    wait_for_progress(platform, asked)
    yield asked, stop, thread
    stop.set()
    thread.join(DEADLINE_S)


def wait_for_progress(platform: Platform, asked: EvaluationView) -> None:
    wait_until(lambda: platform.evaluations.get_evaluation(ADMIN, asked.id).progress.done == 4)


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline
        threading.Event().wait(0.05)


def test_progress_is_told_and_workers_show_what_they_do(
    platform: Platform, at_work: tuple[EvaluationView, threading.Event, threading.Thread]
):
    found = platform.evaluations.get_evaluation(ADMIN, at_work[0].id)
    assert found.status is EvaluationStatus.PROCESSING
    assert found.progress == EvaluationProgress("evaluation", 4, 8)
    (data,) = platform.settings.work_folder.glob("*/data")
    assert [each.name for each in data.iterdir()] == ["test"], "only what is evaluated is laid out"
    wait_until(lambda: "it waits" in platform.evaluations.read_log(ADMIN, found.id))
    (work,) = platform.evaluation_execution.list_at_work(ADMIN)
    assert (work.evaluation.id, work.device) == (found.id, "cpu")
    assert work.time_left_s is not None
    platform.workers.beat(work.worker, ["cpu", "cpu"])
    for actor, name in ((ADMIN, "evaluation of first"), (OPERATOR, "an evaluation")):
        (worker,) = platform.run_queue.list_workers(actor)
        assert [each.evaluation and each.evaluation.name for each in worker.slots] == [name, None]
        assert [each.run for each in worker.slots] == [None, None]


def test_the_queue_shows_what_is_at_work_and_why_others_wait(
    platform: Platform,
    dataset: DatasetVersionView,
    make_model: MakeModel,
    at_work: tuple[EvaluationView, threading.Event, threading.Thread],
):
    for name in ("second", "third"):
        make_model(name)
        platform.evaluations.request(ADMIN, name, dataset.full_name)
    first, second, third = platform.run_queue.list_evaluations(ADMIN)
    assert (first.id, first.status, first.progress.done, first.reason) == (
        at_work[0].id,
        "Processing",
        4,
        None,
    )
    assert (first.worker, first.device) == ("elsewhere:1:0.00", "cpu")
    assert [each.model.name for each in (second, third)] == ["second", "third"]
    assert second.reason_code == third.reason_code == "no_worker"
    platform.workers.beat("elsewhere:1:0.00", ["cpu"])
    _, second, third = platform.run_queue.list_evaluations(ADMIN)
    assert second.reason_code == third.reason_code == "devices_busy"
    assert "'evaluation of first'" in (second.reason or "")
    assert "Evaluations before it: 1." in (third.reason or "")
    platform.workers.beat("free:1:0.00", ["cpu"])
    _, second, third = platform.run_queue.list_evaluations(ADMIN)
    assert (second.reason_code, third.reason_code) == ("about_to_start", "devices_busy")


def test_a_cancelled_one_ends_its_processes_and_stays_cancelled(
    platform: Platform, at_work: tuple[EvaluationView, threading.Event, threading.Thread]
):
    asked, _, thread = at_work
    children = list_children()
    assert len(children) >= 2
    platform.evaluations.cancel(ADMIN, asked.id)
    thread.join(10)
    assert not thread.is_alive(), "within 10 seconds"
    _, alive = psutil.wait_procs(children, timeout=10)
    assert not alive
    found = platform.evaluations.get_evaluation(ADMIN, asked.id)
    assert (found.status, found.error) == (EvaluationStatus.CANCELLED, None)


def test_a_stopped_worker_hands_it_back_and_another_does_it(
    platform: Platform,
    at_work: tuple[EvaluationView, threading.Event, threading.Thread],
    use_child: Callable[[str], str],
):
    asked, stop, thread = at_work
    stop.set()
    thread.join(DEADLINE_S)
    assert not thread.is_alive()
    assert platform.evaluations.get_evaluation(ADMIN, asked.id).status is EvaluationStatus.WAITING
    done = execute(platform, asked, use_child("able"))
    assert (done.status, done.attempt_count) == (EvaluationStatus.SUCCESS, 2)


def test_a_purged_model_ends_its_evaluation(
    platform: Platform, at_work: tuple[EvaluationView, threading.Event, threading.Thread]
):
    asked, _, thread = at_work
    platform.model_stewardship.delete(ADMIN, "first")
    platform.model_stewardship.purge(ADMIN, platform.clock.now(), id_=asked.model.id)
    thread.join(10)
    assert not thread.is_alive()
    assert list_children() == []


def test_who_lost_it_changes_nothing(platform: Platform, asked: EvaluationView):
    execution = platform.evaluation_execution
    first = execution.begin_next(WORKER, worker="elsewhere:1:0.00", free=["cpu"])
    assert first is not None
    age(platform, 60)
    # Somebody else's lease is lost once it was seen twice with the same heartbeat, some seconds apart.
    assert execution.recover_lost(WORKER) == 0
    execution._lost._confirmation_s = 0  # pyright: ignore[reportPrivateUsage]
    assert execution.recover_lost(WORKER) == 1
    assert platform.evaluations.get_evaluation(ADMIN, asked.id).status is EvaluationStatus.WAITING
    second = execution.begin_next(WORKER, worker="elsewhere:2:0.00", free=["cuda:0", "cpu"])
    assert second is not None
    assert (second.fence, second.device) == (2, "cuda:0")
    for write in (
        lambda: execution.beat(WORKER, first),
        lambda: execution.tell_progress(WORKER, first, EvaluationProgress("late", 8, 8)),
        lambda: execution.hand_back(WORKER, first),
    ):
        with pytest.raises(LeaseLost):
            write()
    found = platform.evaluations.get_evaluation(ADMIN, asked.id)
    assert (found.status, found.worker, found.attempt_count) == (
        EvaluationStatus.PROCESSING,
        "elsewhere:2:0.00",
        2,
    )


def test_one_in_this_process_s_name_that_nobody_works_on_is_lost_at_once(
    platform: Platform, asked: EvaluationView
):
    execution = platform.evaluation_execution
    attempt = execution.begin_next(WORKER, worker=make_worker_name(), free=["cpu"])
    assert attempt is not None
    age(platform, 4)
    assert execution.recover_lost(WORKER) == 0
    release_attempt(attempt.id, attempt.fence)
    assert execution.recover_lost(WORKER) == 1
    assert platform.evaluations.get_evaluation(ADMIN, asked.id).status is EvaluationStatus.WAITING


def test_one_that_loses_every_worker_ends_in_error(platform: Platform, asked: EvaluationView):
    execution = platform.evaluation_execution
    execution._lost._confirmation_s = 0  # pyright: ignore[reportPrivateUsage]
    for _ in range(3):
        assert execution.begin_next(WORKER, worker="elsewhere:1:0.00", free=["cpu"]) is not None
        age(platform, 60)
        assert execution.recover_lost(WORKER) == 1
    ended = platform.evaluations.get_evaluation(ADMIN, asked.id)
    assert ended.status is EvaluationStatus.ERROR
    assert ended.error
    assert ended.error.code == "lost"
    assert execution.begin_next(WORKER, worker="elsewhere:1:0.00", free=["cpu"]) is None


def test_those_of_a_model_in_the_trash_wait_until_it_is_restored(platform: Platform, asked: EvaluationView):
    execution = platform.evaluation_execution
    platform.model_stewardship.delete(ADMIN, "first")
    assert execution.begin_next(WORKER, worker="elsewhere:1:0.00", free=["cpu"]) is None
    platform.model_stewardship.restore(ADMIN, asked.model.id)
    assert execution.begin_next(WORKER, worker="elsewhere:1:0.00", free=["cpu"]) is not None


def test_no_two_workers_take_the_same(platform: Platform, asked: EvaluationView):
    execution = platform.evaluation_execution
    taken = [execution.begin_next(WORKER, worker=f"elsewhere:{n}:0.00", free=["cpu"]) for n in range(2)]
    assert [each.id if each else None for each in taken] == [asked.id, None]
    assert execution.begin_next(WORKER, worker="elsewhere:3:0.00", free=[]) is None


def age(platform: Platform, seconds: float) -> None:
    """As if its worker had been silent for so long."""
    statement = text(
        "UPDATE model_evaluations SET heartbeat_at = now() - make_interval(secs => :seconds)"
        " WHERE status = 'Processing'"
    )
    with platform.database.transaction() as session:
        session.execute(statement, {"seconds": seconds})
