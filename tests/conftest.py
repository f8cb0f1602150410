"""Fixtures that every test may use: a real PostgreSQL, a database a test, settings, the shared data."""

import gc
import shutil
from collections.abc import Generator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

import pytest
from pydantic import SecretStr
from sqlalchemy import URL, Engine, create_engine, make_url, text
from tests.storage.s3_server import ACCESS_KEY, BUCKET, SECRET_KEY, S3Server

from raven_scan.kernel.database import Database
from raven_scan.kernel.embedded_postgres.server import EmbeddedPostgres
from raven_scan.kernel.schema import upgrade_schema
from raven_scan.kernel.settings import Settings

REPOSITORY = Path(__file__).resolve().parent.parent
# What a worker's databases, their copies and their log take, several times over.
_MEMORY_FOR_DATABASES_BYTES = 4 << 30


def pytest_collection_finish() -> None:
    """What all tests are made of stays to the end: the collection of garbage need not look through it again."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def shared_folder() -> Path:
    """The real data and weights beside the clone; tests that need them skip where they are absent."""
    folder = REPOSITORY.parent / "shared"
    if not (folder / "data" / "aquatrash").is_dir():
        pytest.skip("the shared data is not here")
    return folder


@pytest.fixture(scope="session")
def server_url(tmp_path_factory: pytest.TempPathFactory) -> Generator[URL]:
    """A PostgreSQL server for all tests of the session."""
    with make_quick_folder(tmp_path_factory) as folder:
        server = EmbeddedPostgres(folder)
        with server.hold() as holding:
            url = make_url(holding.url)
            # Tests are not to survive a power cut, but to be quick.
            for setting in ("fsync", "full_page_writes"):
                run_statement(url, f"ALTER SYSTEM SET {setting} = off")
            run_statement(url, "SELECT pg_reload_conf()")
            yield url
            open_server(url).dispose()
        server.stop(force=True)


@contextmanager
def make_quick_folder(tmp_path_factory: pytest.TempPathFactory) -> Generator[Path]:
    """In memory, where there is enough: on a disk, a database for each test costs more than most of them."""
    memory = Path("/dev/shm")  # noqa: S108 - the folder in it is nobody else's
    if not memory.is_dir() or shutil.disk_usage(memory).free < _MEMORY_FOR_DATABASES_BYTES:
        yield tmp_path_factory.mktemp("postgres")
        return
    with TemporaryDirectory(prefix="raven-scan-tests-", dir=memory, ignore_cleanup_errors=True) as folder:
        yield Path(folder)


@cache
def open_server(server_url: URL) -> Engine:
    """Stays connected: a connection for each database would take longer than its making."""
    return create_engine(server_url, isolation_level="AUTOCOMMIT")


def run_statement(server_url: URL, statement: str) -> None:
    with open_server(server_url).connect() as connection:
        connection.execute(text(statement))


@contextmanager
def make_database(server_url: URL, template: str = "template1") -> Generator[str]:
    """The URL of a new database, which is gone afterwards."""
    name = f"test_{uuid4().hex}"
    # Files are copied in less time than PostgreSQL writes down what is in them, which is its own choice.
    run_statement(server_url, f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY")
    yield server_url.set(database=name).render_as_string(hide_password=False)
    run_statement(server_url, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="session")
def template_database(server_url: URL) -> Generator[str]:
    """A database of this release's schema; each test gets a copy."""
    with make_database(server_url) as url:
        engine = create_engine(url)
        upgrade_schema(engine)
        engine.dispose()
        yield str(make_url(url).database)


@pytest.fixture
def database_url(server_url: URL, template_database: str) -> Generator[str]:
    with make_database(server_url, template_database) as url:
        yield url


@pytest.fixture
def empty_database_url(server_url: URL) -> Generator[str]:
    """A database without any schema."""
    with make_database(server_url) as url:
        yield url


@pytest.fixture
def database(database_url: str) -> Generator[Database]:
    database = Database(database_url)
    yield database
    database.close()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    return Settings(home=home)


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Generator[S3Server]:
    """A real S3 server with a bucket for all tests of the session."""
    server = S3Server(tmp_path_factory.mktemp("s3"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def s3_prefix() -> str:
    """A part of the bucket that no other test uses."""
    return f"tests/{uuid4().hex}"


@pytest.fixture
def s3_settings(settings: Settings, s3_server: S3Server, s3_prefix: str) -> Settings:
    """Blobs in S3, used from a cache in the data folder."""
    return settings.model_copy(
        update={
            "storage_url": f"s3://{BUCKET}/{s3_prefix}",
            "storage_endpoint": s3_server.endpoint,
            "storage_access_key": SecretStr(ACCESS_KEY),
            "storage_secret_key": SecretStr(SECRET_KEY),
        }
    )
