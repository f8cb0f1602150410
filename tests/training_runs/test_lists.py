"""Lists of runs: filters, search, order, and what they answer over REST."""

from collections.abc import Callable, Generator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import update

from raven_scan.access.types import LOCAL_ADMINISTRATOR
from raven_scan.app.server import build_app
from raven_scan.app.wiring import Platform
from raven_scan.datasets.types import DatasetVersionView
from raven_scan.kernel.errors import Invalid
from raven_scan.kernel.paging import PageRequest
from raven_scan.training_runs.models import TrainingRun
from raven_scan.training_runs.schemas import TrainingRunOut, TrainingRunPage, TrainingRunSummary
from raven_scan.training_runs.types import RunFilter, RunStatus, TrainingRunView

ADMIN = LOCAL_ADMINISTRATOR
CreateRun = Callable[..., TrainingRunView]
ListNames = Callable[..., list[str]]
START = datetime(2026, 5, 1, tzinfo=UTC)


def change(platform: Platform, name: str, **values: Any) -> None:
    with platform.database.transaction() as session:
        session.execute(update(TrainingRun).where(TrainingRun.name == name).values(**values))


@pytest.fixture
def list_names(platform: Platform, create_run: CreateRun) -> ListNames:
    """Of three runs, by what is asked for."""
    create_run(name="demo-run.1")
    create_run(name="river_7", base_model="rtmdet-tiny")
    create_run(name="coast", base_model="rtmdet-lite0")
    for day, name in enumerate(("demo-run.1", "river_7", "coast")):
        change(platform, name, created_at=START + timedelta(days=day), priority=day % 2)
    error = {"code": "lost", "message": "It was lost.", "hint": "", "log_tail": ["a"], "evidence": {"b": 1}}
    change(
        platform,
        "coast",
        status="Error",
        error=error,
        ended_at=START + timedelta(days=9),
        best={"map": 0.1, "map50": 0.5},
        created_by="Ada",
        notes="At the Überlauf",
    )
    change(platform, "river_7", best={"map": 0.2, "map50": 0.75}, scheduled_at=START)

    def list_names(sort: str | None = None, **wanted: Any) -> list[str]:
        page = platform.training_runs.list_runs(ADMIN, PageRequest(sort=sort), RunFilter(**wanted))
        return [run.name for run in page.items]

    return list_names


FILTERS: list[tuple[dict[str, Any], list[str]]] = [
    ({}, ["coast", "river_7", "demo-run.1"]),
    ({"statuses": (RunStatus.ERROR,)}, ["coast"]),
    ({"statuses": (RunStatus.ERROR, RunStatus.DRAFT)}, ["coast", "river_7", "demo-run.1"]),
    ({"statuses": (RunStatus.WAITING,)}, []),
    ({"dataset": "squares"}, ["coast", "river_7", "demo-run.1"]),
    ({"dataset": "squares@1", "base_model": "rtmdet-tiny"}, ["river_7"]),
    ({"dataset": "squares@2"}, []),
    ({"dataset": "square"}, []),
    ({"base_model": "rtmdet-lite0"}, ["coast"]),
    ({"architecture": "yolox-nano"}, ["demo-run.1"]),
    ({"architecture": "\0"}, []),
    ({"created_by": "Ada"}, ["coast"]),
    ({"created_since": START + timedelta(days=1)}, ["coast", "river_7"]),
    ({"created_until": START + timedelta(days=1)}, ["demo-run.1"]),
    ({"ended_since": START + timedelta(days=9)}, ["coast"]),
    ({"ended_until": START + timedelta(days=9)}, []),
    ({"search": "demo"}, ["demo-run.1"]),
    ({"search": "7 riv"}, ["river_7"]),
    ({"search": "rtmdet lit"}, ["coast"]),
    ({"search": "rtmdet"}, ["coast", "river_7"]),
    ({"search": "überlauf"}, ["coast"]),
    ({"search": "ada"}, ["coast"]),
    ({"search": "squares", "statuses": (RunStatus.DRAFT,)}, ["river_7", "demo-run.1"]),
    ({"search": "squares coast river"}, []),
    ({"search": "' | !"}, []),
]


