"""A model that has learned from images of the test part that it is judged on is found out."""

from typing import Any

import msgspec
import pytest
from sqlalchemy import text
from tests.publishing.conftest import ME, Place, World

from raven_scan.app.wiring import Platform
from raven_scan.kernel.errors import Conflict
from raven_scan.kernel.ids import make_id
from raven_scan.publishing.types import Judgement, Verdict
from raven_scan.trained_models.types import Origin, PackageOrigin, PackageStep, TrainedModelView

KEY = "require_unseen_test"
TEST = ["a", "b", "c", "d"]


@pytest.fixture
def frozen(world: World) -> Place:
    """With a test part of four images, on which `in-use` was accepted as `waste@1`."""
    place = world.add_dataset("frozen", {"train": ["x", "y"], "valid": ["z"], "test": TEST})
    world.add_evaluated("in-use", place, skill=0.6)
    world.platform.publishing.publish(ME, "in-use", name="waste")
    return place


def judge(platform: Platform, model: str, **named: Any) -> Judgement:
    found = platform.publishing.check(ME, model, name="waste", **named).requirements
    return next(each for each in found if each.requirement == KEY)


def add_candidate(
    world: World, learned: Place, frozen: Place, *, base_model: str = "yolox-nano"
) -> TrainedModelView:
    model = world.add_model("candidate", learned, base_model=base_model)
    world.evaluate(model, frozen, skill=0.9)
    return model


def test_who_has_seen_none_of_them_passes(platform: Platform, world: World, frozen: Place):
    # Whatever is in the test part of what it learned from, it has not learned.
    learned = world.add_dataset("grown", {"train": ["x", "e"], "valid": ["f"], "test": TEST})
    add_candidate(world, learned, frozen)
    found = judge(platform, "candidate")
    assert (found.verdict, found.value, found.hint) == (Verdict.PASSED, 0, "")
    assert "None of the 4 images of the test part of frozen@1" in found.explanation
    assert platform.publishing.publish(ME, "candidate", name="waste").number == 2


@pytest.mark.parametrize("part", ["train", "valid"])
def test_who_has_seen_some_is_refused(platform: Platform, world: World, frozen: Place, part: str):
    learned = world.add_dataset(
        "split-anew", {"train": ["e"], "valid": ["f"], "test": ["g"], part: ["a", "c"]}
    )
    add_candidate(world, learned, frozen)
    found = judge(platform, "candidate")
    assert (found.verdict, found.wanted, found.value) == (Verdict.FAILED, True, 2)
    assert "2 of the 4 images of the test part of frozen@1" in found.explanation
    assert "split-anew@1" in found.explanation
    with pytest.raises(Conflict) as caught:
        platform.publishing.publish(ME, "candidate", name="waste")
    assert caught.value.code == "published_model.requirements_not_met"
    # Another test part is no way round: that of the version in use counts, too.
    other = world.add_dataset("other", {"train": [], "valid": [], "test": ["h"]})
    world.evaluate(platform.trained_models.get_model(ME, "candidate"), other, skill=0.9)
    found = judge(platform, "candidate", dataset=str(other.id))
    assert (found.verdict, found.value) == (Verdict.FAILED, 2)
    assert "5 images" in found.explanation
    # It is a requirement like others: one can do without it, and override it.
    platform.policy.change(ME, {KEY: False})
    assert platform.publishing.publish(ME, "candidate", name="waste").number == 2


def test_what_its_base_models_have_seen_counts(platform: Platform, world: World, frozen: Place):
    seen = world.add_dataset("seen", {"train": ["b"], "valid": [], "test": []})
    clean = world.add_dataset("clean", {"train": ["e"], "valid": [], "test": []})
    world.add_model("root", seen)
    world.add_model("middle", clean, base_model="root")
    add_candidate(world, clean, frozen, base_model="middle")
    found = judge(platform, "candidate")
    assert (found.verdict, found.value) == (Verdict.FAILED, 1)
    assert "seen@1 (its base model 'root')" in found.explanation


