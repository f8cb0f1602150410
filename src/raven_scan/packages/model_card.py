"""MODEL_CARD.md: what whoever receives a model should know before they use it.

In the form of Mitchell et al., Model Cards for Model Reporting, 2019.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import raven_scan
from raven_scan.architectures.catalogue import list_architectures
from raven_scan.datasets.types import DatasetVersionView
from raven_scan.figures.report import EvaluationReport, Figure
from raven_scan.packages.plots import CONFUSION, F1_BY_CONFIDENCE, PRECISION_RECALL
from raven_scan.trained_models.types import Figures, PackageStep, TrainedModelView

_TITLES = {
    "map": "mAP",
    "map50": "mAP50",
    "map75": "mAP75",
    "map_small": "mAP, small",
    "map_medium": "mAP, medium",
    "map_large": "mAP, large",
    "f1": "F1, the best",
    "confidence": "confidence where it is best",
    "precision": "precision there",
    "recall": "recall there",
}
_OF_CLASSES = {"map50": "mAP50", "precision": "precision", "recall": "recall", "f1": "F1"}
_PICTURES = {
    PRECISION_RECALL: "Precision by recall",
    F1_BY_CONFIDENCE: "F1 by confidence",
    CONFUSION: "Which class is taken for which",
}
_LICENCE_LINE = re.compile(r"\s*(licen[cs]e|attribution|copyright|citation)\s*:", re.IGNORECASE)
_MARKS = re.compile(r"([\\`*_{}\[\]<>#|~$&])")
_BEGINS_BLOCK = re.compile(r"^(\d*)([-+=.)])(?=[-=\s]|$)")
_INTENDED_USE = (
    "To point people at places in images where there may be waste of the classes below: in drone, aerial, satellite or"
    " ground images like those that it learned from. What it finds is a proposal for somebody to look at. It is no"
    " evidence that waste is there, and no proof that none is. Nobody should be accused, fined or cleared by it alone."
)
_ELSEWHERE = (
    "`raven models import PACKAGE.zip` takes it in, where the key is trusted that signed it. Its figures here were"
    " measured on the platform that packed it: evaluate it on images of your own before you rely on it."
)
_FEW_IMAGES = 100
_FEW_BOXES = 30
_MOST_CLASSES = 200
_MOST_SETTINGS = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class CardSource:
    """What a card is written from.

    Attributes:
        steps: its lineage, itself first.
        dataset: that it learned from, None where the exporter may not see it or it came from none.
        dataset_notes: what users wrote of the dataset.
        evaluated_on: the dataset version and part that `report` is of.
        plots: names of the pictures beside the card.
    """

    model: TrainedModelView
    steps: Sequence[PackageStep]
    dataset: DatasetVersionView | None
    dataset_notes: str
    report: EvaluationReport | None
    evaluated_on: str | None
    plots: Iterable[str]


def write_model_card(source: CardSource) -> str:
    model = source.model
    sections = [
        f"# {escape_markdown(model.name)}",
        _describe(source),
        "## Intended use",
        _INTENDED_USE,
        "## Classes",
        _list(
            [f"{index}: {escape_markdown(name)}" for index, name in enumerate(model.classes[:_MOST_CLASSES])]
        ),
        "## Data",
        _describe_data(source),
        *_describe_training(source.steps),
        "## Figures",
        _describe_figures(source),
        "## Limits",
        _list(list(_list_limits(source))),
        "## Where it came from",
        _list([_describe_step(step) for step in source.steps]),
        "## Use it elsewhere",
        _ELSEWHERE,
    ]
    if model.notes:
        sections.insert(2, "\n".join(f"> {escape_markdown(line)}" for line in model.notes.splitlines()))
    return "\n\n".join(sections) + "\n"


def _describe(source: CardSource) -> str:
    model = source.model
    title = next((each.title for each in list_architectures() if each.name == model.architecture), "")
    facts = {
        "Architecture": f"{title} (`{model.architecture}`)",
        "Classes": str(len(model.classes)),
        "Parameters": f"{model.parameter_count:,}" if model.parameter_count else None,
        "Origin": model.origin.value,
        "Learned before": model.starting_weights,
        "Made": model.created_at.date().isoformat(),
        "Weights, sha256": f"`{model.weights_digest}`",
        "Packed by": f"Raven Scan {raven_scan.__version__}",
    }
    return _table(("", ""), [(name, value) for name, value in facts.items() if value])


def _describe_data(source: CardSource) -> str:
    trained = _find_trained(source.steps)
    if trained is None or trained.dataset_version is None:
        return "It was not trained on the platform that packed it; what it learned from is not known there."
    text = [f"It learned from {escape_markdown(trained.dataset_version)}"]
    if trained.dataset_digest:
        text.append(f", whose content has the digest `{trained.dataset_digest}`")
    text.append("." if trained is source.steps[0] else ", on the platform that it was trained on.")
    parts: list[str] = []
    if source.dataset is not None:
        rows = [
            (part, str(counts.image_count), str(counts.box_count), str(counts.background_count))
            for part, counts in source.dataset.parts.items()
        ]
        parts.append(_table(("Part", "Images", "Boxes", "Images without boxes"), rows))
    said = [line.strip() for line in source.dataset_notes.splitlines() if _LICENCE_LINE.match(line)]
    parts.append("### Licence and attribution of the data")
    parts.append(
        _list([escape_markdown(line) for line in said])
        if said
        else f"{'The dataset says nothing of its licence' if source.dataset else 'It is not known here'}. "
        "Ask who made it before you pass on what was learned from it."
    )
    return "\n\n".join(["".join(text), *parts])


def _find_trained(steps: Sequence[PackageStep]) -> PackageStep | None:
    """The step of the run that made the model, here or on the platform that it came from."""
    return next((step for step in steps if step.training_run is not None), None)


def _describe_training(steps: Sequence[PackageStep]) -> list[str]:
    """How the model was trained, here or on the platform that it came from; nothing of one that no run made."""
    step = _find_trained(steps)
    if step is None:
        return []
    told = f"By the run {escape_markdown(step.training_run or '')}"
    told += f", from {escape_markdown(step.base_model)}." if step.base_model else "."
    values = {**(step.parameters or {}), **step.environment}
    rows = [
        (escape_markdown(name.replace("_", " ")), escape_markdown(str(value)))
        for name, value in list(values.items())[:_MOST_SETTINGS]
        if isinstance(value, str | int | float)
    ]
    return ["## Training", told, *([_table(("Setting", "Value"), rows)] if rows else [])]


def _describe_figures(source: CardSource) -> str:
    if source.report is None:
        return _describe_plain_figures(source.model)
    report = source.report
    counts = report.counts
    intervals = report.intervals
    told = (
        f" Intervals are of {intervals.level:.0%}, by a bootstrap over images ({intervals.resamples} resamples)."
        if intervals.resamples
        else ""
    )
    where = escape_markdown(source.evaluated_on or "")
    texts = [
        f"Measured on {where}: {counts.images} images with {counts.boxes} boxes.{told}",
        _table(
            ("Figure", "Value", "Interval"),
            [
                (_TITLES[name], _format(report.figures[name].value), _describe_interval(report.figures[name]))
                for name in _TITLES
                if name in report.figures
            ],
        ),
        _table(
            ("Class", "Boxes", *_OF_CLASSES.values()),
            [
                (
                    escape_markdown(class_name),
                    str(report.counts_by_class[class_name].boxes)
                    if class_name in report.counts_by_class
                    else "-",
                    *(_format(figures[name].value if name in figures else None) for name in _OF_CLASSES),
                )
                for class_name, figures in list(report.by_class.items())[:_MOST_CLASSES]
            ],
        ),
        *(f"![{title}]({name})" for name, title in _PICTURES.items() if name in source.plots),
    ]
    return "\n\n".join(texts)


def _describe_plain_figures(model: TrainedModelView) -> str:
    package = model.package
    figures = model.test or (package.test if package else None)
    if figures is None:
        return "It was not evaluated on the platform that packed it."
    where = "the test part of its dataset" if model.test else f"the platform of the key {package.key_name}"  # pyright: ignore[reportOptionalMemberAccess]
    told = f"Measured on {escape_markdown(where)}"
    if figures.image_count is not None:
        told += f": {figures.image_count} images with {figures.box_count} boxes"
    rows = [(title, _format(getattr(figures, name))) for name, title in _TITLES.items()]
    by_class = [
        (escape_markdown(name), *(_format(values.get(figure)) for figure in _OF_CLASSES))
        for name, values in list(figures.by_class.items())[:_MOST_CLASSES]
    ]
    return "\n\n".join(
        [
            f"{told}. No intervals are known.",
            _table(("Figure", "Value"), rows),
            _table(("Class", *_OF_CLASSES.values()), by_class),
        ]
    )


def _list_limits(source: CardSource) -> Iterable[str]:
    model, report = source.model, source.report
    yield "Figures hold for images like those of the test. Another sensor, height, season or country may change them."
    if model.leak_allowed:
        yield "Its dataset has identical images in two parts: the figures flatter it."
    figures: Figures | None = model.test
    image_count = report.counts.images if report else figures.image_count if figures else None
    if image_count is None:
        yield "How well it detects is not known here."
    elif image_count < _FEW_IMAGES:
        yield f"It was tested on {image_count} images only: the intervals are wide."
    if report is None:
        return
    for name, figure in report.figures.items():
        if figure.value is None and figure.reason:
            yield f"{_TITLES.get(name, name)}: {escape_markdown(figure.reason)}"
    few = [
        name
        for name, counts in report.counts_by_class.items()
        if counts.boxes < _FEW_BOXES and name in report.by_class
    ]
    if few:
        shown = ", ".join(map(escape_markdown, few[:10])) + (" and others" if len(few) > 10 else "")
        yield f"Fewer than {_FEW_BOXES} test boxes: {shown}. Figures of these classes say little."
    if report.unknown_classes:
        shown = ", ".join(map(escape_markdown, report.unknown_classes[:10]))
        yield f"The test had classes that it does not know: {shown}."


def _describe_step(step: PackageStep) -> str:
    text = f"{escape_markdown(step.name)} ({step.origin}, {step.architecture})"
    came = [
        f"{word} {escape_markdown(name)}"
        for word, name in (
            ("by the run", step.training_run),
            ("on", step.dataset_version),
            ("from", step.base_model),
            ("from the file", step.checkpoint),
        )
        if name
    ]
    return f"{text}: {', '.join(came)}" if came else text


def _describe_interval(figure: Figure) -> str:
    if figure.low is not None and figure.high is not None:
        return f"{figure.low:.3f} to {figure.high:.3f}"
    return escape_markdown(figure.reason) if figure.reason else "-"


def _format(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def escape_markdown(text: str) -> str:
    """Text that Markdown takes for nothing else."""
    return _BEGINS_BLOCK.sub(r"\1\\\2", _MARKS.sub(r"\\\1", " ".join(text.split())))


def _list(items: Sequence[str]) -> str:
    return "\n".join(f"- {item}" for item in items) if items else "None."


def _table(head: Sequence[str], rows: Sequence[Sequence[str]] | Mapping[str, str]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
