"""An evaluation's report: figures, curves, confusion, errors by kind, calibration."""

from collections.abc import Mapping, Sequence
from html import escape

from nicegui import ui

from raven_scan.evaluations.types import EvaluationView
from raven_scan.figures.report import (
    BACKGROUND,
    Calibration,
    ConfidenceCurve,
    Confusion,
    ErrorKinds,
    EvaluationReport,
    Figure,
)
from raven_scan.web.frame import sheet
from raven_scan.web.marks import list_facts
from raven_scan.web.model_charts import Curve, Point, draw_curves
from raven_scan.web.model_words import FIGURES, draw_number, write_figure, write_interval
from raven_scan.web.texts import NONE, Texts, later

_LARGE = ("map50", "map", "precision", "recall", "f1", "confidence")
_OF_CLASSES = ("map50", "map", "precision", "recall", "f1")
_SIZES = {
    "map_small": later("Small, below 32 x 32 pixels"),
    "map_medium": later("Medium"),
    "map_large": later("Large, from 96 x 96 pixels"),
}
_MOST_CURVES = 20
_MOST_CONFUSED = 30
_ERRORS = {
    "classification": (later("Wrong class"), later("The right place, another class.")),
    "localisation": (
        later("Badly placed"),
        later("The right class, but the box overlaps the true one too little."),
    ),
    "both": (later("Wrong class, badly placed"), later("Another class, and the box overlaps too little.")),
    "double": (later("Found twice"), later("A box that a surer detection has found already.")),
    "background": (later("Nothing there"), later("No true box is near: a false alarm.")),
    "missed": (later("Missed"), later("A true box that nothing found, not even nearly.")),
}


def show_report(evaluation: EvaluationView, report: EvaluationReport, t: Texts) -> None:
    """All parts of a report but the gallery, which is no part of it."""
    with sheet(t("Figures")):
        ui.html(_draw_figures(evaluation, report, t), sanitize=False).classes("stack")
    with ui.element("div").classes("grid"):
        with sheet(t("Precision by recall")):
            _show_precision(report, t)
        with sheet(t("F1 by confidence")):
            _show_f1(report, t)
    with sheet(t("Classes")):
        ui.html(_draw_classes(report, t), sanitize=False).classes("scroll")
    with sheet(t("Confusion")):
        ui.label(_explain_confusion(report.confusion, t)).classes("muted small")
        ui.html(draw_confusion(report.confusion, t), sanitize=False).classes("scroll").props("tabindex=0")
    with sheet(t("Errors by kind")):
        ui.html(_draw_errors(report.errors, t), sanitize=False).classes("scroll")
    with ui.element("div").classes("grid"):
        with sheet(t("Calibration")):
            _show_calibration(report.calibration, t)
        with sheet(t("Sizes")):
            facts = [(t(name), write_figure(report.figures.get(key), t)) for key, name in _SIZES.items()]
            ui.label(t("mAP by how large the true boxes are.")).classes("muted small")
            ui.html(list_facts(facts), sanitize=False)


def _draw_figures(evaluation: EvaluationView, report: EvaluationReport, t: Texts) -> str:
    drawn = "".join(
        draw_number(
            t.figure(figure.value), escape(t(FIGURES[name])), write_interval(figure.low, figure.high, t)
        )
        for name in _LARGE
        for figure in [report.figures.get(name, Figure(value=None))]
    )
    facts = [
        t("{count} images", count=t.number(report.counts.images)),
        t("{count} boxes", count=t.number(report.counts.boxes)),
    ]
    if report.speed.images_per_s is not None:
        speed = t.number(report.speed.images_per_s, 1)
        facts.append(t("{speed} images/s on {device}", speed=speed, device=report.speed.device or NONE))
    if report.flops.value is not None:
        facts.append(t("{count} operations an image", count=t.short_number(report.flops.value)))
    if report.intervals.resamples:
        facts.append(
            t(
                "{level} intervals from {count} resamples of the images",
                level=t.percent(report.intervals.level),
                count=t.number(report.intervals.resamples),
            )
        )
    warnings = "".join(f'<div class="notice warn">{escape(each)}</div>' for each in evaluation.warnings)
    said = escape(" · ".join(facts))
    return f'{warnings}<div class="numbers">{drawn}</div><p class="muted small">{said}</p>'


