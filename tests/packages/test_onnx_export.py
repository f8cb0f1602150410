"""A model leaves as ONNX too, or is told why not."""

import zipfile
from dataclasses import replace
from pathlib import Path

import msgspec
import onnxruntime
import pytest
from mmengine.registry import init_default_scope
from tests.packages.conftest import ADMIN, ARCHITECTURE, CLASSES, MODEL, add_model
from tests.trainer.lively_models import enliven

from raven_scan.access.types import WORKER
from raven_scan.app.wiring import Platform
from raven_scan.architectures.catalogue import get_architecture
from raven_scan.kernel.errors import Forbidden, Invalid, NotFound
from raven_scan.packages.onnx_export import OnnxExport
from raven_scan.trainer.starting_weights import build_model
from raven_scan.trainer.weights_file import write_weights
from raven_scan.wire.onnx import OnnxReport


@pytest.fixture(scope="module")
def converter(here: Platform) -> OnnxExport:
    return OnnxExport(here.trained_models, here.datasets, threads=1)


def test_a_package_holds_the_model_as_onnx_that_was_checked(here: Platform, tmp_path: Path):
    init_default_scope("mmdet")
    network = build_model(get_architecture(ARCHITECTURE), len(CLASSES))
    enliven(network)
    write_weights(tmp_path / "lively.safetensors", network.state_dict())
    add_model(here, tmp_path / "lively.safetensors", "lively")

    made = here.package_exports.make(ADMIN, "lively", onnx=True)
    with zipfile.ZipFile(here.package_exports.open(ADMIN, "lively", made.digest).path) as archive:
        report = msgspec.json.decode(archive.read("onnx.json"), type=OnnxReport)
        graph = archive.read("model.onnx")

    assert report.classes == CLASSES
    assert report.size_bytes == len(graph)
    test_part = here.datasets.get_version(ADMIN, "dumps@1").parts["test"]
    assert (report.agreement.images, report.agreement.image_count) == ("part", test_part.image_count)
    assert report.agreement.detection_count > 20
    assert report.agreement.beyond_share <= report.agreement.tolerance.share
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    assert [each.name for each in session.get_outputs()] == [each.name for each in report.outputs]


def test_other_families_are_refused_with_those_that_can(
    here: Platform, converter: OnnxExport, tmp_path: Path
):
    model = replace(here.trained_models.get_model(ADMIN, MODEL), architecture="dino-r50")
    with pytest.raises(Invalid, match="models of the family dino cannot") as error:
        converter.export(ADMIN, model, tmp_path)
    assert error.value.code == "package.onnx_family"
    assert error.value.hint.endswith("rtmdet, yolox, retinanet, faster-rcnn.")
    assert list(tmp_path.iterdir()) == []


def test_a_model_without_weights_of_its_own_is_refused(here: Platform, converter: OnnxExport, tmp_path: Path):
    with pytest.raises(NotFound):
        converter.export(ADMIN, here.trained_models.get_model(ADMIN, "rtmdet-tiny"), tmp_path)


def test_it_takes_the_claim_to_export(here: Platform, converter: OnnxExport, tmp_path: Path):
    model = here.trained_models.get_model(ADMIN, MODEL)
    with pytest.raises(Forbidden):
        converter.export(WORKER, model, tmp_path)
