"""Looking after models: edit, delete, restore, purge, download; search, sort and filters."""

from collections.abc import Collection, Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from fastapi.testclient import TestClient
from sqlalchemy.orm import Session
from tests.trained_models.conftest import NewModelMaker
from tests.trained_models.test_api import PATH, make_client

from raven_scan.access.types import LOCAL_ADMINISTRATOR, WORKER, Actor, Claim
from raven_scan.kernel.clock import SystemClock
from raven_scan.kernel.database import Database
from raven_scan.kernel.dependents import Use
from raven_scan.kernel.errors import Conflict, Forbidden, Invalid, NotFound, RavenError, Stale
from raven_scan.kernel.ids import make_id
from raven_scan.kernel.paging import PageRequest
from raven_scan.storage.blobs import LocalBlobStore
from raven_scan.trained_models.schemas import TrainedModelOut, TrainedModelPage
from raven_scan.trained_models.service import TrainedModelService
from raven_scan.trained_models.stewardship import ModelStewardship
from raven_scan.trained_models.types import Figures, ModelFilter, Origin, TrainedModelView

ME = LOCAL_ADMINISTRATOR
TRAINED = ModelFilter(origins=(Origin.TRAINED,))


@pytest.fixture
def client(service: TrainedModelService, stewardship: ModelStewardship) -> TestClient:
    return make_client(service, stewardship, allow_server_paths=True)


def create(service: TrainedModelService, make_new_model: NewModelMaker, name: str, **changes: Any) -> Any:
    return service.create_from_run(WORKER, make_new_model(name, **changes))


def names(service: TrainedModelService, chosen: ModelFilter, sort: str | None = None) -> list[str]:
    return [model.name for model in service.list_models(ME, PageRequest(sort=sort), chosen).items]


def test_sorts_and_searches(service: TrainedModelService, make_new_model: NewModelMaker):
    for name, map50 in (("alpha-one", 0.2), ("beta-two", None), ("gamma-three", 0.9)):
        create(service, make_new_model, name, test=Figures(map50=map50))
    assert names(service, TRAINED) == ["gamma-three", "beta-two", "alpha-one"]
    assert names(service, TRAINED, "name") == ["alpha-one", "beta-two", "gamma-three"]
    assert names(service, TRAINED, "-test_map50") == ["gamma-three", "alpha-one", "beta-two"]
    assert names(service, TRAINED, "test_map50") == ["alpha-one", "gamma-three", "beta-two"]
    assert len(names(service, TRAINED, "-size")) == 3
    assert names(service, ModelFilter(words="gam")) == ["gamma-three"]
    assert names(service, ModelFilter(words="aquatrash alp")) == ["alpha-one"]
    assert names(service, ModelFilter(words="nothing")) == []


def test_pages_go_on_where_figures_end(service: TrainedModelService, make_new_model: NewModelMaker):
    for number in range(4):
        figures = Figures(map50=0.1 * number) if number % 2 else Figures()
        create(service, make_new_model, f"m{number}", test=figures)
    seen: list[str] = []
    cursor = None
    while True:
        page = service.list_models(ME, PageRequest.parse(1, cursor, "-test_map50"), TRAINED)
        seen += [model.name for model in page.items]
        cursor = page.next
        if cursor is None:
            break
    assert seen == ["m3", "m1", "m2", "m0"]


def test_filters_by_lineage(service: TrainedModelService, make_new_model: NewModelMaker):
    new = make_new_model("one")
    first = service.create_from_run(WORKER, new)
    create(service, make_new_model, "two", base_model_id=first.id, classes=["can"])
    for chosen in (
        ModelFilter(base_model="one"),
        ModelFilter(base_model=str(first.id)),
        ModelFilter(class_name="can"),
    ):
        assert names(service, chosen) == ["two"], chosen
    for chosen in (
        ModelFilter(training_run=str(new.training_run_id)),
        ModelFilter(class_name="Sperrmüll"),
        ModelFilter(dataset_version="aquatrash@1", base_model="yolox-nano"),
    ):
        assert names(service, chosen) == ["one"], chosen
    for chosen in (
        ModelFilter(base_model="a\0"),
        ModelFilter(class_name="\0"),
        ModelFilter(training_run="x"),
    ):
        assert names(service, chosen) == [], chosen


