"""Uploads to a real server, which is killed, has no room, or is asked by hand."""

import asyncio
import hashlib
import os
import resource
import signal
import subprocess
import threading
from collections.abc import Generator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import URL
from tests.app.conftest import RAVEN, Process, wait_until
from tests.conftest import make_database
from tests.uploads.conftest import Told

from raven_scan.client import AsyncRavenClient, RavenClient
from raven_scan.datasets.sample_scenes import make_sample_dataset
from raven_scan.kernel.errors import Invalid, Unavailable

MEBIBYTE = 1 << 20


@dataclass
class Server:
    """A server that can be killed, and comes back at the same address."""

    home: Path
    environment: dict[str, str]
    port: str = "0"

    @property
    def folder(self) -> Path:
        return self.home / "uploads"

    def start(self) -> None:
        out = self.home.with_name("out")
        with out.open("wb") as out_file, self.home.with_name("err").open("ab") as err_file:
            popen = subprocess.Popen(
                [RAVEN, "serve", "--port", self.port, "--no-worker", "--json"],
                stdout=out_file,
                stderr=err_file,
                env=self.environment,
            )
        self.process = Process(popen, out, self.home.with_name("err"))
        document = self.process.wait_for_document()
        self.url: str = document["server"]
        self.port = self.url.rsplit(":", 1)[1]
        self.token = Path(document["token_file"]).read_text().strip()

    def kill(self) -> None:
        self.process.end(signal.SIGKILL)

    def find_size_bytes(self) -> int:
        """Of what has been written of all uploads."""
        with suppress(OSError):
            return sum(file.stat().st_size for file in self.folder.iterdir())
        return 0


@pytest.fixture(scope="module")
def running(
    server_url: URL, template_database: str, tmp_path_factory: pytest.TempPathFactory
) -> Generator[Server]:
    home = tmp_path_factory.mktemp("uploads") / "home"
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RAVEN_")}
    with make_database(server_url, template_database) as url:
        server = Server(
            home, {**kept, "RAVEN_HOME": str(home), "RAVEN_DATABASE_URL": url, "OMP_NUM_THREADS": "1"}
        )
        server.start()
        yield server
        server.kill()


@pytest.fixture
def server(running: Server) -> Generator[Server]:
    """One server for all tests here, without anybody's uploads."""
    yield running
    with RavenClient(running.url, running.token) as raven:
        for upload in raven.uploads.list().items:
            raven.uploads.delete(upload.id)


@pytest.fixture
def http(server: Server) -> Generator[httpx.Client]:
    with httpx.Client(base_url=server.url, headers={"Authorization": f"Bearer {server.token}"}) as client:
        yield client


def test_an_upload_survives_a_server_that_is_killed(server: Server, tmp_path: Path) -> None:
    path = tmp_path / "large.zip"
    path.write_bytes(os.urandom(48 * MEBIBYTE + 12_345))
    strikes_at = [5 * MEBIBYTE, 27 * MEBIBYTE]
    struck: list[int] = []

    def strike() -> None:
        for size_bytes in strikes_at:
            wait_until(lambda size_bytes=size_bytes: server.find_size_bytes() > size_bytes, "enough to come")
            server.kill()
            struck.append(server.find_size_bytes())
            server.start()

    striker = threading.Thread(target=strike)
    told = Told()
    with RavenClient(server.url, server.token) as raven:
        striker.start()
        upload = raven.uploads.send(path, purpose="dataset", on_progress=told)
        striker.join()
    assert len(struck) == 2
    assert all(size_bytes < path.stat().st_size for size_bytes in struck)
    assert (server.folder / str(upload.id)).read_bytes() == path.read_bytes()
    assert upload.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    sent = [done for stage, done, _ in told if stage == "uploading"]
    assert sent == sorted(set(sent))  # nothing that had come was sent again
    assert sent[-1] == path.stat().st_size


