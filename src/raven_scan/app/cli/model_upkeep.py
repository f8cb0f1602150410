"""`raven models edit`, `delete` and `download`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from raven_scan.app.cli.asking import confirm
from raven_scan.app.cli.model_display import show_model
from raven_scan.app.cli.output import JsonFlag, Output
from raven_scan.app.cli.session import open_raven
from raven_scan.app.cli.written_files import ForceFlag, check_place

if TYPE_CHECKING:
    from rich.console import Console

ModelRef = Annotated[
    str, typer.Argument(metavar="MODEL", help="Name or id of the model.", show_default=False)
]


def edit(
    model: ModelRef,
    name: Annotated[
        str | None, typer.Option("--name", help="A new name; runs and models that came from it follow.")
    ] = None,
    notes: Annotated[
        str | None, typer.Option("--notes", help="What is to be known about it; '' takes notes away.")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Rename a model, or write notes about it."""
    if name is None and notes is None:
        raise typer.BadParameter("Say what is to change: --name or --notes.")
    with open_raven() as raven:
        edited = raven.models.edit(model, name=name, notes=notes)
    show_model(Output(as_json), edited)


def delete(
    model: ModelRef,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Put a model into the trash; refused where something needs it, and told what."""
    output = Output(as_json)
    with open_raven() as raven:
        found = raven.models.get(model)
        confirm(f"Delete the model {found.name!r}?", yes=yes)
        raven.models.delete(str(found.id))

    def render(console: "Console") -> None:
        console.print(f"The model {found.name!r} is in the trash.", markup=False)

    output.show({"deleted": {"id": str(found.id), "name": found.name}}, render)
    output.say(f"To have it back: raven trash restore {found.id}", style="dim")


def download(
    model: ModelRef,
    to: Annotated[
        Path, typer.Option("--to", metavar="FOLDER", help="Where to; made where it is missing.")
    ] = Path(),
    force: ForceFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """Download a model's weights (safetensors), and its configuration (JSON) where it was trained here.

    Each file is there once it is whole and its SHA-256 is right; after a lost connection it goes on.
    """
    from raven_scan.app.cli.work_progress import display_work  # noqa: PLC0415
    from raven_scan.kernel.errors import NotFound  # noqa: PLC0415

    output = Output(as_json)
    files: list[dict[str, Any]] = []
    with open_raven() as raven, display_work(output.message_console) as on_progress:
        found = raven.models.get(model)
        if found.weights_digest is None:
            raise NotFound(
                "trained_model.no_file",
                f"The trained model {found.name!r} is builtin, and has no files.",
                hint="It is an architecture's starting weights, which the package builds.",
                parameters={"name": found.name},
            )
        _make_folder(to)
        paths = {"weights": to / f"{found.name}.safetensors"}
        if found.configuration_digest is not None:
            paths["configuration"] = to / f"{found.name}.json"
        for path in paths.values():
            check_place(path, may_overwrite=force)
        for file, path in paths.items():
            sha256 = raven.models.download(str(found.id), path, file=file, on_progress=on_progress)  # pyright: ignore[reportArgumentType]
            files.append({"path": str(path.absolute()), "sha256": sha256, "size_bytes": path.stat().st_size})

    def render(console: "Console") -> None:
        from raven_scan.app.cli.tables import format_size  # noqa: PLC0415

        for each in files:
            size = format_size(each["size_bytes"])
            console.print(f"{each['path']}  {size}  sha256 {each['sha256']}", markup=False, soft_wrap=True)

    output.show({"files": files}, render)


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise typer.BadParameter(f"{folder} cannot be made: {error.strerror}.", param_hint="--to") from error
