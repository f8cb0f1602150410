"""A home that the first release filled comes to this release with everything in it."""

from collections.abc import Generator
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import make_url, text
from tests.metric_points import list_points

from raven_scan.access.types import LOCAL_ADMINISTRATOR, WORKER
from raven_scan.app.wiring import Platform, build_services
from raven_scan.kernel.database import Database
from raven_scan.kernel.paging import PageRequest
from raven_scan.kernel.schema import is_schema_current, upgrade_schema
from raven_scan.kernel.settings import Settings
from raven_scan.trained_models.types import LineageReference
from raven_scan.training_runs.types import AttemptEnd, RunStatus, TrainingRunView

FILLED = Path(__file__).parent / "filled_home_0001.sql"

STATUSES = {
    "a draft": RunStatus.DRAFT,
    "it went well": RunStatus.SUCCESS,
    "it diverged": RunStatus.ERROR,
    "it rests": RunStatus.PAUSED,
    "nobody wants it": RunStatus.CANCELLED,
    "second in line": RunStatus.WAITING,
    "it goes on": RunStatus.WAITING,
    "at work": RunStatus.PROCESSING,
}


@pytest.fixture
def filled(empty_database_url: str) -> Generator[Database]:
    """The database as the first release left it."""
    # On a connection of its own: the dump empties the search path.
    conninfo = make_url(empty_database_url).set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(conninfo) as connection:
        connection.execute(FILLED.read_bytes())
    database = Database(empty_database_url)
    yield database
    database.close()


@pytest.fixture
def upgraded(filled: Database, settings: Settings) -> Platform:
    assert upgrade_schema(filled.engine)
    assert is_schema_current(filled.engine)
    return build_services(settings, filled, None)


def get_run(platform: Platform, name: str) -> TrainingRunView:
    return platform.training_runs.get_run(LOCAL_ADMINISTRATOR, name)


def test_the_fixture_is_full(filled: Database):
    with filled.transaction() as session:
        tables = session.scalars(
            text("SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace")
        ).all()
        empty = [name for name in tables if not session.scalar(text(f"SELECT count(*) FROM {name}"))]  # noqa: S608
        known = session.scalar(
            text(
                "SELECT pg_get_constraintdef(oid) FROM pg_constraint"
                " WHERE conname = 'ck_training_runs_known_status'"
            )
        )
    assert empty == ["procrastinate_periodic_defers"]
    assert all(f"'{status}'" in str(known) for status in STATUSES.values())
    assert set(STATUSES.values()) == set(RunStatus)


def test_every_row_is_read(upgraded: Platform):
    page = PageRequest(limit=100)
    runs = upgraded.training_runs.list_runs(LOCAL_ADMINISTRATOR, page).items
    assert {run.name: run.status for run in runs} == STATUSES
    assert all(get_run(upgraded, str(run.id)).checkpoints == [] for run in runs)
    datasets = upgraded.datasets.list_datasets(LOCAL_ADMINISTRATOR, page).items
    assert [(dataset.name, dataset.versions[0].classes) for dataset in datasets] == [
        ("dump sites", ["Sperrmüll"])
    ]
    dataset = upgraded.datasets.get_dataset(LOCAL_ADMINISTRATOR, "dump sites")
    assert [version.number for version in dataset.versions] == [2, 1]
    models = upgraded.trained_models.list_models(LOCAL_ADMINISTRATOR, page).items
    assert {"it went well", "yolox nano from outside"} < {model.name for model in models}
    for model in models:
        assert upgraded.trained_models.get_model(LOCAL_ADMINISTRATOR, model.id).name == model.name


def test_what_ended_is_as_it_was(upgraded: Platform):
    well = get_run(upgraded, "it went well")
    assert well.model is not None
    model = upgraded.trained_models.get_model(LOCAL_ADMINISTRATOR, well.model.id)
    assert model.test is not None
    assert model.test.map50 == 0.55
    lineage = model.lineage
    assert lineage.training_run == LineageReference(well.id, "it went well")
    assert lineage.dataset_version == LineageReference(well.dataset_version.id, well.dataset_version.name)
    assert lineage.base_model == LineageReference(well.base_model.id, well.base_model.name)
    assert well.warnings[-1] == "The loader waits."
    assert (well.progress.step, well.progress.epochs, well.parameters.batch_size) == (12, 3, 4)
    assert [(attempt.end, attempt.device) for attempt in well.attempts] == [(AttemptEnd.SUCCESS, "cpu")]
    metrics = list_points(upgraded, "it went well", ["loss", "loss/boxes"])
    assert [(point.step, point.value) for point in metrics if point.name == "loss"][:2] == [
        (1, 5.0),
        (2, 2.5),
    ]
    assert next(point.value for point in metrics if (point.name, point.step) == ("loss/boxes", 3)) is None
    diverged = get_run(upgraded, "it diverged")
    assert diverged.error is not None
    assert (diverged.error.code, diverged.error.log_tail) == ("diverged", ["Traceback", "loss: nan"])
    assert diverged.error.evidence == {}


def test_waiting_runs_keep_their_order_and_can_be_begun(upgraded: Platform):
    queue = upgraded.run_queue.list_queue(LOCAL_ADMINISTRATOR)
    assert [entry.run.name for entry in queue] == ["second in line", "it goes on"]
    begun = [
        upgraded.execution.begin_next(WORKER, worker="here:1:1.0", free=["cpu"], capacity=["cpu", "cpu"])
        for _ in range(3)
    ]
    assert [attempt.run_name for attempt in begun if attempt] == ["second in line", "it goes on"]
    first, second, none = begun
    assert first is not None
    assert second is not None
    assert none is None
    # Its checkpoint cannot be gone on from: it starts again, without what was told before.
    assert (second.fence, second.checkpoints) == (2, [])
    assert list_points(upgraded, "it goes on") == []


def test_a_run_that_was_at_work_is_recovered(upgraded: Platform):
    assert [attempt.end for attempt in get_run(upgraded, "at work").attempts] == [
        AttemptEnd.WORKER_STOPPED,
        None,
    ]
    upgraded.recovery._leases._confirmation_s = 0.0
    assert upgraded.recovery.recover_lost_runs(WORKER) == 1
    run = get_run(upgraded, "at work")
    assert (run.status, run.attempts[-1].end) == (RunStatus.WAITING, AttemptEnd.LOST)


def test_a_paused_run_can_be_resumed(upgraded: Platform):
    upgraded.run_control.resume(LOCAL_ADMINISTRATOR, "it rests")
    assert get_run(upgraded, "it rests").status is RunStatus.WAITING


def test_the_jobs_of_others_stay(upgraded: Platform):
    with upgraded.database.transaction() as session:
        jobs = session.execute(
            text("SELECT task_name, status::text FROM procrastinate_jobs ORDER BY id")
        ).all()
    assert [tuple(job) for job in jobs] == [("somebody.elses", "succeeded"), ("somebody.elses", "todo")]
