"""`raven queue`: the runs that wait."""

from typing import TYPE_CHECKING

from raven_scan.app.cli.output import JsonFlag, Output
from raven_scan.app.cli.session import open_raven

if TYPE_CHECKING:
    from rich.console import Console

    from raven_scan.training_runs.schemas import QueueEntryOut


def list_queue(as_json: JsonFlag = False) -> None:
    """List the runs that wait in their order, why each still waits, and when it will probably start."""
    with open_raven() as raven:
        entries = list(raven.queue.list_all())
    show_queue(Output(as_json), entries)


def show_queue(output: Output, entries: "list[QueueEntryOut]") -> None:
    """Tells the whole queue as a command's result."""

    def render(console: "Console") -> None:
        from raven_scan.app.cli.run_times import format_time  # noqa: PLC0415
        from raven_scan.app.cli.tables import print_table  # noqa: PLC0415

        print_table(
            console,
            ("Place", "Run", "Priority", "Device", "Why it waits", "Expected start"),
            [
                (
                    entry.place,
                    entry.run.name,
                    entry.priority,
                    f"{entry.device_count} x {entry.device_kind}"
                    if entry.device_count > 1
                    else entry.device_kind,
                    entry.reason,
                    None if entry.expected_start_at is None else format_time(entry.expected_start_at),
                )
                for entry in entries
            ],
            empty="No run waits.",
        )

    output.show({"items": [entry.model_dump(mode="json") for entry in entries], "next": None}, render)
