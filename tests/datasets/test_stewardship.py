"""Looking after datasets and versions: edit, delete, restore, purge; search and sort."""

from collections.abc import Callable, Collection, Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from fastapi.testclient import TestClient
from sqlalchemy.orm import Session

from raven_scan.access.types import LOCAL_ADMINISTRATOR, Actor, Claim
from raven_scan.datasets.api import build_router
from raven_scan.datasets.export import DatasetExports
from raven_scan.datasets.schemas import DatasetOut, DatasetPage, DatasetVersionOut, DatasetVersionPage
from raven_scan.datasets.service import DatasetService
from raven_scan.datasets.stewardship import DatasetStewardship
from raven_scan.datasets.stewardship_api import build_stewardship_router
from raven_scan.datasets.version_stewardship import VersionStewardship
from raven_scan.kernel.clock import SystemClock
from raven_scan.kernel.database import Database
from raven_scan.kernel.dependents import Use
from raven_scan.kernel.errors import Conflict, Forbidden, NotFound, RavenError, Stale
from raven_scan.kernel.ids import make_id
from raven_scan.kernel.paging import PageRequest
from raven_scan.kernel.settings import Settings
from raven_scan.storage.blobs import LocalBlobStore

ME = LOCAL_ADMINISTRATOR
PREFIX = "/api/v1/datasets"

Import = Callable[..., Any]


class Learners:
    """Somebody above who needs versions."""

    def __init__(self) -> None:
        self.needed: dict[UUID, str] = {}
        self.told: dict[UUID, str] = {}

    def list_uses(self, session: Session, ids: Collection[UUID]) -> list[Use]:
        assert session.in_transaction()
        needed = {id_: name for id_, name in self.needed.items() if id_ in ids}
        return [Use("trained_model", id_, name, "learned from it") for id_, name in needed.items()]

    def follow_renames(self, session: Session, names: Mapping[UUID, str]) -> None:
        assert session.in_transaction()
        self.told = dict(names)


@pytest.fixture
def learners() -> Learners:
    return Learners()


@pytest.fixture
def datasets(database: Database, service: DatasetService, learners: Learners) -> DatasetStewardship:
    return DatasetStewardship(database, service, SystemClock(), dependents=[learners])


@pytest.fixture
def versions(database: Database, service: DatasetService, learners: Learners) -> VersionStewardship:
    return VersionStewardship(database, service, SystemClock(), dependents=[learners])


@pytest.fixture
def import_next(source: Any, import_source: Import) -> Callable[[], Any]:
    """Imports something new as the next version of `waste`."""

    def run(name: str = "waste") -> Any:
        source["train"].add_box(1, [1, 1, 5, 5])
        return import_source(source, name)

    return run


@pytest.fixture
def client(
    service: DatasetService,
    datasets: DatasetStewardship,
    versions: VersionStewardship,
    database: Database,
    settings: Settings,
) -> TestClient:
    def get_actor() -> Actor:
        return ME

    def answer(_: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RavenError)
        return JSONResponse(error.describe(), status_code=418)

    app = FastAPI()
    app.include_router(build_router(service, get_actor))
    exports = DatasetExports(database, service, LocalBlobStore(settings.blobs_folder))
    app.include_router(build_stewardship_router(service, datasets, versions, exports, get_actor))
    app.add_exception_handler(RavenError, answer)
    return TestClient(app)


def list_names(service: DatasetService, words: str | None = None, sort: str | None = None) -> list[str]:
    page = service.list_datasets(ME, PageRequest(sort=sort), words)
    return [f"{dataset.name}@{dataset.versions[0].number}" for dataset in page.items]


def test_sorts_and_searches(
    source: Any, import_source: Import, service: DatasetService, datasets: DatasetStewardship
):
    for name in ("drone-b", "drone-a", "satellite"):
        import_source(source, name)
    assert list_names(service) == ["satellite@1", "drone-a@1", "drone-b@1"]
    assert list_names(service, "dro", "name") == ["drone-a@1", "drone-b@1"]
    datasets.edit(ME, "satellite", notes="From the Apennines")
    assert list_names(service, "apenn") == ["satellite@1"]