def _show_precision(report: EvaluationReport, t: Texts) -> None:
    curves = report.precision_recall
    drawn = _list_precision(curves.recalls, curves.overall, curves.by_class, t)
    if not drawn:
        ui.label(t("It cannot be had: the part has no boxes.")).classes("muted")
        return
    draw_curves(t("Precision by recall, overall and by class"), t("Recall"), t("Precision"), drawn)
    ui.label(
        t("At IoU {iou}: how many detections are right, at each share of boxes found.", iou=curves.iou)
    ).classes("muted small")


def _list_precision(
    recalls: Sequence[float],
    overall: Sequence[float] | None,
    by_class: Mapping[str, Sequence[float] | None],
    t: Texts,
) -> list[Curve]:
    drawn = [] if overall is None else [Curve(t("All classes"), _pair(recalls, overall), is_strong=True)]
    for name, precision in list(by_class.items())[:_MOST_CURVES]:
        # Of a single class it is the same line.
        if precision is not None and len(by_class) > 1:
            drawn.append(Curve(name, _pair(recalls, precision)))
    return drawn


def _show_f1(report: EvaluationReport, t: Texts) -> None:
    curves = report.f1_by_confidence
    if curves.overall is None:
        ui.label(t("It cannot be had: the part has no boxes.")).classes("muted")
        return
    best = curves.overall.best
    point = (
        None
        if best is None
        else Point(
            t("best: F1 {f1} at {confidence}", f1=t.figure(best.f1), confidence=t.number(best.confidence, 2)),
            best.confidence,
            best.f1,
        )
    )
    drawn = [Curve(t("All classes"), _pair_f1(curves.overall), is_strong=True)]
    for name, curve in list(curves.by_class.items())[:_MOST_CURVES]:
        if curve is not None and len(curves.by_class) > 1:
            drawn.append(Curve(name, _pair_f1(curve)))
    draw_curves(t("F1 by confidence, overall and by class"), t("Confidence"), "F1", drawn, best=point)
    if best is None:
        ui.label(t("No confidence gives a hit.")).classes("muted small")
    else:
        said = t(
            "At {confidence}, precision is {precision} and recall {recall}.",
            confidence=t.number(best.confidence, 2),
            precision=t.figure(best.precision),
            recall=t.figure(best.recall),
        )
        ui.label(said).classes("muted small")


def _pair(xs: Sequence[float], ys: Sequence[float]) -> list[tuple[float, float | None]]:
    return [(x, y) for x, y in zip(xs, ys, strict=True)]


def _pair_f1(curve: ConfidenceCurve) -> list[tuple[float, float | None]]:
    return _pair(curve.confidences, curve.f1)


def _draw_classes(report: EvaluationReport, t: Texts) -> str:
    head = f"<th>{escape(t('Class'))}</th><th class='n'>{escape(t('Boxes'))}</th>" + "".join(
        f'<th class="n">{escape(t(FIGURES[name]))}</th>' for name in _OF_CLASSES
    )
    rows = ""
    for name, figures in report.by_class.items():
        counts = report.counts_by_class.get(name)
        cells = "".join(f'<td class="n">{write_figure(figures.get(each), t)}</td>' for each in _OF_CLASSES)
        boxes = NONE if counts is None else t.number(counts.boxes)
        rows += f'<tr><td>{escape(name)}</td><td class="n">{boxes}</td>{cells}</tr>'
    return f'<table class="list"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>'


