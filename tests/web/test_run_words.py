"""What runs' parameters and options are called on screens, and how values are written."""

import ast
from dataclasses import fields
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from pydantic import ValidationError

import raven_scan
from raven_scan.architectures.parameters import TrainingParameters
from raven_scan.training_runs.types import AttemptEnd, RunOptions
from raven_scan.web.run_form import describe_problems, fill_fields, read_parameters
from raven_scan.web.run_words import (
    DEFAULT_REASONS,
    ENDS,
    EVIDENCE_NAMES,
    OPTION_NAMES,
    PARAMETER_NAMES,
    SIMPLE,
    describe_evidence,
    find_bounds,
    show_value,
)
from raven_scan.web.texts import NONE, Texts

T = Texts("en", ZoneInfo("UTC"))
SOURCE = Path(raven_scan.__file__).parent


def find_evidence() -> set[str]:
    """What the code says a run's error was seen by."""
    parts = ("trainer", "training_runs", "jobs")
    trees = [ast.parse(path.read_text()) for part in parts for path in (SOURCE / part).glob("*.py")]
    given = [
        node.value
        for tree in trees
        for node in ast.walk(tree)
        if isinstance(node, ast.keyword) and node.arg == "evidence" and isinstance(node.value, ast.Dict)
    ]
    return {key.value for each in given for key in each.keys if isinstance(key, ast.Constant)}  # pyright: ignore[reportReturnType]


def test_everything_that_can_be_set_has_a_name():
    assert set(PARAMETER_NAMES) == set(TrainingParameters.model_fields)
    assert set(OPTION_NAMES) == {field.name for field in fields(RunOptions)}
    assert set(ENDS) == set(AttemptEnd)
    assert set(SIMPLE) <= set(PARAMETER_NAMES)
    left_open = {name for name, field in TrainingParameters.model_fields.items() if field.default is None}
    assert set(DEFAULT_REASONS) == left_open


def test_what_errors_are_seen_by_has_a_name():
    assert {"step", "worker", "boxes"} <= find_evidence() <= set(EVIDENCE_NAMES)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("last_finite_step", 12, "Last good step: 12"),
        ("last_finite_step", None, "Last good step: \N{EN DASH}"),
        ("images", ["a.png", "b.png"], "Images: a.png, b.png"),
        ("free_bytes", 5_400_000, "Free: 5.4 MB"),
        ("silent_s", 90.0, "Silent for: 1 min 30 s"),
        ("of_the_future", "x" * 301, f"of the future: {'x' * 300}…"),
    ],
)
def test_evidence_is_told_in_words(name: str, value: object, said: str):
    assert describe_evidence(name, value, T) == said


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("epochs", "1 to 2000"),
        ("image_size", "64 to 4096, in steps of 32"),
        ("learning_rate", "Above 0, to 10"),
        ("schedule", ""),
    ],
)
def test_bounds_are_those_that_the_server_checks(name: str, said: str):
    assert find_bounds(name).describe(T) == said


def test_a_form_filled_with_parameters_gives_them_back():
    parameters = TrainingParameters(
        epochs=3, learning_rate=0.00025, fraction=0.125, image_size=96, seed=2**31 - 1
    )
    assert read_parameters(fill_fields(parameters)) == parameters
    assert read_parameters({"epochs": " ", "dataset": "tiny"}).model_fields_set == set()


def test_what_is_out_of_bounds_is_told_by_field():
    with pytest.raises(ValidationError) as refused:
        read_parameters({"epochs": "0", "image_size": "many", "seed": "1"})
    problems = describe_problems(refused.value, T)
    assert problems == {
        "epochs": "Must be a number: 1 to 2000.",
        "image_size": "Must be a number: 64 to 4096, in steps of 32.",
    }


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("fraction", 0.125, "12.5%"),
        ("fraction", 1.0, "100%"),
        ("learning_rate", 0.001, "0.001"),
        ("time_limit_s", 5400, "1 h 30 min"),
        ("retry_smaller_batch", True, "Yes"),
        ("frozen_stages", 0, "0"),
        ("start_at", None, NONE),
    ],
)
def test_values_are_written_for_people(name: str, value: object, shown: str):
    assert show_value(name, value, T) == shown
