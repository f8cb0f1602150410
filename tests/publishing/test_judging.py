"""Every requirement's verdicts at its threshold, beside it, and where nothing can be said."""

import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raven_scan.kernel.ids import make_id
from raven_scan.publishing.judging import judge
from raven_scan.publishing.policy import DEFAULTS, complete_policy
from raven_scan.publishing.types import (
    DifferenceFound,
    Evidence,
    Exposure,
    FigureFound,
    Judgement,
    Measured,
    RequirementValue,
    Rival,
    RunOutcome,
    Verdict,
)

ON, OFF = True, False
PASSED, FAILED = Verdict.PASSED, Verdict.FAILED
UNKNOWN, TOO_FEW = Verdict.CANNOT_BE_JUDGED, Verdict.TOO_FEW_IMAGES

MEASURED = Measured(
    evaluation_id=make_id(),
    dataset_version_id=make_id(),
    dataset="litter@1",
    map50=FigureFound(0.5, 0.4, 0.6),
    recall=FigureFound(0.7, 0.6, 0.8),
    recall_by_class={
        "glass": FigureFound(0.6, 0.5, 0.7),
        "paper": FigureFound(None, reason="No box is there."),
    },
    image_count=60,
    box_count=70,
    unknown_classes=["metal"],
)
RUN = RunOutcome(id=make_id(), name="run", status="Success", created_by="ann", created_by_id=make_id())
EXPOSURE = Exposure(
    tests=["litter@1"], image_count=60, seen_count=0, sources=[], lost=[], unknown=["from-elsewhere"]
)
EVIDENCE = Evidence(
    model="first",
    is_trained=True,
    run=RUN,
    author="ann",
    dataset="litter@1",
    measured=MEASURED,
    exposure=EXPOSURE,
)
RIVAL = Rival(
    full_name="waste@1",
    model_id=make_id(),
    model="old",
    dataset="litter@1",
    evaluation_id=make_id(),
    model_evaluation_id=make_id(),
    difference=DifferenceFound(0.0, -0.05, 0.05, has_too_few_images=False),
)


def ask(key: str, wanted: RequirementValue, evidence: Evidence = EVIDENCE) -> Judgement | None:
    found = judge({key: wanted}, evidence)
    assert len(found) <= 1
    return found[0] if found else None


def find(key: str, wanted: RequirementValue, evidence: Evidence = EVIDENCE) -> Verdict:
    judgement = ask(key, wanted, evidence)
    assert judgement is not None
    assert judgement.requirement == key
    assert judgement.wanted == wanted
    assert judgement.explanation
    # Who is refused is told what to do.
    assert bool(judgement.hint) is (judgement.verdict is not PASSED)
    return judgement.verdict


@pytest.mark.parametrize("key", [*DEFAULTS, "min_recall.glass"])
def test_what_is_off_is_not_judged(key: str):
    assert ask(key, None) is None
    assert ask(key, OFF) is None


def test_what_was_learned_is_not_tested():
    key = "require_unseen_test"

    def judge_exposure(exposure: Exposure | None) -> Verdict:
        return find(key, ON, replace(EVIDENCE, exposure=exposure))

    assert judge_exposure(EXPOSURE) is PASSED
    assert judge_exposure(None) is UNKNOWN
    assert judge_exposure(replace(EXPOSURE, lost=["old@1"])) is UNKNOWN
    seen = replace(EXPOSURE, seen_count=1, sources=["old@1"])
    assert judge_exposure(seen) is FAILED
    assert judge_exposure(replace(seen, lost=["old@2"])) is FAILED


@pytest.mark.parametrize(("key", "has"), [("min_map50", 0.5), ("min_recall", 0.7), ("min_recall.glass", 0.6)])
def test_figures_at_and_beside_their_threshold(key: str, has: float):
    assert find(key, has) is PASSED
    assert find(key, math.nextafter(has, 0)) is PASSED
    assert find(key, math.nextafter(has, 1)) is FAILED
    assert find(key, 0.0) is PASSED
    assert find(key, 1.0) is FAILED


@given(value=st.floats(0, 1), wanted=st.floats(0, 1))
def test_a_figure_passes_if_and_only_if_it_is_enough(value: float, wanted: float):
    evidence = replace(EVIDENCE, measured=replace(MEASURED, map50=FigureFound(value)))
    judgement = ask("min_map50", wanted, evidence)
    assert judgement is not None
    assert (judgement.verdict is PASSED) is (value >= wanted)
    assert judgement.value == value


@pytest.mark.parametrize(
    ("key", "has", "short"), [("min_test_images", 60, TOO_FEW), ("min_test_boxes", 70, FAILED)]
)
def test_counts_at_and_beside_their_threshold(key: str, has: int, short: Verdict):
    assert [find(key, wanted) for wanted in (has - 1, has, has + 1)] == [PASSED, PASSED, short]


