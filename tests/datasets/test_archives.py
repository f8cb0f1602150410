"""Zips from outside: what they claim is not believed, and a refusal leaves nothing."""

import io
import stat
import struct
import threading
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from raven_scan.datasets.archive import unpack_archive
from raven_scan.datasets.service import DatasetService
from raven_scan.kernel.database import Database
from raven_scan.kernel.errors import Invalid
from raven_scan.kernel.progress import ignore_progress
from raven_scan.kernel.settings import Settings

Refuse = Callable[[bytes], str]


def pack(entries: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return file.getvalue()


@pytest.fixture
def entries(source: Any, tmp_path: Path) -> dict[str, bytes]:
    folder = source.write(tmp_path / "plain")
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture
def refuse(
    import_source: Callable[..., Any],
    tmp_path: Path,
    database: Database,
    settings: Settings,
    assert_nothing_stored: Any,
) -> Refuse:
    """The code of the refusal of an archive."""

    def run(content: bytes) -> str:
        before = _list_files(tmp_path)
        path = tmp_path / "hostile.zip"
        path.write_bytes(content)
        with pytest.raises(Invalid) as refusal:
            import_source(path)
        path.unlink()
        assert_nothing_stored(database, settings)
        assert _list_files(tmp_path) == before
        return refusal.value.code.removeprefix("dataset.")

    return run


def _list_files(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if path.is_file() and path.suffix != ".lock"}


@pytest.mark.parametrize(
    "name",
    ["../evil", "a/../../evil", "/tmp/evil", "C:/evil", "C:\\evil", "a\\..\\..\\evil", "a\n", "a\u202e"],  # noqa: S108
)
def test_paths_that_lead_elsewhere(entries: dict[str, bytes], refuse: Refuse, name: str) -> None:
    assert refuse(pack({**entries, name: b"x"})) == "archive_path"


def test_a_name_that_was_cut_at_its_zero(entries: dict[str, bytes], refuse: Refuse) -> None:
    content = pack({**entries, "good.txtX../../evil": b"x"}).replace(b"good.txtX..", b"good.txt\0..")
    assert refuse(content) == "archive_path"


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFBLK])
def test_links_and_devices(entries: dict[str, bytes], refuse: Refuse, kind: int) -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
        info = zipfile.ZipInfo("train/link.jpg")
        info.create_system = 3
        info.external_attr = (kind | 0o777) << 16
        archive.writestr(info, "/etc/passwd")
    assert refuse(file.getvalue()) == "archive_path"


def test_one_name_twice(entries: dict[str, bytes], refuse: Refuse) -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("train/0.jpg", b"other")
    assert refuse(file.getvalue()) == "archive_path"


def test_a_file_that_another_needs_as_its_folder(entries: dict[str, bytes], refuse: Refuse) -> None:
    assert refuse(pack({"train": b"", **entries})) == "damaged_archive"


def test_encrypted(entries: dict[str, bytes], refuse: Refuse) -> None:
    content = bytearray(pack(entries))
    place = content.find(b"PK\x01\x02")
    content[place + 8] |= 1
    assert refuse(bytes(content)) == "archive_encrypted"


def test_a_bomb_is_stopped_while_it_unpacks(
    entries: dict[str, bytes], refuse: Refuse, settings: Settings
) -> None:
    largest = 0
    stopped = threading.Event()

    def watch() -> None:
        nonlocal largest
        while not stopped.wait(0.005):
            sizes = [path.stat().st_size for path in settings.work_folder.rglob("*bomb*") if path.exists()]
            largest = max([largest, *sizes])

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        assert refuse(pack({**entries, "train/bomb.bin": bytes(200 << 20)})) == "archive_bomb"
    finally:
        stopped.set()
        watcher.join()
    assert largest < 150 << 20


def test_sizes_in_headers_are_not_believed(entries: dict[str, bytes], refuse: Refuse) -> None:
    """The directory says 10 bytes; what unpacks is 100 MB."""
    content = bytearray(pack({"train/bomb.bin": bytes(100 << 20), **entries}))
    for magic, offset in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        place = content.find(magic)
        content[place + offset : place + offset + 4] = struct.pack("<I", 10)
    assert refuse(bytes(content)) in ("damaged_archive", "archive_bomb")


