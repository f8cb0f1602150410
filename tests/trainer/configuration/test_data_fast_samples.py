"""Samples made fast equal those of MMDetection's transforms, wherever their images come from."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import msgspec
import numpy as np
import pytest
import torch
from mmengine.registry import DATASETS
from mmengine.runner import Runner
from numpy.typing import NDArray

from raven_scan.pixels.reading import read_image
from raven_scan.pixels.rules import PixelRules
from raven_scan.trainer.configuration import build_configuration
from raven_scan.trainer.configuration.kept_images import keep_images
from raven_scan.trainer.data import RavenCocoDataset
from raven_scan.trainer.data.image_loading import BadImageError, LoadedSize
from raven_scan.wire.spec import TrainSpec

MakeTrainSpec = Callable[..., TrainSpec]
EPOCHS = 10


@pytest.fixture(params=["off", "light", "full"])
def make_spec(request: pytest.FixtureRequest, make_train_spec: MakeTrainSpec) -> MakeTrainSpec:
    """Images of 96 x 96 and 96 x 80, for an input of 64 pixels."""

    def make(acceleration: str, **parameters: Any) -> TrainSpec:
        return make_train_spec(
            classes=("glass", "metal"),
            train_image_count=7,
            epochs=EPOCHS,
            seed=3,
            image_size=64,
            augmentation=request.param,
            acceleration=acceleration,
            **parameters,
        )

    return make


def build_dataset(spec: TrainSpec, part: str, cache: Path | None = None) -> RavenCocoDataset:
    configuration = build_configuration(spec)
    if cache is not None:
        keep_images(configuration, replace_cache(spec, cache))
    return DATASETS.build(configuration[f"{part}_dataloader"]["dataset"])


def replace_cache(spec: TrainSpec, cache: Path) -> TrainSpec:
    return msgspec.structs.replace(spec, cache_folder=cache, cache_bytes=10**8)


def check_same(sample: dict[str, Any], other: dict[str, Any]) -> None:
    assert torch.equal(sample["inputs"], other["inputs"])
    first, second = sample["data_samples"], other["data_samples"]
    assert first.metainfo == second.metainfo
    for name in ("gt_instances", "ignored_instances"):
        instances, others = first.get(name), second.get(name)
        assert torch.equal(instances.bboxes.tensor, others.bboxes.tensor)
        assert torch.equal(instances.labels, others.labels)
        assert instances.labels.dtype == others.labels.dtype


def make_crowd(spec: TrainSpec) -> None:
    file = spec.train.folder / "annotations_coco.json"
    document = json.loads(file.read_text())
    document["annotations"][0]["iscrowd"] = 1
    file.write_text(json.dumps(document))


def test_fast_samples_equal_those_of_mmdetection_with_a_cache_and_without(
    make_spec: MakeTrainSpec, tmp_path: Path
):
    plain_spec = make_spec("off")
    fast_spec = replace_acceleration(plain_spec)
    make_crowd(plain_spec)
    plain = build_dataset(plain_spec, "train")
    fast = build_dataset(fast_spec, "train")
    cached = build_dataset(fast_spec, "train", tmp_path / "cache")
    for epoch in (0, 1, 0, EPOCHS - 1):
        for index in range(len(plain)):
            expected = plain[epoch, index]
            check_same(fast[epoch, index], expected)
            check_same(cached[epoch, index], expected)
    assert len(list((tmp_path / "cache").rglob("*"))) > len(plain)


def replace_acceleration(spec: TrainSpec) -> TrainSpec:
    return msgspec.structs.replace(spec, parameters=spec.parameters | {"acceleration": "on"})


def test_validation_samples_equal_those_of_a_test(make_train_spec: MakeTrainSpec, tmp_path: Path):
    spec = make_train_spec(image_size=64)
    valid, cached = (build_dataset(spec, "val", cache) for cache in (None, tmp_path / "cache"))
    configuration = build_configuration(spec)
    section = configuration["test_dataloader"]["dataset"] | {"folder": str(spec.valid.folder)}
    assert {each["type"] for each in section["pipeline"]} == {"Resize", "Pad", "PackDetInputs"}
    test = DATASETS.build(section)
    for _ in range(2):
        for index in range(len(test)):
            check_same(valid[index], test[index])
            check_same(cached[index], test[index])


def test_a_batch_is_the_same_from_a_loader_process(make_train_spec: MakeTrainSpec):
    spec = make_train_spec(classes=("glass", "metal"), train_image_count=5, batch_size=5)
    make_crowd(spec)
    section = build_configuration(spec)["train_dataloader"]
    [here] = Runner.build_dataloader(section | {"num_workers": 0}, seed=1)
    loader = Runner.build_dataloader(
        section | {"num_workers": 1, "persistent_workers": True, "prefetch_factor": 2}, seed=1
    )
    for _ in range(2):
        [there] = loader
        assert type(there) is dict
        assert there["inputs"].shape == (5, 3, 96, 96)
        assert there["inputs"].dtype == torch.uint8
        assert there["inputs"].is_shared()
        for position in range(5):
            check_same(
                {name: values[position] for name, values in there.items()},
                {name: values[position] for name, values in here.items()},
            )
    assert sum(len(each.ignored_instances) for each in here["data_samples"]) == 1


def test_the_stored_configuration_names_no_cache(make_train_spec: MakeTrainSpec, tmp_path: Path):
    spec = replace_cache(make_train_spec(), tmp_path / "cache")
    assert "cache" not in build_configuration(spec)["train_dataloader"]["dataset"]


# Scaled decoding.


def draw_photo(height: int, width: int) -> NDArray[np.uint8]:
    """Smooth colours with a bright square from (1/4, 1/4) to (1/2, 1/2)."""
    rough = np.random.default_rng(5).integers(0, 120, (height // 40, width // 40, 3), dtype=np.uint8)
    pixels = np.asarray(cv2.resize(rough, (width, height), interpolation=cv2.INTER_CUBIC), dtype=np.uint8)
    pixels[height // 4 : height // 2, width // 4 : width // 2] = 250
    return pixels


@pytest.mark.parametrize(
    ("longer", "reduction"), [(159, 1), (160, 2), (319, 2), (320, 4), (639, 4), (640, 8), (6400, 8)]
)
def test_images_are_decoded_no_smaller_than_they_are_needed(longer: int, reduction: int):
    assert LoadedSize(needed_px=80).choose_reduction(50, longer) == reduction
    assert LoadedSize(needed_px=80).choose_reduction(longer, 50) == reduction
    assert LoadedSize(fitted_px=80).choose_reduction(longer, 50) == 1


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif"])
@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
@pytest.mark.parametrize(("reduction", "size"), [(2, (243, 405)), (4, (243, 405)), (8, (240, 400))])
def test_an_image_that_is_read_smaller_looks_like_the_whole_one(
    tmp_path: Path, suffix: str, orientation: int, reduction: Any, size: tuple[int, int]
):
    path = tmp_path / f"photo{suffix}"
    cv2.imwrite(str(path), draw_photo(*size))
    whole = read_image(path, PixelRules(), exif_orientation=orientation)
    for order in ("bgr", "rgb"):
        small = read_image(path, PixelRules(), exif_orientation=orientation, order=order, reduction=reduction)
        small = small if order == "bgr" else small[..., ::-1]
        height, width = (-(-side // reduction) for side in whole.shape[:2])
        assert small.shape == (height, width, 3)
        averaged = cv2.resize(whole, (width, height), interpolation=cv2.INTER_AREA)
        difference = np.abs(averaged.astype(int) - small.astype(int))
        assert difference.mean() < 2
        assert np.quantile(difference, 0.98) <= 12


@pytest.mark.parametrize("orientation", [1, 6])
@pytest.mark.parametrize("augmentation", ["off", "light", "full"])
def test_samples_of_large_photographs_are_nearly_those_of_whole_ones(
    make_train_spec: MakeTrainSpec, augmentation: str, orientation: int
):
    spec = make_train_spec(image_size=64, augmentation=augmentation, epochs=EPOCHS, acceleration="off")
    write_photos(spec.train.folder, orientation)
    plain = build_dataset(spec, "train")
    fast = build_dataset(replace_acceleration(spec), "train")
    for epoch in (0, 1, 2, EPOCHS - 1):
        for index in range(4):
            expected, sample = plain[epoch, index], fast[epoch, index]
            assert sample["inputs"].shape == expected["inputs"].shape
            difference = (sample["inputs"].float() - expected["inputs"].float()).abs()
            assert difference.mean() < 3
            first, second = sample["data_samples"], expected["data_samples"]
            assert first.metainfo == second.metainfo
            assert first.ori_shape == ((405, 603) if orientation == 1 else (603, 405))
            assert torch.equal(first.gt_instances.bboxes.tensor, second.gt_instances.bboxes.tensor)


def write_photos(folder: Path, orientation: int) -> None:
    """In place of the images of a part."""
    file = folder / "annotations_coco.json"
    document = json.loads(file.read_text())
    height, width = (405, 603) if orientation == 1 else (603, 405)
    for image in document["images"]:
        image |= {"file_name": f"{image['id']}.jpg", "width": width, "height": height}
        image["exif_orientation"] = orientation
        cv2.imwrite(str(folder / image["file_name"]), draw_photo(405, 603))
    for annotation in document["annotations"]:
        annotation["bbox"] = [width // 4, height // 4, width // 4, height // 4]
    file.write_text(json.dumps(document))


def test_a_large_photograph_of_another_size_than_its_record_is_named(make_train_spec: MakeTrainSpec):
    spec = make_train_spec(image_size=64)
    write_photos(spec.train.folder, 1)
    [photo, *_] = sorted(spec.train.folder.glob("*.jpg"))
    # A pixel less: an eighth of it is as large as before.
    cv2.imwrite(str(photo), draw_photo(405, 602))
    with pytest.raises(BadImageError, match=r"is 602 x 405, but its record says 603 x 405"):
        build_dataset(spec, "train")[0, 0]
