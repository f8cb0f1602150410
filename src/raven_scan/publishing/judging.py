"""Judges a model by the quality requirements. What is missing is never taken for good."""

from collections.abc import Callable, Mapping
from shlex import quote

from raven_scan.publishing.policy import CLASS_RECALL
from raven_scan.publishing.types import (
    Evidence,
    FigureFound,
    Judgement,
    Measured,
    RequirementValue,
    Rival,
    Verdict,
)

_SUCCESS = "Success"


def judge(policy: Mapping[str, RequirementValue], evidence: Evidence) -> list[Judgement]:
    """One judgement for each requirement that asks for something of this model, in the policy's order.

    Args:
        policy: complete.
        evidence: of the model.
    """
    found: list[Judgement] = []
    for key, wanted in policy.items():
        if wanted is None or wanted is False:
            continue
        judgement = _judge_one(key, wanted, evidence)
        if judgement is not None:
            found.append(judgement)
    return found


def _judge_one(key: str, wanted: RequirementValue, evidence: Evidence) -> Judgement | None:
    if key in _OF_ITS_ORIGIN:
        return _OF_ITS_ORIGIN[key](evidence)
    # Those that are left ask for a number.
    least = float(wanted or 0)
    if key == "max_regression":
        return _judge_regression(least, evidence)
    if evidence.measured is None:
        return Judgement(
            requirement=key,
            verdict=Verdict.CANNOT_BE_JUDGED,
            wanted=wanted or 0,
            value=None,
            explanation="There is no evaluation to read it from.",
            hint=_say_evaluate(evidence.model, evidence.dataset),
        )
    if key in {"min_test_images", "min_test_boxes"}:
        return _judge_count(key, int(least), evidence.measured)
    return _judge_figure(key, least, evidence.measured)


def _judge_success(evidence: Evidence) -> Judgement | None:
    if not evidence.is_trained:
        return None
    run = evidence.run
    if run is None:
        # A model is made in the transaction in which its run ends in Success, and in no other.
        return Judgement(
            requirement="require_success",
            verdict=Verdict.PASSED,
            wanted=True,
            value=_SUCCESS,
            explanation="Its run is gone; it made this model as it ended in Success.",
        )
    passed = run.status == _SUCCESS
    return Judgement(
        requirement="require_success",
        verdict=Verdict.PASSED if passed else Verdict.FAILED,
        wanted=True,
        value=run.status,
        explanation=f"Its run {run.name!r} ended in {run.status}.",
        hint="" if passed else "Train it again.",
    )


def _judge_evaluation(evidence: Evidence) -> Judgement:
    passed = evidence.measured is not None
    on = f" on the test part of {evidence.dataset}" if evidence.dataset else ""
    return Judgement(
        requirement="require_evaluation",
        verdict=Verdict.PASSED if passed else Verdict.FAILED,
        wanted=True,
        value=passed,
        explanation=f"It was {'' if passed else 'not '}evaluated here{on}.",
        hint="" if passed else _say_evaluate(evidence.model, evidence.dataset),
    )


def _judge_reviewer(evidence: Evidence) -> Judgement:
    key = "require_other_reviewer"
    if evidence.author is None:
        return Judgement(
            requirement=key,
            verdict=Verdict.CANNOT_BE_JUDGED,
            wanted=True,
            value=None,
            explanation="Nobody knows any more who made it.",
            hint="Who may override requirements publishes it with a reason.",
        )
    passed = not evidence.is_author
    return Judgement(
        requirement=key,
        verdict=Verdict.PASSED if passed else Verdict.FAILED,
        wanted=True,
        value=evidence.author,
        explanation=f"It was made by {evidence.author}, who {'is not' if passed else 'is'} the one to publish it.",
        hint="" if passed else "Have somebody else publish it who may.",
    )


def _judge_unseen(evidence: Evidence) -> Judgement:
    exposure = evidence.exposure
    value = None
    if exposure is None:
        verdict, told = Verdict.CANNOT_BE_JUDGED, "There is no test part yet that it could have seen."
        hint = _say_evaluate(evidence.model, None)
    elif exposure.seen_count:
        verdict, value = Verdict.FAILED, exposure.seen_count
        told = (
            f"It learned from {exposure.seen_count} of the {exposure.image_count} images of the test part of "
            f"{' and '.join(exposure.tests)}: they are in {', '.join(exposure.sources)}."
        )
        hint = "Train without them."
        if evidence.rival is None:
            hint += " Or judge it on a test part that has none of them: --dataset NAME@N."
    elif exposure.lost:
        verdict = Verdict.CANNOT_BE_JUDGED
        told = f"Not known any more is which images are in {', '.join(exposure.lost)}."
        hint = "Restore it from a backup; who may override requirements publishes it with a reason."
    else:
        verdict, value, hint = Verdict.PASSED, 0, ""
        told = (
            f"None of the {exposure.image_count} images of the test part of {' and '.join(exposure.tests)} is among "
            "those that it is known to have learned from."
        )
        if exposure.unknown:
            names = ", ".join(map(repr, exposure.unknown))
            told += f" What {names} learned from before it came here is not known."
    return Judgement(
        requirement="require_unseen_test",
        verdict=verdict,
        wanted=True,
        value=value,
        explanation=told,
        hint=hint,
    )