def test_edits_are_told_by_revision(
    service: TrainedModelService, stewardship: ModelStewardship, make_new_model: NewModelMaker
):
    model = create(service, make_new_model, "one")
    child = create(service, make_new_model, "child", base_model_id=model.id)
    assert model.revision == 1
    edited = stewardship.edit(ME, "one", name="first", notes="Good on sand.", expected=1)
    assert (edited.name, edited.notes, edited.revision) == ("first", "Good on sand.", 2)
    with pytest.raises(Stale):
        stewardship.edit(ME, "first", notes="Other", expected=1)
    assert stewardship.edit(ME, "first", notes="Good on sand.").revision == 2
    assert names(service, ModelFilter(words="sand")) == ["first"]
    assert service.find_model(ME, "one") is None
    base = service.get_model(ME, child.id).lineage.base_model
    assert base is not None
    assert base.name == "first"


def test_edits_that_cannot_be(
    service: TrainedModelService, stewardship: ModelStewardship, make_new_model: NewModelMaker
):
    create(service, make_new_model, "one")
    create(service, make_new_model, "two")
    wrong: list[tuple[dict[str, Any], type[RavenError], str]] = [
        ({"name": "two"}, Conflict, "name_taken"),
        ({"name": "a/b"}, Invalid, "bad_name"),
        ({"notes": "a\0b"}, Invalid, "bad_notes"),
        ({"notes": "x" * 10_001}, Invalid, "bad_notes"),
    ]
    for changes, error, code in wrong:
        with pytest.raises(error) as caught:
            stewardship.edit(ME, "one", **changes)
        assert caught.value.code == f"trained_model.{code}"
    with pytest.raises(Conflict) as caught:
        stewardship.edit(ME, "dino-r50", name="mine")
    assert caught.value.code == "trained_model.is_builtin"
    assert stewardship.edit(ME, "dino-r50", notes="Slow.").notes == "Slow."


def test_what_is_deleted_is_nowhere_and_comes_back(
    service: TrainedModelService,
    stewardship: ModelStewardship,
    make_new_model: NewModelMaker,
    database: Database,
):
    model: TrainedModelView = create(service, make_new_model, "one")
    stewardship.delete(ME, "one")
    assert service.find_model(ME, "one") is service.find_model(ME, model.id) is None
    assert names(service, TRAINED) == names(service, ModelFilter(words="one")) == []
    (item,) = stewardship.list_deleted(ME, PageRequest()).items
    assert (item.kind, item.id, item.name, item.deleted_by) == ("trained_model", model.id, "one", ME.name)
    # It may be restored, so its blobs are needed.
    assert {model.weights_digest, model.configuration_digest} <= service.list_blob_digests(ME)
    with pytest.raises(NotFound), database.transaction():
        service.keep_model(ME, model.id)
    service.check_name_free(ME, "one")
    other = create(service, make_new_model, "one")
    with pytest.raises(Conflict) as caught:
        stewardship.restore(ME, model.id)
    assert caught.value.code == "trained_model.name_taken"
    stewardship.edit(ME, str(other.id), name="two")
    assert stewardship.restore(ME, model.id) == model
    assert service.get_model(ME, "one") == model
    with pytest.raises(NotFound):
        stewardship.restore(ME, model.id)


