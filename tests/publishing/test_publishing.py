"""Publishing, withdrawing, going back: what is refused, what is kept, what races come to."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import pytest
from sqlalchemy import text
from tests.publishing.conftest import ME, Place, World, make_actor

from raven_scan.access.audit_types import EntryFilter
from raven_scan.access.types import Claim
from raven_scan.app.wiring import Platform
from raven_scan.architectures.parameters import TrainingParameters
from raven_scan.kernel.errors import Busy, Conflict, Damaged, Forbidden, Invalid, NotFound, RavenError
from raven_scan.kernel.paging import PageRequest
from raven_scan.publishing import service
from raven_scan.publishing.types import PublishedVersionView, Verdict, VersionState
from raven_scan.trained_models.types import Stage, TrainedModelView

PAGE = PageRequest()
VIEW, PUBLISH, REVIEW = Claim.TRAINED_MODEL_VIEW, Claim.TRAINED_MODEL_PUBLISH, Claim.TRAINED_MODEL_REVIEW


@pytest.fixture
def first(world: World, place: Place) -> TrainedModelView:
    return world.add_evaluated("first", place, skill=0.7)


@pytest.fixture
def second(world: World, place: Place) -> TrainedModelView:
    return world.add_evaluated("second", place, skill=0.8)


def stages(platform: Platform, *names: str) -> list[Stage]:
    return [platform.trained_models.get_model(ME, name).stage for name in names]


def dump(platform: Platform) -> list[Any]:
    """All that publishing keeps, and the models' stages."""
    with platform.database.reading() as session:
        return [
            session.execute(text(f"SELECT * FROM {table} ORDER BY 1")).all()  # noqa: S608 - names of tables
            for table in ("published_names", "published_versions", "published_name_events")
        ] + [session.execute(text("SELECT id, stage FROM trained_models ORDER BY 1")).all()]


def refuse(platform: Platform, code: str, call: Any, *arguments: Any, **named: Any) -> RavenError:
    """The call is refused with this code, with what to do next, and changes nothing."""
    before = dump(platform)
    with pytest.raises(RavenError) as caught:
        call(*arguments, **named)
    assert caught.value.code == code
    assert caught.value.hint
    assert dump(platform) == before
    return caught.value


@pytest.mark.usefixtures("second")
def test_a_model_becomes_the_next_version(platform: Platform, first: Any, place: Place):
    publishing = platform.publishing
    made = publishing.publish(ME, "first", name="waste", notes="The first one.")
    assert (made.full_name, made.state, made.model) == ("waste@1", VersionState.IN_USE, "first")
    assert (made.policy_version, made.policy["min_map50"], made.override_reason) == (0, 0.3, None)
    assert (made.dataset_version_id, made.dataset_version_name) == (place.id, "litter@1")
    evaluation = platform.evaluations.find_latest(ME, first.id, place.id)
    assert evaluation is not None
    assert (made.evaluation_id, made.compared_evaluation_id) == (evaluation.id, None)
    assert {each.verdict for each in made.requirements} == {Verdict.PASSED}
    again = publishing.publish(make_actor(VIEW, PUBLISH, name="ann"), "second", name="waste")
    assert (again.full_name, again.published_by) == ("waste@2", "ann")
    assert again.compared_evaluation_id == evaluation.id
    regression = next(each for each in again.requirements if each.requirement == "max_regression")
    assert regression.low is not None
    assert regression.high is not None
    assert regression.value == pytest.approx(0.1, abs=0.02)
    assert -0.05 <= regression.low <= 0.1 <= regression.high
    assert stages(platform, "first", "second") == [Stage.REPLACED, Stage.PUBLISHED]
    versions = publishing.list_versions(ME, "waste", PAGE).items
    assert [(each.number, each.state) for each in versions] == [
        (2, VersionState.IN_USE),
        (1, VersionState.REPLACED),
    ]
    assert versions[1] == publishing.get_version(ME, "waste@1")
    history = publishing.list_history(ME, "waste", PAGE).items
    assert [(each.event, each.number, each.from_number) for each in history] == [
        ("published", 2, 1),
        ("published", 1, None),
    ]
    assert [(each.name, each.number, each.model) for each in publishing.list_names(ME, PAGE).items] == [
        ("waste", 2, "second")
    ]
    entries = platform.audit.list_entries(ME, PageRequest(2), EntryFilter(action="published_model.")).items
    assert [(each.action, each.target.name, each.actor_name) for each in entries] == [
        ("published_model.published", "waste@2", "ann"),
        ("published_model.published", "waste@1", ME.name),
    ]


