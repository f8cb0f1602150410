"""`raven models predict`: what a model finds on images."""

import re
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from raven_scan.app.cli.exit_codes import RUN_FAILED
from raven_scan.app.cli.image_arguments import find_images
from raven_scan.app.cli.output import SHOWN_PROBLEMS, JsonFlag, Output, print_json
from raven_scan.app.cli.session import open_raven
from raven_scan.app.cli.written_files import ForceFlag, check_place, write_whole

if TYPE_CHECKING:
    from rich.console import Console

    from raven_scan.detections.schemas import DetectionsOut


class PredictionFormat(StrEnum):
    TABLE = "table"
    COCO = "coco"
    CSV = "csv"


_DEVICE = re.compile(r"cpu|cuda:[0-9]{1,2}")
_FORMAT_OF_SUFFIX = {".json": PredictionFormat.COCO, ".csv": PredictionFormat.CSV}


def predict(
    model: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            help="A published model, NAME or NAME@N; for reviewers any model's name or id.",
            show_default=False,
        ),
    ],
    images: Annotated[
        list[str],
        typer.Argument(metavar="IMAGES...", help="Files, folders, patterns as '*.jpg'.", show_default=False),
    ],
    form: Annotated[
        PredictionFormat | None,
        typer.Option("--format", help="Default: by the ending of --output, else table."),
    ] = None,
    output_file: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Write the boxes there: COCO or CSV."),
    ] = None,
    pictures: Annotated[
        Path | None, typer.Option("--pictures", metavar="FOLDER", help="Draw the boxes on copies there.")
    ] = None,
    min_confidence: Annotated[
        float | None,
        typer.Option(
            "--min-confidence",
            min=0,
            max=1,
            help="Leave out boxes of less. Default: where the model does best.",
        ),
    ] = None,
    batch_size: Annotated[
        int | None, typer.Option("--batch-size", min=1, help="How many are looked at at once.")
    ] = None,
    device: Annotated[str | None, typer.Option("--device", help="cpu, or cuda:0, …")] = None,
    force: ForceFlag = False,
    as_json: JsonFlag = False,
) -> int:
    """Detect on images with a published model. They are not kept.

    Ends with exit code 1 where an image could not be looked at; the others are answered all the same.
    """
    from raven_scan.app.cli.work_progress import display_work  # noqa: PLC0415

    output = Output(as_json)
    if device is not None and not _DEVICE.fullmatch(device):
        raise typer.BadParameter(f"{device!r} is no device, as cpu or cuda:0.", param_hint="--device")
    form = _choose_form(form, output_file, as_json=as_json)
    paths = find_images(images)
    planned = _plan(paths, output_file, pictures, may_overwrite=force)
    with open_raven() as raven, display_work(output.message_console) as on_progress:
        found = raven.detections.detect(
            model,
            paths,
            min_confidence=min_confidence,
            batch_size=batch_size,
            device=device,
            on_progress=on_progress,
        )
        if pictures is not None:
            from raven_scan.app.cli.detection_pictures import write_pictures  # noqa: PLC0415

            write_pictures(found, paths, planned, on_progress)
    _tell(output, found, form, output_file)
    output.say(_summarise(found), style="dim")
    problems = [image.problem for image in found.images if image.problem is not None]
    if not as_json:
        for problem in problems[:SHOWN_PROBLEMS]:
            output.say(f"{problem.message} {problem.hint}".strip(), style="yellow")
        if len(problems) > SHOWN_PROBLEMS:
            output.say(f"… and {len(problems) - SHOWN_PROBLEMS} more; --json shows all.", style="yellow")
    return RUN_FAILED if problems else 0


def _choose_form(
    form: PredictionFormat | None, output_file: Path | None, *, as_json: bool
) -> PredictionFormat:
    if form is None and output_file is not None:
        form = _FORMAT_OF_SUFFIX.get(output_file.suffix.lower())
        if form is None:
            raise typer.BadParameter(
                f"{output_file.name} ends in neither .json nor .csv: say --format.", param_hint="--output"
            )
    form = form or PredictionFormat.TABLE
    if output_file is not None and form is PredictionFormat.TABLE:
        raise typer.BadParameter("A table is for looking at: write coco or csv.", param_hint="--format")
    if as_json and output_file is None and form is PredictionFormat.CSV:
        raise typer.BadParameter("CSV is not JSON: leave out --json, or say -o.", param_hint="--format")
    return form


def _plan(
    paths: list[Path], output_file: Path | None, pictures: Path | None, *, may_overwrite: bool
) -> list[Path]:
    """Where pictures go. What would be overwritten is refused before anything is looked at."""
    if output_file is not None:
        check_place(output_file, may_overwrite=may_overwrite)
    if pictures is None:
        return []
    from raven_scan.app.cli.detection_pictures import plan_pictures  # noqa: PLC0415

    return plan_pictures(paths, pictures, may_overwrite=may_overwrite)


def _tell(output: Output, found: "DetectionsOut", form: PredictionFormat, output_file: Path | None) -> None:
    if output_file is not None:
        write_whole(output_file, _encode(found, form))
        if output.as_json:
            print_json(found.model_dump(mode="json"))
        return
    if form is PredictionFormat.TABLE:
        output.show(found.model_dump(mode="json"), lambda console: _print_boxes(console, found))
    else:
        sys.stdout.write(_encode(found, form).decode())


def _encode(found: "DetectionsOut", form: PredictionFormat) -> bytes:
    from raven_scan.detections.formats import make_coco, make_csv  # noqa: PLC0415

    if form is PredictionFormat.CSV:
        return make_csv(found).encode(errors="backslashreplace")
    import json  # noqa: PLC0415

    return (json.dumps(make_coco(found), indent=1) + "\n").encode()


def _print_boxes(console: "Console", found: "DetectionsOut") -> None:
    from raven_scan.app.cli.tables import print_table  # noqa: PLC0415

    rows: list[tuple[Any, ...]] = [
        (
            image.name,
            box.class_name,
            f"{box.score:.3f}",
            *(f"{side:.1f}" for side in (box.x, box.y, box.width, box.height)),
        )
        for image in found.images
        for box in image.boxes
    ]
    print_table(
        console, ("Image", "Class", "Score", "x", "y", "Width", "Height"), rows, empty="Nothing was found."
    )


def _summarise(found: "DetectionsOut") -> str:
    model = found.model
    name = model.name if model.version is None else f"{model.published_name}@{model.version}"
    looked_at = [image for image in found.images if image.problem is None]
    boxes = sum(len(image.boxes) for image in looked_at)
    return (
        f"{boxes} {'box' if boxes == 1 else 'boxes'} on {len(looked_at)} "
        f"{'image' if len(looked_at) == 1 else 'images'} by {name}, "
        f"of confidence {found.min_confidence:.3f} and more"
    )