def test_what_is_lost_cannot_be_judged(platform: Platform, world: World, frozen: Place):
    lost = world.add_dataset("lost", {"train": ["e"], "valid": [], "test": []})
    add_candidate(world, lost, frozen)
    with platform.database.reading() as session:
        digest = session.execute(
            text("SELECT images_digest FROM dataset_versions WHERE id = :id"), {"id": lost.id}
        ).scalar_one()
    path = platform.blobs.get_path(digest)
    content = path.read_bytes()
    path.chmod(0o600)
    path.write_bytes(content[:-1])
    found = judge(platform, "candidate")
    assert (found.verdict, found.value) == (Verdict.CANNOT_BE_JUDGED, None)
    assert "lost@1" in found.explanation
    assert found.hint
    path.write_bytes(content)
    assert judge(platform, "candidate").verdict is Verdict.PASSED
    with platform.database.transaction() as session:
        session.execute(text("DELETE FROM dataset_versions WHERE id = :id"), {"id": lost.id})
    assert judge(platform, "candidate").verdict is Verdict.CANNOT_BE_JUDGED


def test_what_is_in_the_trash_is_known(platform: Platform, world: World, frozen: Place):
    seen = world.add_dataset("seen", {"train": ["a"], "valid": [], "test": []})
    add_candidate(world, seen, frozen)
    with platform.database.transaction() as session:
        session.execute(text("UPDATE datasets SET deleted_at = now(), deleted_by = 'me' WHERE name = 'seen'"))
    assert judge(platform, "candidate").value == 1


def test_of_an_import_is_said_what_is_not_known(platform: Platform, world: World, frozen: Place):
    model = add_candidate(world, frozen, frozen)
    set_origin = text(
        "UPDATE trained_models SET origin = 'imported', training_run_id = NULL, training_run_name = NULL,"
        " dataset_version_id = NULL, dataset_version_name = NULL, dataset_version_digest = NULL,"
        " base_model_id = NULL, base_model_name = NULL, package = CAST(:package AS jsonb) WHERE id = :id"
    )
    with platform.database.transaction() as session:
        session.execute(set_origin, {"id": model.id, "package": None})
    found = judge(platform, "candidate")
    assert found.verdict is Verdict.PASSED
    assert "What 'candidate' learned from before it came here is not known" in found.explanation
    # A package tells the digest of what its model learned from; where that is here, it is looked at.
    seen = world.add_dataset("seen", {"train": ["a", "b"], "valid": ["c"], "test": []})
    with platform.database.reading() as session:
        digest = session.execute(
            text("SELECT digest FROM dataset_versions WHERE id = :id"), {"id": seen.id}
        ).scalar_one()
    step = PackageStep(
        platform="SHA256:x",
        id=make_id(),
        name="theirs",
        origin=Origin.TRAINED,
        architecture="yolox-nano",
        created_at=platform.clock.now(),
        dataset_version="theirs@7",
        dataset_digest=digest,
        training_run="their run",
    )
    steps = [
        step,
        PackageStep(
            platform=step.platform,
            id=make_id(),
            name="their root",
            origin=Origin.TRAINED,
            architecture="yolox-nano",
            created_at=platform.clock.now(),
            dataset_version="secret@1",
            dataset_digest="f" * 64,
            training_run="first run",
        ),
    ]
    package = PackageOrigin(
        key_name="friend",
        key_fingerprint="SHA256:x",
        manifest_digest="0" * 64,
        platform_version="0.1.0",
        models=steps,
        valid=None,
        test=None,
    )
    with platform.database.transaction() as session:
        session.execute(set_origin, {"id": model.id, "package": msgspec.json.encode(package).decode()})
    found = judge(platform, "candidate")
    assert (found.verdict, found.value) == (Verdict.FAILED, 3)
    assert "seen@1" in found.explanation
    platform.policy.change(ME, {"max_regression": None})
    with platform.database.transaction() as session:
        session.execute(text("DELETE FROM dataset_versions WHERE id = :id"), {"id": seen.id})
    found = judge(platform, "candidate")
    assert found.verdict is Verdict.PASSED
    assert "'theirs'" in found.explanation
    assert "'their root'" in found.explanation


def test_without_an_evaluation_there_is_nothing_to_look_at(platform: Platform, world: World, place: Place):
    world.add_model("candidate", place)
    found = next(
        each for each in platform.publishing.check(ME, "candidate").requirements if each.requirement == KEY
    )
    assert found.verdict is Verdict.PASSED, "of the part that it would be evaluated on"
