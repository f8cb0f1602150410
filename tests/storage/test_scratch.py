"""Working folders of a process, also of one that is killed."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from raven_scan.storage.scratch import hold_scratch_folder

KILLED = """
import sys, time
from pathlib import Path
from raven_scan.storage.scratch import hold_scratch_folder
with hold_scratch_folder(Path(sys.argv[1]), "import") as folder:
    (folder / "x").write_text("half")
    print(folder, flush=True)
    time.sleep(600)
"""


def test_gone_when_it_is_over(tmp_path: Path):
    def use() -> None:
        with hold_scratch_folder(tmp_path / "new", "import") as folder:
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
        with hold_scratch_folder(tmp_path, "import"):
            assert not folders[0].exists()
            assert (folders[1] / "x").read_text() == "half"
    finally:
        for process in imports:
            process.kill()
            process.communicate()
