"""Whatever an annotations file holds, it is imported or refused with Invalid, and a refusal stores nothing."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from raven_scan.access.types import LOCAL_ADMINISTRATOR
from raven_scan.datasets.service import DatasetService
from raven_scan.datasets.types import ImportOptions
from raven_scan.kernel.errors import Invalid

odd_numbers = st.sampled_from(
    [0, -1, 2**31, 2**63, -(2**63), 2**64, 1e308, -1e-320, 0.5, 1e999, float("nan")]
)
odd_texts = st.text(max_size=8) | st.sampled_from(
    ["\ud800", "\x00", "../x", "a" * 5000, "\u202e", "'", "NaN"]
)
scalars = st.none() | st.booleans() | odd_numbers | odd_texts
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(odd_texts, inner, max_size=3),
    max_leaves=6,
)
whole_files = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["images", "annotations", "categories", "id", "bbox", "segmentation", "counts", "size", "x"]
            ),
            inner,
            max_size=4,
        )
    ),
)
quick = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def try_file(source: Any, service: DatasetService, tmp_path: Path, settings: Any) -> Callable[[bytes], bool]:
    """Whether a source is imported whose file for train is this."""
    folder = source.write(tmp_path / "source")

    def run(content: bytes) -> bool:
        (folder / "train" / "annotations_coco.json").write_bytes(content)
        try:
            service.import_version(LOCAL_ADMINISTRATOR, folder, ImportOptions(name="hostile"))
        except Invalid as refusal:
            json.dumps(refusal.describe()).encode()
            refusal.message.encode()
            return False
        else:
            return True
        finally:
            assert list((settings.blobs_folder / "incoming").iterdir()) == []

    return run


def paths_of(value: Any, prefix: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [prefix] if prefix else []
    items: Any = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    )
    for key, inner in items:
        found += paths_of(inner, (*prefix, key))
    return found


@quick
@given(data=st.data())
def test_a_good_file_with_odd_values(
    source: Any, try_file: Callable[[bytes], bool], data: st.DataObject
) -> None:
    coco = copy.deepcopy(source["train"].coco)
    coco["annotations"][0]["segmentation"] = [[1, 2, 3, 4, 5, 6]]
    coco["annotations"][1].pop("bbox")
    coco["annotations"][1]["segmentation"] = {"counts": [100, 20, 2280], "size": [40, 60]}
    for _ in range(data.draw(st.integers(1, 3))):
        path = data.draw(st.sampled_from(paths_of(coco)))
        target = coco
        for key in path[:-1]:
            target = target[key]
        if data.draw(st.booleans()) and isinstance(target, dict):
            target.pop(path[-1], None)
        else:
            target[path[-1]] = data.draw(values)
    try_file(json.dumps(coco).encode())


@quick
@given(content=whole_files)
def test_any_json(try_file: Callable[[bytes], bool], content: Any) -> None:
    assert not try_file(json.dumps(content).encode())


@quick
@given(place=st.floats(0, 1), piece=st.binary(max_size=4), cut=st.integers(0, 5))
def test_bytes_that_were_changed(
    source: Any, try_file: Callable[[bytes], bool], place: float, piece: bytes, cut: int
) -> None:
    content = json.dumps(source["train"].coco).encode()
    at = int(place * len(content))
    try_file(content[:at] + piece + content[at + cut :])


def test_the_good_file_is_good(source: Any, try_file: Callable[[bytes], bool]) -> None:
    assert try_file(json.dumps(source["train"].coco).encode())
