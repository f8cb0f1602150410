"""The process that collects for a worker: it does, it ends with the worker, and its failures are told."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import psutil
import pytest
from pydantic import SecretStr
from sqlalchemy import text
from structlog.testing import capture_logs
from tests.app.conftest import wait_until

from raven_scan.access.types import LOCAL_ADMINISTRATOR
from raven_scan.app import worker
from raven_scan.app.housekeeping.collection_order import CollectionOrder
from raven_scan.app.housekeeping.collection_process import collect_in_child_if_due
from raven_scan.app.wiring import Platform
from raven_scan.app.worker import BackgroundWorker
from raven_scan.datasets.types import ImportOptions
from raven_scan.kernel.progress import ignore_progress
from raven_scan.kernel.settings import Settings

MODULE = "raven_scan.app.housekeeping"
GONE_WITHIN_S = 5.0
COLLECTING_PARENT = """
import threading
from raven_scan.app.housekeeping.collection_process import collect_in_child_if_due
from raven_scan.app.wiring import build_platform
from raven_scan.kernel.settings import Settings

with build_platform(Settings()) as platform:
    collect_in_child_if_due(platform, threading.Event())
"""


def put_nobodys_blob(platform: Platform) -> str:
    """One that nothing names, of the day before yesterday."""
    digest = platform.blobs.put_bytes(os.urandom(16))
    then = time.time() - timedelta(days=2).total_seconds()
    path = next(path for path in platform.settings.blobs_folder.rglob("*") if path.name.endswith(digest[2:]))
    os.utime(path, (then, then))
    return digest


def list_collections(platform: Platform) -> list[bool]:
    """Of each, whether it ended."""
    with platform.database.transaction() as session:
        query = text("SELECT ended_at IS NOT NULL FROM blob_collections ORDER BY started_at")
        return list(session.scalars(query))


def find_child(parent: int) -> psutil.Process | None:
    children = psutil.Process(parent).children()
    return next((each for each in children if MODULE in each.cmdline()), None)


@contextmanager
def keep_waiting(platform: Platform) -> Generator[None]:
    """Whoever looks at collections meanwhile waits."""
    with platform.database.engine.begin() as connection:
        connection.execute(text("LOCK TABLE blob_collections IN ACCESS EXCLUSIVE MODE"))
        yield


@contextmanager
def collect_beside(platform: Platform, stop: threading.Event) -> Generator[threading.Thread]:
    thread = threading.Thread(target=collect_in_child_if_due, args=(platform, stop))
    thread.start()
    try:
        yield thread
    finally:
        stop.set()
        thread.join()


def test_it_collects_once(
    platform: Platform, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
):
    caplog.set_level("INFO")  # as much as this process tells
    digest = put_nobodys_blob(platform)
    collect_in_child_if_due(platform, threading.Event())
    assert not platform.blobs.has(digest)
    assert list_collections(platform) == [True]
    collect_in_child_if_due(platform, threading.Event())
    assert list_collections(platform) == [True]
    assert "housekeeping.done" in capfd.readouterr().err


def test_a_worker_has_it_done(platform: Platform, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(worker, "_FIRST_COLLECTION_LOOK_S", 0.0)
    background = BackgroundWorker(platform, devices=["cpu"])
    background.start()
    try:
        wait_until(lambda: list_collections(platform) == [True], "the first tidying")
    finally:
        background.stop()


def test_a_stopped_worker_ends_it_at_once(platform: Platform, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(worker, "_FIRST_COLLECTION_LOOK_S", 0.0)
    background = BackgroundWorker(platform, devices=["cpu"])
    background.start()
    try:
        child = wait_until(lambda: find_child(os.getpid()), "the process that collects")
    finally:
        with keep_waiting(platform):
            began = time.monotonic()
            background.stop()
    assert time.monotonic() - began < GONE_WITHIN_S
    assert not child.is_running()


def test_nobody_reads_the_secrets_of_its_settings(
    platform: Platform, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
):
    del environment
    monkeypatch.delenv("RAVEN_DATABASE_URL")
    assert platform.settings.database_url is not None
    secret = platform.settings.database_url.get_secret_value()
    with collect_beside(platform, threading.Event()) as thread:
        child = wait_until(lambda: find_child(os.getpid()), "the process that collects")
        told = [*child.cmdline(), *child.environ().values()]
        thread.join()
    assert not [value for value in told if secret in value]
    assert list_collections(platform) == [True]


def test_given_up_it_is_due_again(platform: Platform):
    stop = threading.Event()
    with collect_beside(platform, stop) as thread:
        wait_until(lambda: find_child(os.getpid()), "the process that collects")
        stop.set()
        thread.join(GONE_WITHIN_S)
        assert not thread.is_alive()
    assert find_child(os.getpid()) is None
    collect_in_child_if_due(platform, threading.Event())
    assert list_collections(platform) == [True]


def test_it_dies_with_its_parent(platform: Platform, environment: dict[str, str]):
    with subprocess.Popen([sys.executable, "-c", COLLECTING_PARENT], env=environment) as parent:
        try:
            child = wait_until(lambda: find_child(parent.pid), "the process that collects")
            with keep_waiting(platform):
                parent.kill()
                parent.wait()
                wait_until(lambda: not child.is_running(), "the end of the child", GONE_WITHIN_S)
        finally:
            parent.kill()


def test_a_failure_is_told_and_another_try_is_made(
    platform: Platform, sample_folder: Path, capfd: pytest.CaptureFixture[str]
):
    platform.datasets.import_version(
        LOCAL_ADMINISTRATOR, sample_folder, ImportOptions(name="tiny"), ignore_progress
    )
    with platform.database.transaction() as session:
        table = session.scalars(text("SELECT images_digest FROM dataset_versions")).one()
    (path,) = (path for path in platform.settings.blobs_folder.rglob("*") if path.name.endswith(table[2:]))
    content = path.read_bytes()
    path.unlink()
    with capture_logs() as logs:
        collect_in_child_if_due(platform, threading.Event())
    assert [(each["event"], each["exit_code"]) for each in logs] == [("housekeeping.failed", 1)]
    assert "housekeeping.crashed" in capfd.readouterr().err
    path.write_bytes(content)
    with platform.database.transaction() as session:
        session.execute(text("UPDATE blob_collections SET started_at = started_at - interval '2 hours'"))
    collect_in_child_if_due(platform, threading.Event())
    assert list_collections(platform) == [False, True]


def test_every_setting_reaches_it(tmp_path: Path):
    settings = Settings(
        home=tmp_path,
        database_url=SecretStr("postgresql://me:secret@host/name"),
        storage_url="s3://bucket/prefix",
        storage_access_key=SecretStr("key"),
        storage_secret_key=SecretStr("hush"),
        storage_cache_folder=tmp_path / "cache",
        trusted_proxies=("127.0.0.1",),
        smtp_host="mail.example.org",
        smtp_sender="raven@example.org",
        notify_emails=("me@example.org",),
        webhook_secret=SecretStr("whsec_" + "A" * 40),
        notify_webhooks=(SecretStr("https://example.org/hook"),),
        oidc_issuer="https://login.example.org",
        oidc_client_id="raven",
        oidc_roles={"staff": "Trainer"},
    )
    order = CollectionOrder(settings, "WARNING")
    assert CollectionOrder.decode(order.encode()) == order