@pytest.mark.usefixtures("second")
def test_a_name_is_the_models_own_or_another(platform: Platform, first: Any):
    publish = platform.publishing.publish
    assert publish(ME, str(first.id)).full_name == "first@1"
    assert publish(ME, "first", name="second").full_name == "second@1", "whatever models are called"
    assert publish(ME, "second", name="second").full_name == "second@2"
    assert stages(platform, "first", "second") == [Stage.PUBLISHED, Stage.PUBLISHED]
    refuse(platform, "published_model.bad_name", publish, ME, "first", name="a@1")
    refuse(platform, "published_model.bad_name", publish, ME, "first", name="../x")
    refuse(platform, "published_model.bad_notes", publish, ME, "first", name="x", notes="\0")


@pytest.mark.usefixtures("first", "second")
def test_a_check_tells_the_same_and_changes_nothing(platform: Platform):
    before = dump(platform)
    check = platform.publishing.check(make_actor(VIEW, REVIEW), "first", name="waste")
    assert (check.name, check.number, check.in_use, check.passes) == ("waste", 1, None, True)
    assert dump(platform) == before
    platform.publishing.publish(ME, "second", name="waste")
    check = platform.publishing.check(make_actor(VIEW, PUBLISH), "first", name="waste")
    assert (check.number, check.in_use, check.passes) == (2, "waste@1", False)
    assert [each.requirement for each in check.requirements if each.verdict is not Verdict.PASSED] == [
        "max_regression"
    ]
    with pytest.raises(Forbidden):
        platform.publishing.check(make_actor(VIEW), "first")
    with pytest.raises(NotFound):
        platform.publishing.check(make_actor(REVIEW), "first")


def test_requirements_that_are_not_met_are_all_told(platform: Platform, world: World, place: Place):
    model = world.add_model("poor", place)
    world.evaluate(model, place, skill=0.2, image_count=40)
    platform.policy.change(ME, {"min_recall.glass": 0.5, "min_recall.metal": 0.5})
    error = refuse(platform, "published_model.requirements_not_met", platform.publishing.publish, ME, "poor")
    verdicts = {each["requirement"]: each["verdict"] for each in error.parameters["requirements"]}
    assert verdicts == {
        "require_success": "passed",
        "require_evaluation": "passed",
        "min_test_images": "too few images to tell",
        "min_test_boxes": "failed",
        "require_unseen_test": "passed",
        "min_map50": "failed",
        "max_regression": "passed",
        "min_recall.glass": "failed",
        "min_recall.metal": "cannot be judged",
    }
    assert len(error.parameters["problems"]) == 5


@pytest.mark.usefixtures("first")
def test_each_reason_has_its_own_error(platform: Platform, world: World, place: Place):
    publish = platform.publishing.publish
    refuse(platform, "trained_model.not_found", publish, ME, "nothing")
    refuse(platform, "trained_model.not_found", publish, make_actor(PUBLISH), "first")
    refuse(platform, "access.claim_missing", publish, make_actor(VIEW), "first")
    refuse(platform, "published_model.is_builtin", publish, ME, "yolox-nano")
    world.add_model("unevaluated", place)
    error = refuse(platform, "published_model.not_evaluated", publish, ME, "unevaluated")
    assert error.hint == "raven models evaluate unevaluated --dataset litter@1"
    gone = world.add_evaluated("gone", place)
    platform.model_stewardship.delete(ME, "gone")
    refuse(platform, "published_model.model_deleted", publish, ME, "gone")
    refuse(platform, "published_model.model_deleted", publish, ME, str(gone.id))
    publish(ME, "first")
    refuse(platform, "published_model.already_published", publish, ME, "first")
    check = platform.publishing.check
    refuse(platform, "published_model.already_published", check, ME, "first")
    refuse(platform, "dataset.not_found", publish, ME, "first", name="x", dataset="nothing@1")


