"""`raven datasets edit`, `delete` and `export`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from raven_scan.app.cli.asking import confirm
from raven_scan.app.cli.dataset_display import show_dataset
from raven_scan.app.cli.output import JsonFlag, Output
from raven_scan.app.cli.session import open_raven
from raven_scan.app.cli.written_files import ForceFlag, check_place

if TYPE_CHECKING:
    from rich.console import Console

DatasetRef = Annotated[
    str, typer.Argument(metavar="DATASET", help="Name, name@version or id.", show_default=False)
]


def edit(
    dataset: DatasetRef,
    name: Annotated[
        str | None, typer.Option("--name", help="A new name; runs and models that learned from it follow.")
    ] = None,
    notes: Annotated[
        str | None, typer.Option("--notes", help="What is to be known about it; '' takes notes away.")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Rename a dataset, or write notes about it."""
    if name is None and notes is None:
        raise typer.BadParameter("Say what is to change: --name or --notes.")
    with open_raven() as raven:
        edited = raven.datasets.edit(dataset, name=name, notes=notes)
    show_dataset(Output(as_json), edited)


def delete(
    dataset: DatasetRef,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Put a dataset into the trash, or one version, as name@2; refused where something needs it, and told what."""
    output = Output(as_json)
    with open_raven() as raven:
        found = raven.datasets.get(dataset)
        version = next((each for each in found.versions if dataset in {each.full_name, str(each.id)}), None)
        is_version = version is not None and dataset != str(found.id)
        if is_version and version is not None:
            what, id_, name = f"the version {version.full_name}", str(version.id), version.full_name
        else:
            count = found.version_count
            versions = "1 version" if count == 1 else f"{count} versions"
            what, id_, name = f"the dataset {found.name!r} with {versions}", str(found.id), found.name
        confirm(f"Delete {what}?", yes=yes)
        raven.datasets.delete(id_)

    def render(console: "Console") -> None:
        console.print(f"{what[0].upper()}{what[1:]} is in the trash.", markup=False)

    output.show({"deleted": {"id": id_, "name": name}}, render)
    output.say(f"To have it back: raven trash restore {id_}", style="dim")


def export(
    dataset: DatasetRef,
    to: Annotated[
        Path | None, typer.Option("--to", metavar="FILE", help="The zip. Default: name@version.zip here.")
    ] = None,
    force: ForceFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """Export a version as a zip in COCO form, the newest where none is said. It can be imported again."""
    from raven_scan.app.cli.work_progress import display_work  # noqa: PLC0415

    output = Output(as_json)
    with open_raven() as raven:
        version = raven.datasets.get(dataset).versions[0]
        path = to or Path(f"{version.full_name}.zip")
        check_place(path, may_overwrite=force)
        with display_work(output.message_console) as progress:

            def on_progress(stage: str, done: int, total: int) -> None:
                del stage, total
                # Nobody knows the archive's size before its end; images are nearly all of it.
                progress("exporting", done, max(version.image_bytes, done))

            raven.datasets.export(str(version.id), path, on_progress=on_progress)
    size_bytes = path.stat().st_size
    document = {"dataset": version.full_name, "path": str(path.absolute()), "size_bytes": size_bytes}

    def render(console: "Console") -> None:
        from raven_scan.app.cli.tables import format_size  # noqa: PLC0415

        text = f"{version.full_name} is in {path} ({format_size(size_bytes)})."
        console.print(text, markup=False, soft_wrap=True)

    output.show(document, render)
