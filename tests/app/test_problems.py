from collections.abc import Iterator
from typing import Annotated, Literal
from uuid import UUID

import pytest
from fastapi import FastAPI, Query
from fastapi.testclient import TestClient
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import create_engine, text

from raven_scan.app.problems import STATUS_OF_KIND, UnexpectedErrors, install_problem_answers
from raven_scan.kernel.errors import ERROR_OF_KIND, ErrorKind, make_error

Colour = Literal["red", "green", "blue", "white", "black", "brown", "grey", "purple", "orange"]


class Order(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str
    epochs: Annotated[int, Field(ge=1, le=2000)] = 1
    shop: UUID | None = None
    code: Annotated[str, Field(pattern="^[a-z]+$")] = "a"
    size: Literal["S", "L"] = "S"
    colour: Colour = "red"


def build_shop() -> FastAPI:
    app = FastAPI()
    install_problem_answers(app)
    app.add_middleware(UnexpectedErrors)

    @app.get("/fail/{kind}")
    def fail(kind: ErrorKind) -> None:
        raise ERROR_OF_KIND[kind](f"shop.{kind}", "A sentence.", hint="A hint.", parameters={"n": [1, "ü"]})

    @app.post("/orders")
    def order(order: Order, limit: Annotated[int, Query(le=5)] = 1) -> None:
        del order, limit

    @app.get("/broken")
    def break_down() -> None:
        raise ZeroDivisionError("the password is hunter2")

    @app.get("/database")
    def ask_database() -> None:
        with create_engine("postgresql+psycopg://nobody:hunter2@127.0.0.1:1/x").connect() as connection:
            connection.execute(text("SELECT 1"))

    return app


@pytest.fixture(scope="module")
def shop() -> Iterator[TestClient]:
    with TestClient(build_shop()) as client:
        yield client


@pytest.mark.parametrize("kind", list(ErrorKind))
def test_every_kind_has_a_status_and_makes_a_round_trip(shop: TestClient, kind: ErrorKind) -> None:
    answer = shop.get(f"/fail/{kind}")
    assert answer.status_code == STATUS_OF_KIND[kind]
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == answer.status_code
    assert problem["type"] == f"urn:raven-scan:error:shop.{kind}"
    assert problem["title"]
    error = make_error({**problem, "message": problem["detail"]})
    assert type(error) is ERROR_OF_KIND[kind]
    assert error.describe() == {
        "code": f"shop.{kind}",
        "kind": kind,
        "message": "A sentence.",
        "hint": "A hint.",
        "parameters": {"n": [1, "ü"]},
    }
    assert ("retry-after" in answer.headers) == (kind in {ErrorKind.BUSY, ErrorKind.THROTTLED})
    assert ("www-authenticate" in answer.headers) == (kind is ErrorKind.UNAUTHENTICATED)


@pytest.mark.parametrize(
    ("body", "query", "sentence"),
    [
        ({"name": "a", "epochs": 5000}, "", "epochs should be less than or equal to 2000, not 5000."),
        ({"epochs": 1}, "", "name is missing."),
        ({"name": "a", "epoch": 1}, "", "epoch is not known here."),
        ({"name": "a", "epochs": "many"}, "", "epochs should be a valid integer"),
        ({"name": "a", "shop": "x"}, "", "shop should be a UUID, not 'x'."),
        ({"name": "a", "code": "1"}, "", "code should match pattern '^[a-z]+$', not '1'."),
        ({"name": "a", "size": "M"}, "", "size should be 'S' or 'L', not 'M'."),
        (
            {"name": "a", "colour": "whit"},
            "",
            "colour should be one of 9 values, perhaps 'white', not 'whit'.",
        ),
        ({"name": "a", "colour": "x"}, "", "'purple' or 'orange', not 'x'."),
        ({"name": "a"}, "?limit=9", "limit should be less than or equal to 5, not '9'."),
    ],
)
def test_a_request_that_is_not_valid_names_field_and_bound(
    shop: TestClient, body: dict[str, object], query: str, sentence: str
) -> None:
    answer = shop.post(f"/orders{query}", json=body)
    assert answer.status_code == 422
    assert answer.json()["code"] == "request.invalid"
    assert sentence in answer.json()["detail"]
    assert len(answer.json()["parameters"]["problems"]) == 1


def test_all_fields_that_are_not_valid_are_told(shop: TestClient) -> None:
    problem = shop.post("/orders", json={"epochs": 0, "x": 1}).json()
    assert [each["field"] for each in problem["parameters"]["problems"]] == ["name", "epochs", "x"]


def test_a_body_that_is_not_json_is_a_problem(shop: TestClient) -> None:
    answer = shop.post("/orders", content=b"{", headers={"content-type": "application/json"})
    assert (answer.status_code, answer.json()["detail"]) == (422, "The body is not JSON.")


def test_unknown_paths_and_methods_are_problems(shop: TestClient) -> None:
    answer = shop.get("/nothing")
    assert (answer.status_code, answer.json()["code"]) == (404, "request.unknown_path")
    answer = shop.delete("/orders")
    assert (answer.status_code, answer.json()["code"]) == (405, "request.refused")
    assert answer.headers["allow"] == "POST"


def test_what_nobody_foresaw_shows_no_insides(shop: TestClient, capsys: pytest.CaptureFixture[str]) -> None:
    answer = shop.get("/broken")
    assert answer.status_code == 500
    assert answer.headers["content-type"] == "application/problem+json"
    assert "hunter2" not in answer.text
    assert "ZeroDivisionError" in answer.json()["detail"]
    assert "ZeroDivisionError" in capsys.readouterr().out  # the log has it


def test_a_database_that_is_away_is_unavailable(shop: TestClient) -> None:
    answer = shop.get("/database")
    assert (answer.status_code, answer.json()["code"]) == (503, "database.unavailable")
    assert "hunter2" not in answer.text
