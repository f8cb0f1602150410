"""Datasets over REST."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from fastapi.testclient import TestClient

from raven_scan.access.types import LOCAL_ADMINISTRATOR, Actor, Claim
from raven_scan.datasets.api import build_router
from raven_scan.datasets.schemas import DatasetPage, DatasetVersionOut
from raven_scan.datasets.service import DatasetService
from raven_scan.kernel.errors import RavenError
from raven_scan.kernel.settings import Settings

PREFIX = "/api/v1/datasets"


def build_client(
    service: DatasetService, *, allow_server_paths: bool = True, actor: Actor = LOCAL_ADMINISTRATOR
) -> TestClient:
    app = FastAPI()

    @app.exception_handler(RavenError)
    def describe(_: Request, error: RavenError) -> JSONResponse:
        return JSONResponse(error.describe(), status_code=400)

    app.include_router(build_router(service, lambda: actor, allow_server_paths=allow_server_paths))
    return TestClient(app)


@pytest.fixture
def client(service: DatasetService) -> TestClient:
    return build_client(service)


def read_lines(response: Any) -> list[dict[str, Any]]:
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "application/x-ndjson"
    return [json.loads(line) for line in response.text.splitlines()]


def pack(folder: Path) -> bytes:
    return Path(shutil.make_archive(str(folder), "zip", folder)).read_bytes()


def test_a_path_of_the_server(client: TestClient, source: Any, tmp_path: Path) -> None:
    path = str(source.write(tmp_path / "source"))
    body = {"path": path, "name": "waste", "class_map": {"can": "tin"}}
    *progress, done = read_lines(client.post(f"{PREFIX}/import", json=body))
    assert {"event": "progress", "stage": "checking images", "done": 8, "total": 8} in progress
    assert done["event"] == "done"
    version = DatasetVersionOut.model_validate(done["result"])
    assert (version.full_name, version.classes) == ("waste@1", ["bottle", "tin"])
    shown = client.get(f"{PREFIX}/waste").json()
    assert shown["versions"] == [done["result"]]
    assert client.get(f"{PREFIX}/{version.id}").json() == shown
    page = DatasetPage.model_validate(client.get(PREFIX).json())
    assert [dataset.name for dataset in page.items] == ["waste"]
    assert page.next is None


def test_an_upload(client: TestClient, source: Any, tmp_path: Path, settings: Settings) -> None:
    content = pack(source.write(tmp_path / "source"))
    response = client.post(
        f"{PREFIX}/import",
        params={"name": "über waste", "map": ["can=tin", "bottle=glass"], "bands": "3,2,1", "seed": 4},
        content=content,
        headers={"content-type": "application/zip"},
    )
    done = read_lines(response)[-1]
    assert done["event"] == "done", done
    assert done["result"]["dataset_name"] == "über waste"
    assert done["result"]["classes"] == ["glass", "tin"]
    assert done["result"]["pixel_rules"]["bands"] == [3, 2, 1]
    assert done["result"]["options"]["bands"] == [3, 2, 1]
    assert done["result"]["options"]["seed"] == 4
    assert client.get(f"{PREFIX}/über waste@1").json()["name"] == "über waste"
    assert list(settings.work_folder.iterdir()) == []


def test_a_refusal_arrives_whole(client: TestClient, source: Any, tmp_path: Path, settings: Settings) -> None:
    source["train"].add_box(1, [500, 1, 5, 5])
    source["valid"].files["10.jpg"] = b""
    content = pack(source.write(tmp_path / "source"))
    response = client.post(
        f"{PREFIX}/import", params={"name": "x"}, content=content, headers={"content-type": "application/zip"}
    )
    failed = read_lines(response)[-1]
    assert failed["event"] == "failed"
    assert failed["error"]["code"] == "dataset.refused"
    assert {problem["code"] for problem in failed["error"]["parameters"]["problems"]} == {
        "dataset.box_outside",
        "dataset.image_not_an_image",
    }
    assert client.get(PREFIX).json() == {"items": [], "next": None}
    assert list(settings.work_folder.iterdir()) == []


def test_paths_only_where_they_are_allowed(service: DatasetService, source: Any, tmp_path: Path) -> None:
    client = build_client(service, allow_server_paths=False)
    body = {"path": str(source.write(tmp_path / "source")), "name": "waste"}
    answer = client.post(f"{PREFIX}/import", json=body).json()
    assert answer["code"] == "dataset.server_paths_forbidden"
    assert "zip" in answer["hint"]


def test_claims_are_checked_before_anything_is_received(service: DatasetService, settings: Settings) -> None:
    visitor = Actor(LOCAL_ADMINISTRATOR.id, "visitor", frozenset({Claim.DATASET_VIEW}))
    client = build_client(service, actor=visitor)
    requests: tuple[dict[str, Any], ...] = (
        {"json": {"path": "/", "name": "x"}},
        {"content": b"PK", "headers": {"content-type": "application/zip"}},
    )
    for request in requests:
        answer = client.post(f"{PREFIX}/import", params={"name": "x"}, **request).json()
        assert answer["code"] == "access.claim_missing"
    assert not settings.work_folder.exists()


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        ({"content": b"x", "headers": {"content-type": "text/plain"}}, "dataset.unknown_body"),
        ({"content": b"x"}, "dataset.unknown_body"),
        ({"content": b"{", "headers": {"content-type": "application/json"}}, "dataset.bad_import_request"),
        (
            {"content": b"[" * 200_000, "headers": {"content-type": "application/json"}},
            "dataset.bad_import_request",
        ),
        (
            {"content": b" " * 2_000_000, "headers": {"content-type": "application/json"}},
            "dataset.bad_import_request",
        ),
        ({"json": []}, "dataset.bad_import_request"),
        ({"json": {"name": "x"}}, "dataset.bad_import_request"),
        ({"json": {"path": "x", "name": "x", "bands": [0, 1, 2]}}, "dataset.bad_import_request"),
        ({"json": {"path": "x", "name": "x", "typo": 1}}, "dataset.bad_import_request"),
        ({"zip": {}}, "dataset.bad_import_request"),
        ({"zip": {"name": "x", "map": "x"}}, "dataset.bad_map"),
        ({"zip": {"name": "x", "bands": "1,2"}}, "dataset.bad_import_request"),
        ({"zip": {"name": "x", "bands": "a,b,c"}}, "dataset.bad_import_request"),
    ],
)
def test_requests_that_are_none(client: TestClient, request_: dict[str, Any], code: str) -> None:
    if "zip" in request_:
        request_ = {
            "params": request_["zip"],
            "content": b"PK",
            "headers": {"content-type": "application/zip"},
        }
    response = client.post(f"{PREFIX}/import", **request_)
    assert response.status_code == 400
    assert response.json()["code"] == code


def test_an_upload_past_the_limit(service: DatasetService, settings: Settings) -> None:
    service._settings = settings.model_copy(update={"largest_archive_bytes": 1_000_000})
    answer = build_client(service).post(
        f"{PREFIX}/import",
        params={"name": "x"},
        content=bytes(1_500_000),
        headers={"content-type": "application/zip"},
    )
    assert answer.json()["code"] == "dataset.archive_too_large"
    assert list(settings.work_folder.iterdir()) == []


def test_unknown_datasets(client: TestClient, source: Any, import_source: Callable[..., Any]) -> None:
    import_source(source)
    for ref in ("nothing", "waste@7", "00000000-0000-7000-8000-000000000000"):
        assert client.get(f"{PREFIX}/{ref}").json()["kind"] == "not_found"
    assert client.get(PREFIX, params={"cursor": "x"}).json()["code"] == "paging.bad_cursor"
