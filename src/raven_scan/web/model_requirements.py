"""What is required of a model that is published, what was found, and the verdicts."""

from html import escape

from raven_scan.publishing.policy import CLASS_RECALL
from raven_scan.publishing.types import Judgement, PublicationCheck, Verdict
from raven_scan.web.marks import mark
from raven_scan.web.model_words import write_interval
from raven_scan.web.texts import NONE, Texts

_NAMES = {
    "require_success": "Its training run ended in Success",
    "require_evaluation": "Evaluated here",
    "min_test_images": "Images in the test part",
    "min_test_boxes": "Boxes in the test part",
    "require_unseen_test": "Has not seen the test part",
    "min_map50": "mAP50",
    "min_recall": "Recall",
    "max_regression": "mAP50 lost to the version in use",
    "require_other_reviewer": "Published by somebody else than its author",
}
_CLASS_OF_VERDICT = {
    Verdict.PASSED: "good",
    Verdict.FAILED: "bad",
    Verdict.CANNOT_BE_JUDGED: "bad",
    Verdict.TOO_FEW_IMAGES: "warn",
}


def draw_requirements(check: PublicationCheck, t: Texts) -> str:
    """As a table with a sentence above it that says how it ends."""
    unmet = sum(each.verdict is not Verdict.PASSED for each in check.requirements)
    name = f"{check.name}@{check.number}"
    if check.passes:
        said = t("All requirements are passed: it can be published as {name}.", name=name)
        notice = f'<div class="notice">{escape(said)}</div>'
    else:
        said = t("{count} of {all} requirements are not passed.", count=unmet, all=len(check.requirements))
        notice = f'<div class="notice warn">{escape(said)}</div>'
    if check.dataset is not None:
        said = t("Judged on the test part of {dataset}.", dataset=check.dataset)
        notice += f'<p class="muted small">{escape(said)}</p>'
    return f"{notice}{draw_judgements(check.requirements, t)}"


def draw_judgements(judgements: list[Judgement], t: Texts) -> str:
    head = "".join(
        f"<th{' class=n' if is_number else ''}>{escape(t(name))}</th>"
        for name, is_number in (
            ("Requirement", False),
            ("Wanted", True),
            ("Found", True),
            ("Verdict", False),
            ("What it means", False),
        )
    )
    rows = "".join(_draw_judgement(each, t) for each in judgements)
    return f'<table class="list"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>'


def _draw_judgement(judgement: Judgement, t: Texts) -> str:
    interval = write_interval(judgement.low, judgement.high, t)
    found = escape(_write(judgement.value, t))
    beside = f'<div class="small muted">{interval}</div>' if interval else ""
    hint = f'<div class="small muted">{escape(judgement.hint)}</div>' if judgement.hint else ""
    return (
        f"<tr><td>{escape(_name(judgement.requirement, t))}</td>"
        f'<td class="n unbroken">{escape(_write_wanted(judgement, t))}</td>'
        f'<td class="n unbroken">{found}{beside}</td>'
        f"<td>{mark(t(str(judgement.verdict)), _CLASS_OF_VERDICT[judgement.verdict])}</td>"
        f"<td>{escape(judgement.explanation)}{hint}</td></tr>"
    )


def _name(requirement: str, t: Texts) -> str:
    if requirement.startswith(CLASS_RECALL):
        return t("Recall of {name}", name=requirement.removeprefix(CLASS_RECALL))
    return t(_NAMES[requirement]) if requirement in _NAMES else requirement


def _write_wanted(judgement: Judgement, t: Texts) -> str:
    if isinstance(judgement.wanted, bool):
        return _write(judgement.wanted, t)
    sign = (
        "\N{LESS-THAN OR EQUAL TO}"
        if judgement.requirement.startswith("max_")
        else "\N{GREATER-THAN OR EQUAL TO}"
    )
    return f"{sign} {_write(judgement.wanted, t)}"


def _write(value: bool | float | str | None, t: Texts) -> str:  # noqa: FBT001 - a value, not a switch
    match value:
        case None:
            return NONE
        case bool():
            return t("yes") if value else t("no")
        case int():
            return t.number(value)
        case float():
            return t.figure(value)
        case str():
            return value
