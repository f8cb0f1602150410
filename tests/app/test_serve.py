"""`raven serve` and `raven worker` as processes of their own."""

import os
import re
import signal
import socket
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from raven_scan.app import serving
from raven_scan.app.stop_signal import LONGEST_STOP_S
from raven_scan.client import RavenClient

from .conftest import Process, wait_until

Start = Callable[..., Process]
Raven = Callable[..., Any]

LONGEST_END_S = 10.0


def read_token(document: Any) -> str:
    return Path(document["token_file"]).read_text().strip()


def test_serves_with_a_private_token_and_ends_in_time(
    start_raven: Start, raven: Raven, monkeypatch: pytest.MonkeyPatch, sample_folder: Path, tmp_path: Path
) -> None:
    process = start_raven("serve", "--port", "0", "--no-worker", "--json")
    document = process.wait_for_document()
    assert set(document) == {"server", "token_file", "administrator"}
    token_file = Path(document["token_file"])
    assert token_file.stat().st_mode & 0o777 == 0o600
    url = document["server"]
    assert url.startswith("http://127.0.0.1:")
    assert httpx.get(f"{url}/api/v1/system/health").json() == {"status": "ok"}
    assert httpx.get(f"{url}/api/v1/datasets").status_code == 401

    # The command line finds the token of its own data folder.
    monkeypatch.setenv("RAVEN_SERVER", url)
    assert raven("runs", "list", "--json").document == {"items": [], "next": None}
    monkeypatch.setenv("RAVEN_TOKEN", "wrong")
    told = raven("runs", "list", "--json")
    assert (told.code, told.document["error"]["code"]) == (4, "access.token_wrong")
    monkeypatch.setenv("RAVEN_TOKEN", read_token(document))
    assert raven("runs", "list", "--json").code == 0

    # Folders and zips of this machine travel to the server.
    imported = raven("datasets", "import", sample_folder, "--name", "tiny", "--map", "waste=litter", "--json")
    assert imported.document["classes"] == ["litter"]
    archive = tmp_path / "sample.zip"
    with zipfile.ZipFile(archive, "w") as zipped:
        for file in sorted(sample_folder.rglob("*.*")):
            zipped.write(file, file.relative_to(sample_folder))
    again = raven("datasets", "import", archive, "--name", "tiny", "--map", "waste=litter", "--json").document
    assert again["id"] == imported.document["id"]
    assert again["warnings"][0]["code"] == "dataset.unchanged"
    told = raven("datasets", "import", tmp_path / "nothing", "--name", "x", "--json")
    assert (told.code, told.document["error"]["code"]) == (2, "client.file_not_readable")

    assert process.end() < LONGEST_END_S
    assert process.popen.returncode == 0
    assert process.wait_for_document() == document  # and nothing else on stdout
    assert token_file.read_text().strip() not in process.err
    assert document["administrator"]["one_time_password"] not in process.err
    assert os.environ["RAVEN_DATABASE_URL"] not in process.err


