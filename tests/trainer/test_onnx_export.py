"""Models as ONNX find what they find in PyTorch, or are refused."""

import ast
import json
import logging
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.logging import MMLogger
from mmengine.registry import init_default_scope
from PIL import Image
from tests.trainer.lively_models import draw, enliven

from raven_scan.architectures.catalogue import get_architecture
from raven_scan.architectures.onnx_families import ONNX_FAMILIES
from raven_scan.trained_models.coco_classes import COCO_CLASSES
from raven_scan.trainer.configuration import build_configuration
from raven_scan.trainer.configuration.json_form import encode_configuration
from raven_scan.trainer.configuration.pipelines import build_validation_pipeline
from raven_scan.trainer.event_log import EventLog
from raven_scan.trainer.export import exporting
from raven_scan.trainer.export.agreement import TOLERANCE, Detections, Differences
from raven_scan.trainer.export.conversion import write_graph
from raven_scan.trainer.export.detectors import make_exportable
from raven_scan.trainer.export.exporting import export_onnx, judge_agreement
from raven_scan.trainer.export.preparation import describe_preparation
from raven_scan.trainer.failures import TrainerError
from raven_scan.trainer.prediction.detector import build_detector
from raven_scan.trainer.weights_file import write_weights
from raven_scan.wire.events import EventReader, OnnxExported
from raven_scan.wire.onnx import ExportOnnxSpec, OnnxReport
from raven_scan.wire.spec import PartSpec, ReadCheckpointSpec, TrainSpec

CLASSES = ["déchets 垃圾", "it's {{ fileDirname }} 'x'"]
SIDE_PX = 128
DOCUMENT = Path(__file__).parents[2] / "docs" / "onnx.md"
AQUATRASH = Path("/work/shared/data/aquatrash")
CHECKPOINT = Path("/work/shared/weights/yolox_nano_coco_mmdet.pth")
FAMILIES = [
    "yolox-nano",
    "rtmdet-lite0",
    pytest.param("retinanet-r50", marks=pytest.mark.long),
    pytest.param("faster-rcnn-r50", marks=pytest.mark.long),
]


