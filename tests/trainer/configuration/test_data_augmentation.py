import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import msgspec
import numpy as np
import pytest
import torch
from mmengine.runner import Runner

from raven_scan.trainer.configuration import build_configuration
from raven_scan.trainer.data import RavenCocoDataset
from raven_scan.trainer.data.image_loading import BadImageError
from raven_scan.wire.spec import TrainSpec

MakeTrainSpec = Callable[..., TrainSpec]
EPOCHS = 10


def build_loader(spec: TrainSpec) -> Any:
    return Runner.build_dataloader(build_configuration(spec)["train_dataloader"], seed=3)


def list_batches(loader: Any, *, epoch: int, start: int = 0) -> list[tuple[Any, ...]]:
    """What a model gets to see: pixels, boxes, labels and image ids of each batch."""
    loader.sampler.set_epoch(epoch)
    if start:
        loader.sampler.start_at(start)
    return [
        tuple(
            (
                image.numpy().tobytes(),
                sample.gt_instances.bboxes.tensor.numpy().round(3).tolist(),
                sample.gt_instances.labels.tolist(),
                sample.img_id,
            )
            for image, sample in zip(batch["inputs"], batch["data_samples"], strict=True)
        )
        for batch in loader
    ]


@pytest.fixture(params=["off", "light", "full"])
def spec(request: pytest.FixtureRequest, make_train_spec: MakeTrainSpec) -> TrainSpec:
    return make_train_spec(
        classes=("glass", "metal"),
        train_image_count=11,
        epochs=EPOCHS,
        batch_size=3,
        seed=3,
        augmentation=request.param,
    )


def test_samples_are_equal_for_any_number_of_loader_processes(spec: TrainSpec):
    expected: list[Any] | None = None
    for loader_processes in (0, 1, 2):
        parameters = spec.parameters | {"loader_processes": loader_processes}
        loader = build_loader(replace_parameters(spec, parameters))
        batches = [list_batches(loader, epoch=epoch) for epoch in (0, EPOCHS - 1)]
        expected = expected or batches
        assert batches == expected
    assert expected is not None
    assert [len(batch) for batch in expected[0]] == [3, 3, 3, 2]


def test_a_run_that_goes_on_in_the_middle_of_an_epoch_sees_the_same_samples(spec: TrainSpec):
    whole = list_batches(build_loader(spec), epoch=4)
    fresh = build_loader(spec)
    assert list_batches(fresh, epoch=4, start=6) == whole[2:]
    assert list_batches(fresh, epoch=4) == whole


def test_augmentation_leaves_the_global_generators_alone(spec: TrainSpec):
    random.seed(1)
    np.random.seed(1)  # noqa: NPY002
    before = random.getstate(), np.random.get_state()[1].tolist()  # noqa: NPY002 # pyright: ignore[reportArgumentType, reportCallIssue, reportIndexIssue]
    list_batches(build_loader(spec), epoch=0)
    after = random.getstate(), np.random.get_state()[1].tolist()  # noqa: NPY002 # pyright: ignore[reportArgumentType, reportCallIssue, reportIndexIssue]
    assert before == after


def test_augmentation_changes_with_the_epoch_unless_it_is_off(spec: TrainSpec):
    dataset = build_loader(spec).dataset
    pixels = [dataset[epoch, 0]["inputs"] for epoch in range(6)]
    differing = sum(not torch.equal(pixels[0], other) for other in pixels[1:])
    assert differing == (0 if spec.parameters["augmentation"] == "off" else 5)


def test_boxes_stay_on_their_objects(spec: TrainSpec):
    """The objects of the sample images are bright, their ground is dark."""
    dataset = build_loader(spec).dataset
    checked = 0
    for epoch in range(EPOCHS):
        for index in range(len(dataset)):
            sample = dataset[epoch, index]
            assert sample["inputs"].shape == (3, 96, 96)
            grey = sample["inputs"].float().mean(0)
            for x1, y1, x2, y2 in sample["data_samples"].gt_instances.bboxes.tensor.round().int().tolist():
                assert 0 <= x1 < x2 <= 96
                assert 0 <= y1 < y2 <= 96
                inside = grey[y1:y2, x1:x2]
                if inside.numel() >= 64:
                    assert inside.median() > 120
                    checked += 1
    assert checked > 50


def test_mosaic_ends_before_the_last_epochs(make_train_spec: MakeTrainSpec):
    spec = make_train_spec(train_image_count=9, epochs=EPOCHS, augmentation="full")
    configuration = build_configuration(spec)["train_dataloader"]["dataset"]
    assert configuration["mosaic_epochs"] == 7
    dataset = build_loader(spec).dataset
    most_boxes = [
        max(len(dataset[epoch, index]["data_samples"].gt_instances) for index in range(9))
        for epoch in range(EPOCHS)
    ]
    assert max(most_boxes[:7]) > 1
    assert max(most_boxes[7:]) == 1


def test_background_images_are_samples(make_train_spec: MakeTrainSpec):
    dataset = build_loader(make_train_spec(train_image_count=5)).dataset
    sample = dataset[0, 4]["data_samples"]
    assert (sample.img_id, len(sample.gt_instances)) == (104, 0)


def test_crowds_are_set_aside(make_train_spec: MakeTrainSpec):
    spec = make_train_spec(augmentation="off")
    file = spec.train.folder / "annotations_coco.json"
    document = json.loads(file.read_text())
    document["annotations"][0]["iscrowd"] = 1
    file.write_text(json.dumps(document))
    sample = build_loader(spec).dataset[0, 0]["data_samples"]
    assert len(sample.gt_instances) == 0
    assert len(sample.ignored_instances) == 1


def test_an_image_is_turned_into_the_frame_of_its_boxes(tmp_path: Path):
    stored = np.zeros((20, 40, 3), np.uint8)
    stored[:10, :10] = (0, 0, 255)
    cv2.imwrite(str(tmp_path / "0.png"), stored)
    document = {
        "images": [{"id": 1, "file_name": "0.png", "width": 20, "height": 40, "exif_orientation": 6}],
        "annotations": [{"image_id": 1, "category_id": 1, "bbox": [10, 0, 10, 10]}],
        "categories": [{"id": 1, "name": "red"}],
    }
    (tmp_path / "annotations_coco.json").write_text(json.dumps(document))
    dataset = RavenCocoDataset(str(tmp_path), {"classes": ["red"]}, [{"type": "PackDetInputs"}])
    image = dataset[0]["inputs"]
    assert image.shape == (3, 40, 20)
    assert image[:, 0, 15].tolist() == [0, 0, 255]
    assert image[:, 0, 0].tolist() == [0, 0, 0]


def test_an_image_that_cannot_be_used_is_named(make_train_spec: MakeTrainSpec):
    spec = make_train_spec()
    dataset = build_loader(spec).dataset
    image = spec.train.folder / "1.png"
    cv2.imwrite(str(image), np.zeros((7, 7, 3), np.uint8))
    with pytest.raises(BadImageError, match=r"1\.png is 7 x 7, but its record says 96 x 80"):
        dataset[0, 1]
    image.write_bytes(b"no image")
    with pytest.raises(BadImageError, match=r"1\.png cannot be read"):
        dataset[0, 1]
    image.unlink()
    with pytest.raises(BadImageError, match=r"1\.png cannot be read"):
        dataset[0, 1]


def replace_parameters(spec: TrainSpec, parameters: dict[str, Any]) -> TrainSpec:
    return msgspec.structs.replace(spec, parameters=parameters)