def test_edits(
    import_next: Callable[..., Any], service: DatasetService, datasets: DatasetStewardship, learners: Learners
):
    first, second = import_next(), import_next()
    import_next("other")
    edited = datasets.edit(ME, "waste", name="flights", notes="x", expected=1)
    assert (edited.name, edited.notes, edited.revision, edited.version_count) == ("flights", "x", 2, 2)
    assert learners.told == {first.id: "flights@1", second.id: "flights@2"}
    with pytest.raises(Stale):
        datasets.edit(ME, "flights", notes="y", expected=1)
    with pytest.raises(Conflict) as caught:
        datasets.edit(ME, "flights", name="other")
    assert caught.value.code == "dataset.name_taken"
    assert service.get_version(ME, "flights@2").full_name == "flights@2"


def test_a_deleted_dataset_is_nowhere_and_comes_back(
    import_next: Callable[..., Any], service: DatasetService, datasets: DatasetStewardship, database: Database
):
    version = import_next()
    needed = service.list_blob_digests(ME)
    datasets.delete(ME, "waste")
    for ref in ("waste", "waste@1", str(version.id), str(version.dataset_id)):
        for read in (service.get_dataset, service.get_version):
            with pytest.raises(NotFound):
                read(ME, ref)
    with pytest.raises(NotFound), database.transaction():
        service.keep_version(ME, version.id)
    assert list_names(service) == []
    assert service.list_blob_digests(ME) == needed
    (item,) = datasets.list_deleted(ME, PageRequest()).items
    assert (item.kind, item.id, item.name) == ("dataset", version.dataset_id, "waste")
    # Its name is free: another begins from 1.
    other = import_next()
    assert (other.number, other.dataset_id == version.dataset_id) == (1, False)
    with pytest.raises(Conflict) as caught:
        datasets.restore(ME, version.dataset_id)
    assert caught.value.code == "dataset.name_taken"
    datasets.edit(ME, "waste", name="later")
    datasets.restore(ME, version.dataset_id)
    assert service.get_version(ME, "waste") == version


def test_numbers_are_given_once(
    source: Any,
    import_source: Import,
    import_next: Callable[..., Any],
    service: DatasetService,
    versions: VersionStewardship,
):
    first, second = import_next(), import_next()
    versions.delete(ME, "waste@2")
    assert service.get_version(ME, "waste") == first
    with pytest.raises(NotFound):
        service.get_version(ME, "waste@2")
    # The same content again is a version of its own, since that one may go.
    third = import_source(source)
    assert (third.number, third.digest) == (3, second.digest)
    assert versions.purge(ME, SystemClock().now()) == 1
    versions.delete(ME, str(third.id))
    with pytest.raises(Conflict) as caught:
        versions.delete(ME, "waste@1")
    assert caught.value.code == "dataset.only_version"
    assert import_next().number == 4
    (item,) = versions.list_deleted(ME, PageRequest()).items
    assert (item.kind, item.name) == ("dataset_version", "waste@3")
    versions.restore(ME, third.id)
    assert [each.number for each in service.list_versions(ME, "waste", PageRequest()).items] == [4, 3, 1]


def test_a_version_comes_back_after_its_dataset(
    import_next: Callable[..., Any],
    service: DatasetService,
    datasets: DatasetStewardship,
    versions: VersionStewardship,
):
    first, second = import_next(), import_next()
    versions.delete(ME, "waste@1")
    datasets.delete(ME, "waste")
    with pytest.raises(Conflict) as caught:
        versions.restore(ME, first.id)
    assert caught.value.code == "dataset.dataset_in_trash"
    datasets.restore(ME, second.dataset_id)
    assert service.get_dataset(ME, "waste").versions == [second]
    versions.restore(ME, first.id)
    datasets.delete(ME, "waste")
    now = SystemClock().now()
    assert datasets.purge(ME, now - timedelta(days=1)) == 0
    assert datasets.purge(ME, now, id_=second.dataset_id) == 1
    assert (
        datasets.list_deleted(ME, PageRequest()).items == versions.list_deleted(ME, PageRequest()).items == []
    )
    assert service.list_blob_digests(ME) == set()


def test_what_is_needed_is_not_deleted(
    import_next: Callable[..., Any],
    datasets: DatasetStewardship,
    versions: VersionStewardship,
    learners: Learners,
):
    first, _ = import_next(), import_next()
    learners.needed = {first.id: "detector"}
    for delete, ref, noun in (
        (datasets.delete, "waste", "dataset"),
        (versions.delete, "waste@1", "dataset_version"),
    ):
        with pytest.raises(Conflict) as caught:
            delete(ME, ref)
        assert caught.value.code == f"{noun}.in_use"
        assert "'detector'" in caught.value.message
        assert [use["name"] for use in caught.value.parameters["uses"]] == ["detector"]
    versions.delete(ME, "waste@2")


