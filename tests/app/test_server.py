from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from pydantic import SecretStr
from sqlalchemy import create_engine, text
from starlette.types import Message, Receive, Scope, Send

import raven_scan
from raven_scan.app.readiness import Readiness
from raven_scan.app.server import build_app
from raven_scan.app.sign_in import LOOPBACK_NAMES
from raven_scan.app.wiring import Platform
from raven_scan.kernel.addresses import is_loopback

REST = Path(__file__).resolve().parents[2] / "docs" / "rest.md"
TOKEN = "a-token"
SIGNED = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture
def application(platform: Platform) -> FastAPI:
    return build_app(
        platform, token=SecretStr(TOKEN), allow_server_paths=False, host_names=[*LOOPBACK_NAMES, "testserver"]
    )


@pytest.fixture
def client(application: FastAPI) -> Iterator[TestClient]:
    with TestClient(application) as client:
        yield client


def test_health_needs_no_token(client: TestClient) -> None:
    assert client.get("/api/v1/system/health").json() == {"status": "ok"}


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({}, "access.token_missing"),
        ({"Authorization": TOKEN}, "access.token_missing"),
        ({"Authorization": f"Basic {TOKEN}"}, "access.token_missing"),
        ({"Authorization": "Bearer "}, "access.token_missing"),
        ({"Authorization": "Bearer a-toke"}, "access.token_wrong"),
        ({"Authorization": "Bearer a-token2"}, "access.token_wrong"),
        ({"Authorization": "Bearer é"}, "access.token_wrong"),
    ],
)
def test_all_else_needs_the_token(client: TestClient, headers: dict[str, str], code: str) -> None:
    raw = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    for method, path in [
        ("GET", "/api/v1/datasets"),
        ("POST", "/api/v1/training-runs"),
        ("GET", "/api/v1/system"),
        ("GET", "/nothing/here"),
        ("GET", "/api/v1/system/health/"),
    ]:
        answer = client.request(method, path, headers=raw, follow_redirects=False)
        assert (answer.status_code, answer.json()["code"]) == (401, code), path
        assert answer.headers["www-authenticate"] == "Bearer"


def test_the_token_opens(client: TestClient) -> None:
    assert client.get("/api/v1/datasets", headers=SIGNED).json() == {"items": [], "next": None}
    assert client.get("/api/v1/datasets", headers={"Authorization": f"bearer  {TOKEN} "}).status_code == 200
    assert client.get("/nothing", headers=SIGNED).json()["code"] == "request.unknown_path"


def test_a_body_is_not_read_before_sign_in(application: FastAPI) -> None:
    reads = 0

    async def count_reads(scope: Scope, receive: Receive, send: Send) -> None:
        async def receive_counted() -> Message:
            nonlocal reads
            reads += 1
            return await receive()

        await application(scope, receive_counted, send)

    counting = TestClient(count_reads)
    assert counting.post("/api/v1/datasets/import", content=b"x" * 1000).status_code == 401
    assert reads == 0


def test_the_system_tells_its_version_and_database(client: TestClient, platform: Platform) -> None:
    assert client.get("/api/v1/system", headers=SIGNED).json() == {
        "version": raven_scan.__version__,
        "database": {"reachable": True},
        "worker": False,
        "missing": [],
    }
    assert client.get("/api/v1/system/version", headers=SIGNED).json() == {"version": raven_scan.__version__}
    assert platform.database.engine.url.database


def test_it_is_ready_where_database_schema_and_storage_are(client: TestClient, platform: Platform) -> None:
    assert client.get("/api/v1/system/readiness").json() == {"status": "ready"}
    readiness = Readiness(platform.database, platform.blobs)
    with platform.database.transaction() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '0001'"))
    incoming = platform.blobs.incoming
    incoming.rename(incoming.with_name("away"))
    assert [lack.what for lack in readiness.find_lacks()] == ["schema", "storage"]


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8700", "127.0.0.1.evil.example", ""])
def test_a_foreign_host_name_is_refused(client: TestClient, host: str) -> None:
    answer = client.get("/api/v1/system/health", headers={"Host": host})
    assert (answer.status_code, answer.json()["code"]) == (403, "access.foreign_host")


@pytest.mark.parametrize("host", ["127.0.0.1:8700", "LOCALHOST", "[::1]:8700", "localhost:1"])
def test_loopback_names_are_admitted(client: TestClient, host: str) -> None:
    assert client.get("/api/v1/system/health", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),  # noqa: S104
        ("10.0.0.1", False),
        ("localhost.example", False),
        ("", False),
    ],
)
def test_loopback_is_recognised(host: str, expected: bool) -> None:  # noqa: FBT001
    assert is_loopback(host) is expected


def test_paths_of_the_servers_machine_are_for_its_own_process_alone(
    client: TestClient, tmp_path: Path
) -> None:
    for path, body in [
        ("/api/v1/datasets/import", {"path": str(tmp_path), "name": "a"}),
        (
            "/api/v1/trained-models/import",
            {"path": str(tmp_path), "architecture": "yolox-nano", "name": "a"},
        ),
    ]:
        assert client.post(path, json=body, headers=SIGNED).status_code == 403


def test_a_lost_database_is_told_and_the_server_lives_on(client: TestClient, platform: Platform) -> None:
    engine = platform.database.engine
    name = engine.url.database
    admin = engine.url.set(database="postgres")
    with engine.connect() as connection:
        connection.execute(text("SELECT 1"))
    server = create_engine(admin, isolation_level="AUTOCOMMIT")
    with server.connect() as connection:
        connection.execute(text(f"ALTER DATABASE {name} WITH ALLOW_CONNECTIONS false"))
        connection.execute(
            text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :name"),
            {"name": name},
        )
        answer = client.get("/api/v1/datasets", headers=SIGNED)
        assert (answer.status_code, answer.json()["code"]) == (503, "database.unavailable")
        assert client.get("/api/v1/system", headers=SIGNED).json()["database"] == {"reachable": False}
        assert client.get("/api/v1/system/health").status_code == 200
        answer = client.get("/api/v1/system/readiness")
        assert (answer.status_code, answer.json()["code"]) == (503, "system.not_ready")
        assert answer.json()["parameters"] == {"missing": ["database"]}
        connection.execute(text(f"ALTER DATABASE {name} WITH ALLOW_CONNECTIONS true"))
    server.dispose()
    assert client.get("/api/v1/datasets", headers=SIGNED).status_code == 200


def test_no_page_of_documentation_needs_a_cdn(client: TestClient) -> None:
    for path in ("/docs", "/redoc", "/api/docs"):
        assert client.get(path, headers=SIGNED).status_code == 404


def test_every_path_is_documented(client: TestClient) -> None:
    described = client.get("/api/v1/openapi.json").json()
    assert "HTTPBearer" in described["components"]["securitySchemes"]
    documented = {
        tuple(cell.strip(" `") for cell in line.split("|")[1:3])
        for line in REST.read_text().splitlines()
        if line.startswith("| `")
    }
    there = {f"{method.upper()} {path}" for path, methods in described["paths"].items() for method in methods}
    assert {call for call, _ in documented} == there
