"""Backups and the doctor where blobs are in S3: a real server, and caches that are not the storage."""

from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from tests.storage.s3_server import BUCKET

from raven_scan.access.types import LOCAL_ADMINISTRATOR
from raven_scan.app.housekeeping.backup_creation import create_backup
from raven_scan.app.housekeeping.backup_restoring import open_restore_target
from raven_scan.app.housekeeping.backup_source import make_source
from raven_scan.app.housekeeping.blob_needs import list_needed_blobs
from raven_scan.app.wiring import Platform, build_platform
from raven_scan.datasets.types import ImportOptions
from raven_scan.kernel.progress import ignore_progress
from raven_scan.kernel.settings import Settings


@pytest.fixture
def remote(tmp_path: Path, database_url: str, s3_settings: Settings) -> Settings:
    changes = {"home": tmp_path / "home", "database_url": SecretStr(database_url)}
    return s3_settings.model_copy(update=changes)


@pytest.fixture
def filled(remote: Settings, sample_folder: Path) -> Generator[Platform]:
    with build_platform(remote) as platform:
        platform.datasets.import_version(LOCAL_ADMINISTRATOR, sample_folder, ImportOptions(name="tiny"))
        yield platform


def test_a_backup_of_s3_is_restored_to_s3_and_to_a_folder(
    filled: Platform, remote: Settings, tmp_path: Path, empty_database_url: str
):
    needed = set(list_needed_blobs(filled))
    assert len(needed) > 20
    made = create_backup(make_source(filled), tmp_path / "backup", ignore_progress)
    assert made.manifest.blob_count == len(needed)
    others = {
        "another place in S3": remote.model_copy(
            update={
                "home": tmp_path / "far",
                "storage_url": f"s3://{BUCKET}/restored-{tmp_path.name}",
                "database_url": SecretStr(empty_database_url),
            }
        ),
        "a folder, whose database is in use": Settings(
            home=tmp_path / "near", database_url=SecretStr(empty_database_url)
        ),
    }
    for settings in others.values():
        with open_restore_target(settings) as target:
            copied = target.restore(tmp_path / "backup", ignore_progress, replace=True).copied
        assert copied.count == len(needed)
        with build_platform(settings) as other:
            assert set(list_needed_blobs(other)) == needed
            assert all(other.blobs.verify(digest) for digest in needed)
            version = other.datasets.get_version(LOCAL_ADMINISTRATOR, "tiny")
            assert other.datasets.find_readiness_problems(LOCAL_ADMINISTRATOR, version.id) == []


def test_the_doctor_looks_into_s3(
    filled: Platform, remote: Settings, raven: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
):
    for name in ("storage_url", "storage_endpoint"):
        monkeypatch.setenv(f"RAVEN_{name.upper()}", getattr(remote, name))
    for name in ("storage_access_key", "storage_secret_key"):
        monkeypatch.setenv(f"RAVEN_{name.upper()}", getattr(remote, name).get_secret_value())

    def ask(*options: str) -> list[dict[str, Any]]:
        said = raven("doctor", "--json", *options)
        secret = remote.storage_secret_key
        assert secret is not None
        assert secret.get_secret_value() not in said.out + said.err
        return [check for check in said.document["checks"] if check["name"] == "storage"]

    assert {check["state"] for check in ask("--deep")} == {"ok"}
    lost = min(list_needed_blobs(filled))
    filled.blobs.remove(lost)
    told = [check for check in ask("--deep") if check["state"] == "error"]
    assert any(lost in check["message"] for check in told), told
