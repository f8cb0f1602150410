"""Checkpoints on a disk that is full, or that changes what it was given."""

import errno
import resource
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from raven_scan.trainer.checkpoint_files import (
    FOLDER,
    UnreadableCheckpointError,
    check_records,
    identify_run,
    list_checkpoints,
    name_checkpoint,
    read_checkpoint,
    read_newest_checkpoint,
    write_checkpoint,
)
from raven_scan.trainer.checkpoint_writing import CheckpointWriter, Place
from raven_scan.trainer.event_log import EventLog
from raven_scan.trainer.failures import TrainerError
from raven_scan.wire.events import CheckpointWritten, EventReader, Message
from raven_scan.wire.spec import TrainSpec

Run = Callable[..., Any]
IDENTITY = {"run_id": "run-1", "architecture": "yolox-nano", "classes": ["a", "b"]}
CONTENT = {"weights": torch.arange(600.0), "counts": [3, 4], "name": "déchets"}


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("written") / "a.pt"
    write_checkpoint(path, CONTENT, IDENTITY)
    return path.read_bytes()


def is_what_was_written(content: dict[str, Any]) -> bool:
    return torch.equal(content["weights"], CONTENT["weights"]) and content["counts"] == [3, 4]  # type: ignore[arg-type]


@settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damaged_file_is_never_taken_for_a_checkpoint(written: bytes, tmp_path: Path, data: st.DataObject):
    damaged = bytearray(written)
    if data.draw(st.booleans(), label="cut off"):
        damaged = damaged[: data.draw(st.integers(0, len(written) - 1), label="length")]
    else:
        at = data.draw(st.integers(0, len(written) - 1), label="at")
        damaged[at] ^= data.draw(st.integers(1, 255), label="flip")
    path = tmp_path / "damaged.pt"
    path.write_bytes(damaged)
    try:
        content = read_checkpoint(path, IDENTITY)
    except UnreadableCheckpointError:
        return
    # What is not part of a record, such as the space between them, may be anything.
    assert is_what_was_written(content)


@pytest.mark.parametrize("damage", ["flipped", "cut off", "gone", "empty"])
def test_last_good_checkpoint_is_taken_and_each_bad_one_told(written: bytes, tmp_path: Path, damage: str):
    good, bad = tmp_path / "good.pt", tmp_path / "bad.pt"
    good.write_bytes(written)
    place = written.index(CONTENT["weights"].numpy().tobytes()) + 1000  # type: ignore[union-attr]
    match damage:
        case "flipped":
            bad.write_bytes(written[:place] + bytes([written[place] ^ 1]) + written[place + 1 :])
        case "cut off":
            bad.write_bytes(written[:place])
        case "empty":
            bad.write_bytes(b"")
        case _:
            pass
    with EventLog(tmp_path / "events.jsonl") as log:
        content = read_newest_checkpoint([bad, good], IDENTITY, log.tell)
        assert content
        assert is_what_was_written(content)
        assert read_newest_checkpoint([bad], IDENTITY, log.tell) is None
        assert read_newest_checkpoint([], IDENTITY, log.tell) is None
    told = EventReader(tmp_path / "events.jsonl").read_new()
    assert [(each.level, each.code) for each in told if isinstance(each, Message)] == [
        ("warning", "checkpoint_unreadable"),
        ("warning", "checkpoint_unreadable"),
        ("warning", "starts_afresh"),
    ]
    assert isinstance(told[0], Message)
    assert "bad.pt" in told[0].text


def test_checkpoint_of_another_run_is_refused(written: bytes, tmp_path: Path):
    path = tmp_path / "a.pt"
    path.write_bytes(written)
    with pytest.raises(TrainerError) as caught:
        read_newest_checkpoint([path], {**IDENTITY, "run_id": "run-2"}, print)
    assert caught.value.code == "refused.checkpoint_of_other_run"


def test_file_that_carries_code_is_not_executed(tmp_path: Path):
    class Payload:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (tmp_path / "executed",)

    path = tmp_path / "a.pt"
    torch.save({"format": 2, "identity": IDENTITY, "weights": Payload()}, path)
    check_records(path)
    with pytest.raises(UnreadableCheckpointError):
        read_checkpoint(path, IDENTITY)
    assert not (tmp_path / "executed").exists()


@contextmanager
def limited_file_size(size_bytes: int) -> Generator[None]:
    """Writes beyond it fail, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_nothing_is_left_of_a_checkpoint_that_the_disk_does_not_take(tmp_path: Path):
    path = tmp_path / "a.pt"
    with limited_file_size(2000), pytest.raises(OSError, match="File too large") as caught:
        write_checkpoint(path, CONTENT, IDENTITY)
    assert caught.value.errno == errno.EFBIG
    assert list(tmp_path.iterdir()) == []


def test_failure_to_write_is_told_once_and_ends_the_run_the_second_time_in_a_row(
    make_train_spec: Run, tmp_path: Path
):
    now = [0.0]
    spec: TrainSpec = make_train_spec(tmp_path)
    with EventLog(spec.events) as log:
        writer = CheckpointWriter(spec, log, interval_s=60, clock=lambda: now[0])

        def write(step: int) -> bool:
            return writer.write(Place(epoch=0, step=step, position=step), CONTENT, best=False)

        assert write(1)
        now[0] = 59.0
        assert not writer.is_due()
        now[0] = 60.0
        assert writer.is_due()
        with limited_file_size(2000):
            assert not write(2)
        # It is tried again when the next is due, not at once.
        assert not writer.is_due()
        assert write(3)
        with limited_file_size(2000):
            assert not write(4)
            with pytest.raises(OSError, match="File too large"):
                write(5)
    told = EventReader(spec.events).read_new()
    assert [each.step for each in told if isinstance(each, CheckpointWritten)] == [1, 3]
    assert [each.code for each in told if isinstance(each, Message)] == ["checkpoint_not_written"] * 2
    left = list_checkpoints(spec.work_folder / FOLDER)
    assert [path.name for path in left] == [name_checkpoint(1, 0), name_checkpoint(3, 0)]
    content = read_checkpoint(left[-1], identify_run(spec))
    assert (content["epoch"], content["step"], content["position"]) == (0, 3, 3)


def test_last_two_checkpoints_are_kept(make_train_spec: Run, tmp_path: Path):
    spec: TrainSpec = make_train_spec(tmp_path)
    with EventLog(spec.events) as log:
        writer = CheckpointWriter(spec, log, interval_s=0)
        for place in (Place(0, 9, 9), Place(0, 10, 10), Place(1, 10, 0)):
            assert writer.write(place, CONTENT, best=False)
    assert [path.name for path in list_checkpoints(spec.work_folder / FOLDER)] == [
        name_checkpoint(10, 0),
        name_checkpoint(10, 1),
    ]