def test_a_full_disk_is_told_and_the_upload_goes_on_later(server: Server, tmp_path: Path) -> None:
    path = tmp_path / "large.zip"
    path.write_bytes(os.urandom(20 * MEBIBYTE))
    before = resource.prlimit(server.process.popen.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(server.process.popen.pid, resource.RLIMIT_FSIZE, (10 * MEBIBYTE, before[1]))
    with RavenClient(server.url, server.token) as raven:
        with pytest.raises(Unavailable) as caught:
            raven.uploads.send(path, purpose="checkpoint")
        assert caught.value.code == "upload.not_stored"
        assert "Free some space" in caught.value.hint
        (unfinished,) = raven.uploads.list().items
        assert 8 * MEBIBYTE <= unfinished.offset_bytes <= 10 * MEBIBYTE
        resource.prlimit(server.process.popen.pid, resource.RLIMIT_FSIZE, before)
        told = Told()
        upload = raven.uploads.send(path, purpose="checkpoint", on_progress=told)
    assert upload.id == unfinished.id
    assert told[0][1] > unfinished.offset_bytes
    assert upload.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_another_file_of_the_same_name_begins_anew(server: Server, tmp_path: Path) -> None:
    path = tmp_path / "a.pth"
    with RavenClient(server.url, server.token) as raven:
        path.write_bytes(b"a" * 1000)
        first = raven.uploads.send(path, purpose="checkpoint")
        assert raven.uploads.send(path, purpose="checkpoint") == first  # it is there already
        path.write_bytes(b"b" * 1000)
        second = raven.uploads.send(path, purpose="checkpoint")
        assert second.sha256 == hashlib.sha256(b"b" * 1000).hexdigest()
        assert [upload.id for upload in raven.uploads.list().items] == [second.id]
        with pytest.raises(Invalid) as caught:
            raven.models.import_path(path, architecture="yolox-nano", name="x")
    assert caught.value.code.startswith("trained_model.refused")


def test_a_folder_is_imported(server: Server, tmp_path: Path) -> None:
    make_sample_dataset(tmp_path / "scenes", image_count=20, image_size=128)
    told = Told()
    with RavenClient(server.url, server.token) as raven:
        version = raven.datasets.import_path(tmp_path / "scenes", name="scenes", on_progress=told)
        assert raven.uploads.list().items == []
        again = raven.datasets.import_path(tmp_path / "scenes", name="scenes")
    assert again.id == version.id
    assert {"uploading", "verifying the upload", "checking images"} <= {stage for stage, _, _ in told}
    assert list(server.folder.iterdir()) == []


def test_the_asynchronous_client_sends_too(server: Server, tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    path.write_bytes(os.urandom(9 * MEBIBYTE))

    async def send() -> str | None:
        async with AsyncRavenClient(server.url, server.token) as raven:
            return (await raven.uploads.send(path, purpose="dataset")).sha256

    assert asyncio.run(send()) == hashlib.sha256(path.read_bytes()).hexdigest()


def test_by_hand_as_documented(server: Server, http: httpx.Client) -> None:
    content = b"0123456789"
    begun = http.post("/api/v1/uploads", json={"purpose": "dataset", "file_name": "a.zip", "size_bytes": 10})
    assert begun.status_code == 201
    location = begun.headers["location"]
    assert location == f"/api/v1/uploads/{begun.json()['id']}"

    def patch(offset: int, part: bytes, kind: str = "application/offset+octet-stream") -> httpx.Response:
        headers = {"Upload-Offset": str(offset), "Content-Type": kind}
        return http.patch(location, content=part, headers=headers)

    sent = patch(0, content[:4])
    assert (sent.status_code, sent.headers["upload-offset"]) == (204, "4")
    asked = http.head(location)
    assert asked.status_code == 200
    assert asked.headers["upload-offset"] == "4"
    assert asked.headers["upload-length"] == "10"
    assert asked.headers["cache-control"] == "no-store"
    assert asked.headers["tus-resumable"] == "1.0.0"
    refused = patch(0, content)
    assert (refused.status_code, refused.json()["parameters"]) == (409, {"offset_bytes": 4})
    assert patch(4, content, "text/plain").status_code == 422
    assert http.patch(location, content=b"").status_code == 422
    assert patch(4, content[4:]).status_code == 204
    wrong = http.post(f"{location}/complete", json={"sha256": "0" * 64})
    assert '"upload.checksum_wrong"' in wrong.text.splitlines()[-1]
    done = http.post(f"{location}/complete", json={"sha256": hashlib.sha256(content).hexdigest()})
    assert '"done"' in done.text.splitlines()[-1]
    assert http.get(location).json()["sha256"] == hashlib.sha256(content).hexdigest()
    # What is no dataset stays, so that it can be tried otherwise.
    imported = http.post("/api/v1/datasets/import", json={"upload": begun.json()["id"], "name": "x"})
    assert '"failed"' in imported.text.splitlines()[-1]
    assert http.delete(location).status_code == 204
    assert http.get(location).status_code == 404
    assert server.find_size_bytes() == 0


def test_a_part_that_breaks_off_is_kept_as_far_as_it_came(server: Server, http: httpx.Client) -> None:
    begun = http.post("/api/v1/uploads", json={"purpose": "dataset", "file_name": "a.zip"}).json()
    location = f"/api/v1/uploads/{begun['id']}"

    def break_off() -> Any:
        yield bytes(3 * MEBIBYTE)
        wait_until(lambda: server.find_size_bytes() >= MEBIBYTE, "the first bytes")
        raise ConnectionError

    with pytest.raises(ConnectionError):
        http.patch(
            location,
            content=break_off(),
            headers={"Upload-Offset": "0", "Content-Type": "application/offset+octet-stream"},
        )
    wait_until(lambda: http.get(location).json()["offset_bytes"] == 3 * MEBIBYTE, "what came to be kept")
