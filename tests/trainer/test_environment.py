"""What is written down of code, libraries and machine."""

import platform
import shutil
import subprocess
from importlib.metadata import version
from pathlib import Path

import pytest

import raven_scan
from raven_scan.trainer.environment import describe_environment, find_commit, list_versions

GIT = shutil.which("git") or pytest.skip("git is not here", allow_module_level=True)


def git(folder: Path, *arguments: str) -> str:
    ended = subprocess.run(
        [GIT, "-c", "user.name=me", "-c", "user.email=me@example.org", "-C", folder, *arguments],
        check=True,
        capture_output=True,
        text=True,
    )
    return ended.stdout.strip()


def test_the_code_of_a_checkout_is_its_commit_and_its_changes(tmp_path: Path):
    package = tmp_path / "package"
    package.mkdir()
    (package / "__init__.py").write_text("")
    assert find_commit(package) is None  # not in a checkout
    git(tmp_path, "init", "--quiet")
    assert find_commit(package) is None  # in one that does not know it, as an environment's packages are
    git(tmp_path, "add", "package")
    git(tmp_path, "commit", "--quiet", "--message", "one")
    commit = git(tmp_path, "rev-parse", "HEAD")
    assert find_commit(package) == commit
    (tmp_path / "notes.txt").write_text("beside the package")
    assert find_commit(package) == commit
    (package / "new.py").write_text("1")
    changed = find_commit(package)
    assert changed is not None
    assert changed.startswith(f"{commit}+")
    (package / "new.py").write_text("2")
    other = find_commit(package)
    assert other != changed


def test_an_environment_is_described():
    described = describe_environment("cpu", device_count=1, threads=3)
    assert described["raven-scan"] == raven_scan.__version__
    assert described["python"] == platform.python_version()
    assert described["threads"] == "3"
    assert described["device"] == "cpu"
    assert described["processor"]
    assert described["operating-system"].startswith(platform.system())
    assert list_versions()["torch"] == version("torch")
