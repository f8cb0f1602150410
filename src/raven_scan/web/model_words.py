"""What the screens of models say of stages, origins, figures and intervals alike."""

from html import escape

from raven_scan.evaluations.types import EvaluationStatus
from raven_scan.figures.report import Figure
from raven_scan.publishing.types import VersionState
from raven_scan.trained_models.types import Origin, Stage
from raven_scan.web.marks import mark
from raven_scan.web.texts import NONE, Texts, later

MODELS_PATH = "/trained-models"

FIGURES = {
    "map50": later("mAP50"),
    "map": later("mAP"),
    "map75": later("mAP75"),
    "map_small": later("mAP, small boxes"),
    "map_medium": later("mAP, medium boxes"),
    "map_large": later("mAP, large boxes"),
    "precision": later("Precision"),
    "recall": later("Recall"),
    "f1": later("F1"),
    "confidence": later("Best confidence"),
}
"""What a figure is called on screens, in English."""

_CLASS_OF_STAGE = {
    Stage.CANDIDATE: "",
    Stage.PUBLISHED: "good",
    Stage.REPLACED: "warn",
    Stage.WITHDRAWN: "bad",
}
_CLASS_OF_STATUS = {
    EvaluationStatus.WAITING: "warn",
    EvaluationStatus.PROCESSING: "busy",
    EvaluationStatus.SUCCESS: "good",
    EvaluationStatus.ERROR: "bad",
    EvaluationStatus.CANCELLED: "",
}
_STATES = {
    VersionState.IN_USE: (later("in use"), "good"),
    VersionState.REPLACED: (later("replaced"), "warn"),
    VersionState.WITHDRAWN: (later("withdrawn"), "bad"),
}
_STAGES = {
    Stage.CANDIDATE: later("Candidate"),
    Stage.PUBLISHED: later("Published"),
    Stage.REPLACED: later("Replaced"),
    Stage.WITHDRAWN: later("Withdrawn"),
}
_ORIGINS = {
    Origin.BUILTIN: later("Built in"),
    Origin.IMPORTED: later("Imported"),
    Origin.TRAINED: later("Trained"),
}


def name_stage(stage: Stage, t: Texts) -> str:
    return t(_STAGES[stage])


def name_origin(origin: Origin, t: Texts) -> str:
    return t(_ORIGINS[origin])


def mark_stage(stage: Stage, t: Texts) -> str:
    return mark(name_stage(stage, t), _CLASS_OF_STAGE[stage])


def mark_evaluation(status: EvaluationStatus, t: Texts) -> str:
    return mark(t(str(status)), _CLASS_OF_STATUS[status])


def mark_version(state: VersionState, t: Texts) -> str:
    name, kind = _STATES[state]
    return mark(t(name), kind)


def write_interval(low: float | None, high: float | None, t: Texts) -> str:
    """The 95 % interval of a figure; nothing where there is none."""
    if low is None or high is None:
        return ""
    if low < 0:
        return t("{low} to {high}", low=t.figure(low), high=t.figure(high))
    return f"{t.figure(low)}\N{EN DASH}{t.figure(high)}"


def write_figure(figure: Figure | None, t: Texts) -> str:
    """As HTML: with its interval, or why there is none."""
    if figure is None:
        return NONE
    if figure.value is None:
        return f'<span title="{escape(figure.reason or "")}">{NONE}</span>'
    interval = write_interval(figure.low, figure.high, t)
    beside = f' <span class="small muted interval">{interval}</span>' if interval else ""
    return f"{t.figure(figure.value)}{beside}"


def draw_number(value: str, name: str, beside: str = "") -> str:
    """A large number with its name below. All three are HTML already."""
    small = f'<div class="small muted">{beside}</div>' if beside else ""
    return f'<div class="number"><div class="value">{value}</div><div class="name">{name}</div>{small}</div>'
