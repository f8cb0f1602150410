"""Importing and pulling checkpoints, through the real child process."""

import hashlib
import json
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import load_file
from tests.trained_models.file_server import FileServer, serve_file

from raven_scan.access.types import LOCAL_ADMINISTRATOR
from raven_scan.jobs.child_process import run_child
from raven_scan.kernel.clock import SystemClock
from raven_scan.kernel.database import Database
from raven_scan.kernel.errors import Conflict, Invalid, NotFound, RavenError, Unavailable
from raven_scan.kernel.paging import PageRequest
from raven_scan.kernel.settings import Settings
from raven_scan.storage.blobs import LocalBlobStore
from raven_scan.trained_models.checkpoint_reading import choose_classes
from raven_scan.trained_models.coco_classes import COCO_CLASSES
from raven_scan.trained_models.model_index import read_index
from raven_scan.trained_models.service import TrainedModelService
from raven_scan.trained_models.types import ModelFilter, Origin
from raven_scan.wire.events import StartingWeightsBuilt
from raven_scan.wire.spec import BuildStartingWeightsSpec

ME = LOCAL_ADMINISTRATOR
YOLOX_NANO_SHA256 = "08f76f2b3cb1bd5bb610a9a67d63f5fafd98b457c213fc1075eaaaf367a2329d"


@pytest.fixture
def yolox_nano(shared_folder: Path) -> Path:
    return shared_folder / "weights" / "yolox_nano_coco_mmdet.pth"


def assert_nothing_is_stored(service: TrainedModelService, settings: Settings) -> None:
    assert service.list_models(ME, PageRequest(), ModelFilter(origins=(Origin.IMPORTED,))).items == []
    assert [path for path in settings.blobs_folder.rglob("*") if path.is_file()] == []
    assert list(settings.work_folder.glob("checkpoint-*")) == []


class TestImport:
    def test_a_checkpoint_of_mmdetection(
        self, service: TrainedModelService, yolox_nano: Path, settings: Settings
    ):
        stages: list[str] = []

        def note(stage: str, done: int, total: int) -> None:
            del done, total
            stages.append(stage)

        imported = service.import_checkpoint(
            ME, yolox_nano, architecture="yolox-nano", name="yolox-nano-coco", progress=note
        )
        model = service.get_model(ME, "yolox-nano-coco")
        assert model == imported
        assert stages == ["computing the digest", "reading the checkpoint", "storing"]
        assert model.origin == Origin.IMPORTED
        assert model.classes == list(COCO_CLASSES)
        assert model.starting_weights == "coco"
        assert model.parameter_count is not None
        assert 900_000 < model.parameter_count < 1_000_000
        assert model.test is model.valid is model.reported is None
        assert model.checkpoint is not None
        assert model.checkpoint.file_name == yolox_nano.name
        assert model.checkpoint.sha256 == YOLOX_NANO_SHA256
        assert model.checkpoint.missing == model.checkpoint.unexpected == model.checkpoint.mismatched == []
        assert model.checkpoint.matched > 500
        assert model.environment["torch"] == torch.__version__.partition("+")[0]
        assert model.created_by == ME.name
        assert list(settings.work_folder.glob("checkpoint-*")) == []

        weights = service.open_weights(ME, model.id)
        assert weights is not None
        assert service.find_weights_problems(ME, model, check_digest=True) == []
        given_tensors: dict[str, torch.Tensor] = torch.load(yolox_nano, weights_only=True)["state_dict"]
        with safe_open(weights, framework="pt") as kept:
            assert len(kept.keys()) == model.checkpoint.matched
            for key in kept.keys():  # noqa: SIM118 - not a dict
                assert torch.equal(kept.get_tensor(key).float(), given_tensors[key].float())

        # As safetensors it comes in again, to the same blob.
        again = settings.home / "again.safetensors"
        shutil.copy(weights, again)
        second = service.import_checkpoint(ME, again, architecture="yolox-nano", name="second")
        assert second.weights_digest == model.weights_digest
        assert second.checkpoint is not None
        assert second.checkpoint.file_name == "again.safetensors"

    def test_code_in_a_file_does_not_run(
        self, service: TrainedModelService, tmp_path: Path, settings: Settings
    ):
        ran = tmp_path / "ran"

        class Payload:
            def __reduce__(self) -> Any:
                return os.mkdir, (str(ran),)

        path = tmp_path / "evil.pth"
        torch.save({"state_dict": {"a": torch.zeros(1)}, "meta": Payload()}, path)
        with pytest.raises(Invalid) as caught:
            service.import_checkpoint(ME, path, architecture="yolox-nano", name="evil")
        assert caught.value.code.startswith("trained_model.refused.")
        assert "evil.pth" in caught.value.message
        assert caught.value.hint
        assert not ran.exists()
        # It would have: whoever unpickles it runs it.
        torch.load(path, weights_only=False)
        assert ran.exists()
        assert_nothing_is_stored(service, settings)

    def test_what_is_no_checkpoint_or_another(
        self, service: TrainedModelService, tmp_path: Path, yolox_nano: Path, settings: Settings
    ):
        truncated = tmp_path / "half.pth"
        truncated.write_bytes(yolox_nano.read_bytes()[:2_000_000])
        for path, architecture in ((truncated, "yolox-nano"), (yolox_nano, "retinanet-r50")):
            with pytest.raises(Invalid) as caught:
                service.import_checkpoint(ME, path, architecture=architecture, name="x")
            assert caught.value.code.startswith("trained_model.refused.")
            assert path.name in caught.value.message
            assert caught.value.hint
        assert_nothing_is_stored(service, settings)

    def test_what_is_no_file(self, service: TrainedModelService, tmp_path: Path, settings: Settings):
        empty = tmp_path / "empty.pth"
        empty.touch()
        pipe = tmp_path / "pipe.pth"
        os.mkfifo(pipe)
        for path in (tmp_path / "missing.pth", tmp_path, empty, pipe, Path("a\0b"), Path("x" * 5000)):
            with pytest.raises(Invalid) as caught:
                service.import_checkpoint(ME, path, architecture="yolox-nano", name="x")
            assert caught.value.code == "trained_model.bad_checkpoint_file"
            assert "\0" not in caught.value.message
        assert_nothing_is_stored(service, settings)

    def test_refused_before_the_file_is_looked_at(self, service: TrainedModelService):
        for architecture, name, error, hint in (
            ("yolox-nanoo", "x", Invalid, "Did you mean yolox-nano?"),
            ("resnet", "x", Invalid, "Known are: "),
            ("yolox-nano", "a/b", Invalid, "printable"),
            ("yolox-nano", "yolox-nano", Conflict, "another name"),
        ):
            with pytest.raises(error) as caught:
                service.import_checkpoint(ME, Path("/missing"), architecture=architecture, name=name)
            assert hint in caught.value.hint