def test_a_port_that_is_taken_is_told(start_raven: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        process = start_raven("serve", "--port", port, "--json")
        assert process.wait_for_document()["error"]["code"] == "serve.port_in_use"
        assert process.popen.wait(30) == 5


def test_an_address_of_another_machine_is_told(start_raven: Start) -> None:
    process = start_raven("serve", "--host", "192.0.2.1", "--port", "0", "--json")
    assert process.wait_for_document()["error"]["code"] == "serve.foreign_address"
    assert process.popen.wait(30) == 2


def test_a_token_file_that_others_can_read_is_refused(start_raven: Start, tmp_path: Path) -> None:
    (tmp_path / "home").mkdir(mode=0o700)
    (tmp_path / "home" / "token").write_text("known")
    (tmp_path / "home" / "token").chmod(0o644)
    process = start_raven("serve", "--port", "0", "--json")
    assert process.wait_for_document()["error"]["code"] == "access.token_file_too_open"
    assert process.popen.wait(30) == 4


def test_warns_where_other_machines_reach_it(start_raven: Start) -> None:
    process = start_raven("serve", "--host", "0.0.0.0", "--port", "0", "--no-worker")  # noqa: S104
    wait_until(lambda: "serves at" in process.err, "the announcement")
    assert "can be reached from other machines" in process.err
    assert "http://127.0.0.1:" in process.err
    (line,) = process.out.splitlines()
    assert re.search(r"Sign in as 'admin' with the one-time password [\w-]{23}, and", line)
    assert process.end(signal.SIGINT) < LONGEST_END_S
    assert process.popen.returncode == 0


def test_two_servers_share_a_data_folder_with_its_embedded_database(
    start_raven: Start, raven: Raven, monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]
) -> None:
    monkeypatch.delenv("RAVEN_DATABASE_URL")
    del environment["RAVEN_DATABASE_URL"]
    servers = [start_raven("serve", "--port", "0", "--no-worker", "--json") for _ in range(2)]
    documents = [server.wait_for_document() for server in servers]
    assert len({read_token(document) for document in documents}) == 1
    clients = [RavenClient(document["server"], read_token(document)) for document in documents]
    assert {client.models.get("rtmdet-lite0").id for client in clients} == {
        clients[0].models.get("rtmdet-lite0").id
    }
    holders = {holder["pid"] for holder in raven("db", "status", "--json").document["holders"]}
    assert holders == {server.popen.pid for server in servers}
    # One that is killed takes nothing from the other.
    servers[0].end(signal.SIGKILL)
    assert clients[1].models.get("rtmdet-lite0").name == "rtmdet-lite0"
    told = raven("db", "stop", "--json")
    assert (told.code, told.document["error"]["code"]) == (5, "database.held")
    for client in clients:
        client.close()
    assert servers[1].end() < LONGEST_END_S
    wait_until(lambda: not raven("db", "status", "--json").document["running"], "the database's end")


def test_ends_in_time_while_a_run_is_processing_and_an_import_streams(
    start_raven: Start, raven: Raven, sample_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = start_raven("serve", "--port", "0", "--json")
    document = process.wait_for_document()
    monkeypatch.setenv("RAVEN_SERVER", document["server"])
    with RavenClient(document["server"], read_token(document)) as client:
        client.datasets.import_path(sample_folder, name="tiny")
        client.runs.create(
            name="first",
            dataset="tiny",
            base_model="rtmdet-lite0",
            parameters={"epochs": 500, "image_size": 64, "batch_size": 4},
        )
        client.runs.schedule("first")
        run = next(run for run in client.runs.watch("first") if run.attempts and run.progress.phase)
        assert run.status == "Processing"
    # An upload that never ends.
    url = httpx.URL(document["server"])
    with socket.create_connection((url.host, url.port or 80)) as upload:
        upload.sendall(
            f"POST /api/v1/datasets/import?name=x HTTP/1.1\r\nHost: {url.netloc.decode()}\r\n"
            f"Authorization: Bearer {read_token(document)}\r\nContent-Type: application/zip\r\n"
            "Content-Length: 100000\r\n\r\nPK".encode()
        )
        duration_s = process.end()
    assert duration_s < LONGEST_END_S
    assert process.popen.returncode == 0
    assert "forced" not in process.err
    monkeypatch.delenv("RAVEN_SERVER")
    handed_back = raven("runs", "show", "first", "--json").document
    assert handed_back["status"] == "Waiting"
    assert handed_back["attempts"][0]["end"] == "worker_stopped"


def test_a_worker_executes_what_waits_and_hands_it_back(
    start_raven: Start, raven: Raven, sample_folder: Path
) -> None:
    assert raven("datasets", "import", sample_folder, "--name", "tiny").code == 0
    created = raven(
        *("runs", "create", "--name", "first", "--dataset", "tiny", "--base-model", "rtmdet-lite0"),
        *("--epochs", "500", "--image-size", "64", "--schedule", "--json"),
    )
    assert created.document["status"] == "Waiting"
    worker = start_raven("worker", "--json")
    assert set(worker.wait_for_document()) == {"worker", "slots"}

    def show() -> Any:
        return raven("runs", "show", "first", "--json").document

    wait_until(lambda: show()["status"] == "Processing", "the worker's taking the run")
    assert worker.end() < LONGEST_END_S
    assert worker.popen.returncode == 0
    assert show()["status"] == "Waiting"


def test_the_last_resort_leaves_room_before_the_kill() -> None:
    assert LONGEST_STOP_S < LONGEST_END_S


def test_small_answers_are_not_held_back() -> None:
    with (
        serving._listen("127.0.0.1", 0) as listener,
        socket.create_connection(listener.getsockname()) as _,
        listener.accept()[0] as accepted,
    ):
        assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
