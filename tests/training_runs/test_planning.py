"""Plans of runs: what would become of them, told before anything is stored."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from raven_scan.access.types import LOCAL_ADMINISTRATOR, Claim
from raven_scan.app.wiring import Platform
from raven_scan.architectures.parameters import TrainingParameters
from raven_scan.datasets.types import DatasetVersionView
from raven_scan.kernel.database import Database
from raven_scan.kernel.errors import NotFound
from raven_scan.kernel.paging import PageRequest
from raven_scan.training_runs.planning import RunPlan
from raven_scan.training_runs.types import TrainingRunView

from .finished_runs import finish_run

ADMIN = LOCAL_ADMINISTRATOR
CreateRun = Callable[..., TrainingRunView]
SMALL = TrainingParameters(epochs=2, batch_size=4, image_size=64)


def plan(
    platform: Platform, parameters: TrainingParameters = SMALL, base_model: str = "yolox-nano"
) -> RunPlan:
    return platform.run_planning.plan(ADMIN, dataset="squares", base_model=base_model, parameters=parameters)


@pytest.mark.usefixtures("dataset")
def test_a_plan_is_what_creating_makes_of_it_and_stores_nothing(platform: Platform):
    told = plan(platform)
    assert platform.training_runs.list_runs(ADMIN, PageRequest()).items == []
    run = platform.training_runs.create(
        ADMIN, name=told.suggested_name, dataset="squares", base_model="yolox-nano", parameters=SMALL
    )
    assert told.decided == run.parameters
    assert told.steps == 4  # 8 images, 4 a step, twice
    assert told.findings == platform.training_runs.check(ADMIN, run.name).findings
    assert told.is_possible
    assert told.time_s is None
    assert told.memory_bytes > 0


def test_a_plan_names_what_blocks_it(platform: Platform, dataset: DatasetVersionView):
    told = plan(platform, SMALL.model_copy(update={"batch_size": 500}))
    assert not told.is_possible
    assert "parameters.batch_larger_than_dataset" in {finding.code for finding in told.findings}
    with pytest.raises(NotFound):
        plan(platform, base_model="nothing")
    assert dataset.number == 1


def test_names_that_runs_or_models_have_are_not_suggested(platform: Platform, create_run: CreateRun):
    assert plan(platform).suggested_name == "squares-yolox-nano"
    create_run(name="squares-yolox-nano")
    create_run(name="squares-yolox-nano-2")
    assert plan(platform).suggested_name == "squares-yolox-nano-3"


def test_time_is_as_the_last_run_took_by_the_pixels_of_its_steps(
    platform: Platform, database: Database, create_run: CreateRun
):
    run = create_run(parameters=SMALL)
    finish_run(platform, run)
    with database.transaction() as session:
        session.connection().exec_driver_sql(
            "UPDATE training_runs SET started_at = ended_at - interval '40 seconds', "
            """progress = progress || '{"steps": 4}'"""
        )
    same = plan(platform)
    assert same.measured_by == run.name
    assert same.time_s == pytest.approx(40)
    larger = plan(platform, SMALL.model_copy(update={"image_size": 128, "epochs": 4}))
    assert larger.time_s == pytest.approx(40 * 4 * 2)
    assert plan(platform, base_model="rtmdet-tiny").time_s is None


def test_changed_is_what_would_not_have_been_decided_so(platform: Platform, create_run: CreateRun):
    create_run(parameters=SMALL)
    assert platform.run_planning.list_changed(ADMIN, "first") == {"epochs", "batch_size", "image_size"}
    create_run(name="second", parameters=TrainingParameters(learning_rate=0.5))
    assert platform.run_planning.list_changed(ADMIN, "second") == {"learning_rate"}
    # To whom what it was made of is not shown, only what does not depend on it is told.
    reader = replace(ADMIN, claims=frozenset({Claim.TRAINING_RUN_VIEW}))
    assert platform.run_planning.list_changed(reader, "first") == {"epochs", "batch_size"}
    assert platform.run_planning.list_changed(reader, "second") == set()
