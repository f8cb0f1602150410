import hashlib
import os
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raven_scan.client.file_bodies import PartReader, Source, open_file, open_source
from raven_scan.kernel.errors import Invalid


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
    source = open_source(folder)
    assert (source.file_name, source.size_bytes) == ("folder.zip", None)
    assert source.total_bytes == sum(map(len, contents.values()))
    archive = tmp_path / "sent.zip"
    with archive.open("wb") as sent:
        for chunk in source.read():
            assert len(chunk) < 2_000_000  # it is sent while it is read
            sent.write(chunk)
    with zipfile.ZipFile(archive) as zipped:
        assert zipped.testzip() is None
        assert {name: zipped.read(name) for name in zipped.namelist()} == contents
    # What goes on later must be the same.
    assert b"".join(source.read()) == archive.read_bytes()


def test_a_file_travels_as_it_is(tmp_path: Path) -> None:
    content = os.urandom(2_500_000)
    path = tmp_path / "weights.pth"
    path.write_bytes(content)
    source = open_source(path)
    assert (source.file_name, source.size_bytes) == ("weights.pth", 2_500_000)
    assert b"".join(source.read()) == content


@pytest.mark.parametrize("name", ["nothing", "folder"])
def test_a_file_that_is_none_is_refused_before_anything_is_sent(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(Invalid, match="cannot be read"):
        open_file(tmp_path / name)
    with pytest.raises(Invalid, match="cannot be read"):
        open_source(tmp_path / "nothing")


@given(
    chunks=st.lists(st.binary(max_size=20), max_size=10), offset=st.integers(0, 50), part=st.integers(1, 30)
)
def test_parts_are_what_comes_from_the_offset_on(chunks: list[bytes], offset: int, part: int) -> None:
    whole = b"".join(chunks)
    reader = PartReader(
        Source("a", len(whole), len(whole), lambda: iter(chunks)), offset_bytes=offset, part_bytes=part
    )
    parts = list(reader.read())
    assert b"".join(each.content for each in parts) == whole[offset:]
    assert [each.start for each in parts] == [offset + number * part for number in range(len(parts))]
    assert all(len(each.content) == part for each in parts[:-1])
    assert reader.sha256 == hashlib.sha256(whole).hexdigest()