def test_a_figure_that_cannot_be_had_is_not_taken_for_good():
    assert find("min_recall.paper", 0.0) is UNKNOWN
    assert find("min_recall.metal", 0.0) is UNKNOWN
    assert find("min_recall.wood", 0.0) is UNKNOWN
    told = ask("min_recall.metal", 0.5)
    assert told is not None
    assert "does not know" in told.explanation
    nothing = replace(EVIDENCE, measured=replace(MEASURED, map50=FigureFound(None, reason="No box.")))
    assert find("min_map50", 0.0, nothing) is UNKNOWN


def test_classes_that_a_model_does_not_know_are_told_beside_its_figures():
    told = ask("min_map50", 0.5)
    assert told is not None
    assert "metal" in told.explanation
    assert (told.low, told.high) == (0.4, 0.6)


@pytest.mark.parametrize("key", ["min_map50", "min_recall", "min_test_images", "min_test_boxes"])
def test_without_an_evaluation_figures_cannot_be_judged(key: str):
    evidence = replace(EVIDENCE, measured=None)
    assert find(key, 1, evidence) is UNKNOWN
    told = ask(key, 1, evidence)
    assert told is not None
    assert told.hint == "raven models evaluate first --dataset litter@1"


def test_an_evaluation_is_there_or_not():
    assert find("require_evaluation", ON) is PASSED
    assert find("require_evaluation", ON, replace(EVIDENCE, measured=None)) is FAILED
    assert find("require_evaluation", ON, replace(EVIDENCE, measured=None, dataset=None)) is FAILED


def test_the_run_ended_well_or_not():
    assert find("require_success", ON) is PASSED
    for status in ("Error", "Cancelled", "Processing"):
        evidence = replace(EVIDENCE, run=replace(RUN, status=status))
        assert find("require_success", ON, evidence) is FAILED
    # A model comes into being with the Success of its run alone.
    assert find("require_success", ON, replace(EVIDENCE, run=None)) is PASSED
    assert ask("require_success", ON, replace(EVIDENCE, is_trained=False, run=None)) is None


def test_the_reviewer_is_another_or_not():
    key = "require_other_reviewer"
    assert find(key, ON) is PASSED
    assert find(key, ON, replace(EVIDENCE, is_author=True)) is FAILED
    assert find(key, ON, replace(EVIDENCE, author=None)) is UNKNOWN


def compare(low: float | None, high: float | None = 0.1, **more: Any) -> Evidence:
    value = None if low is None else 0.01
    difference = DifferenceFound(value, low, high, more.pop("few", False), more.pop("undecided", False))
    return replace(EVIDENCE, rival=replace(RIVAL, difference=difference, **more))


def test_a_regression_at_and_beside_its_margin():
    key = "max_regression"
    assert find(key, 0.05, compare(-0.05)) is PASSED
    assert find(key, 0.05, compare(math.nextafter(-0.05, 0))) is PASSED
    assert find(key, 0.05, compare(math.nextafter(-0.05, -1))) is FAILED
    assert find(key, 0.0, compare(0.0)) is PASSED
    assert find(key, 0.0, compare(-0.001)) is FAILED
    # An interval that may mean anything is told apart from one that is surely lower.
    assert find(key, 0.05, compare(-0.2, 0.2, undecided=True)) is TOO_FEW
    assert find(key, 0.05, compare(-0.04, 0.2, undecided=True)) is PASSED
    assert find(key, 0.05, compare(0.1, 0.2, few=True)) is TOO_FEW


def test_a_regression_that_cannot_be_compared():
    key = "max_regression"
    assert find(key, 0.05) is PASSED, "nothing is in use"
    assert find(key, 0.05, compare(None, None)) is UNKNOWN
    assert find(key, 0.05, compare(None, None, few=True)) is TOO_FEW
    alone = replace(RIVAL, difference=None)
    for rival, words in (
        (replace(alone, model_evaluation_id=None), "raven models evaluate first --dataset litter@1"),
        (replace(alone, evaluation_id=None), "raven models evaluate old --dataset litter@1"),
        (replace(alone, dataset=None, evaluation_id=None), "raven models evaluate first"),
        (replace(alone, problem="They know different classes."), "override"),
    ):
        evidence = replace(EVIDENCE, rival=rival)
        assert find(key, 0.05, evidence) is UNKNOWN
        told = ask(key, 0.05, evidence)
        assert told is not None
        assert words in told.hint


def test_the_policy_is_judged_in_its_order():
    policy = complete_policy({"min_recall.paper": 0.1, "min_recall.glass": 0.1, "min_recall": 0.1})
    assert [each.requirement for each in judge(policy, EVIDENCE)] == [
        "require_success",
        "require_evaluation",
        "min_test_images",
        "min_test_boxes",
        "require_unseen_test",
        "min_map50",
        "min_recall",
        "max_regression",
        "min_recall.glass",
        "min_recall.paper",
    ]