def test_what_is_needed_is_not_deleted(
    service: TrainedModelService,
    blobs: LocalBlobStore,
    make_new_model: NewModelMaker,
    database: Database,
):
    class Runs:
        """Somebody above who needs models."""

        told: dict[UUID, str]

        def list_uses(self, session: Session, ids: Collection[UUID]) -> list[Use]:
            assert session.in_transaction()
            return [Use("training_run", make_id(), "run one", "Waiting") for each in ids if each == base.id]

        def follow_renames(self, session: Session, names: Mapping[UUID, str]) -> None:
            assert session.in_transaction()
            self.told = dict(names)

    runs = Runs()
    stewardship = ModelStewardship(database, service, blobs, SystemClock(), dependents=[runs])
    base = create(service, make_new_model, "base")
    child = create(service, make_new_model, "child", base_model_id=base.id)
    with pytest.raises(Conflict) as caught:
        stewardship.delete(ME, "base")
    assert caught.value.code == "trained_model.in_use"
    uses = caught.value.parameters["uses"]
    assert [(use["kind"], use["name"]) for use in uses] == [
        ("trained_model", "child"),
        ("training_run", "run one"),
    ]
    assert "'child'" in caught.value.message
    assert "'run one' (Waiting)" in caught.value.message
    nosy = Actor(make_id(), "nosy", frozenset({Claim.TRAINED_MODEL_VIEW, Claim.TRAINED_MODEL_DELETE}))
    with pytest.raises(Conflict) as caught:
        stewardship.delete(nosy, "base")
    assert "run one" not in str(caught.value.describe())
    assert caught.value.parameters["use_count"] == 2
    stewardship.delete(ME, "child")
    stewardship.edit(ME, "base", name="renamed")
    assert runs.told == {base.id: "renamed"}
    assert stewardship.restore(ME, child.id).lineage.base_model.name == "renamed"  # pyright: ignore[reportOptionalMemberAccess]
    for name in ("dino-r50",):
        with pytest.raises(Conflict) as caught:
            stewardship.delete(ME, name)
        assert caught.value.code == "trained_model.is_builtin"


def test_a_published_model_is_not_deleted(
    service: TrainedModelService,
    stewardship: ModelStewardship,
    make_new_model: NewModelMaker,
    database: Database,
):
    create(service, make_new_model, "one")
    with database.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE trained_models SET stage = 'published' WHERE name = 'one'")
    with pytest.raises(Conflict) as caught:
        stewardship.delete(ME, "one")
    assert caught.value.code == "trained_model.is_published"


def test_purge_takes_what_is_old_and_leaves_lineages(
    service: TrainedModelService, stewardship: ModelStewardship, make_new_model: NewModelMaker
):
    base = create(service, make_new_model, "base")
    child = create(service, make_new_model, "child", base_model_id=base.id)
    stewardship.delete(ME, "child")
    stewardship.delete(ME, "base")
    now = SystemClock().now()
    assert stewardship.purge(ME, now - timedelta(days=1)) == 0
    assert stewardship.purge(ME, now, id_=make_id()) == 0
    assert stewardship.purge(ME, now, id_=base.id) == 1
    assert [item.name for item in stewardship.list_deleted(ME, PageRequest()).items] == ["child"]
    restored = stewardship.restore(ME, child.id)
    assert restored.lineage == child.lineage
    assert stewardship.purge(ME, now) == 0


def test_each_wants_its_claims(
    service: TrainedModelService, stewardship: ModelStewardship, make_new_model: NewModelMaker
):
    model = create(service, make_new_model, "one")
    calls = {
        Claim.TRAINED_MODEL_EDIT: lambda actor: stewardship.edit(actor, "one", notes="x"),
        Claim.TRAINED_MODEL_EXPORT: lambda actor: stewardship.open_file(actor, "one", "weights"),
        Claim.TRAINED_MODEL_DELETE: lambda actor: stewardship.delete(actor, "one"),
    }
    for claim, call in calls.items():
        with pytest.raises(Forbidden):
            call(Actor(make_id(), "a", frozenset(Claim) - {claim}))
        with pytest.raises(NotFound):
            call(Actor(make_id(), "b", frozenset(Claim) - {Claim.TRAINED_MODEL_VIEW}))
        call(Actor(make_id(), "c", frozenset({claim, Claim.TRAINED_MODEL_VIEW})))
    without = Actor(make_id(), "a", frozenset(Claim) - {Claim.TRAINED_MODEL_DELETE})
    for refused in (
        lambda: stewardship.list_deleted(without, PageRequest()),
        lambda: stewardship.restore(without, model.id),
        lambda: stewardship.purge(without, SystemClock().now()),
    ):
        with pytest.raises(Forbidden):
            refused()


