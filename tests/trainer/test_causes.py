"""Why a run cannot go on, seen with real processes on machines that are too small."""

import json
import os
import resource
import shutil
import subprocess
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from raven_scan.wire.events import CheckpointWritten, EventReader, Failed, Message, Step
from raven_scan.wire.spec import PartSpec, TrainSpec

Run = Callable[..., Any]


def run_limited(command: list[str], spec: TrainSpec, prepare: Callable[[], None] | None = None) -> Failed:
    log = Path(command[-1]).with_name("output.txt")
    with log.open("wb") as output:
        done = subprocess.run(
            command,
            env={**os.environ, "RAVEN_PARENT_PID": str(os.getpid())},
            start_new_session=True,
            stdout=output,
            stderr=output,
            timeout=60,
            check=False,
            preexec_fn=prepare,
        )
    assert done.returncode == 1, log.read_text()[-3000:]
    failure = EventReader(spec.events).read_new()[-1]
    assert isinstance(failure, Failed), log.read_text()[-3000:]
    return failure


@contextmanager
def small_disk(folder: Path, size: str) -> Generator[None]:
    folder.mkdir(parents=True)
    mounted = subprocess.run(
        ["/bin/mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip("needs the right to mount a file system")
    try:
        yield
    finally:
        subprocess.run(["/bin/umount", "-l", str(folder)], check=True)


def test_full_disk_ends_the_run_at_the_second_checkpoint(
    make_train_spec: Run, build_command: Run, tmp_path: Path
):
    disk = tmp_path / "disk"
    with small_disk(disk, "4m"):
        spec: TrainSpec = make_train_spec(disk / "work", parameters={"epochs": 3})
        failure = run_limited(build_command("train", spec, tmp_path), spec)
        told = EventReader(spec.events).read_new()
    assert failure.code == "crashed.disk_full"
    assert failure.evidence["path"].startswith(str(disk))
    assert failure.evidence["free_bytes"] < failure.evidence["total_bytes"] == 4 * 2**20
    [warning] = [each for each in told if isinstance(each, Message) and each.level == "warning"]
    assert warning.code == "checkpoint_not_written"
    # The first did not keep it from training on.
    assert [each.step for each in told if isinstance(each, Step)][-1] == 12
    assert not any(isinstance(each, CheckpointWritten) for each in told)


def test_too_little_shared_memory_is_told(make_train_spec: Run, build_command: Run, tmp_path: Path):
    if subprocess.run(["/usr/bin/unshare", "-m", "true"], capture_output=True, check=False).returncode:
        pytest.skip("needs the right to make a mount namespace")
    spec: TrainSpec = make_train_spec(tmp_path / "work", parameters={"loader_processes": 1, "batch_size": 8})
    command = build_command("train", spec, tmp_path)
    mount = 'mount -t tmpfs -o size=64k tmpfs /dev/shm && exec "$@"'
    failure = run_limited(["/usr/bin/unshare", "-m", "sh", "-c", mount, "sh", *command], spec)
    assert failure.code == "out_of_memory.shared_memory"
    assert failure.evidence["total_bytes"] == 64 * 1024
    assert "shm" in failure.hint


def test_too_little_memory_is_told_with_what_was_asked_for(
    make_train_spec: Run, build_command: Run, tmp_path: Path
):
    spec: TrainSpec = make_train_spec(tmp_path / "work", parameters={"batch_size": 24, "image_size": 2048})

    def limit_memory() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (7 * 2**30, 7 * 2**30))

    failure = run_limited(build_command("train", spec, tmp_path), spec, limit_memory)
    assert failure.code == "out_of_memory.host", failure
    assert failure.evidence["requested_bytes"] > 2**20
    assert failure.evidence["total_bytes"] > 2**30
    assert "batch size" in failure.hint


@pytest.mark.parametrize("boxes", ["none", "too small"])
def test_part_without_boxes_is_refused(
    make_train_spec: Run, build_command: Run, tiny_parts: dict[str, PartSpec], tmp_path: Path, boxes: str
):
    train = tmp_path / "train"
    shutil.copytree(tiny_parts["train"].folder, train)
    path = train / "annotations_coco.json"
    document = json.loads(path.read_text())
    for annotation in document["annotations"]:
        # Of 128 pixels at 64, enlarged by a quarter at most.
        annotation["bbox"][2:] = [3, 3]
    if boxes == "none":
        document["annotations"] = []
    path.write_text(json.dumps(document))
    spec = make_train_spec(tmp_path / "work", train=PartSpec(folder=train, image_count=24))
    failure = run_limited(build_command("train", spec, tmp_path), spec)
    assert failure.code == "refused.nothing_to_learn_from"
    assert failure.evidence == {"boxes": len(document["annotations"]), "images": 24, "image_size": 64}
