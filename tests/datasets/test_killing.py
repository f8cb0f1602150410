"""An import that is killed leaves nothing that is seen, and can be done again."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from raven_scan.access.types import LOCAL_ADMINISTRATOR
from raven_scan.datasets.service import DatasetService
from raven_scan.kernel.database import Database
from raven_scan.kernel.paging import PageRequest
from raven_scan.kernel.settings import Settings

CHILD = """
import os, signal, sys, time
from pathlib import Path
from raven_scan.access.types import LOCAL_ADMINISTRATOR
from raven_scan.datasets.service import DatasetService
from raven_scan.datasets.types import ImportOptions
from raven_scan.kernel.clock import SystemClock
from raven_scan.kernel.database import Database
from raven_scan.kernel.settings import Settings
from raven_scan.storage.blobs import LocalBlobStore

url, home, source, stage, at = sys.argv[1:]
settings = Settings(home=Path(home))

def progress(name, done, total):
    if name == stage and done == int(at):
        print("there", flush=True)
        time.sleep(120)  # until it is killed

service = DatasetService(Database(url), LocalBlobStore(settings.blobs_folder), settings, SystemClock())
service.import_version(LOCAL_ADMINISTRATOR, Path(source), ImportOptions(name="killed"), progress)
"""


@pytest.mark.parametrize(
    ("stage", "at"), [("unpacking", 3), ("checking images", 5), ("storing", 0), ("storing", 1)]
)
def test_kill(
    source: Any,
    import_source: Callable[..., Any],
    service: DatasetService,
    database: Database,
    settings: Settings,
    tmp_path: Path,
    stage: str,
    at: int,
) -> None:
    source.write(tmp_path / "source")
    archive = shutil.make_archive(str(tmp_path / "source"), "zip", tmp_path / "source")
    url = database.engine.url.render_as_string(hide_password=False)
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, url, str(settings.home), archive, stage, str(at)],
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    assert child.stdout is not None
    assert child.stdout.readline() == b"there\n"
    os.killpg(child.pid, signal.SIGKILL)
    child.wait()
    child.stdout.close()
    datasets = service.list_datasets(LOCAL_ADMINISTRATOR, PageRequest()).items
    if (stage, at) == ("storing", 1):
        assert [dataset.name for dataset in datasets] == ["killed"]
    else:
        assert datasets == []
    version = import_source(Path(archive), "killed")
    assert version.number == 1
    assert service.find_readiness_problems(LOCAL_ADMINISTRATOR, version.id) == []
    assert list(settings.work_folder.iterdir()) == []
    assert list((settings.blobs_folder / "incoming").iterdir()) == []