_OF_ITS_ORIGIN: dict[str, Callable[[Evidence], Judgement | None]] = {
    "require_success": _judge_success,
    "require_evaluation": _judge_evaluation,
    "require_other_reviewer": _judge_reviewer,
    "require_unseen_test": _judge_unseen,
}


def _judge_count(key: str, least: int, measured: Measured) -> Judgement:
    is_images = key == "min_test_images"
    count, noun = (measured.image_count, "images") if is_images else (measured.box_count, "boxes")
    short = Verdict.TOO_FEW_IMAGES if is_images else Verdict.FAILED
    passed = count >= least
    return Judgement(
        requirement=key,
        verdict=Verdict.PASSED if passed else short,
        wanted=least,
        value=count,
        explanation=f"The test part of {measured.dataset} has {count} {noun}, at least {least} are wanted.",
        hint="" if passed else "Evaluate it on a dataset version with a larger test part.",
    )


def _judge_figure(key: str, least: float, measured: Measured) -> Judgement:
    noun, figure = _find_figure(key, measured)
    if figure.value is None:
        return Judgement(
            requirement=key,
            verdict=Verdict.CANNOT_BE_JUDGED,
            wanted=least,
            value=None,
            explanation=f"The {noun} on {measured.dataset} cannot be had: {figure.reason or 'no box is there.'}",
            hint="Evaluate it on a dataset version with such boxes, or take the requirement out of the policy.",
        )
    passed = figure.value >= least
    unknown = ""
    if measured.unknown_classes:
        unknown = (
            f" The model does not know {', '.join(measured.unknown_classes)}, whose boxes count as missed."
        )
    return Judgement(
        requirement=key,
        verdict=Verdict.PASSED if passed else Verdict.FAILED,
        wanted=least,
        value=figure.value,
        low=figure.low,
        high=figure.high,
        explanation=f"Its {noun} on the test part of {measured.dataset} is {figure.value:.4g}"
        f"{_format_interval(figure.low, figure.high)}, at least {least:g} is wanted.{unknown}",
        hint="" if passed else "Train it longer, on more images, or from a better base model.",
    )


def _find_figure(key: str, measured: Measured) -> tuple[str, FigureFound]:
    if key == "min_map50":
        return "mAP50", measured.map50
    if key == "min_recall":
        return "recall", measured.recall
    name = key.removeprefix(CLASS_RECALL)
    absent = f"the model does not know the class {name!r}."
    if name not in measured.unknown_classes:
        absent = f"neither the model nor the test part has the class {name!r}."
    return f"recall of {name!r}", measured.recall_by_class.get(name, FigureFound(None, reason=absent))


def _judge_regression(margin: float, evidence: Evidence) -> Judgement:
    rival = evidence.rival
    difference = None if rival is None else rival.difference
    if rival is None:
        verdict, told, hint = (
            Verdict.PASSED,
            "Nothing is in use under this name that it could be worse than.",
            "",
        )
    elif difference is None or difference.value is None or difference.low is None:
        verdict = Verdict.CANNOT_BE_JUDGED
        told, hint = _explain_no_comparison(rival, evidence)
        if difference is not None and difference.has_too_few_images:
            verdict, hint = Verdict.TOO_FEW_IMAGES, _MORE_IMAGES
    else:
        told = (
            f"Its mAP50 less that of {rival.full_name} on the test part of {rival.dataset} is "
            f"{difference.value:+.4g}{_format_interval(difference.low, difference.high)}; "
            f"the lower bound may be {-margin:g} at the lowest."
        )
        if difference.has_too_few_images:
            verdict, hint = Verdict.TOO_FEW_IMAGES, _MORE_IMAGES
        elif difference.low >= -margin:
            verdict, hint = Verdict.PASSED, ""
        elif difference.is_undecided:
            verdict, hint = Verdict.TOO_FEW_IMAGES, _MORE_IMAGES
        else:
            verdict, hint = Verdict.FAILED, "Publish a better model, or measure on more test images."
    return Judgement(
        requirement="max_regression",
        verdict=verdict,
        wanted=margin,
        value=None if difference is None else difference.value,
        low=None if difference is None else difference.low,
        high=None if difference is None else difference.high,
        explanation=told,
        hint=hint,
    )


def _explain_no_comparison(rival: Rival, evidence: Evidence) -> tuple[str, str]:
    """Why there is no difference, and what to do."""
    if rival.dataset is None:
        return (
            f"Neither it nor {rival.full_name} has an evaluation.",
            _say_evaluate(evidence.model, None),
        )
    if rival.model_evaluation_id is None:
        return (
            f"It was not evaluated on the frozen test part of {rival.full_name}, that of {rival.dataset}.",
            _say_evaluate(evidence.model, rival.dataset),
        )
    if rival.evaluation_id is None:
        return (
            f"{rival.full_name} has no evaluation on the test part of {rival.dataset}.",
            _say_evaluate(rival.model, rival.dataset),
        )
    return (
        rival.problem
        or f"On the test part of {rival.dataset} no difference to {rival.full_name} can be had.",
        "Who may override requirements publishes it with a reason.",
    )


_MORE_IMAGES = "Evaluate both on a dataset version with a larger test part."


def _say_evaluate(model: str, dataset: str | None) -> str:
    """The command that makes what is missing."""
    return f"raven models evaluate {quote(model)} --dataset {quote(dataset) if dataset else 'NAME@VERSION'}"


def _format_interval(low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else f" ({low:.4g} to {high:.4g})"
