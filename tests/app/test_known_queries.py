"""A query that a call does not know is refused: of a misspelt filter, everything would come back."""

from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient

from raven_scan.app.server import build_app
from raven_scan.app.wiring import Platform


@pytest.fixture
def client(platform: Platform) -> Iterator[TestClient]:
    with TestClient(build_app(platform, token=None, allow_server_paths=False)) as client:
        yield client


def test_what_a_query_says_is_known_or_refused(client: TestClient):
    for path, query in (
        ("/api/v1/training-runs", "statuss=Error&limit=5"),
        ("/api/v1/datasets/nothing", "version=1"),
        ("/api/v1/system/health", "x="),
    ):
        answer = client.get(f"{path}?{query}")
        assert (answer.status_code, answer.json()["code"]) == (422, "request.unknown_parameter"), path
        name = query.partition("=")[0]
        assert answer.json()["parameters"]["unknown"] == [name]
        assert repr(name) in answer.json()["detail"]
    assert "status" in client.get("/api/v1/training-runs?statuss=Error").json()["parameters"]["known"]


def test_whatever_the_document_names_is_known(client: TestClient):
    document = client.get("/api/v1/openapi.json").json()
    asked = 0
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            names = [each["name"] for each in operation.get("parameters", []) if each["in"] == "query"]
            if names and method == "get" and "{" not in path:
                answer = client.get(path, params=dict.fromkeys(names, "x"), follow_redirects=False)
                code = answer.json().get("code") if answer.status_code == 422 else None
                assert code != "request.unknown_parameter", (path, names)
                asked += 1
    assert asked > 10


def test_links_of_others_take_whatever_is_added(client: TestClient):
    answer = client.get("/api/v1/unsubscribe?token=x&utm_source=mail")
    assert "unknown_parameter" not in answer.text
