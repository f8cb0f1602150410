"""`raven workers`: who executes runs, and with what."""

from typing import TYPE_CHECKING

from raven_scan.app.cli.output import JsonFlag, Output
from raven_scan.app.cli.session import open_raven
from raven_scan.jobs.devices import CPU

if TYPE_CHECKING:
    from rich.console import Console

    from raven_scan.jobs.schemas import DeviceLoadOut, MachineLoadOut, SlotOut


def list_workers(as_json: JsonFlag = False) -> None:
    """List the workers that live, how busy their machines are, their devices, and what runs on each."""
    with open_raven() as raven:
        page = raven.workers.list()

    def render(console: "Console") -> None:
        from raven_scan.app.cli.tables import format_moment, print_table  # noqa: PLC0415

        print_table(
            console,
            ("Worker", "Version", "Machine", "Slots", "State", "Since", "Heard of"),
            [
                (
                    worker.name,
                    worker.version,
                    _describe_machine(worker.load),
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
    load = "" if slot.device == CPU else f" ({_describe_device(slot.load)})"
    return f"{slot.device}: {work.name if work else 'free'}{load}"


def _describe_device(load: "DeviceLoadOut | None") -> str:
    if load is None:
        return "load not known"
    memory = _describe_memory(load.memory_used_bytes, load.memory_total_bytes)
    return f"{_describe_percent(load.utilisation_percent)}, {memory}"


def _describe_machine(load: "MachineLoadOut | None") -> str:
    if load is None:
        return "not known"
    memory = _describe_memory(load.memory_used_bytes, load.memory_total_bytes)
    return f"processor {_describe_percent(load.processor_percent)}\nmemory {memory}"


def _describe_percent(percent: float | None) -> str:
    return "not known" if percent is None else f"{percent:.0f} %"


def _describe_memory(used_bytes: int | None, total_bytes: int | None) -> str:
    from raven_scan.app.cli.tables import format_size  # noqa: PLC0415

    if used_bytes is None or total_bytes is None:
        return "not known"
    return f"{format_size(used_bytes)} of {format_size(total_bytes)}"
