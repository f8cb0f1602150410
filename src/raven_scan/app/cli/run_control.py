"""`raven runs cancel`, `pause`, `resume`, `retry` and `move`."""

from typing import Annotated

import typer

from raven_scan.app.cli.exit_codes import INTERRUPTED, RUN_FAILED
from raven_scan.app.cli.output import JsonFlag, Output
from raven_scan.app.cli.queue import show_queue
from raven_scan.app.cli.run_display import show_run
from raven_scan.app.cli.run_settings import RunRef, WaitFlag
from raven_scan.app.cli.run_waiting import show_waiting, watch_run
from raven_scan.app.cli.session import open_raven, open_session

_BEYOND_THE_END = 1_000_000_000


def cancel(run: RunRef, as_json: JsonFlag = False) -> None:
    """End a run that waits, is being executed or is paused. Its last checkpoint is kept."""
    output = Output(as_json)
    with open_raven() as raven:
        cancelled = raven.runs.cancel(run)
    show_run(output, cancelled)
    output.say(f"To go on with it after all: raven runs retry {cancelled.name}", style="dim")


def pause(
    run: RunRef,
    wait: Annotated[
        bool, typer.Option("--wait/--no-wait", help="Until its checkpoint is written and its slot is free.")
    ] = True,
    as_json: JsonFlag = False,
) -> None:
    """Pause a run: it writes a checkpoint and frees its slot, until it is resumed."""
    output = Output(as_json)
    with open_session() as session:
        paused = session.raven.runs.pause(run)
        if wait and paused.status == "Processing":
            try:
                with session.recovering():
                    paused = watch_run(session, output, paused.name)
            except KeyboardInterrupt:
                output.say(f"It pauses all the same; `raven runs show {paused.name}` tells when it has.")
                raise typer.Exit(INTERRUPTED) from None
    show_run(output, paused)
    match paused.status:
        case "Paused":
            output.say(f"To go on with it: raven runs resume {paused.name}", style="dim")
        case "Processing":
            output.say("It pauses as soon as its checkpoint is written.", style="dim")
        case "Error" | "Cancelled":
            raise typer.Exit(RUN_FAILED)
        case _:
            output.say("It was over before it could pause.", style="dim")


def resume(run: RunRef, wait: WaitFlag = False, as_json: JsonFlag = False) -> None:
    """Go on with a paused run from its checkpoint: it waits for a worker."""
    with open_session() as session:
        resumed = session.raven.runs.resume(run)
        show_waiting(session, Output(as_json), resumed, wait=wait)


def retry(
    run: RunRef,
    from_start: Annotated[
        bool, typer.Option("--from-start", help="From its base model, not from its last checkpoint.")
    ] = False,
    wait: WaitFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """Try a run again that ended in Error or was cancelled: it waits for a worker."""
    with open_session() as session:
        retried = session.raven.runs.retry(run, from_start=from_start)
        show_waiting(session, Output(as_json), retried, wait=wait)


def move(
    run: RunRef,
    to: Annotated[
        str | None, typer.Option("--to", metavar="PLACE", help="A place from 1; or first, or last.")
    ] = None,
    before: Annotated[
        str | None, typer.Option("--before", metavar="RUN", help="Before this one, which waits too.")
    ] = None,
    after: Annotated[
        str | None, typer.Option("--after", metavar="RUN", help="Behind this one, which waits too.")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Give a run that waits another place in the queue, and show the queue."""
    if [to, before, after].count(None) != 2:
        raise typer.BadParameter("Say one of --to, --before and --after.")
    place = None if to is None else _parse_place(to)
    with open_raven() as raven:
        if place is None:
            moved, other = raven.runs.get(run), raven.runs.get(before or after or "")
            # The place is counted in the queue as it is afterwards, so without the run that moves.
            order = [entry.run.id for entry in raven.queue.list_all() if entry.run.id != moved.id]
            if other.id not in order:
                raise typer.BadParameter(
                    f"{other.name!r} is {other.status}; only a run that waits has a place."
                    if other.id != moved.id
                    else "A run cannot be beside itself.",
                    param_hint="--after" if before is None else "--before",
                )
            place = order.index(other.id) + (2 if before is None else 1)
        raven.runs.move(run, place=place)
        entries = list(raven.queue.list_all())
    show_queue(Output(as_json), entries)


def _parse_place(text: str) -> int:
    if text == "first":
        return 1
    if text == "last":
        return _BEYOND_THE_END
    if text.isascii() and text.isdigit() and 0 < int(text) <= _BEYOND_THE_END:
        return int(text)
    raise typer.BadParameter(f"{text!r} is no place: a number from 1, first or last.", param_hint="--to")
