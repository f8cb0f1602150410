"""`raven workers`: who executes runs, and with what."""

from typing import TYPE_CHECKING

from raven_scan.app.cli.output import JsonFlag, Output
from raven_scan.app.cli.session import open_raven

if TYPE_CHECKING:
    from rich.console import Console

    from raven_scan.jobs.schemas import SlotOut


def list_workers(as_json: JsonFlag = False) -> None:
    """List the workers that live, their devices, and what runs on each."""
    with open_raven() as raven:
        page = raven.workers.list()

    def render(console: "Console") -> None:
        from raven_scan.app.cli.tables import format_moment, print_table  # noqa: PLC0415

        print_table(
            console,
            ("Worker", "Version", "Slots", "State", "Since", "Heard of"),
            [
                (
                    worker.name,
                    worker.version,
                    "\n".join(_describe_slot(slot) for slot in worker.slots),
                    "draining" if worker.is_draining else "working",
                    format_moment(worker.started_at),
                    format_moment(worker.heartbeat_at),
                )
                for worker in page.items
            ],
            empty="No worker runs: raven worker, or raven serve",
        )

    Output(as_json).show(page.model_dump(mode="json"), render)


def _describe_slot(slot: "SlotOut") -> str:
    work = slot.run or slot.evaluation
    return f"{slot.device}: {work.name if work else 'free'}"