def test_limits_are_settings(
    entries: dict[str, bytes], refuse: Refuse, service: DatasetService, settings: Settings
) -> None:
    small = settings.model_copy(update={"largest_archive_bytes": 5000})
    service._settings = small
    assert refuse(pack(entries)) == "archive_too_large"
    service._settings = settings.model_copy(update={"largest_archive_files": 3})
    assert refuse(pack(entries)) == "too_many_files"


@pytest.mark.parametrize("cut", [1, 100, 0.5])
def test_cut_short(entries: dict[str, bytes], refuse: Refuse, cut: float) -> None:
    content = pack(entries)
    assert refuse(content[: -int(cut if cut >= 1 else len(content) * cut)]) == "damaged_archive"


def test_damaged_inside(entries: dict[str, bytes], refuse: Refuse) -> None:
    content = bytearray(pack(entries))
    for place in range(60, 2000, 7):
        content[place] ^= 0x55
    assert refuse(bytes(content)) == "damaged_archive"


def test_what_a_macintosh_adds_is_left_out(
    entries: dict[str, bytes], import_source: Callable[..., Any], tmp_path: Path
) -> None:
    path = tmp_path / "mac.zip"
    path.write_bytes(
        pack(
            {f"dataset/{name}": content for name, content in entries.items()}
            | {"__MACOSX/dataset/._x": b"x", "dataset/.DS_Store": b"x"}
        )
    )
    assert import_source(path).parts["train"].image_count == 4


def test_an_abandoned_folder_is_removed_by_the_next(
    entries: dict[str, bytes], import_source: Callable[..., Any], tmp_path: Path, settings: Settings
) -> None:
    abandoned = settings.work_folder / "import-0123"
    abandoned.mkdir(parents=True)
    (abandoned / "file").write_bytes(b"x")
    abandoned.with_name("import-0123.lock").touch()
    path = tmp_path / "good.zip"
    path.write_bytes(pack(entries))
    import_source(path)
    assert list(settings.work_folder.iterdir()) == []


def _make_directory(count: int, name_bytes: int, *, zip64: bool) -> bytes:
    """An archive that is a directory alone: records without any file."""
    record = struct.pack("<4s24x3H12x", b"PK\x01\x02", name_bytes, 0, 0) + b"n" * name_bytes
    directory = record * count
    end = b""
    if zip64:
        end = struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, count, count, len(directory), 0)
        end += struct.pack("<4sLQL", b"PK\x06\x07", 0, len(directory), 1)
    shown = 0xFFFF if zip64 else count % 0xFFFF
    size = 0xFFFFFFFF if zip64 else len(directory)
    return directory + end + struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, shown, shown, size, 0, 0)


@pytest.mark.parametrize("zip64", [False, True])
@pytest.mark.parametrize(("count", "name_bytes"), [(400_000, 1), (1_000, 60_000)])
def test_a_directory_is_counted_before_it_is_parsed(
    tmp_path: Path, count: int, name_bytes: int, *, zip64: bool
) -> None:
    path = tmp_path / "hostile.zip"
    path.write_bytes(_make_directory(count, name_bytes, zip64=zip64))
    (tmp_path / "folder").mkdir()
    tracemalloc.start()
    try:
        with pytest.raises(Invalid) as refusal:
            unpack_archive(
                path,
                tmp_path / "folder",
                largest_bytes=1 << 30,
                largest_files=30_000,
                progress=ignore_progress,
            )
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert refusal.value.code == "dataset.too_many_files"
    assert "30000" in refusal.value.message
    assert peak_bytes < 2 << 20


def test_a_directory_of_many_files_below_the_limit_is_read(tmp_path: Path) -> None:
    """Larger than one piece, so that it is counted."""
    path = tmp_path / "plain.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(12_000):
            archive.writestr(f"{'n' * 100}-{number}", b"")
    (tmp_path / "folder").mkdir()
    unpack_archive(
        path, tmp_path / "folder", largest_bytes=1 << 30, largest_files=12_000, progress=ignore_progress
    )
    assert sum(1 for _ in (tmp_path / "folder").iterdir()) == 12_000
