"""The use cases of training runs."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from pydantic import ValidationError

from raven_scan.access.types import LOCAL_ADMINISTRATOR, Actor, Claim
from raven_scan.app.wiring import Platform
from raven_scan.architectures.parameters import TrainingParameters
from raven_scan.datasets.types import DatasetVersionView
from raven_scan.kernel.errors import Conflict, Forbidden, Invalid, NotFound
from raven_scan.kernel.paging import PageRequest
from raven_scan.training_runs.types import RunFilter, RunStatus, TrainingRunView

ADMIN = LOCAL_ADMINISTRATOR
CreateRun = Callable[..., TrainingRunView]


def without(claim: Claim) -> Actor:
    return replace(ADMIN, claims=ADMIN.claims - {claim})


def test_a_run_is_a_draft_with_every_parameter_decided(platform: Platform, create_run: CreateRun):
    run = create_run(parameters=TrainingParameters(epochs=3, batch_size=4))
    assert run.status is RunStatus.DRAFT
    assert run.dataset_version.name == "squares@1"
    assert run.base_model.name == "yolox-nano"
    assert run.parameters.image_size
    assert run.parameters.learning_rate
    assert run.progress.epochs == 3
    assert platform.training_runs.get_run(ADMIN, "first") == platform.training_runs.get_run(
        ADMIN, str(run.id)
    )


@pytest.mark.parametrize(
    "name", ["", "a/b", "a@1", "01a201ac-2611-7162-a36c-8244730f7e2d", "x" * 101, "a\nb"]
)
def test_a_name_that_cannot_be_one_is_refused(create_run: CreateRun, name: str):
    with pytest.raises(Invalid) as refusal:
        create_run(name=name)
    assert refusal.value.code == "training_run.bad_name"


def test_names_are_unique_among_runs_and_models(create_run: CreateRun):
    create_run(name="first")
    with pytest.raises(Conflict) as refusal:
        create_run(name="first")
    assert refusal.value.code == "training_run.name_taken"
    with pytest.raises(Conflict):
        create_run(name="rtmdet-tiny")


def test_unknown_datasets_and_base_models_are_not_found(platform: Platform, create_run: CreateRun):
    with pytest.raises(NotFound):
        create_run(base_model="nothing")
    with pytest.raises(NotFound):
        platform.training_runs.create(
            ADMIN, name="a", dataset="nothing", base_model="yolox-nano", parameters=TrainingParameters()
        )
    with pytest.raises(NotFound):
        platform.training_runs.get_run(ADMIN, "nothing\0")


@pytest.mark.parametrize(
    "parameters",
    [{"epochs": 0}, {"batch_size": 10_000}, {"image_size": 100}, {"learning_rate": -1}, {"unknown": 1}],
)
def test_parameters_out_of_bounds_are_refused(parameters: dict[str, object]):
    with pytest.raises(ValidationError):
        TrainingParameters.model_validate(parameters)


def test_scheduling_puts_the_run_in_line_and_tells_the_findings(platform: Platform, create_run: CreateRun):
    create_run()
    run, preflight = platform.training_runs.schedule(ADMIN, "first")
    assert run.status is RunStatus.WAITING
    assert run.scheduled_at is not None
    assert [finding.code for finding in preflight.findings] == ["base_model.random_weights"]
    assert len(run.warnings) == 1
    with pytest.raises(Conflict) as refusal:
        platform.training_runs.schedule(ADMIN, "first")
    assert refusal.value.code == "training_run.not_scheduled"


def test_a_preflight_with_errors_tells_all_of_them_and_keeps_the_draft(
    platform: Platform, create_run: CreateRun
):
    create_run(parameters=TrainingParameters(epochs=2, batch_size=100, frozen_stages=2, image_size=64))
    with pytest.raises(Conflict) as refusal:
        platform.training_runs.schedule(ADMIN, "first")
    codes = {finding["code"] for finding in refusal.value.parameters["findings"]}
    assert {"parameters.frozen_random_weights", "parameters.batch_larger_than_dataset"} <= codes
    assert platform.training_runs.get_run(ADMIN, "first").status is RunStatus.DRAFT
    assert not platform.training_runs.check(ADMIN, "first").is_passed


def test_a_small_fraction_is_trained_on_with_a_small_batch_where_none_is_given(
    platform: Platform, create_run: CreateRun
):
    parameters = TrainingParameters(epochs=1, fraction=0.4, image_size=64)
    assert create_run(parameters=parameters).parameters.batch_size == 3
    assert platform.training_runs.check(ADMIN, "first").is_passed


def test_a_clone_says_each_parameter_that_cannot_be(platform: Platform, create_run: CreateRun):
    create_run()
    with pytest.raises(Invalid) as refusal:
        platform.training_runs.clone(
            ADMIN, "first", name="second", parameters={"epochs": 0, "speed": 1}, options={}
        )
    fields = {problem["field"] for problem in refusal.value.parameters["problems"]}
    assert fields == {"parameters.epochs", "parameters.speed"}


def test_a_clone_of_what_is_gone_says_what_it_was(
    platform: Platform, create_run: CreateRun, dataset: DatasetVersionView
):
    run = create_run()
    platform.run_stewardship.delete(ADMIN, "first")
    platform.dataset_stewardship.delete(ADMIN, dataset.dataset_name)
    platform.run_stewardship.restore(ADMIN, run.id)
    with pytest.raises(Conflict) as refusal:
        platform.training_runs.clone(ADMIN, "first", name="second", parameters={}, options={})
    assert refusal.value.code == "training_run.dataset_gone"
    assert "squares@1" in refusal.value.message
    with pytest.raises(Conflict) as refusal:
        platform.training_runs.schedule(ADMIN, "first")
    assert refusal.value.code == "training_run.dataset_gone"


def test_pages_hold_under_inserts(platform: Platform, create_run: CreateRun):
    for index in range(5):
        create_run(name=f"run-{index}")
    first = platform.training_runs.list_runs(ADMIN, PageRequest(limit=2))
    create_run(name="later")
    second = platform.training_runs.list_runs(ADMIN, PageRequest.parse(2, first.next))
    third = platform.training_runs.list_runs(ADMIN, PageRequest.parse(2, second.next))
    names = [run.name for page in (first, second, third) for run in page.items]
    assert names == ["run-4", "run-3", "run-2", "run-1", "run-0"]
    assert third.next is None
    assert (
        platform.training_runs.list_runs(ADMIN, PageRequest(), RunFilter(statuses=(RunStatus.WAITING,))).items
        == []
    )


def test_a_run_without_a_log_has_an_empty_one(platform: Platform, create_run: CreateRun):
    create_run()
    assert platform.training_runs.read_log(ADMIN, "first", 0, 100).text == ""


@pytest.mark.parametrize(
    ("claim", "call"),
    [
        (
            Claim.TRAINING_RUN_CREATE,
            lambda service, actor: service.create(
                actor, name="x", dataset="squares", base_model="yolox-nano", parameters=TrainingParameters()
            ),
        ),
        (Claim.TRAINING_RUN_SCHEDULE, lambda service, actor: service.schedule(actor, "first")),
        (Claim.TRAINING_RUN_SCHEDULE, lambda service, actor: service.check(actor, "first")),
        (Claim.TRAINING_RUN_VIEW, lambda service, actor: service.list_runs(actor, PageRequest())),
    ],
)
def test_each_use_case_asks_for_its_claim(
    platform: Platform,
    create_run: CreateRun,
    claim: Claim,
    call: Callable[..., object],
):
    create_run()
    with pytest.raises(Forbidden):
        call(platform.training_runs, without(claim))
    call(platform.training_runs, ADMIN)


@pytest.mark.parametrize(
    "call",
    [
        lambda service, actor: service.get_run(actor, "first"),
        lambda service, actor: service.check(actor, "first"),
        lambda service, actor: service.schedule(actor, "first"),
        lambda service, actor: service.read_log(actor, "first", 0, 10),
        lambda service, actor: service.clone(actor, "first", name="other", parameters={}, options={}),
    ],
)
def test_who_may_see_no_run_is_told_that_there_is_none(
    platform: Platform, create_run: CreateRun, call: Callable[..., object]
):
    create_run()
    with pytest.raises(NotFound) as refusal:
        call(platform.training_runs, without(Claim.TRAINING_RUN_VIEW))
    assert refusal.value.code == "training_run.not_found"
    call(platform.training_runs, ADMIN)
