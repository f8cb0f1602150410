"""`raven demo`."""

from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from raven_scan.app.cli.exit_codes import INTERRUPTED
from raven_scan.app.cli.output import JsonFlag, Output
from raven_scan.app.cli.session import Session, open_platform

if TYPE_CHECKING:
    from rich.console import Console

    from raven_scan.kernel.progress import Progress
    from raven_scan.training_runs.schemas import TrainingRunOut


def demonstrate(
    folder: Annotated[
        Path, typer.Option("--folder", help="Gets the sample dataset, and the picture.")
    ] = Path("raven-demo"),
    as_json: JsonFlag = False,
) -> None:
    """Draw a sample dataset, train on it, and show what came out. A few minutes on two cores."""
    from raven_scan.app.demo import run_demo  # noqa: PLC0415

    output = Output(as_json)
    with open_platform() as (platform, raven):
        try:
            with Session(raven, platform).executing():
                result = run_demo(platform, raven, folder.absolute(), _Display(output))
        except KeyboardInterrupt:
            output.say("Stopping. What runs goes back to Waiting; `raven runs list` shows it.")
            raise typer.Exit(INTERRUPTED) from None
    names = ("map", "map50", "map75", "precision", "recall")
    document = {
        "dataset": result.dataset,
        "model": result.model,
        "test": asdict(result.trained),
        "untrained": asdict(result.untrained),
        "picture": str(result.picture),
        "duration_s": round(result.duration_s, 1),
    }

    def render(console: "Console") -> None:
        from raven_scan.app.cli.tables import format_figure, print_table  # noqa: PLC0415

        print_table(
            console,
            ("On the test part", "mAP", "mAP50", "mAP75", "precision", "recall"),
            [
                (title, *(format_figure(getattr(figures, name)) for name in names))
                for title, figures in (("trained", result.trained), ("untrained", result.untrained))
            ],
            empty="",
        )
        console.print(
            f"Test images with true and predicted boxes: {result.picture}", markup=False, soft_wrap=True
        )
        output.say(
            f"\nNext:\n"
            f"  raven models show {result.model}\n"
            f"  raven runs metrics {result.model}\n"
            f"  raven datasets import YOUR-FOLDER --name yours\n"
            f"  raven runs create --name first --dataset yours --base-model rtmdet-lite0 --schedule --wait"
        )

    output.show(document, render)


class _Display:
    def __init__(self, output: Output) -> None:
        self._output = output

    def say(self, text: str) -> None:
        self._output.say(text, style="bold")

    def show_work(self) -> "AbstractContextManager[Progress]":
        from raven_scan.app.cli.work_progress import display_work  # noqa: PLC0415

        return display_work(self._output.message_console)

    @contextmanager
    def show_run(self) -> "Generator[Callable[[TrainingRunOut], None]]":
        from raven_scan.app.cli.run_progress import display_run  # noqa: PLC0415

        with display_run(self._output.message_console) as display:
            yield display.show
