import pytest
from hypothesis import given
from hypothesis import strategies as st

from raven_scan.architectures.catalogue import (
    Architecture,
    StartingWeights,
    get_architecture,
    list_architectures,
)
from raven_scan.architectures.decisions import check_parameters, decide_parameters
from raven_scan.architectures.parameters import Augmentation, Precision, TrainingParameters

ARCHITECTURES = st.sampled_from(list_architectures())


def find_codes(
    name: str,
    *,
    starting_weights: StartingWeights = StartingWeights.COCO,
    train_image_count: int = 100,
    device: str | None = "cpu",
    **parameters: object,
) -> list[str]:
    problems = check_parameters(
        get_architecture(name),
        TrainingParameters.model_validate(parameters),
        starting_weights=starting_weights,
        train_image_count=train_image_count,
        device=device,
    )
    assert all(problem.sentence.endswith(".") and problem.hint.endswith(".") for problem in problems)
    return [problem.code for problem in problems]


@given(ARCHITECTURES, st.sampled_from(StartingWeights), st.integers(1, 64), st.integers(64, 10_000))
def test_decided_defaults_go_together(
    architecture: Architecture, starting_weights: StartingWeights, batch_size: int, image_count: int
):
    decided = decide_parameters(
        architecture,
        TrainingParameters(batch_size=batch_size),
        starting_weights=starting_weights,
        train_image_count=image_count,
    )
    assert None not in (
        decided.image_size,
        decided.learning_rate,
        decided.weight_decay,
        decided.frozen_stages,
    )
    assert decided == TrainingParameters.model_validate(decided.model_dump())
    problems = check_parameters(
        architecture,
        decided,
        starting_weights=starting_weights,
        train_image_count=image_count,
        device="cpu",
    )
    assert problems == []


@given(ARCHITECTURES, st.integers(0, 20))
def test_a_default_batch_is_no_larger_than_what_there_is_to_train_on(
    architecture: Architecture, image_count: int
):
    decided = decide_parameters(
        architecture,
        TrainingParameters(),
        starting_weights=StartingWeights.COCO,
        train_image_count=image_count,
    )
    assert decided.batch_size == min(8, max(image_count, 1))


def test_what_the_user_set_stays():
    asked = TrainingParameters(image_size=320, learning_rate=0.5, weight_decay=0.0, frozen_stages=2)
    decided = decide_parameters(
        get_architecture("faster-rcnn-r101"),
        asked,
        starting_weights=StartingWeights.COCO,
        train_image_count=100,
    )
    assert decided == asked


def test_a_larger_batch_gets_a_larger_learning_rate():
    rates = [
        decide_parameters(
            get_architecture("rtmdet-s"),
            TrainingParameters(batch_size=batch_size),
            starting_weights=StartingWeights.COCO,
            train_image_count=1000,
        ).learning_rate
        for batch_size in (2, 8, 32)
    ]
    assert rates == sorted(set(rates), key=lambda rate: rate or 0)


def test_random_weights_are_not_frozen_by_default():
    decided = decide_parameters(
        get_architecture("faster-rcnn-r50"),
        TrainingParameters(),
        starting_weights=StartingWeights.RANDOM,
        train_image_count=100,
    )
    assert decided.frozen_stages == 0


@pytest.mark.parametrize(
    ("starting_weights", "train_image_count", "frozen_stages"),
    [
        (StartingWeights.COCO, 258, 4),
        (StartingWeights.COCO, 5000, 0),
        (StartingWeights.RANDOM, 258, 0),
    ],
)
def test_few_images_leave_a_detectors_backbone_as_it_is(
    starting_weights: StartingWeights, train_image_count: int, frozen_stages: int
):
    decided = decide_parameters(
        get_architecture("yolox-nano"),
        TrainingParameters(),
        starting_weights=starting_weights,
        train_image_count=train_image_count,
    )
    assert decided.frozen_stages == frozen_stages


def test_frozen_stages_on_random_weights_are_refused():
    codes = find_codes("yolox-nano", starting_weights=StartingWeights.RANDOM, frozen_stages=1)
    assert codes == ["parameters.frozen_random_weights"]


@pytest.mark.parametrize(
    ("name", "parameters", "code"),
    [
        ("faster-rcnn-r50", {"frozen_stages": 5}, "parameters.frozen_stages_too_many"),
        ("dino-r50", {"image_size": 192}, "parameters.image_size_too_small"),
        ("yolox-s", {"epochs": 2, "warmup_epochs": 2}, "parameters.warmup_too_long"),
        ("yolox-s", {"epochs": 2, "validation_interval": 3}, "parameters.never_validated"),
        ("yolox-s", {"batch_size": 101}, "parameters.batch_larger_than_dataset"),
        ("yolox-s", {"precision": Precision.FLOAT16}, "parameters.float16_on_cpu"),
        ("dino-r50", {"precision": "float16", "image_size": 640}, "parameters.float16_on_cpu"),
    ],
)
def test_parameters_that_do_not_go_together_are_named(name: str, parameters: dict[str, object], code: str):
    assert find_codes(name, **parameters) == [code]  # pyright: ignore[reportArgumentType]


def test_all_problems_are_told_at_once():
    codes = find_codes(
        "dino-r50",
        starting_weights=StartingWeights.RANDOM,
        train_image_count=3,
        image_size=96,
        frozen_stages=5,
        augmentation=Augmentation.FULL,
        device="cuda:0",
        precision=Precision.FLOAT16,
    )
    assert set(codes) == {
        "parameters.image_size_too_small",
        "parameters.frozen_stages_too_many",
        "parameters.frozen_random_weights",
        "parameters.batch_larger_than_dataset",
        "parameters.too_few_images_for_mosaic",
        "parameters.float16_unstable",
    }


def test_bfloat16_is_fine_on_the_cpu():
    assert find_codes("yolox-s", precision=Precision.BFLOAT16) == []