def test_what_is_damaged_is_not_published(platform: Platform, first: TrainedModelView):
    publishing = platform.publishing
    path = platform.blobs.get_path(str(first.weights_digest))
    content = path.read_bytes()
    path.chmod(0o600)
    path.write_bytes(content[:-1] + b"x")
    for call in (publishing.publish, publishing.check):
        error = refuse(platform, "published_model.weights_damaged", call, ME, "first")
        assert isinstance(error, Damaged)
    refuse(platform, "published_model.weights_damaged", publishing.publish, ME, "first", override="So be it.")
    path.write_bytes(content)
    path.chmod(0o444)
    assert publishing.publish(ME, "first").number == 1


def test_an_override_needs_its_claim_and_a_reason(platform: Platform, world: World, place: Place):
    world.add_evaluated("poor", place, skill=0.2)
    publish = platform.publishing.publish
    reviewer = make_actor(VIEW, PUBLISH)
    error = refuse(
        platform, "published_model.override_not_allowed", publish, reviewer, "poor", override="It must be."
    )
    assert isinstance(error, Forbidden)
    refuse(platform, "published_model.reason_missing", publish, ME, "poor", override="  ")
    made = publish(ME, "poor", override="It must be.")
    assert made.override_reason == "It must be."
    entry = platform.audit.list_entries(
        ME, PAGE, EntryFilter(action="published_model.requirements_overridden")
    ).items[0]
    assert entry.details == {"reason": "It must be.", "unmet": ["min_map50"]}
    assert platform.publishing.list_history(ME, "poor", PAGE).items[0].is_override
    # Where nothing is overridden, no override is noted.
    world.add_evaluated("good", place, skill=0.9)
    assert publish(ME, "good", override="To be sure.").override_reason is None


def test_what_was_never_evaluated_is_published_by_an_override_alone(
    platform: Platform, world: World, place: Place
):
    world.add_model("unevaluated", place)
    made = platform.publishing.publish(ME, "unevaluated", name="waste", override="A stopgap.")
    assert (made.dataset_version_name, made.evaluation_id) == (None, None)
    # The next one cannot be compared with it until it is evaluated where that one is.
    world.add_evaluated("next", place)
    error = refuse(
        platform,
        "published_model.requirements_not_met",
        platform.publishing.publish,
        ME,
        "next",
        name="waste",
    )
    assert (
        "raven models evaluate unevaluated --dataset litter@1" in error.parameters["problems"][0]["message"]
    )
    world.evaluate(platform.trained_models.get_model(ME, "unevaluated"), place, skill=0.5)
    assert platform.publishing.publish(ME, "next", name="waste").number == 2


@pytest.mark.usefixtures("first")
def test_the_test_part_of_the_version_in_use_is_frozen(platform: Platform, world: World, place: Place):
    publish = platform.publishing.publish
    publish(ME, "first", name="waste")
    other = world.add_dataset("other")
    model = world.add_evaluated("elsewhere", other, skill=1.0)
    error = refuse(platform, "published_model.not_evaluated", publish, ME, "elsewhere", name="waste")
    assert error.parameters["dataset"] == "litter@1"
    # Another test part is no way round the comparison on the frozen one.
    error = refuse(
        platform,
        "published_model.requirements_not_met",
        publish,
        ME,
        "elsewhere",
        name="waste",
        dataset=str(other.id),
    )
    verdicts = {each["requirement"]: each["verdict"] for each in error.parameters["requirements"]}
    assert (verdicts["min_map50"], verdicts["max_regression"]) == ("passed", "cannot be judged")
    world.evaluate(model, place, skill=0.6)
    refuse(
        platform,
        "published_model.requirements_not_met",
        publish,
        ME,
        "elsewhere",
        name="waste",
        dataset=str(other.id),
    )
    world.evaluate(model, place, skill=0.9)
    made = publish(ME, "elsewhere", name="waste", dataset=str(other.id))
    assert made.dataset_version_name == "other@1", "from now on this one is"
    assert platform.publishing.check(ME, "first", name="waste").dataset == "other@1"


@pytest.mark.usefixtures("first")
def test_models_of_other_classes_cannot_be_compared(platform: Platform, world: World, place: Place):
    platform.publishing.publish(ME, "first", name="waste")
    model = world.add_model("narrow", place)
    world.evaluate(model, place, skill=1.0, classes=["glass"])
    check = platform.publishing.check(ME, "narrow", name="waste")
    verdicts = {each.requirement: each for each in check.requirements}
    assert verdicts["max_regression"].verdict is Verdict.CANNOT_BE_JUDGED
    assert "classes" in verdicts["max_regression"].explanation


