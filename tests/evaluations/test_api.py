"""Evaluations over REST."""

import pytest
from fastapi.testclient import TestClient

from raven_scan.app.server import build_app
from raven_scan.app.wiring import Platform
from raven_scan.datasets.types import DatasetVersionView
from raven_scan.evaluations.schemas import ComparisonOut, EvaluationOut, EvaluationPage, GalleryPage

from .conftest import Evaluate, MakeModel

PATH = "/api/v1/evaluations"


@pytest.fixture
def client(platform: Platform) -> TestClient:
    return TestClient(build_app(platform, token=None, allow_server_paths=True))


def test_answers_are_as_the_document_has_them(
    client: TestClient, dataset: DatasetVersionView, make_model: MakeModel, evaluate: Evaluate
):
    for name in ("first", "second"):
        evaluate(make_model(name), dataset)
    page = client.get(PATH, params={"model": "first", "status": "Success", "limit": 1})
    (made,) = EvaluationPage.model_validate_json(page.content, extra="forbid").items
    of_model = client.get("/api/v1/trained-models/first/evaluations")
    assert EvaluationPage.model_validate_json(of_model.content, extra="forbid").items == [made]
    assert client.get("/api/v1/trained-models/nobody/evaluations").status_code == 404
    one = client.get(f"{PATH}/{made.id}")
    assert EvaluationOut.model_validate_json(one.content, extra="forbid") == made
    report = client.get(f"{PATH}/{made.id}/report").json()
    assert report["figures"]["map50"]["value"] == made.figures["map50"].value  # pyright: ignore[reportOptionalSubscript]
    assert client.get(f"{PATH}/{made.id}/log").json() == {"text": ""}
    images = client.get(f"{PATH}/{made.id}/images", params={"kind": "missed", "limit": 1})
    gallery = GalleryPage.model_validate_json(images.content, extra="forbid")
    assert gallery.next
    (shown,) = gallery.items
    assert (shown.width, shown.height) == (64, 64)
    picture = client.get(f"/api/v1/datasets/{made.dataset_version.id}/images/{shown.digest}")
    assert picture.headers["content-type"] == "image/jpeg"
    comparison = client.get(f"{PATH}/comparison", params={"model": ["first", "second"]})
    compared = ComparisonOut.model_validate_json(comparison.content, extra="forbid")
    assert [each.model.name for each in compared.models] == ["first", "second"]

    asked = client.post(PATH, json={"model": "first", "dataset": "squares"})
    assert asked.status_code == 201
    waiting = EvaluationOut.model_validate_json(asked.content, extra="forbid")
    assert client.get(f"{PATH}/{waiting.id}/report").status_code == 409
    assert client.post(f"{PATH}/{waiting.id}/cancel").json()["status"] == "Cancelled"
    assert client.post(f"{PATH}/{waiting.id}/cancel").status_code == 409


def test_nonsense_is_refused(
    client: TestClient, dataset: DatasetVersionView, make_model: MakeModel, evaluate: Evaluate
):
    made = evaluate(make_model(), dataset)
    for odd in ("\0", "nobody", "@", "a@b@c", "0" * 40, "%"):
        for parameters in ({"model": odd}, {"dataset": odd}, {"part": odd}, {"status": odd}, {"cursor": odd}):
            answer = client.get(PATH, params=parameters)
            assert 400 <= answer.status_code < 500, (parameters, answer.text)
            assert answer.json()["code"]
        answer = client.post(PATH, json={"model": "first", "dataset": odd})
        assert 400 <= answer.status_code < 500
        answer = client.get(f"{PATH}/comparison", params={"model": ["first", odd], "class": odd})
        assert 400 <= answer.status_code < 500
        answer = client.get(f"{PATH}/{made.id}/images", params={"cursor": odd})
        assert 400 <= answer.status_code < 500
