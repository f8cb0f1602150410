"""`raven queue`: the runs and evaluations that wait."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from raven_scan.app.cli.output import JsonFlag, Output
from raven_scan.app.cli.session import open_raven

if TYPE_CHECKING:
    from rich.console import Console

    from raven_scan.evaluations.schemas import QueuedEvaluationOut
    from raven_scan.training_runs.schemas import QueueEntryOut


def list_queue(as_json: JsonFlag = False) -> None:
    """List the runs that wait in their order, why each still waits, and when it will probably start.

    Evaluations of models come before them: those at work, and those that wait.
    """
    with open_raven() as raven:
        evaluations = raven.queue.list(limit=1).evaluations
        entries = list(raven.queue.list_all())
    show_queue(Output(as_json), entries, evaluations)


def show_queue(
    output: Output, entries: "list[QueueEntryOut]", evaluations: "Sequence[QueuedEvaluationOut]" = ()
) -> None:
    """Tells the whole queue as a command's result."""

    def render(console: "Console") -> None:
        from raven_scan.app.cli.evaluation_display import describe_progress  # noqa: PLC0415
        from raven_scan.app.cli.run_times import format_time  # noqa: PLC0415
        from raven_scan.app.cli.tables import print_table  # noqa: PLC0415

        if evaluations:
            print_table(
                console,
                ("Evaluation of", "On", "Status", "Why it waits"),
                [
                    (
                        each.model.name,
                        f"{each.dataset_version.name} {each.part}",
                        describe_progress(each.status, each.progress),
                        each.reason or f"It is at work on {each.worker}, {each.device}.",
                    )
                    for each in evaluations
                ],
                empty="",
            )
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

    items = [entry.model_dump(mode="json") for entry in entries]
    told = [each.model_dump(mode="json") for each in evaluations]
    output.show({"items": items, "next": None, "evaluations": told}, render)