def test_each_wants_its_claims(
    import_next: Callable[..., Any],
    service: DatasetService,
    datasets: DatasetStewardship,
    versions: VersionStewardship,
):
    version, _ = import_next(), import_next()
    calls: list[tuple[Claim, Callable[[Actor], object]]] = [
        (Claim.DATASET_EDIT, lambda actor: datasets.edit(actor, "waste", notes="x")),
        (Claim.DATASET_DELETE, lambda actor: versions.delete(actor, "waste@1")),
        (Claim.DATASET_DELETE, lambda actor: datasets.delete(actor, "waste")),
    ]
    for claim, call in calls:
        with pytest.raises(Forbidden):
            call(Actor(make_id(), "a", frozenset(Claim) - {claim}))
        with pytest.raises(NotFound):
            call(Actor(make_id(), "b", frozenset(Claim) - {Claim.DATASET_VIEW}))
        call(Actor(make_id(), "c", frozenset({claim, Claim.DATASET_VIEW})))
    without = Actor(make_id(), "a", frozenset(Claim) - {Claim.DATASET_DELETE})
    for each in (datasets, versions):
        for refused in (
            lambda each=each: each.list_deleted(without, PageRequest()),
            lambda each=each: each.restore(without, version.id),
            lambda each=each: each.purge(without, SystemClock().now()),
        ):
            with pytest.raises(Forbidden):
                refused()
    blind = Actor(make_id(), "b", frozenset(Claim) - {Claim.DATASET_VIEW})
    for missing in (
        lambda: service.get_dataset(blind, "waste"),
        lambda: service.get_version(blind, "waste"),
        lambda: service.list_versions(blind, "waste", PageRequest()),
    ):
        with pytest.raises(NotFound):
            missing()
    with pytest.raises(Forbidden):
        service.list_datasets(blind, PageRequest())


def test_what_is_answered_is_what_the_schema_says(client: TestClient, import_next: Callable[..., Any]):
    import_next()
    import_next()
    read = client.get(f"{PREFIX}/waste")
    assert read.headers["etag"] == '"1"'
    assert DatasetOut.model_validate(read.json()).model_dump(mode="json") == read.json()
    page = client.get(PREFIX, params={"q": "was", "sort": "-name"}).json()
    assert DatasetPage.model_validate(page).model_dump(mode="json") == page
    listed = client.get(f"{PREFIX}/waste/versions", params={"limit": 1}).json()
    assert DatasetVersionPage.model_validate(listed).model_dump(mode="json") == listed
    rest = client.get(f"{PREFIX}/waste/versions", params={"cursor": listed["next"]}).json()
    assert [each["number"] for each in (*listed["items"], *rest["items"])] == [2, 1]
    version = client.get(f"{PREFIX}/waste/versions/1").json()
    assert DatasetVersionOut.model_validate(version).full_name == "waste@1"
    assert client.get(f"{PREFIX}/waste/versions/7").json()["kind"] == "not_found"


def test_edits_and_deletes_over_rest(client: TestClient, import_next: Callable[..., Any]):
    import_next()
    second = import_next()
    edited = client.patch(f"{PREFIX}/waste", json={"name": "flights"}, headers={"If-Match": '"1"'})
    assert (edited.json()["name"], edited.headers["etag"]) == ("flights", '"2"')
    stale = client.patch(f"{PREFIX}/flights", json={"notes": "x"}, headers={"If-Match": '"1"'})
    assert stale.json()["code"] == "dataset.changed_meanwhile"
    assert client.delete(f"{PREFIX}/{second.id}").status_code == 204
    assert client.get(f"{PREFIX}/flights").json()["version_count"] == 1
    assert client.delete(f"{PREFIX}/flights@1").json()["code"] == "dataset.only_version"
    assert client.delete(f"{PREFIX}/{second.dataset_id}").status_code == 204
    assert client.delete(f"{PREFIX}/flights").json()["kind"] == "not_found"
    assert client.get(PREFIX).json() == {"items": [], "next": None}
