"""`raven models`: import, pull, list, show and look after trained models."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from raven_scan.app.cli.model_display import show_model
from raven_scan.app.cli.model_lineage import lineage, verify
from raven_scan.app.cli.model_packages import export
from raven_scan.app.cli.model_prediction import predict
from raven_scan.app.cli.model_publishing import list_published, publish, rollback, withdraw
from raven_scan.app.cli.model_review import (
    compare,
    evaluate,
    list_evaluations,
    show_figures,
    show_gallery,
    show_one_evaluation,
)
from raven_scan.app.cli.model_upkeep import ModelRef, delete, download, edit
from raven_scan.app.cli.output import JsonFlag, Output
from raven_scan.app.cli.session import open_raven

if TYPE_CHECKING:
    from rich.console import Console

app = typer.Typer(
    no_args_is_help=True, help="Trained models: import, pull, list, show, edit, delete, download."
)


@app.command("import")
def import_file(
    file: Annotated[
        Path,
        typer.Argument(
            help="A package that `raven models export` wrote, or a .pth file as MMDetection writes them.",
            show_default=False,
        ),
    ],
    architecture: Annotated[
        str | None, typer.Option("--architecture", help="That a checkpoint belongs to, as yolox-nano.")
    ] = None,
    name: Annotated[
        str | None, typer.Option("--name", help="Of the new model. A package's own, where it is left out.")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Import a package of another platform, or a checkpoint. Nothing in them is executed.

    A package says itself what it is, and must be signed with a key that is trusted here (raven keys). Of a checkpoint
    only the tensors are read.
    """
    from raven_scan.app.cli.work_progress import display_work  # noqa: PLC0415
    from raven_scan.packages.recognition import is_package  # noqa: PLC0415

    output = Output(as_json)
    packed = is_package(file)
    if packed and architecture is not None:
        raise typer.BadParameter("A package says itself of which it is.", param_hint="--architecture")
    if not packed and (architecture is None or name is None):
        missing = "--architecture" if architecture is None else "--name"
        raise typer.BadParameter("A checkpoint needs it.", param_hint=missing)
    with open_raven() as raven, display_work(output.message_console) as on_progress:
        if architecture is None or name is None:
            model = raven.packages.import_path(file, name=name, on_progress=on_progress)
        else:
            model = raven.models.import_path(
                file, architecture=architecture, name=name, on_progress=on_progress
            )
    show_model(output, model)


@app.command()
def pull(
    model: Annotated[
        str,
        typer.Argument(
            help="A name of MMDetection's model index, or an architecture's.",
            show_default=False,
        ),
    ],
    name: Annotated[str | None, typer.Option("--name", help="Of the new model. Default: its own.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Download a checkpoint that MMDetection's own model index names, check it, and import it."""
    from raven_scan.app.cli.work_progress import display_work  # noqa: PLC0415

    output = Output(as_json)
    with open_raven() as raven, display_work(output.message_console) as on_progress:
        pulled = raven.models.pull(model, name=name, on_progress=on_progress)
    show_model(output, pulled)


@app.command("list")
def list_models(
    search: Annotated[
        str | None,
        typer.Option(
            "--search", help="Words, or their beginnings, of name, notes, dataset, base model, run."
        ),
    ] = None,
    origin: Annotated[
        list[str] | None,
        typer.Option("--origin", help="builtin, imported or trained; several times: any."),
    ] = None,
    stage: Annotated[str | None, typer.Option("--stage", help="Only these: candidate, published, …")] = None,
    architecture: Annotated[str | None, typer.Option("--architecture", help="Only this one's.")] = None,
    dataset: Annotated[
        str | None, typer.Option("--dataset", help="Only those that learned from this name@version.")
    ] = None,
    base_model: Annotated[
        str | None, typer.Option("--base-model", help="Only those that began as this.")
    ] = None,
    run: Annotated[str | None, typer.Option("--run", help="Only the one that this run made.")] = None,
    class_name: Annotated[
        str | None, typer.Option("--class", help="Only those that know this class.")
    ] = None,
    sort: Annotated[
        str | None,
        typer.Option("--sort", help="name, created_at, test_map50 or size; with - before it, downwards."),
    ] = None,
    limit: Annotated[int | None, typer.Option("--limit", help="At most so many.")] = None,
    cursor: Annotated[str | None, typer.Option("--cursor", help="Go on from the 'next' of a list.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """List models, newest first; the builtin ones are the architectures that can be trained."""
    with open_raven() as raven:
        page = raven.models.list(
            limit=limit,
            cursor=cursor,
            search=search,
            origin=origin or None,
            stage=stage,
            architecture=architecture,
            dataset_version=dataset,
            base_model=base_model,
            training_run=run,
            class_name=class_name,
            sort=sort,
        )

    def render(console: "Console") -> None:
        from raven_scan.app.cli.tables import format_figure, print_next, print_table  # noqa: PLC0415

        print_table(
            console,
            ("Name", "Origin", "Architecture", "Weights", "Test mAP50", "Created"),
            [
                (
                    model.name,
                    model.origin,
                    model.architecture,
                    model.starting_weights,
                    format_figure(model.test.map50 if model.test else None),
                    model.created_at,
                )
                for model in page.items
            ],
            empty="No models.",
        )
        print_next(console, page.next)

    Output(as_json).show(page.model_dump(mode="json"), render)


@app.command()
def show(model: ModelRef, as_json: JsonFlag = False) -> None:
    """Show a model: its figures, its settings, and what it came from."""
    with open_raven() as raven:
        found = raven.models.get(model)
    show_model(Output(as_json), found)


for _command in (edit, delete, download, export, lineage, verify):
    app.command()(_command)
app.command()(evaluate)
app.command("evaluation")(show_one_evaluation)
app.command("evaluations")(list_evaluations)
app.command("figures")(show_figures)
app.command()(compare)
app.command("gallery")(show_gallery)
app.command()(predict)
for _command in (publish, withdraw, rollback):
    app.command()(_command)
app.command("published")(list_published)