def test_what_is_answered_is_what_the_schema_says(
    client: TestClient, service: TrainedModelService, make_new_model: NewModelMaker
):
    create(service, make_new_model, "one")
    for ref in ("one", "dino-r50"):
        shown = client.get(f"{PATH}/{ref}").json()
        assert TrainedModelOut.model_validate(shown).model_dump(mode="json") == shown
    page = client.get(PATH, params={"limit": 3, "class": "waste"}).json()
    assert [item["name"] for item in page["items"]] == ["one"]
    assert TrainedModelPage.model_validate(page).model_dump(mode="json") == page


def test_edits_and_deletes_over_rest(
    client: TestClient, service: TrainedModelService, make_new_model: NewModelMaker
):
    create(service, make_new_model, "one")
    read = client.get(f"{PATH}/one")
    assert read.headers["etag"] == '"1"'
    edited = client.patch(f"{PATH}/one", json={"notes": "x"}, headers={"If-Match": '"1"'})
    assert (edited.status_code, edited.headers["etag"], edited.json()["notes"]) == (200, '"2"', "x")
    stale = client.patch(f"{PATH}/one", json={"notes": "y"}, headers={"If-Match": '"1"'})
    assert stale.json()["code"] == "trained_model.changed_meanwhile"
    assert client.patch(f"{PATH}/one", json={"stage": "published"}).status_code == 422
    assert client.delete(f"{PATH}/one").status_code == 204
    assert client.get(f"{PATH}/one").json()["code"] == "trained_model.not_found"


def test_downloads_go_on_where_they_broke_off(
    client: TestClient, service: TrainedModelService, make_new_model: NewModelMaker, blobs: LocalBlobStore
):
    model = create(service, make_new_model, "größe")
    content = blobs.get_bytes(model.weights_digest)
    whole = client.get(f"{PATH}/größe/download")
    assert whole.content == content
    assert int(whole.headers["content-length"]) == len(content)
    assert whole.headers["etag"] == f'"{model.weights_digest}"'
    assert whole.headers["content-disposition"].endswith("gr%C3%B6%C3%9Fe.safetensors")
    rest = client.get(
        f"{PATH}/größe/download", headers={"Range": "bytes=10-", "If-Range": whole.headers["etag"]}
    )
    assert (rest.status_code, rest.content) == (206, content[10:])
    changed = client.get(f"{PATH}/größe/download", headers={"Range": "bytes=10-", "If-Range": '"other"'})
    assert (changed.status_code, changed.content) == (200, content)
    configuration = client.get(f"{PATH}/größe/download", params={"file": "configuration"})
    assert configuration.json() == {"model": {}}
    assert client.get(f"{PATH}/größe/download", params={"file": "secrets"}).status_code == 422
    assert client.get(f"{PATH}/dino-r50/download").json()["code"] == "trained_model.no_file"


@pytest.mark.parametrize(
    "given", ["bytes=a-", "bytes=5-2", "lines=1-2", "bytes=-", "", "bytes=0-1,4-5", "bytes"]
)
def test_a_range_that_is_none_gets_the_whole_file(
    client: TestClient, service: TrainedModelService, make_new_model: NewModelMaker, given: str
):
    model = create(service, make_new_model, "one")
    answer = client.get(f"{PATH}/one/download", headers={"Range": given})
    assert (answer.status_code, len(answer.content)) == (200, model.weights_size_bytes)


def test_parts_of_a_file(client: TestClient, service: TrainedModelService, make_new_model: NewModelMaker):
    model = create(service, make_new_model, "one")
    size = model.weights_size_bytes
    for given, status, length in (
        ("bytes=0-0", 206, 1),
        ("bytes=-3", 206, 3),
        (f"bytes={size - 2}-999999999999", 206, 2),
        (f"bytes={size}-", 416, None),
    ):
        answer = client.get(f"{PATH}/one/download", headers={"Range": given})
        assert answer.status_code == status, given
        assert length is None or len(answer.content) == length, given
