"""Makes a model and evaluates it, in one process: `python measured_model.py FOLDER`.

The folder gets weights.safetensors, configuration.json, classes.json, part/ and predictions.json: what the evaluation
predicts on the part. The weights are random, but always the same; their boxes are many.
"""

import json
import sys
from pathlib import Path

from raven_scan.trainer.deferred_imports import defer_imports
from raven_scan.trainer.operators import install

defer_imports()
install()

import cv2  # noqa: E402
import numpy as np  # noqa: E402
from mmengine.runner import set_random_seed  # noqa: E402
from PIL import Image  # noqa: E402

from raven_scan.architectures.catalogue import get_architecture  # noqa: E402
from raven_scan.trainer.configuration import build_test_configuration  # noqa: E402
from raven_scan.trainer.configuration.json_form import encode_configuration  # noqa: E402
from raven_scan.trainer.configuration.pipelines import build_validation_pipeline  # noqa: E402
from raven_scan.trainer.device import set_up_device  # noqa: E402
from raven_scan.trainer.evaluation.evaluate import evaluate  # noqa: E402
from raven_scan.trainer.event_log import EventLog  # noqa: E402
from raven_scan.trainer.starting_weights import build_model  # noqa: E402
from raven_scan.trainer.weights_file import write_weights  # noqa: E402
from raven_scan.wire.spec import EvaluateSpec, PartSpec  # noqa: E402

CLASSES = ["déchets 垃圾", "it's [glass]"]
ARCHITECTURE = "rtmdet-tiny"
IMAGE_SIZE = 64
BATCH_SIZE = 4
_EXIF_ORIENTATION = 0x0112


def main(folder: Path) -> None:
    set_up_device("cpu", 1)
    part = write_part(folder / "part")
    set_random_seed(1)
    model = build_model(get_architecture(ARCHITECTURE), len(CLASSES))
    model.init_weights()  # pyright: ignore[reportCallIssue]
    tensors = model.state_dict()
    # As they are initialised, signals die out on their way, and all scores are the same.
    for name, tensor in tensors.items():
        if tensor.dim() == 4 and "rtm_" not in name:
            tensor.mul_(2.75)
    write_weights(folder / "weights.safetensors", tensors)
    configuration = build_test_configuration(get_architecture(ARCHITECTURE), CLASSES, part, "cpu")
    loader = configuration["test_dataloader"]
    loader["dataset"]["pipeline"] = build_validation_pipeline(IMAGE_SIZE)
    loader["num_workers"] = 0
    loader.pop("prefetch_factor", None)
    (folder / "configuration.json").write_bytes(encode_configuration(configuration))
    (folder / "classes.json").write_text(json.dumps(CLASSES))
    with EventLog(folder / "events.jsonl") as log:
        evaluate(
            EvaluateSpec(
                architecture=ARCHITECTURE,
                classes=CLASSES,
                configuration=folder / "configuration.json",
                weights=folder / "weights.safetensors",
                part=part,
                predictions=folder / "predictions.json",
                events=folder / "events.jsonl",
                device="cpu",
                threads=1,
                batch_size=BATCH_SIZE,
            ),
            log,
        )


def write_part(folder: Path) -> PartSpec:
    """Six images of different sizes and kinds; one of them lies on its side, and its tag says so."""
    folder.mkdir(parents=True)
    random = np.random.default_rng(3)
    images: list[dict[str, object]] = []
    for number, (width, height) in enumerate(
        [(128, 96), (96, 128), (64, 64), (150, 40), (90, 90), (128, 96)], 1
    ):
        pixels = random.integers(80, 140, (height, width, 3)).astype(np.uint8)
        cv2.rectangle(pixels, (10 + number, 8), (40, 30), (0, 0, 255), -1)
        name = f"{number}.png"
        orientation = 1
        if number == 2:
            name, orientation = "2.jpg", 6
            exif = Image.Exif()
            exif[_EXIF_ORIENTATION] = orientation
            # Stored lying: 128 wide, 96 high.
            Image.fromarray(np.rot90(pixels)).save(folder / name, exif=exif, quality=95)
        else:
            cv2.imwrite(str(folder / name), pixels)
        images.append(
            {
                "id": number,
                "file_name": name,
                "width": width,
                "height": height,
                "exif_orientation": orientation,
            }
        )
    boxes = [
        {"id": n, "image_id": n, "category_id": 1 + n % 2, "bbox": [11, 8, 28, 22], "area": 616, "iscrowd": 0}
        for n in range(1, 7)
    ]
    categories = [{"id": number, "name": name} for number, name in enumerate(CLASSES, 1)]
    document = {"images": images, "annotations": boxes, "categories": categories}
    (folder / "annotations_coco.json").write_text(json.dumps(document))
    return PartSpec(folder=folder, image_count=len(images))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