class TestClasses:
    def test_names_of_the_checkpoint(self):
        assert choose_classes(["a", "b"], 2) == ["a", "b"]

    def test_without_names(self):
        assert choose_classes(None, 80) == list(COCO_CLASSES)
        assert choose_classes(None, 3) == ["class_0", "class_1", "class_2"]
        assert choose_classes(None, None) == []

    @given(st.lists(st.text()), st.integers(0, 100) | st.none())
    def test_there_are_as_many_as_the_head_has_each_once_and_storable(
        self, names: list[str], class_count: int | None
    ):
        for count in (class_count, len(names)):
            classes = choose_classes(names, count)
            assert len(classes) == len(set(classes)) == (count or 0)
            assert all(name.isprintable() and name.strip() for name in classes)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A checkpoint of yolox-tiny with two classes, as MMDetection writes them."""
    folder = tmp_path_factory.mktemp("checkpoint")
    built = run_child(
        "build-starting-weights",
        BuildStartingWeightsSpec(
            architecture="yolox-tiny",
            classes=["pile", "tyre"],
            seed=0,
            weights=folder / "weights.safetensors",
            events=folder / "events.jsonl",
        ),
        expected=StartingWeightsBuilt,
        noun="trained_model",
        folder=folder,
        log_path=folder / "log",
        timeout_s=300,
    )
    meta = {"epoch": 300, "iter": 1000, "dataset_meta": {"classes": ("pile", "tyre")}}
    torch.save({"meta": meta, "state_dict": load_file(folder / built.weights)}, folder / "x.pth")
    return (folder / "x.pth").read_bytes()


@pytest.fixture
def mirror(checkpoint: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FileServer]:
    """A server of that checkpoint, and a package whose index names it; only MMDetection's own index has others."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    folder = tmp_path / "site" / "mmdet" / ".mim"
    folder.mkdir(parents=True)
    (folder.parent / "__init__.py").write_text(
        "raise ImportError('the index is read without importing this')"
    )
    (folder / "model-index.yml").write_text("Import:\n  - yolox.yml\n")
    models = [
        {
            "Name": "yolox_tiny_8x8_300e_coco",
            "Config": "configs/yolox/yolox_tiny_8xb8-300e_coco.py",
            "Results": [{"Task": "Object Detection", "Dataset": "COCO", "Metrics": {"box AP": 32.0}}],
            "Weights": f"https://unreachable.invalid/v2/x-{digest}.pth",
            **changes,
        }
        for digest, changes in (
            (hashlib.sha256(checkpoint).hexdigest()[:8], {}),
            ("00000000", {"Name": "yolox_tiny_bad"}),
        )
    ]
    (folder / "yolox.yml").write_text(json.dumps({"Models": models}))
    monkeypatch.syspath_prepend(str(folder.parent.parent))
    # Where another test has imported the real one, that one would be found.
    monkeypatch.delitem(sys.modules, "mmdet", raising=False)
    read_index.cache_clear()
    with serve_file(checkpoint) as server:
        yield server
    read_index.cache_clear()


