"""`raven datasets`: import, list, show and look after datasets."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from raven_scan.app.cli.dataset_display import show_dataset, show_version
from raven_scan.app.cli.dataset_upkeep import DatasetRef, delete, edit, export
from raven_scan.app.cli.output import JsonFlag, Output
from raven_scan.app.cli.session import open_raven
from raven_scan.kernel.names import check_name

if TYPE_CHECKING:
    from rich.console import Console

    from raven_scan.datasets.schemas import DatasetVersionOut

app = typer.Typer(no_args_is_help=True, help="Datasets: import, list, show, edit, delete and export them.")


@app.command("import")
def import_dataset(
    path: Annotated[
        Path,
        typer.Argument(
            help="Folder or zip in COCO form: train, valid and test with a JSON each, or one folder.",
            show_default=False,
        ),
    ],
    name: Annotated[
        str, typer.Option("--name", help="Of the dataset; one that is there gets a new version.")
    ],
    class_map: Annotated[
        list[str] | None,
        typer.Option("--map", metavar="OLD=NEW", help="Rename or merge a class; several times if need be."),
    ] = None,
    single_class: Annotated[
        str | None, typer.Option("--single-class", metavar="NAME", help="Make all classes this one.")
    ] = None,
    bands: Annotated[
        str | None,
        typer.Option(
            "--bands", metavar="R,G,B", help="Which bands are red, green and blue, counted from 1, as 3,2,1."
        ),
    ] = None,
    allow_leak: Annotated[
        bool,
        typer.Option(
            "--allow-leak", help="Admit identical images in two parts; it is told beside the figures."
        ),
    ] = False,
    seed: Annotated[int, typer.Option("--seed", help="Of the split, where the source has none.")] = 0,
    as_json: JsonFlag = False,
) -> None:
    """Import a dataset. All that is wrong with it is told at once, and then nothing is stored."""
    from raven_scan.app.cli.work_progress import display_work  # noqa: PLC0415

    classes = _parse_class_map(class_map or [])
    band_numbers = None if bands is None else _parse_bands(bands)
    check_name("dataset", name)  # the server does, too, once everything was sent
    output = Output(as_json)
    with open_raven() as raven, display_work(output.message_console) as on_progress:
        version = raven.datasets.import_path(
            path,
            name=name,
            class_map=classes,
            single_class=single_class,
            bands=band_numbers,
            allow_leak=allow_leak,
            seed=seed,
            on_progress=on_progress,
        )
    show_version(output, version)


@app.command("list")
def list_datasets(
    search: Annotated[
        str | None, typer.Option("--search", help="Words, or their beginnings, of name and notes.")
    ] = None,
    sort: Annotated[
        str | None, typer.Option("--sort", help="name or created_at; with - before it, downwards.")
    ] = None,
    limit: Annotated[int | None, typer.Option("--limit", help="At most so many.")] = None,
    cursor: Annotated[str | None, typer.Option("--cursor", help="Go on from the 'next' of a list.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """List datasets, newest first."""
    with open_raven() as raven:
        page = raven.datasets.list(limit=limit, cursor=cursor, search=search, sort=sort)

    def render(console: "Console") -> None:
        from raven_scan.app.cli.tables import format_size, print_next, print_table  # noqa: PLC0415

        print_table(
            console,
            ("Name", "Version", "Images", "Boxes", "Classes", "Size", "Created"),
            [
                (
                    dataset.name,
                    dataset.versions[0].number,
                    _count(dataset.versions[0], "image_count"),
                    _count(dataset.versions[0], "box_count"),
                    len(dataset.versions[0].classes),
                    format_size(dataset.versions[0].image_bytes),
                    dataset.created_at,
                )
                for dataset in page.items
            ],
            empty="There are no datasets yet: raven datasets import --help",
        )
        print_next(console, page.next)

    Output(as_json).show(page.model_dump(mode="json"), render)


@app.command()
def show(dataset: DatasetRef, as_json: JsonFlag = False) -> None:
    """Show a dataset with its versions, or one version."""
    with open_raven() as raven:
        found = raven.datasets.get(dataset)
    show_dataset(Output(as_json), found)


for _command in (edit, delete, export):
    app.command()(_command)


def _parse_class_map(pairs: list[str]) -> dict[str, str]:
    class_map: dict[str, str] = {}
    for pair in pairs:
        old, equals, new = pair.partition("=")
        if not equals or not old or not new:
            raise typer.BadParameter(f"{pair!r} is not OLD=NEW.", param_hint="--map")
        if class_map.get(old, new) != new:
            raise typer.BadParameter(f"{old!r} is mapped twice.", param_hint="--map")
        class_map[old] = new
    return class_map


def _parse_bands(text: str) -> tuple[int, int, int]:
    try:
        red, green, blue = (int(part) for part in text.split(","))
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not three numbers, as 3,2,1.", param_hint="--bands") from None
    return red, green, blue


def _count(version: "DatasetVersionOut", what: str) -> int:
    return sum(getattr(part, what) for part in version.parts.values())
