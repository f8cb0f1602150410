"""`raven models evaluate`, `evaluation`, `evaluations`, `figures`, `compare` and `gallery`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from raven_scan.app.cli.exit_codes import INTERRUPTED, RUN_FAILED
from raven_scan.app.cli.model_upkeep import ModelRef
from raven_scan.app.cli.output import JsonFlag, Output
from raven_scan.app.cli.session import open_raven, open_session

if TYPE_CHECKING:
    from rich.console import Console

    from raven_scan.app.cli.session import Session
    from raven_scan.client import RavenClient
    from raven_scan.evaluations.schemas import EvaluationOut, GalleryPage

_PARTS = "train, valid or test."

DatasetOption = Annotated[
    str | None,
    typer.Option("--dataset", help="On this name@version. Default: where the model was evaluated last."),
]
PartOption = Annotated[str, typer.Option("--part", help=_PARTS)]


def evaluate(
    model: ModelRef,
    dataset: Annotated[
        str, typer.Option("--dataset", help="name@version, or the newest version by the name alone.")
    ],
    part: PartOption = "test",
    no_wait: Annotated[
        bool, typer.Option("--no-wait", help="Only ask for it; a worker does it some time.")
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Evaluate a model on a part of a dataset version. It comes before training runs that wait."""
    from raven_scan.app.cli.evaluation_display import show_evaluation  # noqa: PLC0415

    output = Output(as_json)
    with open_session() as session:
        evaluation = session.raven.evaluations.request(model, dataset, part=part)
        for warning in evaluation.warnings:
            output.say(warning, style="yellow")
        if not no_wait:
            evaluation = _wait(session, output, evaluation)
    show_evaluation(output, evaluation)
    if no_wait and not evaluation.status.is_final:
        output.say(f"It waits for a worker. Next: raven models evaluation {evaluation.id}", style="dim")
    elif evaluation.status != "Success":
        raise typer.Exit(RUN_FAILED)
    else:
        where = f"--dataset {evaluation.dataset_version.name} --part {evaluation.part}"
        output.say(f"All figures: raven models figures {evaluation.model.name} {where}", style="dim")