def test_an_author_is_no_reviewer_of_their_own(platform: Platform, world: World, place: Place):
    platform.policy.change(ME, {"require_other_reviewer": True})
    model = world.add_evaluated("imported", place)
    author = make_actor(VIEW, PUBLISH, name="ann")
    with platform.database.transaction() as session:
        session.execute(
            text(
                "UPDATE trained_models SET origin = 'imported', training_run_id = NULL, training_run_name = NULL,"
                " created_by = 'ann', created_by_id = :id WHERE id = :model"
            ),
            {"id": author.id, "model": model.id},
        )
    refuse(platform, "published_model.requirements_not_met", platform.publishing.publish, author, "imported")
    namesake = make_actor(VIEW, PUBLISH, name="ann")
    assert platform.publishing.publish(namesake, "imported").number == 1


def test_a_run_tells_how_it_ended_and_whose_it_was(platform: Platform, world: World, place: Place):
    author = make_actor(*Claim, name="ann")
    run = platform.training_runs.create(
        author,
        name="attempt",
        dataset=place.name,
        base_model="yolox-nano",
        parameters=TrainingParameters(epochs=1),
    )
    publish = platform.publishing.publish
    for status, words in (("Draft", "that is Draft"), ("Cancelled", "that ended in Cancelled")):
        with platform.database.transaction() as session:
            session.execute(text("UPDATE training_runs SET status = :status"), {"status": status})
        error = refuse(platform, "published_model.run_not_successful", publish, ME, "attempt")
        assert words in error.message
    # Who may not see runs hears nothing of them.
    refuse(platform, "trained_model.not_found", publish, make_actor(VIEW, PUBLISH), "attempt")
    # No run makes a model but with its Success; should one ever, it is not let through.
    model = world.add_model("first", place, run_id=run.id, run_name="attempt")
    world.evaluate(model, place)
    platform.policy.change(ME, {"require_other_reviewer": True})
    verdicts = {each.requirement: each for each in platform.publishing.check(author, "first").requirements}
    assert verdicts["require_success"].verdict is Verdict.FAILED
    assert verdicts["require_success"].value == "Cancelled"
    assert verdicts["require_other_reviewer"].verdict is Verdict.FAILED
    verdicts = {each.requirement: each for each in platform.publishing.check(ME, "first").requirements}
    assert verdicts["require_other_reviewer"].verdict is Verdict.PASSED
    assert verdicts["require_other_reviewer"].value == "ann"
    # An author is remembered who puts the run into the trash.
    platform.run_stewardship.delete(ME, "attempt")
    verdicts = {each.requirement: each for each in platform.publishing.check(author, "first").requirements}
    assert verdicts["require_other_reviewer"].verdict is Verdict.FAILED
    assert verdicts["require_success"].verdict is Verdict.FAILED
    with platform.database.transaction() as session:
        session.execute(text("DELETE FROM training_runs"))
    verdicts = {each.requirement: each for each in platform.publishing.check(ME, "first").requirements}
    assert verdicts["require_success"].verdict is Verdict.PASSED
    assert verdicts["require_other_reviewer"].verdict is Verdict.CANNOT_BE_JUDGED