@pytest.fixture
def pulling(
    database: Database, blobs: LocalBlobStore, settings: Settings, mirror: FileServer
) -> TrainedModelService:
    with_mirror = settings.model_copy(update={"model_index": f"{mirror.url}/mirror"})
    return TrainedModelService(database, blobs, with_mirror, SystemClock(), retry_pauses_s=(0.0, 0.0))


class TestPull:
    def test_a_broken_download_goes_on_and_becomes_a_model(
        self, pulling: TrainedModelService, mirror: FileServer, settings: Settings, checkpoint: bytes
    ):
        mirror.break_after = [5_000_000, 0, 0]
        with pytest.raises(Unavailable):
            pulling.pull_model(ME, "yolox-tiny")
        assert pulling.list_models(ME, PageRequest()).items == []
        arrived = sum(path.stat().st_size for path in (settings.home / "downloads").glob("*.part"))
        assert arrived == 5_000_000

        told: list[tuple[str, int, int]] = []

        def note(stage: str, done: int, total: int) -> None:
            told.append((stage, done, total))

        model = pulling.pull_model(ME, "yolox-tiny", name="tiny", progress=note)
        assert mirror.ranges()[-1] == "bytes=5000000-"
        assert mirror.requests[0][0].startswith("/mirror/v2/x-")
        assert told[0] == ("download", 5_000_000, len(checkpoint))
        assert ("download", len(checkpoint), len(checkpoint)) in told
        stages = [stage for stage, _, _ in told if stage != "download"]
        assert stages == ["computing the digest", "reading the checkpoint", "storing"]
        assert model.name == "tiny"
        assert model.architecture == "yolox-tiny"
        assert model.classes == ["pile", "tyre"]
        assert model.reported is not None
        assert model.reported.map == 0.32
        assert "MMDetection" in model.reported.source
        assert model.test is None
        assert model.checkpoint is not None
        assert model.checkpoint.sha256 == hashlib.sha256(checkpoint).hexdigest()
        assert model.checkpoint.url == mirror.url + mirror.requests[0][0]
        assert [path for path in (settings.home / "downloads").iterdir() if path.suffix != ".lock"] == []

        # A taken name is told before anything is fetched.
        asked = len(mirror.requests)
        with pytest.raises(Conflict):
            pulling.pull_model(ME, "yolox_tiny_8x8_300e_coco", name="tiny")
        assert len(mirror.requests) == asked

    def test_failures_leave_nothing(
        self, pulling: TrainedModelService, mirror: FileServer, settings: Settings
    ):
        def fail(name: str, error: type[RavenError]) -> str:
            with pytest.raises(error) as caught:
                pulling.pull_model(ME, name)
            return caught.value.code

        assert fail("yolox_tiny_bad", Invalid) == "trained_model.wrong_digest"
        mirror.statuses = [404]
        assert fail("yolox-tiny", NotFound) == "trained_model.checkpoint_not_found"
        mirror.statuses = [500, 500, 500]
        assert fail("yolox-tiny", Unavailable) == "trained_model.download_failed"
        assert fail("rtmdet-tiny", Invalid) == "trained_model.no_checkpoint"
        assert_nothing_is_stored(pulling, settings)
