"""Whoever packs or takes in may be killed at any moment: nothing is left of it, and it can be done again."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.packages.conftest import ADMIN, MODEL, list_names, trust

from raven_scan.app.wiring import Platform
from raven_scan.kernel.errors import Invalid

_CHILD = """
import os, signal, sys
from pathlib import Path
from pydantic import SecretStr
from raven_scan.access.types import LOCAL_ADMINISTRATOR
from raven_scan.app.wiring import build_platform
from raven_scan.kernel.settings import Settings

what, stage, home, url, package = sys.argv[1:]

def kill(told, done, total):
    if told == stage:
        os.kill(os.getpid(), signal.SIGKILL)

with build_platform(Settings(home=Path(home), database_url=SecretStr(url))) as platform:
    if what == "make":
        platform.package_exports.make(LOCAL_ADMINISTRATOR, package, progress=kill)
    else:
        platform.package_imports.import_package(LOCAL_ADMINISTRATOR, Path(package), progress=kill)
"""


def kill_at(platform: Platform, what: str, stage: str, argument: str) -> None:
    settings = platform.settings
    assert settings.database_url is not None
    url = settings.database_url.get_secret_value()
    ended = subprocess.run(
        [sys.executable, "-c", _CHILD, what, stage, str(settings.home), url, argument],
        capture_output=True,
        timeout=300,
        check=False,
    )
    assert ended.returncode == -signal.SIGKILL, ended.stderr


@pytest.mark.usefixtures("package")
def test_a_killed_export_leaves_nothing(here: Platform):
    before = list_names(here)
    kill_at(here, "make", "storing", MODEL)
    assert list_names(here) - before  # its working folder, until the next one comes
    here.package_exports.make(ADMIN, MODEL)
    assert list_names(here) == before


def test_a_killed_import_leaves_nothing(here: Platform, there: Platform, package: Path):
    trust(there, here)
    before = list_names(there)
    kill_at(there, "import", "checking the weights", str(package))
    left = list_names(there) - before
    assert left
    assert all(name.startswith("package-import-") for name in left)
    with pytest.raises(Invalid, match="no zip"):
        there.package_imports.import_package(ADMIN, Path(__file__))
    assert list_names(there) == before