def show_one_evaluation(
    evaluation: Annotated[str, typer.Argument(metavar="EVALUATION", help="Its id.", show_default=False)],
    cancel: Annotated[bool, typer.Option("--cancel", help="Cancel it.")] = False,
    log: Annotated[bool, typer.Option("--log", help="Tell what its process printed.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Show an evaluation: how far it is, or its figures; cancel it, or read its log."""
    from raven_scan.app.cli.evaluation_display import show_evaluation  # noqa: PLC0415

    output = Output(as_json)
    if cancel and log:
        raise typer.BadParameter("Give either --cancel or --log.")
    with open_raven() as raven:
        if log:
            text = raven.evaluations.log(evaluation)
            output.show({"text": text}, lambda console: console.print(text, markup=False, end=""))
            return
        found = raven.evaluations.cancel(evaluation) if cancel else raven.evaluations.get(evaluation)
    show_evaluation(output, found)


def list_evaluations(
    model: Annotated[
        str | None, typer.Argument(metavar="[MODEL]", help="Only this one's.", show_default=False)
    ] = None,
    dataset: Annotated[str | None, typer.Option("--dataset", help="Only on this name@version.")] = None,
    part: Annotated[str | None, typer.Option("--part", help="Only on this part.")] = None,
    limit: Annotated[int | None, typer.Option("--limit", help="At most so many.")] = None,
    cursor: Annotated[str | None, typer.Option("--cursor", help="Go on from the 'next' of a list.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """List evaluations, newest first: what waits, what is at work, and what came out."""
    from raven_scan.app.cli.evaluation_display import make_row  # noqa: PLC0415

    with open_raven() as raven:
        page = raven.evaluations.list(model=model, dataset=dataset, part=part, limit=limit, cursor=cursor)

    def render(console: "Console") -> None:
        from raven_scan.app.cli.tables import print_next, print_table  # noqa: PLC0415

        print_table(
            console,
            ("Evaluation", "Model", "Dataset", "Part", "Status", "mAP50", "Made by", "Created"),
            [make_row(each) for each in page.items],
            empty="No evaluations: raven models evaluate MODEL --dataset DATASET",
        )
        print_next(console, page.next)

    Output(as_json).show(page.model_dump(mode="json"), render)


def show_figures(
    model: ModelRef, dataset: DatasetOption = None, part: PartOption = "test", as_json: JsonFlag = False
) -> None:
    """Show all figures of a model's last evaluation, with intervals, by class and size, and errors by kind."""
    from raven_scan.app.cli.figure_display import show_report  # noqa: PLC0415

    with open_raven() as raven:
        evaluation = _find_last(raven, model, dataset, part)
        report = raven.evaluations.report(str(evaluation.id))
    show_report(Output(as_json), evaluation, report)


def compare(
    models: Annotated[
        list[str],
        typer.Argument(metavar="MODEL MODEL…", help="Two to ten; the others are compared with the first."),
    ],
    dataset: Annotated[
        str | None,
        typer.Option("--dataset", help="On this name@version. Default: where the first was evaluated last."),
    ] = None,
    part: PartOption = "test",
    figure: Annotated[
        str, typer.Option("--figure", help="map50, map, map75, precision, recall, f1, …")
    ] = "map50",
    class_name: Annotated[str | None, typer.Option("--class", help="By this class alone.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Compare models on the same images: which is better, and whether there are images enough to tell."""
    from raven_scan.app.cli.evaluation_display import show_comparison  # noqa: PLC0415

    with open_raven() as raven:
        comparison = raven.evaluations.compare(
            models, dataset=dataset, part=part, figure=figure, class_name=class_name
        )
    show_comparison(Output(as_json), comparison)


def show_gallery(
    model: ModelRef,
    kind: Annotated[str, typer.Option("--kind", help="missed or false-alarms.")] = "missed",
    dataset: DatasetOption = None,
    part: PartOption = "test",
    limit: Annotated[int | None, typer.Option("--limit", help="At most so many.")] = None,
    cursor: Annotated[str | None, typer.Option("--cursor", help="Go on from the 'next' of a list.")] = None,
    pictures: Annotated[
        Path | None, typer.Option("--pictures", help="Write them with their boxes into this folder.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite pictures that are there.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """List the images on which a model does worst: boxes that it missed, or false alarms."""
    from raven_scan.app.cli.evaluation_display import show_gallery_page  # noqa: PLC0415

    output = Output(as_json)
    with open_raven() as raven:
        evaluation = _find_last(raven, model, dataset, part)
        page = raven.evaluations.worst_images(str(evaluation.id), kind=kind, limit=limit, cursor=cursor)
        if pictures is not None:
            _write_pictures(output, raven, evaluation, page, pictures, may_overwrite=force)
    show_gallery_page(output, evaluation, page)


def _find_last(raven: "RavenClient", model: str, dataset: str | None, part: str) -> "EvaluationOut":
    """The model's last successful evaluation there. Raises Conflict where there is none."""
    from raven_scan.evaluations.errors import make_never_evaluated, make_not_evaluated  # noqa: PLC0415
    from raven_scan.evaluations.types import EvaluationStatus  # noqa: PLC0415

    page = raven.evaluations.list(
        model=model, dataset=dataset, part=part, status=EvaluationStatus.SUCCESS, limit=1
    )
    if page.items:
        return page.items[0]
    raise make_never_evaluated(model) if dataset is None else make_not_evaluated([model], dataset, part)


def _write_pictures(
    output: Output,
    raven: "RavenClient",
    evaluation: "EvaluationOut",
    page: "GalleryPage",
    folder: Path,
    *,
    may_overwrite: bool,
) -> None:
    from raven_scan.app.cli.gallery_pictures import LEGEND, write_gallery  # noqa: PLC0415
    from raven_scan.app.cli.work_progress import display_work  # noqa: PLC0415

    with display_work(output.message_console) as show:
        written = write_gallery(raven, evaluation, page, folder, show, may_overwrite=may_overwrite)
    output.say(f"Pictures in {folder}: {len(written)} of {len(page.items)}. {LEGEND}")


def _wait(session: "Session", output: Output, evaluation: "EvaluationOut") -> "EvaluationOut":
    from raven_scan.app.cli.work_progress import display_work  # noqa: PLC0415

    last = evaluation
    try:
        with session.executing(), display_work(output.message_console) as show:
            for last in session.raven.evaluations.watch(str(evaluation.id)):
                phase = last.progress.phase or str(last.status)
                show(phase.replace("_", " "), last.progress.done, last.progress.total)
    except KeyboardInterrupt:
        where = "at the server" if session.platform is None else "when a worker runs"
        output.say(f"The evaluation goes on {where}; `raven models evaluation {evaluation.id}` shows it.")
        raise typer.Exit(INTERRUPTED) from None
    return last
