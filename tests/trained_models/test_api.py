"""Trained models over REST."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from fastapi.testclient import TestClient

from raven_scan.access.types import LOCAL_ADMINISTRATOR, WORKER, Actor
from raven_scan.architectures.catalogue import list_architectures
from raven_scan.kernel.errors import RavenError
from raven_scan.kernel.settings import Settings
from raven_scan.trained_models.api import build_router
from raven_scan.trained_models.service import TrainedModelService
from raven_scan.trained_models.stewardship import ModelStewardship
from raven_scan.trained_models.stewardship_api import build_stewardship_router
from raven_scan.trained_models.types import NewTrainedModel

PATH = "/api/v1/trained-models"


def make_client(
    service: TrainedModelService, stewardship: ModelStewardship, *, allow_server_paths: bool
) -> TestClient:
    def get_actor() -> Actor:
        return LOCAL_ADMINISTRATOR

    def answer(_: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RavenError)
        return JSONResponse(error.describe(), status_code=418)

    app = FastAPI()
    app.include_router(build_router(service, get_actor, allow_server_paths=allow_server_paths))
    app.include_router(build_stewardship_router(stewardship, get_actor))
    app.add_exception_handler(RavenError, answer)
    return TestClient(app)


@pytest.fixture
def client(service: TrainedModelService, stewardship: ModelStewardship) -> TestClient:
    return make_client(service, stewardship, allow_server_paths=True)


def read_lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_shows_a_model(
    client: TestClient, service: TrainedModelService, make_new_model: Callable[..., NewTrainedModel]
):
    new = make_new_model()
    created = service.create_from_run(WORKER, new)
    shown = client.get(f"{PATH}/first").json()
    assert shown == client.get(f"{PATH}/{created.id}").json()
    assert shown["name"] == "first"
    assert shown["stage"] == "candidate"
    assert shown["origin"] == "trained"
    assert shown["architecture"] == "yolox-nano"
    assert shown["classes"] == ["waste", "Sperrmüll", "垃圾"]
    assert shown["test"]["map"] == 0.24
    assert shown["test"]["map50"] == 0.4
    assert shown["test"]["map75"] is None
    assert shown["valid"]["map50"] == 0.5
    assert shown["leak_allowed"] is True
    assert shown["lineage"]["base_model"]["name"] == "yolox-nano"
    assert shown["lineage"]["dataset_version"] == {"id": str(new.dataset_version_id), "name": "aquatrash@1"}
    assert shown["lineage"]["training_run"] == {"id": str(new.training_run_id), "name": "first run"}
    builtin = client.get(f"{PATH}/rtmdet-tiny").json()
    assert builtin["test"] is None
    assert builtin["starting_weights"] == "random"


def test_lists_in_pages_and_by_filter(client: TestClient):
    first = client.get(PATH, params={"limit": 10}).json()
    rest = client.get(PATH, params={"limit": 10, "cursor": first["next"]}).json()
    names = [model["name"] for model in first["items"] + rest["items"]]
    assert len(names) == len(set(names)) == len(list_architectures())
    assert rest["next"] is None
    assert client.get(PATH, params={"origin": "imported"}).json() == {"items": [], "next": None}
    both = client.get(PATH, params={"origin": ["imported", "builtin"], "limit": 100}).json()
    assert {model["name"] for model in both["items"]} == set(names)
    assert client.get(PATH, params={"origin": "stolen"}).status_code == 422
    assert client.get(PATH, params={"limit": 0}).json()["code"] == "paging.bad_limit"


def test_not_there(client: TestClient):
    assert client.get(f"{PATH}/nothing").json()["code"] == "trained_model.not_found"
    assert client.get(f"{PATH}/a%00b").json()["code"] == "trained_model.not_found"


def test_a_path_of_the_server_needs_its_leave(
    service: TrainedModelService, stewardship: ModelStewardship, tmp_path: Path
):
    body = {"path": str(tmp_path / "x.pth"), "architecture": "yolox-nano", "name": "x"}
    strict = make_client(service, stewardship, allow_server_paths=False)
    assert strict.post(f"{PATH}/import", json=body).json()["code"] == "trained_model.path_not_allowed"


def test_what_is_wrong_before_the_work_is_an_answer(client: TestClient, settings: Settings):
    wrong = [
        ({"architecture": "yolo-nano", "name": "x"}, "trained_model.unknown_architecture"),
        ({"architecture": "yolox-nano", "name": "a/b"}, "trained_model.bad_name"),
        ({"architecture": "yolox-nano", "name": "dino-r50"}, "trained_model.name_taken"),
    ]
    for parameters, code in wrong:
        by_path = client.post(f"{PATH}/import", json={"path": "/x.pth", **parameters})
        by_upload = client.post(f"{PATH}/upload", params={**parameters, "file_name": "x.pth"}, content=b"x")
        assert by_path.json()["code"] == by_upload.json()["code"] == code
        assert by_path.status_code == by_upload.status_code == 418
    assert client.post(f"{PATH}/import", json={"path": "/x.pth", "more": 1}).status_code == 422
    assert list(settings.work_folder.glob("checkpoint-*")) == []


def test_what_is_wrong_in_the_work_is_its_last_line(client: TestClient):
    answer = client.post(
        f"{PATH}/import", json={"path": "/no/such.pth", "architecture": "yolox-nano", "name": "x"}
    )
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("application/x-ndjson")
    (failed,) = read_lines(answer.text)
    assert failed["event"] == "failed"
    assert failed["error"]["code"] == "trained_model.bad_checkpoint_file"
    assert "such.pth" in failed["error"]["message"]


def test_an_empty_upload(client: TestClient, settings: Settings):
    answer = client.post(
        f"{PATH}/upload",
        params={"architecture": "yolox-nano", "name": "x", "file_name": "../../x.pth"},
        content=b"",
    )
    (failed,) = read_lines(answer.text)
    assert failed["error"]["message"] == "x.pth is empty."
    assert list(settings.work_folder.glob("checkpoint-*")) == []


def test_an_upload_becomes_a_model(client: TestClient, shared_folder: Path, settings: Settings):
    content = (shared_folder / "weights" / "yolox_nano_coco_mmdet.pth").read_bytes()
    answer = client.post(
        f"{PATH}/upload",
        params={"architecture": "yolox-nano", "name": "nano", "file_name": "yolox_nano_coco_mmdet.pth"},
        content=iter([content[:1_000_000], content[1_000_000:]]),
    )
    *progress, done = read_lines(answer.text)
    assert done["event"] == "done", done
    assert {line["event"] for line in progress} == {"progress"}
    assert done["result"] == client.get(f"{PATH}/nano").json()
    assert done["result"]["checkpoint"]["file_name"] == "yolox_nano_coco_mmdet.pth"
    assert done["result"]["classes"][0] == "person"
    assert list(settings.work_folder.glob("checkpoint-*")) == []


def test_pull_of_what_cannot_be(client: TestClient):
    for name, code in (("rtmdet-lite0", "no_checkpoint"), ("yolo-17", "not_in_index")):
        refused = client.post(f"{PATH}/pull", json={"model": name})
        assert (refused.status_code, refused.json()["code"]) == (418, f"trained_model.{code}")
