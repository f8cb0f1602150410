import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml

from raven_scan.architectures.catalogue import (
    StartingWeights,
    UnknownArchitectureError,
    get_architecture,
    list_architectures,
)

NAMES = [architecture.name for architecture in list_architectures()]


def find_mmdetection_files() -> Path:
    package = find_spec("mmdet")
    assert package is not None
    assert package.origin is not None
    return Path(package.origin).parent / ".mim"


def test_holds_the_architectures_that_the_platform_promises():
    assert set(NAMES) == {
        *(f"rtmdet-{size}" for size in ("tiny", "s", "m", "l", "lite0")),
        *(f"yolox-{size}" for size in ("nano", "tiny", "s")),
        "faster-rcnn-r50",
        "faster-rcnn-r101",
        "retinanet-r50",
        "dino-r50",
    }
    assert len(NAMES) == len(set(NAMES))


def test_an_unknown_architecture_is_refused_with_the_names_that_there_are():
    with pytest.raises(UnknownArchitectureError, match=r"'resnet'.*yolox-nano"):
        get_architecture("resnet")


@pytest.mark.parametrize("name", NAMES)
def test_configurations_and_checkpoints_are_ones_that_mmdetection_has(name: str):
    architecture = get_architecture(name)
    files = find_mmdetection_files()
    configuration = files / "configs" / architecture.config
    assert configuration.is_file()
    if architecture.pretrained is not None:
        index = yaml.safe_load((configuration.parent / "metafile.yml").read_text())
        checkpoints = {model["Name"]: model.get("Weights") for model in index["Models"]}
        assert checkpoints[architecture.pretrained].startswith("https://")


@pytest.mark.parametrize("name", NAMES)
def test_defaults_keep_the_architectures_own_bounds(name: str):
    architecture = get_architecture(name)
    assert architecture.image_size % architecture.size_divisor == 0
    assert architecture.image_size >= architecture.image_size_min
    assert 0 <= architecture.frozen_stages <= architecture.stages <= 5


def test_only_lite0_starts_from_more_than_random_weights():
    learned = [a.name for a in list_architectures() if a.starting_weights is not StartingWeights.RANDOM]
    assert learned == ["rtmdet-lite0"]


def test_memory_grows_with_batch_and_image():
    architecture = get_architecture("rtmdet-tiny")
    small = architecture.estimate_memory_bytes(1, 320)
    assert small < architecture.estimate_memory_bytes(2, 320) < architecture.estimate_memory_bytes(2, 640)


def test_the_catalogue_needs_neither_torch_nor_mmdetection():
    code = (
        "import sys; import raven_scan.architectures.catalogue, raven_scan.architectures.decisions;"
        "print([m for m in ('torch', 'mmengine', 'mmdet', 'mmcv', 'timm') if m in sys.modules])"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"
