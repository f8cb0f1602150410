"""What is required of a model that is published, what was found, and the verdicts."""

from html import escape

from raven_scan.publishing.policy import CLASS_RECALL
from raven_scan.publishing.types import Judgement, PublicationCheck, Verdict
from raven_scan.web.marks import mark
from raven_scan.web.model_words import write_interval
from raven_scan.web.rows import draw_table
from raven_scan.web.texts import NONE, Texts, later

_NAMES = {
    "require_success": later("Its training run ended in Success"),
    "require_evaluation": later("Evaluated here"),
    "min_test_images": later("Images in the test part"),
    "min_test_boxes": later("Boxes in the test part"),
    "require_unseen_test": later("Has not seen the test part"),
    "min_map50": later("mAP50"),
    "min_recall": later("Recall"),
    "max_regression": later("mAP50 lost to the version in use"),
    "require_other_reviewer": later("Published by somebody else than its author"),
}
_VERDICTS = {
    Verdict.PASSED: (later("passed"), "good"),
    Verdict.FAILED: (later("failed"), "bad"),
    Verdict.CANNOT_BE_JUDGED: (later("cannot be judged"), "bad"),
    Verdict.TOO_FEW_IMAGES: (later("too few images to tell"), "warn"),
}


def say_unmet(check: PublicationCheck, t: Texts) -> str:
    unmet = sum(each.verdict is not Verdict.PASSED for each in check.requirements)
    return t("{count} of {all} requirements are not passed.", count=unmet, all=len(check.requirements))


def draw_requirements(check: PublicationCheck, t: Texts) -> str:
    """As a table with a sentence above it that says how it ends."""
    name = f"{check.name}@{check.number}"
    if check.passes:
        said = t("All requirements are passed: it can be published as {name}.", name=name)
        notice = f'<div class="notice">{escape(said)}</div>'
    else:
        said = say_unmet(check, t)
        notice = f'<div class="notice warn">{escape(said)}</div>'
    if check.dataset is not None:
        said = t("Judged on the test part of {dataset}.", dataset=check.dataset)
        notice += f'<p class="muted small">{escape(said)}</p>'
    return f"{notice}{draw_judgements(check.requirements, t)}"


def draw_judgements(judgements: list[Judgement], t: Texts) -> str:
    names = (t("Requirement"), f"#{t('Wanted')}", f"#{t('Found')}", t("Verdict"), t("What it means"))
    return draw_table(names, [_draw_judgement(each, t) for each in judgements], empty="")


def _draw_judgement(judgement: Judgement, t: Texts) -> str:
    verdict, kind = _VERDICTS[judgement.verdict]
    interval = write_interval(judgement.low, judgement.high, t)
    found = escape(_write(judgement.value, t))
    beside = f'<div class="small muted">{interval}</div>' if interval else ""
    hint = f'<div class="small muted">{escape(judgement.hint)}</div>' if judgement.hint else ""
    return (
        f"<tr><td>{escape(_name(judgement.requirement, t))}</td>"
        f'<td class="n unbroken">{escape(_write_wanted(judgement, t))}</td>'
        f'<td class="n unbroken">{found}{beside}</td>'
        f"<td>{mark(t(verdict), kind)}</td>"
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
