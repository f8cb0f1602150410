"""Working folders of imports, also of those that are killed."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raven_scan.trained_models.import_folders import make_file_name, make_import_folder

KILLED = """
import sys, time
from pathlib import Path
from raven_scan.trained_models.import_folders import make_import_folder
with make_import_folder(Path(sys.argv[1])) as folder:
    (folder / "x").write_text("half")
    print(folder, flush=True)
    time.sleep(600)
"""


def test_gone_when_it_is_over(tmp_path: Path):
    def use() -> None:
        with make_import_folder(tmp_path / "new") as folder:
            (folder / "x").write_text("y")
            assert folder.stat().st_mode & 0o777 == 0o700
            raise LookupError

    with pytest.raises(LookupError):
        use()
    assert list((tmp_path / "new").iterdir()) == []


def test_that_of_a_killed_import_goes_at_the_next_and_that_of_a_living_one_stays(tmp_path: Path):
    imports = [
        subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path)], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    try:
        folders: list[Path] = []
        for process in imports:
            assert process.stdout
            folders.append(Path(process.stdout.readline().strip()))
        os.kill(imports[0].pid, signal.SIGKILL)
        imports[0].wait()
        assert (folders[0] / "x").exists()
        with make_import_folder(tmp_path):
            assert not folders[0].exists()
            assert (folders[1] / "x").read_text() == "half"
    finally:
        for process in imports:
            process.kill()
            process.communicate()


@pytest.mark.parametrize(
    ("given_name", "name"),
    [
        ("a.pth", "a.pth"),
        ("/etc/passwd", "passwd"),
        ("..\\..\\a b.pth", "a b.pth"),
        ("..", "checkpoint"),
        ("", "checkpoint"),
        ("x/", "checkpoint"),
        ("a\0\n.pth", "a.pth"),
    ],
)
def test_file_names(given_name: str, name: str):
    assert make_file_name(given_name) == name


@given(st.text())
def test_any_file_name_can_be_a_file_here(tmp_path_factory: pytest.TempPathFactory, given_name: str):
    folder = tmp_path_factory.getbasetemp() / "names"
    folder.mkdir(exist_ok=True)
    path = folder / make_file_name(given_name)
    path.write_text("")
    assert path.parent == folder
    assert path.is_file()
    path.unlink()