# One test: what it looks at takes longer to make than to look at.
def test_a_filter_lets_pass_what_it_says(list_names: ListNames):
    for wanted, names in FILTERS:
        assert list_names(**wanted) == names, wanted


SORTS = [
    ("created_at", ["demo-run.1", "river_7", "coast"]),
    ("name", ["coast", "demo-run.1", "river_7"]),
    ("-name", ["river_7", "demo-run.1", "coast"]),
    ("-status", ["coast", "river_7", "demo-run.1"]),
    ("-priority", ["river_7", "coast", "demo-run.1"]),
    ("-best_map50", ["river_7", "coast", "demo-run.1"]),
    ("best_map50", ["coast", "river_7", "demo-run.1"]),
    ("ended_at", ["coast", "demo-run.1", "river_7"]),
    ("-scheduled_at", ["river_7", "coast", "demo-run.1"]),
]


def test_runs_come_in_the_order_that_is_asked_for(list_names: ListNames):
    for sort, names in SORTS:
        assert list_names(sort) == names, sort
        assert list_names(sort, search="squares") == names, sort


def test_a_dataset_is_found_by_its_ids(list_names: ListNames, dataset: DatasetVersionView):
    assert len(list_names(dataset=str(dataset.id))) == 3
    assert len(list_names(dataset=str(dataset.dataset_id))) == 3


def test_too_much_is_not_searched_for(platform: Platform):
    with pytest.raises(Invalid) as refusal:
        platform.training_runs.list_runs(ADMIN, PageRequest(), RunFilter(search="a " * 5000))
    assert refusal.value.code == "search.too_long"


@pytest.fixture
def api(platform: Platform) -> Generator[TestClient]:
    with TestClient(build_app(platform, token=None, allow_server_paths=False)) as client:
        yield client


def test_a_list_is_answered_as_its_schema_says(list_names: ListNames, api: TestClient):
    assert list_names()
    answer = api.get(
        "/api/v1/training-runs", params={"limit": 2, "status": ["Error", "Draft"], "sort": "name"}
    )
    assert answer.status_code == 200
    page = TrainingRunPage.model_validate_json(answer.content)
    assert [item.name for item in page.items] == ["coast", "demo-run.1"]
    assert set(answer.json()["items"][0]) == set(TrainingRunSummary.model_fields)
    assert answer.json()["items"][0]["error"] == {"code": "lost", "message": "It was lost.", "hint": ""}
    rest = api.get("/api/v1/training-runs", params={"limit": 2, "cursor": page.next})
    assert [item["name"] for item in rest.json()["items"]] == ["river_7"]


REFUSED = [
    "status=Sleeping",
    "sort=nope",
    "cursor=x",
    "limit=0",
    "limit=501",
    "created_since=yesterday",
    "created_since=2026-01-01T00:00:00",
    "q=" + "a" * 10_000,
]


def test_what_a_list_cannot_be_asked_is_refused(api: TestClient):
    for query in REFUSED:
        assert api.get(f"/api/v1/training-runs?{query}").status_code == 422, query


HOSTILE = [
    "q=%00",
    "q='%3B--",
    "q=%ed%a0%80",
    "dataset=%00",
    "base_model=%F0%9F%92%A9",
    "created_by=%25",
    "q=a%26b:*",
]


def test_times_may_be_as_far_away_as_they_can_be_said(api: TestClient):
    for moment in ("0001-01-01T00:00:00%2B23:59", "9999-12-31T23:59:59.999999-23:59", "1700000000"):
        for name in ("created_since", "created_until", "ended_since", "ended_until"):
            assert api.get(f"/api/v1/training-runs?{name}={moment}").status_code == 200, (name, moment)


def test_hostile_filters_find_nothing(api: TestClient):
    for query in HOSTILE:
        answer = api.get(f"/api/v1/training-runs?{query}")
        assert (answer.status_code, answer.json()["items"]) == (200, []), query


def test_a_run_is_answered_as_its_schema_says(list_names: ListNames, api: TestClient):
    assert list_names()
    for name in ("coast", "river_7"):
        answer = api.get(f"/api/v1/training-runs/{name}")
        run = TrainingRunOut.model_validate_json(answer.content)
        assert set(answer.json()) == set(TrainingRunOut.model_fields)
        assert answer.headers["ETag"] == f'"{run.revision}"'
        assert run.name == name
