"""Models are proven to be what they were, or said not to be."""

from collections.abc import Callable
from pathlib import Path

import pytest

from raven_scan.access.types import LOCAL_ADMINISTRATOR, Actor, Claim
from raven_scan.app.wiring import Platform
from raven_scan.kernel.ids import make_id
from raven_scan.kernel.verification import Verdict
from raven_scan.trained_models.types import TrainedModelView
from raven_scan.trained_models.verification import ModelProof
from raven_scan.training_runs.types import TrainingRunView

from .finished_runs import finish_run

ADMIN = LOCAL_ADMINISTRATOR
CreateRun = Callable[..., TrainingRunView]


@pytest.fixture
def model(platform: Platform, create_run: CreateRun) -> TrainedModelView:
    return finish_run(platform, create_run())


def verify(platform: Platform, actor: Actor = ADMIN) -> ModelProof:
    return platform.model_verification.verify(actor, "first")


def list_verdicts(proof: ModelProof) -> dict[str, Verdict]:
    return {item.item: item.verdict for item in proof.items}


def change_a_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.chmod(0o600)
    path.write_bytes(content)


def find_image(platform: Platform, part: str) -> tuple[str, Path]:
    content = platform.datasets.load_version(ADMIN, "squares")[1]
    row = next(row for row in content.images.iter_rows(named=True) if row["part"] == part)
    return f"{part}/{row['file_name']}", platform.blobs.get_path(row["digest"])


def test_a_model_that_is_what_it_was(platform: Platform, model: TrainedModelView):
    told: list[tuple[str, int, int]] = []
    proof = platform.model_verification.verify(
        ADMIN, model.name, lambda stage, done, total: told.append((stage, done, total))
    )
    assert proof.is_good
    assert set(list_verdicts(proof)) == {
        "weights",
        "configuration",
        "record of the run",
        "images table",
        "annotations",
        "dataset version",
        "images",
    }
    assert set(list_verdicts(proof).values()) == {Verdict.GOOD}
    assert told[-1] == ("images", 24, 24)


@pytest.mark.parametrize("file", ["weights", "configuration"])
def test_a_changed_byte_is_found(platform: Platform, model: TrainedModelView, file: str):
    digest = model.weights_digest if file == "weights" else model.configuration_digest
    assert digest is not None
    change_a_byte(platform.blobs.get_path(digest))
    proof = verify(platform)
    assert not proof.is_good
    bad = [item for item in proof.items if item.is_bad]
    assert [(item.item, item.verdict) for item in bad] == [(file, Verdict.DAMAGED)]
    assert bad[0].hint
    platform.blobs.remove(digest)
    assert list_verdicts(verify(platform))[file] is Verdict.MISSING


@pytest.mark.usefixtures("model")
def test_a_changed_image_is_named(platform: Platform):
    damaged, path = find_image(platform, "train")
    change_a_byte(path)
    missing, path = find_image(platform, "test")
    path.unlink()
    verdicts = list_verdicts(verify(platform))
    assert verdicts["images"] is Verdict.DAMAGED
    assert verdicts[f"image {damaged}"] is Verdict.DAMAGED
    assert verdicts[f"image {missing}"] is Verdict.MISSING
    assert verdicts["dataset version"] is Verdict.GOOD


@pytest.mark.usefixtures("model")
@pytest.mark.parametrize("table", ["boxes_digest", "images_digest"])
def test_a_changed_table_is_found(platform: Platform, table: str):
    with platform.database.reading() as session:
        row = session.connection().exec_driver_sql(f"SELECT {table} FROM dataset_versions").scalar_one()  # noqa: S608
    change_a_byte(platform.blobs.get_path(row))
    verdicts = list_verdicts(verify(platform))
    item = "annotations" if table == "boxes_digest" else "images table"
    assert verdicts[item] is Verdict.DAMAGED
    # What would tell of the images is lost itself.
    assert verdicts["images"] is (Verdict.GOOD if table == "boxes_digest" else Verdict.NOT_CHECKED)


@pytest.mark.usefixtures("model")
def test_rows_that_were_changed_are_found(platform: Platform):
    with platform.database.transaction() as session:
        session.connection().exec_driver_sql("UPDATE dataset_versions SET classes = '{litter}'")
        session.connection().exec_driver_sql(
            "UPDATE trained_models SET configuration_digest = weights_digest WHERE name = 'first'"
        )
    verdicts = list_verdicts(verify(platform))
    assert verdicts["dataset version"] is Verdict.DAMAGED
    assert verdicts["record of the run"] is Verdict.DAMAGED


@pytest.mark.usefixtures("model")
def test_a_version_in_the_trash_is_proven_and_one_that_is_hidden_is_not(platform: Platform):
    viewer = Actor(make_id(), "somebody", frozenset({Claim.TRAINED_MODEL_VIEW}))
    proof = verify(platform, viewer)
    assert proof.is_good
    assert list_verdicts(proof)["dataset version"] is Verdict.NOT_CHECKED
    with platform.database.transaction() as session:
        session.connection().exec_driver_sql("UPDATE datasets SET deleted_at = now(), deleted_by = 'me'")
    assert list_verdicts(verify(platform))["images"] is Verdict.GOOD


def test_starting_weights_have_no_file(platform: Platform):
    proof = platform.model_verification.verify(ADMIN, "yolox-nano")
    assert proof.is_good
    assert list_verdicts(proof) == {
        "weights": Verdict.NOT_CHECKED,
        "configuration": Verdict.NOT_CHECKED,
    }