@pytest.mark.usefixtures("first", "second")
def test_withdrawing_and_going_back(platform: Platform):
    publishing = platform.publishing
    publishing.publish(ME, "first", name="waste")
    publishing.publish(ME, "second", name="waste")
    refuse(platform, "published_model.reason_missing", publishing.withdraw, ME, "waste", reason=" ")
    refuse(platform, "published_model.version_not_found", publishing.withdraw, ME, "waste@3", reason="x")
    refuse(platform, "published_model.version_not_found", publishing.withdraw, ME, "waste@x", reason="x")
    refuse(platform, "published_model.not_found", publishing.withdraw, ME, "litter", reason="x")
    left = publishing.withdraw(ME, "waste", reason="It sees glass everywhere.")
    assert (left.number, left.version, left.last_number) == (None, None, 2)
    assert stages(platform, "first", "second") == [Stage.REPLACED, Stage.WITHDRAWN]
    refuse(platform, "published_model.nothing_in_use", publishing.withdraw, ME, "waste", reason="x")
    refuse(platform, "published_model.already_withdrawn", publishing.withdraw, ME, "waste@2", reason="x")
    refuse(platform, "published_model.withdrawn", publishing.roll_back, ME, "waste", to=2)
    back = publishing.roll_back(ME, "waste", reason="It was better.")
    assert (back.number, back.model) == (1, "first")
    assert stages(platform, "first", "second") == [Stage.PUBLISHED, Stage.WITHDRAWN]
    refuse(platform, "published_model.no_earlier_version", publishing.roll_back, ME, "waste")
    refuse(platform, "published_model.already_in_use", publishing.roll_back, ME, "waste", to=1)
    refuse(platform, "published_model.version_not_found", publishing.roll_back, ME, "waste", to=7)
    refuse(platform, "published_model.version_not_found", publishing.roll_back, ME, "waste", to=10**12)
    again = publishing.publish(ME, "second", name="waste")
    assert again.number == 3
    assert publishing.roll_back(ME, "waste", to=1).number == 1
    assert publishing.roll_back(ME, "waste", to=3).number == 3
    history = publishing.list_history(ME, "waste", PAGE).items
    assert [(each.event, each.number, each.from_number) for each in reversed(history)] == [
        ("published", 1, None),
        ("published", 2, 1),
        ("withdrawn", 2, 2),
        ("rolled back", 1, None),
        ("published", 3, 1),
        ("rolled back", 1, 3),
        ("rolled back", 3, 1),
    ]
    entries = platform.audit.list_entries(ME, PageRequest(7), EntryFilter(action="published_model.")).items
    assert [each.action.rpartition(".")[2] for each in reversed(entries)] == [
        each.event.replace(" ", "_") for each in reversed(history)
    ]


@pytest.mark.usefixtures("first", "second")
def test_going_back_looks_at_the_policy_where_it_is_asked(platform: Platform):
    publishing = platform.publishing
    publishing.publish(ME, "first", name="waste")
    publishing.publish(ME, "second", name="waste")
    platform.policy.change(ME, {"min_map50": 0.75})
    refuse(
        platform,
        "published_model.requirements_not_met",
        publishing.roll_back,
        ME,
        "waste",
        recheck=True,
    )
    assert publishing.roll_back(ME, "waste").number == 1
    assert publishing.roll_back(ME, "waste", to=2, recheck=True).number == 2


def test_what_detection_asks_for(platform: Platform, first: Any, second: Any):
    publishing, detector = platform.publishing, make_actor(Claim.DETECTION_CREATE)
    publishing.publish(ME, "first", name="waste")
    publishing.publish(ME, "second", name="waste")
    found = publishing.resolve(detector, "waste")
    assert (found.full_name, found.model_id, found.model) == ("waste@2", second.id, "second")
    assert publishing.resolve(make_actor(VIEW), "waste@1").model_id == first.id
    with pytest.raises(Forbidden):
        publishing.resolve(make_actor(PUBLISH), "waste")
    for ref in ("first", "", "\0", "waste\ud800"):
        refuse(platform, "published_model.not_found", publishing.resolve, detector, ref)
    long_numbers = (f"waste@{10**30}", "waste@00000000001" + "9" * 5000)
    for ref in ("waste@3", "waste@0", "waste@", "waste@-1", "waste@1@2", "waste@²", *long_numbers):
        refuse(platform, "published_model.version_not_found", publishing.resolve, detector, ref)
    publishing.withdraw(ME, "waste", reason="It sees glass everywhere.")
    for ref in ("waste", "waste@2"):
        error = refuse(platform, "published_model.withdrawn", publishing.resolve, detector, ref)
        assert "It sees glass everywhere." in error.message
    assert publishing.resolve(detector, "waste@1").number == 1


@pytest.mark.usefixtures("first", "second")
def test_what_may_be_asked_for_is_not_deleted(platform: Platform):
    publishing, delete = platform.publishing, platform.model_stewardship.delete
    publishing.publish(ME, "first", name="waste")
    publishing.publish(ME, "second", name="waste")
    for model, words in (("first", "waste@1 (can be rolled back to)"), ("second", "waste@2 (in use)")):
        error = refuse(platform, "trained_model.is_published", delete, ME, model)
        assert words in error.message
    publishing.withdraw(ME, "waste@1", reason="Old.")
    delete(ME, "first")
    assert platform.model_stewardship.purge(ME, platform.clock.now()) == 1
    versions = publishing.list_versions(ME, "waste", PAGE).items
    assert [(each.model, each.state) for each in versions] == [
        ("second", VersionState.IN_USE),
        ("first", VersionState.WITHDRAWN),
    ]


