"""Downloads over connections that break, of files that are damaged."""

import asyncio
import hashlib
import os
from collections.abc import Generator
from pathlib import Path

import pytest
from tests.trained_models.file_server import FileServer, serve_file

from raven_scan.client import AsyncRavenClient, RavenClient, RetryRules
from raven_scan.kernel.errors import Invalid, Unavailable

CONTENT = os.urandom(3_000_000)
DIGEST = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def server() -> Generator[FileServer]:
    with serve_file(CONTENT) as served:
        served.etag = f'"{DIGEST}"'
        yield served


@pytest.fixture
def raven(server: FileServer) -> Generator[RavenClient]:
    with RavenClient(server.url, retry_rules=RetryRules(tries=1)) as client:
        yield client


def list_names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_goes_on_where_it_was_cut_off(raven: RavenClient, server: FileServer, tmp_path: Path) -> None:
    server.break_after = [1_000_000, 500_000]
    path = tmp_path / "weights.safetensors"
    assert raven.models.download("first", path) == DIGEST
    assert path.read_bytes() == CONTENT
    assert list_names(tmp_path) == ["weights.safetensors"]
    first, *later = server.ranges()
    assert first is None
    assert len(later) == 2
    assert all(each is not None and each != "bytes=0-" for each in later)


def test_begins_anew_where_the_server_knows_no_ranges(
    raven: RavenClient, server: FileServer, tmp_path: Path
) -> None:
    server.knows_range = False
    server.break_after = [1_000_000]
    assert raven.models.download("first", tmp_path / "a") == DIGEST
    assert (tmp_path / "a").read_bytes() == CONTENT


def test_what_is_damaged_is_refused_and_leaves_what_was_there(
    raven: RavenClient, server: FileServer, tmp_path: Path
) -> None:
    server.etag = f'"{"0" * 64}"'
    path = tmp_path / "a"
    path.write_bytes(b"before")
    with pytest.raises(Unavailable) as told:
        raven.models.download("first", path)
    assert told.value.code == "client.download_damaged"
    assert list_names(tmp_path) == ["a"]
    assert path.read_bytes() == b"before"


def test_what_has_no_digest_is_whole_or_not_there(
    raven: RavenClient, server: FileServer, tmp_path: Path
) -> None:
    server.break_after = [1_000_000]
    with pytest.raises(Unavailable):
        raven.datasets.export("first", tmp_path / "a.zip")
    assert list_names(tmp_path) == []
    raven.datasets.export("first", tmp_path / "a.zip")
    assert (tmp_path / "a.zip").read_bytes() == CONTENT


def test_a_file_that_cannot_be_written_is_told(raven: RavenClient, tmp_path: Path) -> None:
    with pytest.raises(Invalid) as told:
        raven.models.download("first", tmp_path / "nowhere" / "a")
    assert told.value.code == "client.file_not_writable"


def test_asynchronously(server: FileServer, tmp_path: Path) -> None:
    server.break_after = [1_000_000]
    told: list[int] = []

    def tell(stage: str, done: int, total: int) -> None:
        assert (stage, total) == ("downloading", len(CONTENT))
        told.append(done)

    async def download() -> str:
        async with AsyncRavenClient(server.url) as raven:
            return await raven.models.download("first", tmp_path / "a", on_progress=tell)

    assert asyncio.run(download()) == DIGEST
    assert told == sorted(told)
    assert told[-1] == len(CONTENT)
