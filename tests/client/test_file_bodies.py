import os
import zipfile
from pathlib import Path

import pytest

from raven_scan.client.file_bodies import read_file, zip_folder
from raven_scan.kernel.errors import Invalid
from raven_scan.kernel.progress import ignore_progress


def test_a_folder_travels_as_a_zip_of_the_same_files(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    contents = {
        "train/a.jpg": os.urandom(3_000_000),
        "train/annotations_coco.json": b"{}",
        "valid/картинка.png": b"",
        "with space/b.tif": b"b" * 10,
    }
    for name, content in contents.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    os.utime(folder / "train" / "a.jpg", (0, 0))
    told: list[tuple[str, int, int]] = []

    def tell(stage: str, done: int, total: int) -> None:
        told.append((stage, done, total))

    archive = tmp_path / "sent.zip"
    with archive.open("wb") as sent:
        for chunk in zip_folder(folder, tell):
            assert len(chunk) < 2_000_000  # it is sent while it is read
            sent.write(chunk)
    with zipfile.ZipFile(archive) as zipped:
        assert zipped.testzip() is None
        assert {name: zipped.read(name) for name in zipped.namelist()} == contents
    total = sum(map(len, contents.values()))
    assert told[-1] == ("upload", total, total)


def test_a_file_travels_as_it_is(tmp_path: Path) -> None:
    content = os.urandom(2_500_000)
    (tmp_path / "weights.pth").write_bytes(content)
    assert b"".join(read_file(tmp_path / "weights.pth", ignore_progress)) == content


@pytest.mark.parametrize("name", ["nothing", "folder"])
def test_a_file_that_is_none_is_refused_before_anything_is_sent(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(Invalid, match="cannot be read"):
        read_file(tmp_path / name, ignore_progress)


def test_a_folder_that_is_none_is_refused_before_anything_is_sent(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="cannot be read"):
        zip_folder(tmp_path / "nothing", ignore_progress)
