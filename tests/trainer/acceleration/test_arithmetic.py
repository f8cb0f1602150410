"""Which arithmetic a run computes with: what is asked for, measured, remembered, and resumed."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from msgspec import structs
from torch import nn

from raven_scan.architectures.parameters import MemoryFormat, Precision, TrainingParameters
from raven_scan.trainer.acceleration.arithmetic import PLAIN, Arithmetic, decide_unmeasured, list_candidates
from raven_scan.trainer.acceleration.choosing import (
    Measured,
    choose_arithmetic,
    choose_fastest,
    is_sound,
)
from raven_scan.trainer.acceleration.hook import prepare_model
from raven_scan.trainer.configuration import build_configuration
from raven_scan.trainer.configuration.assembly import decide_run_parameters
from raven_scan.trainer.event_log import EventLog
from raven_scan.trainer.optimisation.merged_groups import merge_groups
from raven_scan.trainer.registration import register_parts
from raven_scan.trainer.runner_trainee import read_arithmetic
from raven_scan.wire.events import Configured, EventReader, Message
from raven_scan.wire.spec import TrainSpec

EXACT = Arithmetic(Precision.FLOAT32, MemoryFormat.CHANNELS_LAST, accelerated=True)
SHORT = Arithmetic(Precision.BFLOAT16, MemoryFormat.CHANNELS_LAST, accelerated=True)


def test_what_is_asked_for_is_not_measured():
    asked = TrainingParameters(precision=Precision.BFLOAT16, memory_format=MemoryFormat.CONTIGUOUS)
    assert list_candidates(asked, "cpu") == [decide_unmeasured(asked)]


def test_auto_measures_both_precisions_in_both_orders():
    candidates = list_candidates(TrainingParameters(), "cpu")
    assert {(each.precision, each.memory_format) for each in candidates} == {
        (precision, memory_format)
        for precision in (Precision.FLOAT32, Precision.BFLOAT16)
        for memory_format in (MemoryFormat.CONTIGUOUS, MemoryFormat.CHANNELS_LAST)
    }
    assert candidates[0].precision is Precision.FLOAT32
    assert Precision.FLOAT16 in {each.precision for each in list_candidates(TrainingParameters(), "cuda:0")}


def test_everything_off_is_plain():
    asked = TrainingParameters.model_validate({"precision": "float32", "acceleration": "off"})
    assert decide_unmeasured(asked) == PLAIN


def test_the_fastest_that_is_sound_is_chosen():
    assert choose_fastest([Measured(EXACT, 1.0, is_sound=True), Measured(SHORT, 0.5, is_sound=True)]) == SHORT
    assert (
        choose_fastest([Measured(EXACT, 1.0, is_sound=True), Measured(SHORT, 0.5, is_sound=False)]) == EXACT
    )


def test_fewer_bits_must_gain_something():
    assert (
        choose_fastest([Measured(EXACT, 1.0, is_sound=True), Measured(SHORT, 0.97, is_sound=True)]) == EXACT
    )


@pytest.mark.parametrize(
    ("loss", "norm", "sound"),
    [
        (2.01, 10.0, True),
        (2.3, 10.0, False),
        (math.nan, 10.0, False),
        (2.0, math.inf, False),
        (2.0, 0.5, False),
    ],
)
def test_losses_and_gradients_must_be_those_of_float32(loss: float, norm: float, *, sound: bool):
    assert is_sound(loss, norm, 2.0, 10.0) is sound


def test_checkpoints_from_before_there_was_a_choice_are_plain():
    assert read_arithmetic({}) == PLAIN
    assert read_arithmetic({"arithmetic": SHORT.dump()}) == SHORT


def test_groups_of_equal_settings_are_merged_in_their_order():
    first, second, third = (nn.Parameter(torch.zeros(1)) for _ in range(3))
    groups: list[dict[str, Any]] = [
        {"params": [first], "lr": 1.0},
        {"params": [second], "lr": 1.0, "weight_decay": 0.0},
        {"params": [third], "lr": 1.0},
    ]
    merge_groups(groups)
    assert [len(group["params"]) for group in groups] == [2, 1]
    assert groups[0]["params"][1] is third


def test_heads_give_float32():
    class Detector(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.bbox_head = nn.Linear(4, 4)

    model = Detector()
    prepare_model(model, SHORT)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert model.bbox_head(torch.ones(1, 4)).dtype is torch.float32


@pytest.fixture
def auto_spec(make_train_spec: Callable[..., TrainSpec], tmp_path: Path) -> Callable[[str], TrainSpec]:
    def make(name: str) -> TrainSpec:
        parameters = {"precision": "auto", "memory_format": "auto", "epochs": 3}
        return make_train_spec(tmp_path / name, parameters=parameters, cache_folder=tmp_path / "cache")

    return make


def test_a_run_too_short_to_win_it_back_is_not_measured(
    auto_spec: Callable[[str], TrainSpec], run_trainer: Any, tmp_path: Path
):
    done = run_trainer("train", auto_spec("short"))
    assert done.exit_code == 0, done.output[-3000:]
    [configured] = done.of(Configured)
    assert (configured.precision, configured.memory_format) == ("float32", "channels_last")
    assert not [each for each in done.of(Message) if each.code.startswith("arithmetic")]
    assert not (tmp_path / "cache" / "arithmetic").exists()
    hooks = json.loads((tmp_path / "short" / "configuration.json").read_bytes())["custom_hooks"]
    assert {"type": "RavenArithmeticHook", **EXACT.dump()} in hooks


def choose(spec: TrainSpec, *, step_count: int = 1000) -> tuple[Arithmetic, list[Message]]:
    def configure() -> dict[str, Any]:
        configuration = build_configuration(spec)
        register_parts(configuration)
        return configuration

    with EventLog(spec.events) as log:
        chosen = choose_arithmetic(spec, decide_run_parameters(spec), configure, log, step_count=step_count)
    told = [each for each in EventReader(spec.events).read_new() if isinstance(each, Message)]
    return chosen, told


def test_a_choice_is_measured_told_and_remembered(auto_spec: Callable[[str], TrainSpec], tmp_path: Path):
    chosen, [told] = choose(auto_spec("first"))
    assert chosen in list_candidates(TrainingParameters(), "cpu")
    assert told.code == "arithmetic_measured"
    assert told.text.startswith(f"Computes in {chosen}.")
    assert all(f"{each} " in told.text for each in list_candidates(TrainingParameters(), "cpu")), told.text
    assert "not sound" not in told.text

    again, [told] = choose(auto_spec("second"))
    assert again == chosen
    assert told.code == "arithmetic_remembered"

    [remembered] = (tmp_path / "cache" / "arithmetic").iterdir()
    remembered.write_bytes(b"{damaged")
    _, [told] = choose(auto_spec("third"))
    assert told.code == "arithmetic_measured"


def test_a_run_that_cannot_be_measured_goes_on_to_say_why_itself(
    auto_spec: Callable[[str], TrainSpec], tmp_path: Path
):
    spec = auto_spec("broken")
    (tmp_path / "weights").write_bytes(b"none")
    broken = structs.replace(spec, weights=tmp_path / "weights")
    chosen, [told] = choose(broken)
    assert chosen == EXACT
    assert (told.level, told.code) == ("warning", "arithmetic_not_measured")