def draw_confusion(confusion: Confusion, t: Texts) -> str:
    """A table whose cells are coloured by their share of the row: readable with and without eyes."""
    labels = [t("background") if each == BACKGROUND else each for each in confusion.labels]
    shown = _choose_confused(confusion)
    last = shown[-1]
    head = "".join(f'<th scope="col">{escape(labels[column])}</th>' for column in shown)
    rows = ""
    for row in shown:
        label, counts = labels[row], confusion.matrix[row]
        whole = sum(counts) or 1
        cells = ""
        for column in shown:
            count = counts[column]
            share = count / whole
            kind = "right" if row == column else "wrong"
            number = "" if row == column == last else t.number(count)
            said = t(
                "{count} of {there} detected as {detected}: {share}",
                count=count,
                there=label,
                detected=labels[column],
                share=t.percent(share),
            )
            cells += f'<td class="{kind}" style="--share:{share:.3f}" title="{escape(said)}">{number}</td>'
        rows += f'<tr><th scope="row">{escape(label)}</th>{cells}</tr>'
    left_out = len(labels) - len(shown)
    note = t("{count} classes with fewer errors are left out.", count=t.number(left_out)) if left_out else ""
    return (
        f'<table class="confusion" aria-label="{escape(t("Confusion"))}">'
        f"<thead><tr><td></td>{head}</tr></thead><tbody>{rows}</tbody></table>"
        f'<p class="muted small">{escape(note)}</p>'
    )


def _choose_confused(confusion: Confusion) -> list[int]:
    """Rows, which are columns too: those with the most errors in their order, and the background, the last."""
    matrix, last = confusion.matrix, len(confusion.matrix) - 1
    columns = [sum(column) for column in zip(*matrix, strict=True)]
    errors = [sum(matrix[each]) + columns[each] - 2 * matrix[each][each] for each in range(last)]
    worst = sorted(range(last), key=lambda each: -errors[each])[:_MOST_CONFUSED]
    return [*sorted(worst), last]


def _explain_confusion(confusion: Confusion, t: Texts) -> str:
    return t(
        "Rows: what is there. Columns: what was detected, with a confidence of at least {confidence} and an overlap "
        "of at least {iou}. The last column holds misses, the last row false alarms.",
        confidence=t.number(confusion.confidence, 2),
        iou=t.number(confusion.iou, 2),
    )


def _draw_errors(errors: ErrorKinds, t: Texts) -> str:
    head = (
        f"<th>{escape(t('Kind'))}</th><th>{escape(t('What it is'))}</th>"
        f'<th class="n" title="{escape(t("Of at least the best confidence"))}">{escape(t("Sure"))}</th>'
        f'<th class="n">{escape(t("All"))}</th>'
        f'<th class="n" title="{escape(t("By how much mAP50 would be higher without it"))}">'
        f"{escape(t('Costs mAP50'))}</th>"
    )
    rows = ""
    for key, kind in errors.kinds.items():
        name, meaning = _ERRORS.get(key, (key, ""))
        rows += (
            f'<tr><td>{escape(t(name))}</td><td class="muted">{escape(t(meaning) if meaning else "")}</td>'
            f'<td class="n">{t.number(kind.count_at_confidence)}</td><td class="n">{t.number(kind.count)}</td>'
            f'<td class="n">{write_figure(kind.map50_gain, t)}</td></tr>'
        )
    return f'<table class="list"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>'


def _show_calibration(calibration: Calibration, t: Texts) -> None:
    points: list[tuple[float, float | None]] = [
        (each.confidence, each.precision)
        for each in calibration.bins
        if each.confidence is not None and each.precision is not None
    ]
    if not points:
        ui.label(t("It cannot be had: nothing was detected.")).classes("muted")
        return
    draw_curves(
        t("Share of detections that are right, by their confidence"),
        t("Confidence"),
        t("Right"),
        [
            Curve(t("This model"), points, is_strong=True, shows_points=True),
            Curve(t("Perfectly calibrated"), [(0, 0), (1, 1)], is_dashed=True),
        ],
        height_px=260,
    )
    said = t(
        "Expected calibration error: {error}. Below the dashed line it is too sure of itself.",
        error=t.figure(calibration.error.value),
    )
    ui.label(said).classes("muted small")