@pytest.mark.usefixtures("first")
def test_the_dataset_that_the_next_is_measured_on_is_kept(platform: Platform, world: World, place: Place):
    platform.publishing.publish(ME, "first", name="waste")
    frozen = world.add_dataset("frozen")
    world.evaluate(platform.trained_models.get_model(ME, "first"), frozen, skill=0.8)
    world.evaluate(world.add_model("next", place), frozen, skill=0.9)
    world.evaluate(platform.trained_models.get_model(ME, "next"), place, skill=0.9)
    platform.publishing.publish(ME, "next", name="waste", dataset=str(frozen.id))
    with pytest.raises(Conflict) as caught:
        platform.dataset_stewardship.delete(ME, "frozen")
    assert "published as waste@2" in caught.value.message


def test_a_dataset_that_can_be_rolled_back_to_is_kept(platform: Platform, world: World, place: Place):
    publishing, old = platform.publishing, world.add_dataset("old")
    model = world.add_model("first", place)
    world.evaluate(model, old, skill=0.7)
    publishing.publish(ME, "first", name="waste")
    second = world.add_evaluated("second", place, skill=0.8)
    world.evaluate(second, old, skill=0.8)
    publishing.publish(ME, "second", name="waste", dataset=str(place.id))
    with pytest.raises(Conflict) as caught:
        platform.dataset_stewardship.delete(ME, "old")
    assert "published as waste@1" in caught.value.message
    publishing.withdraw(ME, "waste@1", reason="Old.")
    platform.dataset_stewardship.delete(ME, "old")


def test_no_test_part_is_frozen_that_is_deleted(platform: Platform, world: World, place: Place):
    gone = world.add_dataset("gone")
    model = world.add_model("first", place)
    world.evaluate(model, gone, skill=0.8)
    assert platform.publishing.check(ME, "first").dataset == "gone@1"
    platform.dataset_stewardship.delete(ME, "gone")
    assert platform.publishing.check(ME, "first").dataset == "litter@1"
    error = refuse(platform, "published_model.not_evaluated", platform.publishing.publish, ME, "first")
    assert error.hint == "raven models evaluate first --dataset litter@1"


def test_a_test_part_that_is_deleted_meanwhile_is_not_frozen(
    platform: Platform, world: World, place: Place, monkeypatch: Any
):
    other = world.add_dataset("other")
    model = world.add_model("first", other)
    world.evaluate(model, place)
    checks = platform.publishing._checks
    plan = checks.plan

    def plan_and_delete(*arguments: Any) -> Any:
        planned = plan(*arguments)
        with suppress(NotFound):
            platform.dataset_stewardship.delete(ME, "litter")
        return planned

    monkeypatch.setattr(checks, "plan", plan_and_delete)
    refuse(platform, "published_model.not_evaluated", platform.publishing.publish, ME, "first")


@pytest.mark.usefixtures("first", "second")
def test_two_who_go_back_at_once_do_not_go_back_twice(
    platform: Platform, world: World, place: Place, monkeypatch: Any
):
    publishing = platform.publishing
    world.add_evaluated("third", place, skill=0.9)
    for model in ("first", "second", "third"):
        publishing.publish(ME, model, name="waste")
    choose = service._choose_earlier
    chosen: list[int] = []

    def choose_and_be_overtaken(*arguments: Any) -> int:
        number = choose(*arguments)
        chosen.append(number)
        if len(chosen) == 1:
            with ThreadPoolExecutor(1) as threads:
                assert threads.submit(publishing.roll_back, ME, "waste").result().number == 2
        return number

    monkeypatch.setattr(service, "_choose_earlier", choose_and_be_overtaken)
    with pytest.raises(Busy):
        publishing.roll_back(ME, "waste")
    assert publishing.get_name(ME, "waste").number == 2


