"""The trash of all slices, and the collector that empties it."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pytest
from fastapi.testclient import TestClient
from safetensors.numpy import save
from sqlalchemy import text

from raven_scan.access.types import LOCAL_ADMINISTRATOR, WORKER, Actor, Claim
from raven_scan.app.housekeeping.collection import collect_if_due, purge_trash
from raven_scan.app.housekeeping.trash import Trash, list_bins
from raven_scan.app.server import build_app
from raven_scan.app.wiring import Platform
from raven_scan.architectures.parameters import TrainingParameters
from raven_scan.datasets.types import DatasetVersionView, ImportOptions
from raven_scan.kernel.clock import Clock
from raven_scan.kernel.errors import Conflict, Forbidden, NotFound
from raven_scan.kernel.ids import make_id
from raven_scan.kernel.paging import PageRequest
from raven_scan.storage.collector import CollectionInterrupted
from raven_scan.storage.removal import keep_blobs
from raven_scan.trained_models.types import Figures, NewTrainedModel, TrainedModelView

ME = LOCAL_ADMINISTRATOR


@dataclass
class MovableClock(Clock):
    ahead: timedelta = field(default=timedelta(0))

    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead


@pytest.fixture
def clock() -> MovableClock:
    return MovableClock()


@pytest.fixture
def later(platform: Platform, clock: MovableClock) -> Platform:
    """The platform, whose collector goes by a clock that can be turned."""
    object.__setattr__(platform, "clock", clock)
    return platform


@pytest.fixture
def dataset(platform: Platform, tiny_folder: Path) -> DatasetVersionView:
    return platform.datasets.import_version(ME, tiny_folder, ImportOptions(name="squares"))


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tests.training_runs.conftest import write_coco  # noqa: PLC0415

    return write_coco(tmp_path_factory.mktemp("tiny") / "coco", images_a_part=2)


@pytest.fixture
def create_model(platform: Platform, dataset: DatasetVersionView) -> Callable[..., TrainedModelView]:
    def create(name: str, base_model: str = "yolox-nano", run_id: UUID | None = None) -> TrainedModelView:
        content = save({"head.weight": np.full((2, 3), len(name), np.float32)}, {"name": name})
        return platform.trained_models.create_from_run(
            WORKER,
            NewTrainedModel(
                name=name,
                architecture="yolox-nano",
                classes=["waste"],
                starting_weights=None,
                weights_digest=platform.blobs.put_bytes(content),
                configuration_digest=platform.blobs.put_bytes(name.encode()),
                parameter_count=6,
                valid=Figures(),
                test=Figures(map50=0.5),
                leak_allowed=False,
                base_model_id=platform.trained_models.get_model(ME, base_model).id,
                dataset_version_id=dataset.id,
                dataset_version_name=dataset.full_name,
                training_run_id=run_id or make_id(),
                training_run_name=name,
                parameters={},
                environment={},
            ),
        )

    return create


def create_run(platform: Platform, name: str, base_model: str = "yolox-nano") -> Any:
    return platform.training_runs.create(
        ME, name=name, dataset="squares", base_model=base_model, parameters=TrainingParameters()
    )


@pytest.fixture
def trash(platform: Platform) -> Trash:
    return Trash(list_bins(platform), days=30)


def list_names(trash: Trash, actor: Actor = ME) -> list[str]:
    return [f"{item.kind} {item.name}" for item in trash.list_items(actor, PageRequest()).items]


def test_everything_is_in_one_list(
    platform: Platform, trash: Trash, create_model: Callable[..., TrainedModelView]
):
    for name in ("one", "two"):
        create_model(name)
        create_run(platform, f"run {name}")
    for delete, ref in (
        (platform.model_stewardship.delete, "one"),
        (platform.run_stewardship.delete, "run one"),
        (platform.model_stewardship.delete, "two"),
        (platform.run_stewardship.delete, "run two"),
        (platform.dataset_stewardship.delete, "squares"),
    ):
        delete(ME, ref)
    everything = [
        "dataset squares",
        "training_run run two",
        "trained_model two",
        "training_run run one",
        "trained_model one",
    ]
    assert list_names(trash) == everything
    seen: list[str] = []
    cursor = None
    while True:
        page = trash.list_items(ME, PageRequest.parse(2, cursor))
        assert len(page.items) <= 2
        seen += [f"{item.kind} {item.name}" for item in page.items]
        cursor = page.next
        if cursor is None:
            break
    assert seen == everything


def test_each_sees_what_they_may_delete(
    platform: Platform, trash: Trash, create_model: Callable[..., TrainedModelView]
):
    model = create_model("one")
    create_run(platform, "run")
    platform.model_stewardship.delete(ME, "one")
    platform.run_stewardship.delete(ME, "run")
    runs_only = Actor(make_id(), "a", frozenset({Claim.TRAINING_RUN_DELETE, Claim.TRAINING_RUN_VIEW}))
    assert list_names(trash, runs_only) == ["training_run run"]
    for refused in (trash.restore, trash.purge):
        with pytest.raises(NotFound):
            refused(runs_only, model.id)
    nobody = Actor(make_id(), "b", frozenset(Claim) - {each.delete_claim for each in list_bins(platform)})
    with pytest.raises(Forbidden):
        trash.list_items(nobody, PageRequest())
    assert trash.empty(runs_only) == {"training_run": 1}
    assert list_names(trash) == ["trained_model one"]


def test_over_rest(platform: Platform, create_model: Callable[..., TrainedModelView]):
    application = build_app(platform, token=None, allow_server_paths=True)
    client = TestClient(application)
    models = [create_model(name) for name in ("one", "two", "three")]
    for model in models:
        assert client.delete(f"/api/v1/trained-models/{model.name}").status_code == 204
    page = client.get("/api/v1/trash").json()
    assert [item["name"] for item in page["items"]] == ["three", "two", "one"]
    item = page["items"][0]
    kept = datetime.fromisoformat(item["purge_at"]) - datetime.fromisoformat(item["deleted_at"])
    assert kept == timedelta(days=30)
    assert item["deleted_by"] == ME.name
    assert client.post(f"/api/v1/trash/{item['id']}/restore").status_code == 204
    assert client.get("/api/v1/trained-models/three").status_code == 200
    again = client.post(f"/api/v1/trash/{item['id']}/restore")
    assert (again.status_code, again.json()["code"]) == (404, "trash.not_found")
    assert client.delete(f"/api/v1/trash/{models[0].id}").status_code == 204
    assert client.delete(f"/api/v1/trash/{models[0].id}").status_code == 404
    assert client.delete("/api/v1/trash").json()["purged"]["trained_model"] == 1
    assert client.get("/api/v1/trash").json() == {"items": [], "next": None}


def test_runs_that_have_not_ended_keep_what_they_need(
    platform: Platform, create_model: Callable[..., TrainedModelView]
):
    base = create_model("base")
    run = create_run(platform, "run", "base")
    with pytest.raises(Conflict) as caught:
        platform.model_stewardship.delete(ME, "base")
    assert [use["name"] for use in caught.value.parameters["uses"]] == ["run"]
    assert "'run' (Draft)" in caught.value.message
    with pytest.raises(Conflict) as caught:
        platform.dataset_stewardship.delete(ME, "squares")
    assert sorted(use["name"] for use in caught.value.parameters["uses"]) == ["base", "run"]
    # Whoever is renamed has its new name in the run.
    platform.model_stewardship.edit(ME, "base", name="other")
    platform.dataset_stewardship.edit(ME, "squares", name="boxes")
    read = platform.training_runs.get_run(ME, "run")
    assert (read.base_model.name, read.dataset_version.name) == ("other", "boxes@1")
    lineage = platform.trained_models.get_model(ME, base.id).lineage
    assert lineage.dataset_version is not None
    assert lineage.dataset_version.name == "boxes@1"
    platform.run_stewardship.delete(ME, "run")
    platform.model_stewardship.delete(ME, "other")
    platform.dataset_stewardship.delete(ME, "boxes")
    # It can be looked at, though what it was made of is gone.
    platform.run_stewardship.restore(ME, run.id)
    assert platform.training_runs.get_run(ME, "run").base_model.name == "other"
    with pytest.raises(Conflict) as caught:
        platform.training_runs.schedule(ME, "run")
    assert "boxes@1" in caught.value.message


def test_a_model_follows_its_run(platform: Platform, create_model: Callable[..., TrainedModelView]):
    run = create_run(platform, "run")
    model = create_model("detector", run_id=run.id)
    platform.run_stewardship.edit(ME, "run", name="first try")
    lineage = platform.trained_models.get_model(ME, model.id).lineage
    assert lineage.training_run is not None
    assert lineage.training_run.name == "first try"
    # The run goes for good, and the model tells still where it is from.
    platform.run_stewardship.delete(ME, "first try")
    platform.run_stewardship.purge(ME, datetime.now(UTC) + timedelta(days=1), id_=run.id)
    assert platform.trained_models.get_model(ME, model.id).lineage == lineage


def test_a_run_is_not_made_of_what_is_just_being_deleted(
    platform: Platform, create_model: Callable[..., TrainedModelView]
):
    base = create_model("base")
    ended = threading.Event()
    result: list[str] = []

    def create() -> None:
        try:
            create_run(platform, "run", "base")
            result.append("created")
        except NotFound as error:
            result.append(error.code)
        ended.set()

    with platform.database.transaction() as session:
        platform.model_stewardship.delete(ME, "base")
        session.flush()
        creation = threading.Thread(target=create)
        creation.start()
        # It has read the model, and waits for its row.
        while not session.scalar(text("SELECT count(*) FROM pg_locks WHERE NOT granted")):
            assert not ended.wait(0.05)
    assert ended.wait(30)
    creation.join()
    assert result == ["trained_model.not_found"]
    assert platform.trained_models.find_model(ME, base.id) is None


def test_once_a_day_what_is_old_goes(
    later: Platform, clock: MovableClock, create_model: Callable[..., TrainedModelView]
):
    model = create_model("one")
    assert model.weights_digest is not None
    kept = create_model("two")
    assert kept.weights_digest is not None
    later.model_stewardship.delete(ME, "one")
    assert collect_if_due(later)
    assert not collect_if_due(later)
    clock.ahead = timedelta(days=29)
    assert collect_if_due(later)
    # It can be restored still, so its weights are there.
    assert later.blobs.has(model.weights_digest)
    assert later.model_stewardship.list_deleted(ME, PageRequest()).items
    clock.ahead = timedelta(days=30, hours=1)
    assert collect_if_due(later)
    assert later.model_stewardship.list_deleted(ME, PageRequest()).items == []
    assert not later.blobs.has(model.weights_digest)
    assert later.blobs.has(kept.weights_digest)
    with later.database.transaction() as session:
        rows = session.execute(
            text("SELECT purged_count, blob_count FROM blob_collections ORDER BY started_at")
        ).all()
        trail = session.scalars(
            text("SELECT actor_name FROM audit_entries WHERE action = 'trained_model.purged'")
        ).all()
    assert [tuple(row) for row in rows] == [(0, 0), (0, 0), (1, 2)]
    assert list(trail) == ["housekeeper"]


def test_killed_between_rows_and_blobs_nothing_dangles(
    later: Platform, clock: MovableClock, create_model: Callable[..., TrainedModelView]
):
    model = create_model("one")
    assert model.weights_digest is not None
    later.model_stewardship.delete(ME, "one")
    clock.ahead = timedelta(days=31)
    assert purge_trash(later)["trained_model"] == 1
    # Here its process was killed: the blob is named by nothing, and the next collection frees it.
    assert later.blobs.has(model.weights_digest)
    assert collect_if_due(later)
    assert not later.blobs.has(model.weights_digest)


def test_whoever_is_asked_to_stop_leaves_the_rest(later: Platform, clock: MovableClock):
    digests = [later.blobs.put_bytes(bytes([number])) for number in range(3)]
    clock.ahead = timedelta(days=2)
    calls = 0

    def check() -> None:
        nonlocal calls
        calls += 1
        if calls > 5:
            raise CollectionInterrupted

    assert not collect_if_due(later, check)
    # The next process need not wait for an hour.
    assert collect_if_due(later)
    assert later.blobs.find_missing(digests) == digests


def test_one_process_at_a_time_and_none_during_a_backup(later: Platform, clock: MovableClock):
    digest = later.blobs.put_bytes(b"nobody's")
    clock.ahead = timedelta(days=2)
    answers: list[bool] = []

    def check() -> None:
        if not answers:
            answers.append(True)
            # Another process, just now.
            other = threading.Thread(target=lambda: answers.append(collect_if_due(later)))
            other.start()
            other.join()

    with keep_blobs(later.database.engine):
        assert collect_if_due(later, check)
    assert answers == [True, False]
    assert later.blobs.has(digest)
    clock.ahead = timedelta(days=4)
    assert collect_if_due(later)
    assert not later.blobs.has(digest)
