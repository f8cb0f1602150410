import pytest
import torch
from mmengine.config import Config
from torch import Tensor

from raven_scan.architectures.catalogue import get_architecture, list_architectures
from raven_scan.trainer.configuration import build_model_configuration
from raven_scan.trainer.registration import register_parts
from raven_scan.trainer.weights import count_classes, fit_class_tensors

OLD = ["glass", "paper", "metal"]
NAMES = [architecture.name for architecture in list_architectures()]


@pytest.mark.parametrize("name", NAMES)
def test_the_class_tensors_are_exactly_those_whose_shape_depends_on_the_classes(name: str):
    from mmdet.registry import MODELS  # noqa: PLC0415

    shapes: dict[int, dict[str, tuple[int, ...]]] = {}
    for class_count in (3, 4):
        with torch.device("meta"):
            plain = build_model_configuration(get_architecture(name), class_count)
            register_parts(plain)
            configuration = Config(plain)
            model = MODELS.build(configuration["model"])
        shapes[class_count] = {key: tuple(tensor.shape) for key, tensor in model.state_dict().items()}
        assert count_classes(shapes[class_count]) == class_count
    different = {key for key, shape in shapes[3].items() if shapes[4][key] != shape}
    state = {key: torch.zeros(shape) for key, shape in shapes[3].items() if key in different or "cls" in key}
    assert set(fit_class_tensors(state, OLD, ["a", "b", "c"])) == different


def make_state() -> dict[str, Tensor]:
    """Every row says which class it is of: 0, 1, 2, and 9 for the background."""
    classes = torch.tensor([0.0, 1.0, 2.0])
    return {
        "backbone.weight": torch.ones(3),
        "bbox_head.rtm_cls.0.weight": classes[:, None],
        "bbox_head.multi_level_conv_cls.1.bias": classes.clone(),
        "bbox_head.retina_cls.bias": classes.repeat(9),
        "roi_head.bbox_head.fc_cls.weight": torch.tensor([0.0, 1, 2, 9])[:, None].repeat(1, 5),
        "roi_head.bbox_head.fc_reg.bias": classes.repeat_interleave(4),
        "dn_query_generator.label_embedding.weight": classes[:, None],
    }


def test_equal_classes_keep_everything():
    state = make_state()
    assert fit_class_tensors(state, OLD, list(OLD)) == []
    assert all(torch.equal(tensor, make_state()[key]) for key, tensor in state.items())


def test_the_same_classes_in_another_order_move_their_rows():
    state = make_state()
    assert fit_class_tensors(state, OLD, ["metal", "glass", "paper"]) == []
    order = torch.tensor([2.0, 0, 1])
    assert state["bbox_head.rtm_cls.0.weight"][:, 0].tolist() == order.tolist()
    assert state["bbox_head.retina_cls.bias"].tolist() == order.repeat(9).tolist()
    assert state["roi_head.bbox_head.fc_cls.weight"][:, 0].tolist() == [2, 0, 1, 9]
    assert state["roi_head.bbox_head.fc_reg.bias"].tolist() == order.repeat_interleave(4).tolist()
    assert state["backbone.weight"].tolist() == [1, 1, 1]


@pytest.mark.parametrize("classes", [["waste"], ["a", "b", "c"], ["glass", "paper", "metal", "waste"]])
def test_other_classes_leave_the_fresh_head(classes: list[str]):
    state = make_state()
    assert len(fit_class_tensors(state, OLD, classes)) == 6
    assert list(state) == ["backbone.weight"]


def test_unknown_classes_are_judged_by_their_number():
    state = {"bbox_head.rtm_cls.0.weight": torch.zeros(3, 8)}
    assert fit_class_tensors(state, None, ["a", "b", "c"]) == []
    assert fit_class_tensors(state, None, ["a"]) == ["bbox_head.rtm_cls.0.weight"]


def test_a_model_without_a_known_head_has_no_class_count():
    assert count_classes({"backbone.conv.weight": (3, 3)}) is None
