import importlib
import importlib.util
import inspect
import pickle
import pkgutil
import subprocess
import sys
import textwrap

import mmcv.ops
import pytest
import torch
from mmcv.ops import carafe
from mmcv.utils import ext_loader
from mmengine.registry import MODELS

from raven_scan.trainer.operators import OperatorNotCoveredError, install, mmcv_extension


def run_python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [
            sys.executable,
            "-W",
            "error",
            "-W",
            "ignore::ImportWarning:mmcv.cnn.bricks.transformer",
            "-c",
            textwrap.dedent(code),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_our_module_answers_for_the_compiled_one():
    assert sys.modules["mmcv._ext"] is mmcv_extension
    assert importlib.import_module("mmcv._ext") is mmcv_extension
    assert vars(mmcv)["_ext"] is mmcv_extension


def test_it_has_a_spec_so_that_it_can_be_found():
    spec = importlib.util.find_spec("mmcv._ext")
    assert spec is not None
    assert spec.name == mmcv_extension.__name__


def test_installing_again_changes_nothing():
    before = dict(sys.modules)
    install()
    assert sys.modules["mmcv._ext"] is before["mmcv._ext"]
    assert sys.modules.get("imgaug") is before.get("imgaug")


def test_a_compiled_extension_stays_in_charge():
    result = run_python("""
        import sys, types
        from importlib.machinery import ModuleSpec
        import mmcv
        compiled = types.ModuleType("mmcv._ext")
        compiled.__spec__ = ModuleSpec("mmcv._ext", None)
        sys.modules["mmcv._ext"] = compiled
        from raven_scan.trainer.operators import install
        install()
        assert sys.modules["mmcv._ext"] is compiled
    """)
    assert result.returncode == 0, result.stderr


def test_every_operator_that_mmcv_asks_for_exists(monkeypatch: pytest.MonkeyPatch):
    asked: set[str] = set()
    original = ext_loader.load_ext

    def load_ext(name: str, functions: list[str]) -> object:
        asked.update(functions)
        return original(name, functions)

    monkeypatch.setattr(ext_loader, "load_ext", load_ext)
    for module in pkgutil.iter_modules(mmcv.ops.__path__, "mmcv.ops."):
        source = importlib.util.find_spec(module.name)
        assert source is not None
        copy = importlib.util.module_from_spec(source)
        assert source.loader is not None
        if "load_ext" in inspect.getsource(importlib.import_module(module.name)):
            with monkeypatch.context() as registry:
                # The registered layers are there already; only the loading of operators is wanted.
                registry.setattr(MODELS, "_register_module", lambda *_args, **_more: None)
                source.loader.exec_module(copy)
    assert len(asked) > 80
    assert {"nms", "roi_align_forward", "carafe_forward"} <= asked
    assert all(callable(getattr(mmcv_extension, name)) for name in asked)


def test_an_operator_that_is_not_covered_says_so_when_it_is_called():
    features = torch.zeros(1, 4, 2, 2)
    masks = torch.zeros(1, 25, 4, 4)
    with pytest.raises(OperatorNotCoveredError, match=r"'carafe_forward' is not available.*MMCV_WITH_OPS=1"):
        carafe(features, masks, 5, 1, 2)


def test_names_of_the_import_system_are_not_answered():
    with pytest.raises(AttributeError, match="__wrapped__"):
        _ = mmcv_extension.__wrapped__
    assert inspect.getmodule(mmcv_extension.nms) is sys.modules[mmcv_extension.nms.__module__]
    assert inspect.getsourcefile(mmcv_extension)


def test_operators_can_be_pickled():
    for operator in (mmcv_extension.nms, mmcv.ops.RoIAlign, mmcv.ops.nms):
        assert pickle.loads(pickle.dumps(operator)) is operator  # noqa: S301  # our own bytes
    uncovered = pickle.loads(pickle.dumps(mmcv_extension.carafe_forward))  # noqa: S301
    with pytest.raises(OperatorNotCoveredError, match="carafe_forward"):
        uncovered()


def test_the_versions_that_a_run_logs_are_there():
    assert "torchvision" in mmcv.ops.get_compiler_version()
    assert mmcv.ops.get_compiling_cuda_version()


def test_mmdetection_imports_completely_and_without_a_warning():
    result = run_python("""
        import inspect, sys
        import raven_scan.trainer.operators.install_on_import
        import mmdet.utils
        mmdet.utils.register_all_modules()
        from mmdet.registry import MODELS, TRANSFORMS
        import mmdet.models.roi_heads.roi_extractors.single_level_roi_extractor
        import mmdet.models.dense_heads.base_dense_head as head
        assert head.batched_nms.__module__ == "mmcv.ops.nms", "MMDetection kept its stub"
        for name in ("FasterRCNN", "RTMDet", "YOLOX", "RetinaNet", "DINO"):
            assert MODELS.get(name) is not None, name
        for module in list(sys.modules.values()):
            inspect.getmodule(module)
        assert inspect.getmodule(head.BaseDenseHead) is head
    """)
    assert result.returncode == 0, result.stderr


def test_lane_transforms_say_what_they_lack():
    if importlib.util.find_spec("imgaug.imgaug") is not None:
        pytest.skip("the real imgaug is installed")
    lines = importlib.import_module("imgaug.augmentables.lines")
    with pytest.raises(ImportError, match="LineString belongs to imgaug, which is not installed"):
        lines.LineString([(0, 0)])