@pytest.fixture(scope="module")
def make_spec(
    make_train_spec: Callable[..., TrainSpec],
    tiny_parts: dict[str, PartSpec],
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[..., ExportOnnxSpec]:
    """A specification of an export, with the files of a model that finds something."""
    init_default_scope("mmdet")
    torch.set_num_threads(1)

    def make(name: str, *, is_lively: bool = True, **changes: Any) -> ExportOnnxSpec:
        folder = tmp_path_factory.mktemp(name)
        spec = make_train_spec(
            folder / "work", architecture=name, parameters={"image_size": SIDE_PX, "frozen_stages": 0}
        )
        (folder / "configuration.json").write_bytes(encode_configuration(build_configuration(spec)))
        values: dict[str, Any] = {
            "architecture": name,
            "classes": CLASSES,
            "configuration": folder / "configuration.json",
            "weights": folder / "weights.safetensors",
            "part": tiny_parts["test"],
            "most_images": 100,
            "model": folder / "model.onnx",
            "events": folder / "events.jsonl",
            "threads": 1,
        }
        from raven_scan.trainer.starting_weights import build_model  # noqa: PLC0415

        # Otherwise it tells how each tensor was initialised.
        MMLogger.get_current_instance().setLevel(logging.WARNING)
        network: Any = build_model(get_architecture(name), len(CLASSES))
        if is_lively:
            enliven(network)
        else:
            network.init_weights()
        write_weights(values["weights"], network.state_dict())
        return ExportOnnxSpec(**{**values, **changes})

    return make


def export(spec: ExportOnnxSpec) -> OnnxReport:
    with EventLog(spec.events) as log:
        export_onnx(spec, log)
    (done,) = (event for event in EventReader(spec.events).read_new() if isinstance(event, OnnxExported))
    return done.report


def detect(network: Any, images: np.ndarray) -> list[Detections]:
    """What MMDetection finds in (B, H, W, 3) RGB."""
    size = images.shape[1:3]
    sample = {"img_shape": size, "ori_shape": size, "scale_factor": (1.0, 1.0), "pad_shape": size}
    samples = [DetDataSample(metainfo=sample) for _ in images]
    inputs = [torch.from_numpy(image[..., ::-1].transpose(2, 0, 1).copy()) for image in images]
    with torch.inference_mode():
        found = [
            each.pred_instances for each in network.test_step({"inputs": inputs, "data_samples": samples})
        ]
    return [Detections(each.bboxes.numpy(), each.scores.numpy(), each.labels.numpy()) for each in found]


def split(outputs: Any, count: int) -> list[Detections]:
    boxes, scores, labels, rows = (np.asarray(each) for each in outputs)
    return [Detections(boxes[rows == row], scores[rows == row], labels[rows == row]) for row in range(count)]


def compare(first: list[Detections], second: list[Detections]) -> None:
    differences = Differences(min_score=0.0)
    for one, other in zip(first, second, strict=True):
        assert len(one.scores) == len(other.scores)
        assert (np.diff(other.scores) <= 0).all()
        differences.add(one, other)
    agreement = differences.conclude("generated", None)
    assert agreement.detection_count > 20
    assert agreement.beyond_share <= TOLERANCE.share, agreement


@pytest.fixture(scope="module")
def yolox(make_spec: Callable[..., ExportOnnxSpec]) -> Any:
    """YOLOX-nano, exported: its specification and its report."""
    spec = make_spec("yolox-nano")
    return SimpleNamespace(spec=spec, report=export(spec))


@pytest.mark.parametrize("name", FAMILIES)
def test_it_finds_what_mmdetection_finds_in_any_batch_and_size(
    name: str, make_spec: Callable[..., ExportOnnxSpec], request: pytest.FixtureRequest
):
    if name == "yolox-nano":
        exported = request.getfixturevalue("yolox")
        spec, report = exported.spec, exported.report
    else:
        spec = make_spec(name)
        report = export(spec)

    agreement = report.agreement
    assert (agreement.images, agreement.image_count, agreement.images_in_part) == ("part", 6, 6)
    assert agreement.detection_count > 20
    assert agreement.beyond_share <= TOLERANCE.share
    assert report.classes == CLASSES
    assert report.size_bytes == spec.model.stat().st_size
    assert (report.preparation.width, report.preparation.height) == (SIDE_PX, SIDE_PX)

    graph = onnx.load(spec.model)
    assert {node.domain for node in graph.graph.node} == {""}
    assert [each.version for each in graph.opset_import] == [report.opset]

    network = build_detector(spec).network
    exportable = make_exportable(network, get_architecture(name).family)
    session = onnxruntime.InferenceSession(str(spec.model), providers=["CPUExecutionProvider"])
    random = np.random.default_rng(11)
    for shape in ((1, 64, 64), (3, 160, 224)):
        images = np.stack([draw(random, *shape[1:]) for _ in range(shape[0])])
        expected = detect(network, images)
        with torch.inference_mode():
            compare(expected, split(exportable(torch.from_numpy(images)), shape[0]))
        compare(expected, split(session.run(None, {"images": images}), shape[0]))


def test_every_family_that_is_promised_is_tested():
    names = [each if isinstance(each, str) else str(each.values[0]) for each in FAMILIES]
    assert {get_architecture(name).family for name in names} == set(ONNX_FAMILIES)


def test_the_same_model_is_the_same_bytes(yolox: Any, tmp_path: Path):
    network = build_detector(yolox.spec).network
    write_graph(make_exportable(network, get_architecture("yolox-nano").family), tmp_path / "again.onnx")
    assert (tmp_path / "again.onnx").read_bytes() == yolox.spec.model.read_bytes()


def test_images_are_spread_over_a_part_that_has_too_many(
    yolox: Any, tmp_path: Path, tiny_parts: dict[str, PartSpec]
):
    detector = build_detector(yolox.spec)
    changes = {"part": tiny_parts["train"], "most_images": 5, "events": tmp_path / "events.jsonl"}
    spec = msgspec.structs.replace(yolox.spec, **changes)
    with EventLog(spec.events) as log:
        agreement = exporting._check(spec, detector, spec.model, yolox.report.selection, log)
    assert (agreement.image_count, agreement.images_in_part) == (5, 24)


def test_a_model_without_a_part_is_checked_on_generated_pictures(yolox: Any, tmp_path: Path):
    spec = msgspec.structs.replace(yolox.spec, part=None, events=tmp_path / "events.jsonl")
    with EventLog(spec.events) as log:
        agreement = exporting._check(spec, build_detector(spec), spec.model, yolox.report.selection, log)
    assert (agreement.images, agreement.images_in_part) == ("generated", None)
    assert agreement.detection_count > 20


def test_a_file_that_finds_something_else_is_refused(yolox: Any, tmp_path: Path):
    detector = build_detector(yolox.spec)
    with torch.no_grad():
        for layer in detector.network.bbox_head.multi_level_conv_reg:
            layer.bias += 0.05
    with (
        EventLog(tmp_path / "events.jsonl") as log,
        pytest.raises(
            TrainerError, match=r"of \d+ detections in 6 images .* differ by more than 0\.1 px"
        ) as error,
    ):
        exporting._check(yolox.spec, detector, yolox.spec.model, yolox.report.selection, log)
    assert error.value.code == "refused.onnx_differs"
    assert error.value.evidence["box_difference_px"] > TOLERANCE.box_px


def test_a_model_that_finds_nothing_is_refused_and_leaves_no_file(make_spec: Callable[..., ExportOnnxSpec]):
    spec = make_spec("yolox-nano", is_lively=False)
    with pytest.raises(TrainerError) as error:
        export(spec)
    assert error.value.code == "refused.onnx_nothing_found"
    assert [each.name for each in spec.model.parent.glob("*onnx*")] == []


def test_other_families_are_refused_with_those_that_can(tmp_path: Path):
    spec = ExportOnnxSpec(
        architecture="dino-r50",
        classes=CLASSES,
        configuration=None,
        weights=tmp_path / "none.safetensors",
        part=None,
        most_images=1,
        model=tmp_path / "model.onnx",
        events=tmp_path / "events.jsonl",
        threads=1,
    )
    with pytest.raises(TrainerError) as error:
        export(spec)
    assert error.value.code == "refused.onnx_family"
    assert error.value.hint == "These families can: rtmdet, yolox, retinanet, faster-rcnn."


def test_images_that_are_prepared_otherwise_are_refused():
    pipeline = build_validation_pipeline(64)
    assert describe_preparation(pipeline, 32).padding_value == [114, 114, 114]
    with pytest.raises(TrainerError) as error:
        describe_preparation([{"type": "RandomFlip"}, *pipeline], 32)
    assert error.value.code == "refused.onnx_preparation"


def found(*rows: tuple[float, ...]) -> Detections:
    table = np.array(rows, np.float32).reshape(-1, 6)
    return Detections(table[:, :4], table[:, 4], table[:, 5].astype(np.int64))


def test_differences_are_between_partners_of_a_class():
    differences = Differences(min_score=0.1)
    differences.add(
        found((0, 0, 10, 10, 0.9, 0), (50, 50, 60, 60, 0.8, 1), (80, 80, 90, 90, 0.05, 0)),
        found((0.05, 0, 10, 10, 0.9, 0), (50, 50, 60, 60, 0.8, 0), (0, 0, 9, 10, 0.5, 0)),
    )
    agreement = differences.conclude("part", 1)
    # Of five, one pair agrees; the box of another class and the second best have no partner.
    assert (agreement.detection_count, agreement.image_count) == (5, 1)
    assert agreement.unpaired_share == agreement.beyond_share == pytest.approx(3 / 5)
    assert agreement.box_difference_px == pytest.approx(0.05)


def test_what_is_beyond_the_tolerance_is_counted_and_refused():
    differences = Differences(min_score=0.1)
    for number in range(100):
        shift = 0.2 if number < 3 else 0.0
        differences.add(found((0, 0, 10, 10, 0.9, 0)), found((shift, 0, 10, 10, 0.9, 0)))
    agreement = differences.conclude("part", 100)
    assert (agreement.unpaired_share, agreement.beyond_share) == (0, pytest.approx(0.03))
    with pytest.raises(
        TrainerError, match=r"3\.0% differ by more than 0\.1 px .* largest differences are 0\.2 px"
    ):
        judge_agreement(agreement)


# What docs/onnx.md tells its readers to do.


@pytest.fixture(scope="module")
def example() -> str:
    (code,) = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    return code


def test_the_example_needs_three_libraries(example: str):
    modules = {
        alias.name.split(".")[0] if isinstance(node, ast.Import) else str(node.module)
        for node in ast.walk(ast.parse(example))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    assert modules - set(sys.stdlib_module_names) == {"numpy", "onnxruntime", "PIL"}


def run_example(
    example: str, model: Path, report: OnnxReport, pictures: list[Path], folder: Path
) -> list[list[str]]:
    (folder / "detect.py").write_text(example)
    (folder / "onnx.json").write_bytes(msgspec.json.encode(report))
    arguments = ["detect.py", str(model), "onnx.json", *map(str, pictures)]
    done = subprocess.run(
        [sys.executable, "-I", *arguments], cwd=folder, capture_output=True, text=True, check=True
    )
    return [line.split("\t") for line in done.stdout.splitlines()]


def predict(spec: ExportOnnxSpec, pictures: list[Path]) -> list[Detections]:
    """What the platform's own prediction finds."""
    from raven_scan.pixels.rules import PixelRules  # noqa: PLC0415
    from raven_scan.trainer.prediction.image_loading import ImageLoader  # noqa: PLC0415
    from raven_scan.trainer.prediction.memory_budget import MemoryBudget  # noqa: PLC0415

    detector = build_detector(spec)
    loader = ImageLoader(
        PixelRules(), detector.transforms, threads=1, largest_pixels=10**8, budget=MemoryBudget(10**9)
    )
    images: list[Any] = []
    for loaded, broken in loader.iterate(pictures, len(pictures)):
        assert broken == []
        images += detector.predict(loaded, 0.0)
    corners = [np.array(image.boxes, np.float32).reshape(-1, 4) for image in images]
    for boxes in corners:
        boxes[:, 2:] += boxes[:, :2]
    return [
        Detections(boxes, np.array(image.scores, np.float32), np.array(image.labels, np.int64))
        for boxes, image in zip(corners, images, strict=True)
    ]


def read_lines(lines: list[list[str]], pictures: list[Path], classes: list[str]) -> list[Detections]:
    return [
        found(
            *(
                (*map(float, line[3:]), float(line[2]), classes.index(line[1]))
                for line in lines
                if line[0] == str(path)
            )
        )
        for path in pictures
    ]


def test_the_example_finds_what_the_platform_finds(yolox: Any, example: str, tmp_path: Path):
    # Of the input's longer side, so that nothing is resampled; upright only by its tag.
    random = np.random.default_rng(5)
    pictures = [tmp_path / "wide.png", tmp_path / "turned.png"]
    Image.fromarray(draw(random, 96, SIDE_PX)).save(pictures[0])
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(draw(random, 100, SIDE_PX)).save(pictures[1], exif=exif)

    lines = run_example(example, yolox.spec.model, yolox.report, pictures, tmp_path)
    differences = Differences(min_score=0.0)
    for one, other in zip(predict(yolox.spec, pictures), read_lines(lines, pictures, CLASSES), strict=True):
        differences.add(one, other)
    assert differences.detection_count > 20
    # The example prints a decimal of a pixel, and three of a score.
    assert differences.unpaired_count == 0
    assert differences.box_difference_px <= 0.051
    assert differences.score_difference <= 0.00051


@pytest.mark.long
@pytest.mark.skipif(
    not (AQUATRASH.is_dir() and CHECKPOINT.is_file()), reason="needs AquaTrash and a checkpoint"
)
def test_a_trained_model_finds_the_same_in_photographs(
    tmp_path: Path, run_trainer: Callable[..., Any], example: str
):
    read = ReadCheckpointSpec(
        checkpoint=CHECKPOINT,
        file_name=CHECKPOINT.name,
        architecture="yolox-nano",
        weights=tmp_path / "weights.safetensors",
        events=tmp_path / "read.jsonl",
    )
    assert run_trainer("read-checkpoint", read).exit_code == 0
    spec = ExportOnnxSpec(
        architecture="yolox-nano",
        classes=list(COCO_CLASSES),
        configuration=None,
        weights=read.weights,
        part=PartSpec(folder=AQUATRASH / "test", image_count=56),
        most_images=56,
        model=tmp_path / "model.onnx",
        events=tmp_path / "events.jsonl",
        threads=1,
    )
    (done,) = run_trainer("export-onnx", spec).of(OnnxExported)
    assert done.report.agreement.image_count == 56
    assert done.report.agreement.beyond_share == 0

    # From the files themselves: Pillow's pixels against OpenCV's.
    pictures = sorted((AQUATRASH / "test").glob("*.jpg"))[:12]
    lines = run_example(example, spec.model, done.report, pictures, tmp_path)
    differences = Differences(min_score=0.3)
    for one, other in zip(predict(spec, pictures), read_lines(lines, pictures, spec.classes), strict=True):
        differences.add(one, other)
    assert differences.detection_count > 10
    assert differences.unpaired_count == 0, differences
    assert differences.box_difference_px < 3, differences
    assert differences.score_difference < 0.03, differences


@pytest.mark.parametrize("size", [(300, 200), (97, 351), (61, 40), (1000, 999)])
def test_the_example_prepares_pictures_as_the_platform_does(size: tuple[int, int], yolox: Any, example: str):
    width, height = size
    y, x = np.mgrid[:height, :width]
    waves = [np.sin(x / 7) * 60, np.cos(y / 5) * 60, np.sin((x + y) / 9) * 60]
    pixels = (np.stack(waves, axis=-1) + 128).astype(np.uint8)
    scope: dict[str, Any] = {"__name__": "example"}
    exec(compile(example, "docs/onnx.md", "exec"), scope)  # noqa: S102 - the page's own code
    rules = json.loads(msgspec.json.encode(yolox.report.preparation))
    prepared, factors = scope["prepare"](Image.fromarray(pixels), rules)

    results: dict[str, Any] = {
        "img": pixels[..., ::-1],
        "img_shape": (height, width),
        "ori_shape": (height, width),
    }
    for transform in build_detector(yolox.spec).transforms[:-1]:
        results = transform(results)
    assert factors == pytest.approx(results["scale_factor"])
    assert np.abs(prepared.astype(int) - results["img"][..., ::-1].astype(int)).max() <= 1
