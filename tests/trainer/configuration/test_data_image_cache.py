"""The cache of decoded images: shared, bounded, and of no harm whatever happens to it."""

import fcntl
import multiprocessing
import os
import shutil
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from numpy.typing import NDArray

from raven_scan.trainer.data import image_cache
from raven_scan.trainer.data.image_cache import ImageCache

_FORK = multiprocessing.get_context("fork")
SIDE = 40
ENTRY_BYTES = SIDE * SIDE * 3 + 64


def draw(seed: int, side: int = SIDE) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)


def list_entries(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and path.name != "total")


def measure(folder: Path) -> int:
    return sum(path.stat().st_size for path in list_entries(folder))


def make_older(path: Path, age_s: float) -> None:
    used_at = time.time() - age_s
    os.utime(path, (used_at, used_at))


@pytest.fixture
def cache(tmp_path: Path) -> ImageCache:
    return ImageCache(tmp_path / "cache", 10**9)


def test_what_was_added_is_found_by_other_processes_and_cannot_be_written_to(cache: ImageCache):
    pixels = draw(1)
    assert cache.find("aa1") is None
    cache.add("aa1", pixels)
    cache.add("aa2", pixels[:, :7])
    other = ImageCache(cache.folder, cache.largest_bytes)
    for each in (cache, other):
        found = each.find("aa1")
        assert found is not None
        assert (found == pixels).all()
        with pytest.raises(ValueError, match="read-only"):
            found[0, 0, 0] = 1
    narrow = other.find("aa2")
    assert narrow is not None
    assert (narrow == pixels[:, :7]).all()


def test_admits_only_its_owner(cache: ImageCache):
    cache.add("aa1", draw(1))
    assert cache.folder.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("damage", ["cut", "longer", "hole", "byte", "empty", "header", "folder"])
def test_a_damaged_entry_is_not_found_and_is_replaced(cache: ImageCache, damage: str):
    pixels = draw(1)
    cache.add("aa1", pixels)
    [path] = list_entries(cache.folder)
    content = bytearray(path.read_bytes())
    if damage == "cut":
        del content[-1]
    elif damage == "longer":
        content.append(0)
    elif damage == "hole":
        content[1000:2000] = bytes(1000)
    elif damage == "byte":
        content[-1] ^= 1
    elif damage == "empty":
        content.clear()
    elif damage == "header":
        content[:16] = bytes(16)
    path.write_bytes(content)
    if damage == "folder":
        path.unlink()
        path.mkdir()
    fresh = ImageCache(cache.folder, cache.largest_bytes)
    assert fresh.find("aa1") is None
    fresh.add("aa1", pixels)
    assert (fresh.find("aa1") is None) == (damage == "folder")


def test_a_folder_that_goes_away_is_filled_again(cache: ImageCache):
    cache.add("aa1", draw(1))
    shutil.rmtree(cache.folder)
    assert cache.find("aa1") is None
    cache.add("aa1", draw(1))
    assert cache.find("aa1") is not None


def test_where_nothing_can_be_written_nothing_is_kept(tmp_path: Path):
    (tmp_path / "file").write_text("in the way")
    cache = ImageCache(tmp_path / "file" / "cache", 10**9)
    cache.add("aa1", draw(1))
    assert cache.find("aa1") is None


def test_a_full_disk_leaves_nothing_half_written(cache: ImageCache, monkeypatch: pytest.MonkeyPatch):
    cache.add("aa1", draw(1))

    def refuse(_self: Path, _target: Path) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", refuse)
    cache.add("aa2", draw(2))
    assert [path.name for path in list_entries(cache.folder)] == ["aa1"]
    assert cache.find("aa1") is not None


def test_takes_a_tenth_of_the_free_disk_at_most(cache: ImageCache, monkeypatch: pytest.MonkeyPatch):
    def tell(_path: Path) -> SimpleNamespace:
        return SimpleNamespace(free=30 * ENTRY_BYTES - measure(cache.folder))

    monkeypatch.setattr(image_cache.shutil, "disk_usage", tell)
    for number in range(10):
        cache.add(f"aa{number}", draw(number))
    assert measure(cache.folder) == 3 * ENTRY_BYTES


def test_what_was_used_longest_ago_makes_room(tmp_path: Path):
    limit = 8 * ENTRY_BYTES
    earlier = ImageCache(tmp_path, limit)
    for number in range(8):
        earlier.add(f"a{number}a", draw(number))
    for path in list_entries(tmp_path):
        make_older(path, 1000 - 10 * int(path.name[1]))
    cache = ImageCache(tmp_path, limit, began_at=time.time() - 1)
    assert cache.find("a0a") is not None, "used, it stays"
    cache.add("b0b", draw(9))
    assert measure(tmp_path) <= limit
    names = {path.name for path in list_entries(tmp_path)}
    assert {"a0a", "b0b", "a6a", "a7a"} <= names
    assert "a1a" not in names


def test_images_of_one_run_do_not_push_each_other_out(tmp_path: Path):
    cache = ImageCache(tmp_path, 4 * ENTRY_BYTES)
    for _ in range(2):
        for number in range(8):
            if cache.find(f"a{number}a") is None:
                cache.add(f"a{number}a", draw(number))
    assert [path.name for path in list_entries(tmp_path)] == ["a0a", "a1a", "a2a", "a3a"]


def test_what_killed_processes_left_goes(tmp_path: Path):
    cache = ImageCache(tmp_path, 2 * ENTRY_BYTES)
    cache.add("aa1", draw(1))
    left = tmp_path / "aa" / ".aa2.1234"
    left.write_bytes(bytes(ENTRY_BYTES))
    make_older(left, 10_000)
    (tmp_path / "total").write_bytes(b"")  # a process was killed before it wrote it
    cache.add("aa3", draw(3))
    assert [path.name for path in list_entries(tmp_path)] == ["aa1", "aa3"]


def fill(folder: Path, limit: int, numbers: range) -> None:
    cache = ImageCache(folder, limit, began_at=time.time() + 1000)
    for number in numbers:
        key = f"{number % 7:02d}{number}"
        found = cache.find(key)
        assert found is None or (found == draw(number)).all()
        cache.add(key, draw(number))


def test_several_processes_keep_the_limit_together(tmp_path: Path):
    limit = 20 * ENTRY_BYTES
    ranges = [range(60), range(30, 90), range(60)]
    children = [_FORK.Process(target=fill, args=(tmp_path, limit, each)) for each in ranges]
    for child in children:
        child.start()
    most = 0
    while any(child.is_alive() for child in children):
        most = max(most, sum_up(tmp_path))
        children[0].join(0.005)
    assert [child.exitcode for child in children] == [0, 0, 0]
    assert 0 < measure(tmp_path) <= limit
    assert most <= limit


def sum_up(folder: Path) -> int:
    """While files come and go: no entry is begun while the total is locked."""
    sizes: dict[str, int] = {}
    with (folder / "total").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for path in folder.rglob("*"):
            try:
                size = path.stat().st_size if path.is_file() and path != folder / "total" else 0
            except FileNotFoundError:
                continue
            sizes[path.name.lstrip(".").split(".")[0]] = size
    return sum(sizes.values())
