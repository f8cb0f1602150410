"""`raven models export`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from raven_scan.app.cli.model_upkeep import ModelRef
from raven_scan.app.cli.output import JsonFlag, Output
from raven_scan.app.cli.session import open_raven
from raven_scan.app.cli.written_files import ForceFlag, check_place

if TYPE_CHECKING:
    from rich.console import Console


def export(
    model: ModelRef,
    to: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="The package. Default: MODEL.raven.zip here."),
    ] = None,
    onnx: Annotated[bool, typer.Option("--onnx", help="With the model as ONNX, checked.")] = False,
    force: ForceFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """Pack a model, to be taken elsewhere: weights, configuration, figures, lineage and card, signed.

    The file is there once it is whole and its SHA-256 is right. `raven models import` takes it in on another machine.
    """
    from raven_scan.app.cli.work_progress import display_work  # noqa: PLC0415

    output = Output(as_json)
    with open_raven() as raven, display_work(output.message_console) as on_progress:
        found = raven.models.get(model)
        path = to or Path(f"{found.name}.raven.zip")
        check_place(path, may_overwrite=force)
        made = raven.packages.export(str(found.id), path, onnx=onnx, on_progress=on_progress)

    def render(console: "Console") -> None:
        from raven_scan.app.cli.tables import format_size  # noqa: PLC0415

        text = f"{made.model_name} is in {path} ({format_size(made.size_bytes)}), signed with {made.key_fingerprint}."
        console.print(text, markup=False, soft_wrap=True)

    output.show({**made.model_dump(mode="json"), "path": str(path.absolute())}, render)
    output.say("Whoever imports it needs your public key: raven keys show", style="dim")
