"""How evaluations, comparisons and galleries look on a terminal."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from raven_scan.app.cli.output import Output
    from raven_scan.evaluations.schemas import (
        ComparedModelOut,
        ComparisonOut,
        EvaluationOut,
        EvaluationProgressOut,
        FigureOut,
        GalleryImageOut,
        GalleryPage,
    )

TITLE_OF_FIGURE = {
    "map": "mAP",
    "map50": "mAP50",
    "map75": "mAP75",
    "map_small": "mAP small",
    "map_medium": "mAP medium",
    "map_large": "mAP large",
    "precision": "precision",
    "recall": "recall",
    "f1": "F1",
    "confidence": "confidence",
}
_BOXES_SHOWN = 5


def show_evaluation(output: "Output", evaluation: "EvaluationOut") -> None:
    """Tells an evaluation as a command's result."""

    def render(console: "Console") -> None:
        from raven_scan.app.cli.tables import format_moment, make_status, print_facts  # noqa: PLC0415

        error, progress = evaluation.error, evaluation.progress
        print_facts(
            console,
            {
                "Evaluation": str(evaluation.id),
                "Model": evaluation.model.name,
                "Dataset": f"{evaluation.dataset_version.name}, {evaluation.part} part",
                "Status": make_status(evaluation.status),
                **(
                    {"Progress": f"{progress.phase}, {progress.done} of {progress.total} images"}
                    if evaluation.status == "Processing"
                    else {}
                ),
                **({"Measured on": _describe_content(evaluation)} if evaluation.image_count else {}),
                **(
                    {"Speed": f"{evaluation.images_per_s:.1f} images/s on {evaluation.device}"}
                    if evaluation.images_per_s
                    else {}
                ),
                "Created": f"{format_moment(evaluation.created_at)} by {evaluation.created_by}",
                **({"Ended": format_moment(evaluation.ended_at)} if evaluation.ended_at else {}),
                **({"Warnings": "\n".join(evaluation.warnings)} if evaluation.warnings else {}),
                **({"Error": f"{error.message} [{error.code}]", "Hint": error.hint} if error else {}),
            },
        )
        if evaluation.figures is not None:
            print_figures(console, evaluation.figures)

    output.show(evaluation.model_dump(mode="json"), render)


def print_figures(console: "Console", figures: "dict[str, FigureOut]") -> None:
    """Prints figures with their intervals; one that cannot be had says why."""
    from raven_scan.app.cli.tables import format_figure, print_table  # noqa: PLC0415

    rows = [
        (
            TITLE_OF_FIGURE.get(name, name),
            format_figure(figure.value),
            figure.reason if figure.value is None else format_interval(figure.low, figure.high),
        )
        for name, figure in sorted(figures.items(), key=_find_place)
    ]
    print_table(console, ("Figure", "Value", "95 % interval"), rows, empty="")


def _find_place(item: "tuple[str, FigureOut]") -> int:
    order = list(TITLE_OF_FIGURE)
    return order.index(item[0]) if item[0] in order else len(order)


def format_interval(low: float | None, high: float | None, *, signed: bool = False) -> str:
    if low is None or high is None:
        return "-"
    return f"{low:+.3f} to {high:+.3f}" if signed else f"{low:.3f} to {high:.3f}"


def make_row(evaluation: "EvaluationOut") -> tuple[Any, ...]:
    """A row of a list."""
    from raven_scan.app.cli.tables import format_figure  # noqa: PLC0415

    map50 = (evaluation.figures or {}).get("map50")
    return (
        str(evaluation.id),
        evaluation.model.name,
        evaluation.dataset_version.name,
        evaluation.part,
        describe_progress(evaluation.status, evaluation.progress),
        format_figure(map50.value if map50 else None),
        "its training run" if evaluation.training_run_id else evaluation.created_by,
        evaluation.created_at,
    )


def describe_progress(status: str, progress: "EvaluationProgressOut") -> "Text":
    """The status, of one at work with how far it is."""
    from raven_scan.app.cli.tables import make_status  # noqa: PLC0415

    described = make_status(status)
    if status == "Processing" and progress.total:
        described.append(f" {progress.done} of {progress.total} images")
    return described


def show_comparison(output: "Output", comparison: "ComparisonOut") -> None:
    """Tells a comparison as a command's result."""

    def render(console: "Console") -> None:
        from raven_scan.app.cli.tables import print_table  # noqa: PLC0415

        of_class = "" if comparison.class_name is None else f" of {comparison.class_name!r}"
        first = comparison.models[0].model.name
        console.print(
            f"{comparison.dataset_version.name}, {comparison.part} part; compared with {first}:",
            markup=False,
            soft_wrap=True,
        )
        figure = TITLE_OF_FIGURE.get(comparison.figure, comparison.figure)
        print_table(
            console,
            ("Model", f"{figure}{of_class}", "Difference", "95 % interval", "Verdict"),
            [_make_compared_row(each) for each in comparison.models],
            empty="",
        )
        for each in comparison.models:
            if each.difference is not None and each.difference.reason:
                console.print(f"{each.model.name}: {each.difference.reason}", markup=False, style="dim")

    output.show(comparison.model_dump(mode="json"), render)


def _make_compared_row(compared: "ComparedModelOut") -> tuple[Any, ...]:
    from raven_scan.app.cli.tables import format_figure  # noqa: PLC0415

    name, value, difference = compared.model.name, format_figure(compared.value), compared.difference
    if difference is None:
        return name, value, None, None, "compared with"
    amount = None if difference.value is None else f"{difference.value:+.3f}"
    interval = format_interval(difference.low, difference.high, signed=True)
    return name, value, amount, interval, str(difference.verdict)


def show_gallery_page(output: "Output", evaluation: "EvaluationOut", page: "GalleryPage") -> None:
    """Tells a page of a gallery as a command's result."""

    def render(console: "Console") -> None:
        from raven_scan.app.cli.tables import print_next, print_table  # noqa: PLC0415

        console.print(
            f"{evaluation.model.name} on {evaluation.dataset_version.name}, {evaluation.part} part",
            markup=False,
            soft_wrap=True,
        )
        print_table(
            console,
            ("Place", "Image", "Missed", "False alarms", "Boxes: class x, y, width, height"),
            [
                (
                    each.place,
                    each.result.file_name,
                    each.result.misses,
                    each.result.false_alarms,
                    _describe_boxes(each),
                )
                for each in page.items
            ],
            empty="No such image: well done.",
        )
        print_next(console, page.next)

    output.show(page.model_dump(mode="json"), render)


def _describe_boxes(image: "GalleryImageOut") -> str:
    lines = list(_list_wrong_boxes(image))
    left = len(lines) - _BOXES_SHOWN
    return "\n".join([*lines[:_BOXES_SHOWN], *([f"… and {left} more"] if left > 0 else [])])


def _list_wrong_boxes(image: "GalleryImageOut") -> Iterator[str]:
    for box in image.result.true_boxes:
        if not box.found and not box.crowd:
            yield f"missed: {box.class_name} {_format_box(box.box)}"
    for detected in image.result.detections:
        if not detected.hit:
            yield f"false: {detected.class_name} {_format_box(detected.box)} at {detected.confidence:.2f}"


def _format_box(box: tuple[float, float, float, float]) -> str:
    return ", ".join(f"{number:.0f}" for number in box)


def _describe_content(evaluation: "EvaluationOut") -> str:
    return f"{evaluation.image_count} images, {evaluation.box_count} boxes"
