"""How an evaluation's whole report looks on a terminal."""

from typing import TYPE_CHECKING, Any

from raven_scan.app.cli.evaluation_display import TITLE_OF_FIGURE, format_interval

if TYPE_CHECKING:
    from rich.console import Console

    from raven_scan.app.cli.output import Output
    from raven_scan.evaluations.schemas import EvaluationOut
    from raven_scan.figures.report import EvaluationReport, Figure

_CLASS_FIGURES = ("map50", "map", "precision", "recall", "f1")
_MOST_LABELS = 12
_MOST_NAMED = 8


def show_report(output: "Output", evaluation: "EvaluationOut", report: dict[str, Any]) -> None:
    """Tells a report as a command's result; with `--json` as it is, with its curves.

    Args:
        output: of the command.
        evaluation: whose it is.
        report: as the API has it.
    """

    def render(console: "Console") -> None:
        import msgspec  # noqa: PLC0415

        from raven_scan.figures.report import EvaluationReport  # noqa: PLC0415

        read = msgspec.convert(report, EvaluationReport)
        _print_head(console, evaluation, read)
        _print_overall(console, read)
        _print_classes(console, read)
        _print_errors(console, read)
        _print_confusion(console, read)
        _print_rest(console, read)

    output.show({"evaluation": evaluation.model_dump(mode="json"), "report": report}, render)


def _print_head(console: "Console", evaluation: "EvaluationOut", report: "EvaluationReport") -> None:
    counts = report.counts
    console.print(
        f"{evaluation.model.name} on {evaluation.dataset_version.name}, {evaluation.part} part: "
        f"{counts.images} images, {counts.boxes} boxes, {counts.crowds} crowds, {counts.detections} detections",
        markup=False,
        soft_wrap=True,
    )
    for warning in evaluation.warnings:
        console.print(warning, markup=False, style="yellow", soft_wrap=True)


def _print_overall(console: "Console", report: "EvaluationReport") -> None:
    from raven_scan.app.cli.tables import format_figure, print_table  # noqa: PLC0415

    rows = [
        (TITLE_OF_FIGURE.get(name, name), format_figure(figure.value), _describe_certainty(figure))
        for name, figure in report.figures.items()
    ]
    print_table(console, ("Figure", "Value", "95 % interval"), rows, empty="")
    if report.intervals.note:
        console.print(report.intervals.note, markup=False, style="dim", soft_wrap=True)


def _describe_certainty(figure: "Figure") -> str | None:
    return figure.reason if figure.value is None else format_interval(figure.low, figure.high)


def _print_classes(console: "Console", report: "EvaluationReport") -> None:
    from raven_scan.app.cli.tables import format_figure, print_table  # noqa: PLC0415

    reasons: dict[str, list[str]] = {}
    rows: list[tuple[Any, ...]] = []
    without = set(report.classes_without_boxes)
    for name, figures in report.by_class.items():
        if name in without:
            continue
        cells: list[str] = []
        for figure_name in _CLASS_FIGURES:
            figure = figures.get(figure_name)
            cells.append(format_figure(figure.value if figure else None))
            if figure is not None and figure.value is None and figure.reason:
                reasons.setdefault(f"{name}: {figure.reason}", []).append(TITLE_OF_FIGURE[figure_name])
        rows.append((name, report.counts_by_class[name].boxes, *cells))
    titles = (TITLE_OF_FIGURE[name] for name in _CLASS_FIGURES)
    print_table(console, ("Class", "Boxes", *titles), rows, empty="")
    if without:
        shown = ", ".join(report.classes_without_boxes[:_MOST_NAMED])
        more = f" and {len(without) - _MOST_NAMED} more" if len(without) > _MOST_NAMED else ""
        line = f"- No figures of {shown}{more}: the part has no box of them."
        console.print(line, markup=False, style="dim", soft_wrap=True)
    for reason in reasons:
        console.print(f"- {reason}", markup=False, style="dim", soft_wrap=True)


def _print_errors(console: "Console", report: "EvaluationReport") -> None:
    from raven_scan.app.cli.tables import format_figure, print_table  # noqa: PLC0415

    rows = [
        (
            kind,
            error.count,
            error.count_at_confidence,
            format_figure(error.map50_gain.value)
            if error.map50_gain.value is not None
            else error.map50_gain.reason,
        )
        for kind, error in report.errors.kinds.items()
    ]
    columns = ("Errors", "All", "At the best confidence", "mAP50 without them, more by")
    print_table(console, columns, rows, empty="")


def _print_confusion(console: "Console", report: "EvaluationReport") -> None:
    from raven_scan.app.cli.tables import print_table  # noqa: PLC0415

    confusion = report.confusion
    matrix = confusion.matrix
    # Labels of which nothing is there, and nothing was detected, say nothing.
    shown = [label for label, row in enumerate(matrix) if any(row) or any(each[label] for each in matrix)]
    if len(shown) > _MOST_LABELS:
        console.print(f"Confusion of {len(shown)} labels: see --json.", style="dim")
        return
    rows = [(confusion.labels[row], *(matrix[row][column] for column in shown)) for row in shown]
    print_table(
        console, ("There, and taken for", *(confusion.labels[label] for label in shown)), rows, empty=""
    )
    console.print(
        f"Detections of at least {confusion.confidence:.3f} count, at IoU {confusion.iou}.", style="dim"
    )


def _print_rest(console: "Console", report: "EvaluationReport") -> None:
    from raven_scan.app.cli.tables import format_figure, print_facts  # noqa: PLC0415

    best = report.f1_by_confidence.overall.best if report.f1_by_confidence.overall else None
    calibration, speed, flops = report.calibration.error, report.speed, report.flops
    console.print()
    print_facts(
        console,
        {
            "Best confidence": f"{best.confidence:.3f}: precision {best.precision:.3f}, recall {best.recall:.3f}, "
            f"F1 {best.f1:.3f}"
            if best
            else "none: nothing was found at any",
            "Calibration error": calibration.reason
            if calibration.value is None
            else f"{format_figure(calibration.value)} ({format_interval(calibration.low, calibration.high)})",
            "Speed": speed.reason
            if speed.images_per_s is None
            else f"{speed.images_per_s:.1f} images/s, {speed.batch_size} at a time, on {speed.device}",
            "Parameters": None if report.parameter_count is None else f"{report.parameter_count:,}",
            "FLOPs": flops.reason
            if flops.value is None
            else _describe_flops(flops.value, flops.input_size_px),
        },
    )


def _describe_flops(value: int, size_px: tuple[int, int] | None) -> str:
    of = "" if size_px is None else f" for {size_px[0]} x {size_px[1]} pixels"
    return f"{value / 1e9:.2f} GFLOPs an image{of}"