@pytest.mark.usefixtures("first", "second")
def test_going_back_looks_at_the_policy_as_it_is_by_then(platform: Platform, monkeypatch: Any):
    publishing = platform.publishing
    publishing.publish(ME, "first", name="waste")
    publishing.publish(ME, "second", name="waste")
    checks = publishing._checks
    recheck = checks.recheck

    def recheck_and_change(*arguments: Any) -> Any:
        found = recheck(*arguments)
        platform.policy.change(ME, {"min_map50": 0.99})
        return found

    monkeypatch.setattr(checks, "recheck", recheck_and_change)
    refuse(platform, "published_model.requirements_not_met", publishing.roll_back, ME, "waste", recheck=True)


@pytest.mark.usefixtures("first")
def test_names_follow(platform: Platform):
    platform.publishing.publish(ME, "first", name="waste")
    platform.model_stewardship.edit(ME, "first", name="renamed")
    platform.dataset_stewardship.edit(ME, "litter", name="rubbish")
    made = platform.publishing.get_version(ME, "waste@1")
    assert (made.model, made.dataset_version_name) == ("renamed", "rubbish@1")
    assert platform.publishing.resolve(ME, "waste").model == "renamed"
    entries = platform.publishing.list_history(ME, "waste", PAGE).items
    assert [each.model for each in entries] == ["renamed"]


def test_two_who_publish_at_once_make_two_versions(platform: Platform, world: World, place: Place):
    platform.policy.change(ME, {"max_regression": 1.0})
    models = [world.add_evaluated(f"m{number}", place).name for number in range(4)]

    def publish(model: str) -> PublishedVersionView | None:
        # Who is overtaken too often is told to try again; nothing else may happen.
        with suppress(RavenError):
            return platform.publishing.publish(ME, model, name="waste")
        return None

    with ThreadPoolExecutor(4) as threads:
        made = [each for each in threads.map(publish, models) if each]
    assert len(made) >= 2
    assert sorted(each.number for each in made) == list(range(1, len(made) + 1))
    versions = platform.publishing.list_versions(ME, "waste", PAGE).items
    assert sorted(each.number for each in versions) == list(range(1, len(made) + 1))
    # Each was compared with the one that it replaced, not with one that was in use before.
    by_number = {each.number: each for each in versions}
    for number in range(2, len(made) + 1):
        assert by_number[number].compared_evaluation_id == by_number[number - 1].evaluation_id
    assert stages(platform, by_number[len(made)].model) == [Stage.PUBLISHED]


def test_one_who_deletes_while_another_publishes(platform: Platform, world: World, place: Place):
    for number in range(3):
        name = world.add_evaluated(f"m{number}", place).name

        def publish(name: str = name) -> str:
            with suppress(RavenError):
                platform.publishing.publish(ME, name)
                return "published"
            return "refused"

        def delete(name: str = name) -> str:
            with suppress(RavenError):
                platform.model_stewardship.delete(ME, name)
                return "deleted"
            return "kept"

        with ThreadPoolExecutor(2) as threads:
            both = [threads.submit(publish), threads.submit(delete)]
            assert tuple(each.result() for each in both) in {("published", "kept"), ("refused", "deleted")}
        if platform.trained_models.find_model(ME, name) is None:
            with pytest.raises(NotFound):
                platform.publishing.resolve(ME, name)


@pytest.mark.usefixtures("first")
def test_a_policy_that_changes_meanwhile_counts(platform: Platform, monkeypatch: Any):
    """It is judged again: between the judgement and the transaction somebody else was quicker."""
    checks = platform.publishing._checks
    plan = checks.plan
    judged: list[int] = []

    def plan_and_change(*arguments: Any) -> Any:
        planned = plan(*arguments)
        judged.append(planned.policy.version)
        if len(judged) == 1:
            platform.policy.change(ME, {"min_map50": 0.99})
        return planned

    monkeypatch.setattr(checks, "plan", plan_and_change)
    refuse(platform, "published_model.requirements_not_met", platform.publishing.publish, ME, "first")
    assert judged == [0, 1]


@pytest.mark.usefixtures("first")
def test_bad_pages_and_names(platform: Platform):
    platform.publishing.publish(ME, "first")
    with pytest.raises(Invalid):
        platform.publishing.list_names(ME, PageRequest(sort="model"))
    with pytest.raises(NotFound):
        platform.publishing.list_versions(make_actor(PUBLISH), "first", PAGE)
    assert platform.publishing.get_name(ME, "first").version is not None
