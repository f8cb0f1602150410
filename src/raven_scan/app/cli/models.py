"""`raven models`: import, pull, list and show trained models."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from raven_scan.app.cli.output import JsonFlag, Output
from raven_scan.app.cli.session import open_raven

if TYPE_CHECKING:
    from rich.console import Console

    from raven_scan.trained_models.schemas import FiguresOut, TrainedModelOut

app = typer.Typer(no_args_is_help=True, help="Trained models: import, pull, list and show them.")


@app.command("import")
def import_checkpoint(
    checkpoint: Annotated[
        Path, typer.Argument(help="A .pth file as MMDetection writes them.", show_default=False)
    ],
    architecture: Annotated[str, typer.Option("--architecture", help="That it belongs to, as yolox-nano.")],
    name: Annotated[str, typer.Option("--name", help="Of the new model.")],
    as_json: JsonFlag = False,
) -> None:
    """Import a checkpoint. Only its tensors are read; nothing in it is executed."""
    from raven_scan.app.cli.work_progress import display_work  # noqa: PLC0415

    output = Output(as_json)
    with open_raven() as raven, display_work(output.message_console) as on_progress:
        model = raven.models.import_path(
            checkpoint, architecture=architecture, name=name, on_progress=on_progress
        )
    _show_model(output, model)


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
    _show_model(output, pulled)


@app.command("list")
def list_models(
    origin: Annotated[
        str | None, typer.Option("--origin", help="Only these: builtin, imported or trained.")
    ] = None,
    stage: Annotated[str | None, typer.Option("--stage", help="Only these: candidate, published, …")] = None,
    architecture: Annotated[str | None, typer.Option("--architecture", help="Only this one's.")] = None,
    limit: Annotated[int | None, typer.Option("--limit", help="At most so many.")] = None,
    cursor: Annotated[str | None, typer.Option("--cursor", help="Go on from the 'next' of a list.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """List models, newest first; the builtin ones are the architectures that can be trained."""
    with open_raven() as raven:
        page = raven.models.list(
            limit=limit, cursor=cursor, origin=origin, stage=stage, architecture=architecture
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
def show(
    model: Annotated[str, typer.Argument(help="Name or id of the model.", show_default=False)],
    as_json: JsonFlag = False,
) -> None:
    """Show a model: its figures, and what it came from."""
    output = Output(as_json)
    with open_raven() as raven:
        found = raven.models.get(model)
        version = found.lineage.dataset_version
        dataset = None
        if version is not None and not output.as_json:
            dataset = raven.datasets.get(str(version)).versions[0].full_name
    _show_model(output, found, dataset=dataset)


def _show_model(output: Output, model: "TrainedModelOut", *, dataset: str | None = None) -> None:
    def render(console: "Console") -> None:
        from raven_scan.app.cli.tables import format_size, print_facts  # noqa: PLC0415

        base = model.lineage.base_model
        facts: dict[str, Any] = {
            "Model": model.name,
            "Origin": model.origin,
            "Stage": model.stage,
            "Architecture": model.architecture,
            "Learned from": model.starting_weights,
            "Classes": _describe_classes(model.classes),
            "Parameters": f"{model.parameter_count:,}" if model.parameter_count else None,
            "Weights": format_size(model.weights_size_bytes),
            "Base model": None if base is None else base.name,
            "Dataset": dataset or model.lineage.dataset_version,
            "Created": model.created_at,
        }
        if model.leak_allowed:
            facts["Note"] = (
                "Its dataset has identical images in two parts (--allow-leak): the figures flatter it."
            )
        if model.reported is not None:
            facts["Reported mAP"] = f"{model.reported.map} ({model.reported.source})"
        if model.checkpoint is not None:
            facts.update(_describe_checkpoint(model))
        print_facts(console, facts)
        print_figures(console, model)

    output.show(model.model_dump(mode="json"), render)


def print_figures(console: "Console", model: "TrainedModelOut") -> None:
    """Prints what the model scores on the parts, and by class on the test part."""
    from raven_scan.app.cli.tables import format_figure, print_table  # noqa: PLC0415

    names = ("map", "map50", "map75", "map_small", "map_medium", "map_large", "precision", "recall")
    titles = ("mAP", "mAP50", "mAP75", "small", "medium", "large", "precision", "recall")
    parts: list[tuple[str, FiguresOut]] = [
        (part, figures) for part, figures in (("valid", model.valid), ("test", model.test)) if figures
    ]
    if not parts:
        return
    rows: list[tuple[str, ...]] = [
        (part, *(format_figure(getattr(figures, name)) for name in names)) for part, figures in parts
    ]
    if model.test is not None and len(model.test.by_class) > 1:
        rows += [
            (f"  {class_name}", *(format_figure(figures.get(name)) for name in names))
            for class_name, figures in model.test.by_class.items()
        ]
    print_table(console, ("Part", *titles), rows, empty="")


def _describe_classes(classes: list[str]) -> str | None:
    if not classes:
        return None
    shown = ", ".join(classes[:10])
    return shown if len(classes) <= 10 else f"{shown}, … ({len(classes)})"


def _describe_checkpoint(model: "TrainedModelOut") -> dict[str, Any]:
    assert model.checkpoint is not None  # noqa: S101 - the caller looked
    report = model.checkpoint
    others = {
        "missing": len(report.missing),
        "unexpected": len(report.unexpected),
        "of another shape": len(report.mismatched),
    }
    apart = ", ".join(f"{count} {kind}" for kind, count in others.items() if count)
    return {
        "Checkpoint": report.file_name,
        "Tensors": f"{report.matched} fit" + (f"; {apart}" if apart else ""),
    }
