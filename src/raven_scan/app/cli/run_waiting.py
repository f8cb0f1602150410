"""Scheduling a run and waiting for it, with its progress on stderr; without a server it is executed here meanwhile."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import typer

from raven_scan.app.cli.exit_codes import INTERRUPTED, RUN_FAILED, RUN_PAUSED
from raven_scan.app.cli.output import Output
from raven_scan.app.cli.run_display import show_run
from raven_scan.app.cli.run_times import format_time
from raven_scan.app.cli.session import Session
from raven_scan.kernel.errors import Conflict

if TYPE_CHECKING:
    from raven_scan.training_runs.schemas import FindingOut, TrainingRunOut

_PLACES_OF_REST = frozenset({"Draft", "Paused", "Success", "Error", "Cancelled"})


def schedule_and_show(session: Session, output: Output, ref: str, *, dry_run: bool, wait: bool) -> None:
    """Puts a Draft in the queue, and shows it; with `wait`, once it is at rest."""
    scheduled = session.raven.runs.schedule(ref, dry_run=dry_run)
    for finding in scheduled.findings:
        output.say(f"{finding.message} {finding.hint} [{finding.code}]", style="yellow")
    _show_or_wait(session, output, scheduled.run, wait=wait, findings=scheduled.findings)


def show_waiting(session: Session, output: Output, run: "TrainingRunOut", *, wait: bool) -> None:
    """Shows a run that was put in the queue just now; with `wait`, once it is at rest."""
    _show_or_wait(session, output, run, wait=wait, findings=None)


def _show_or_wait(
    session: Session,
    output: Output,
    run: "TrainingRunOut",
    *,
    wait: bool,
    findings: "list[FindingOut] | None",
) -> None:
    if run.options.start_at is not None and run.options.start_at > datetime.now(UTC):
        output.say(f"It starts not before {format_time(run.options.start_at)}.")
    if wait:
        wait_and_show(session, output, run, findings=findings)
        return
    if session.platform is not None:
        output.say(f"It waits for a worker. Next: raven runs watch {run.name}", style="dim")
    show_run(output, run, findings=findings)


def wait_and_show(
    session: Session,
    output: Output,
    run: "TrainingRunOut",
    *,
    findings: "list[FindingOut] | None" = None,
) -> None:
    """Shows progress until the run is at rest, then the run; the exit code says how it ended."""
    if run.status not in _PLACES_OF_REST:
        run = wait_for_rest(session, output, run)
    elif run.status == "Draft":
        raise Conflict(
            "training_run.is_a_draft",
            f"The training run {run.name!r} is a Draft: nothing will happen.",
            hint=f"Schedule it: raven runs schedule {run.name} --wait",
            parameters={"name": run.name},
        )
    show_run(output, run, findings=findings)
    match run.status:
        case "Success":
            return
        case "Draft" if run.dry_run_error is not None:
            output.say(
                f"To try it out with changes: raven runs clone {run.name} --name OTHER, and "
                "raven runs schedule OTHER --dry-run --wait",
                style="dim",
            )
            raise typer.Exit(RUN_FAILED)
        case "Draft":
            output.say(f"That was the dry run. Next: raven runs schedule {run.name} --wait", style="dim")
        case "Paused":
            output.say(f"It is paused. Next: raven runs resume {run.name} --wait", style="dim")
            raise typer.Exit(RUN_PAUSED)
        case "Cancelled":
            output.say(f"It was cancelled. Next: raven runs retry {run.name}", style="dim")
            raise typer.Exit(RUN_FAILED)
        case _:
            raise typer.Exit(RUN_FAILED)


def wait_for_rest(session: Session, output: Output, run: "TrainingRunOut") -> "TrainingRunOut":
    """Shows progress until a run that was put in the queue is at rest, and returns it."""
    _tell_what_is_before(session, output, run)
    try:
        with session.executing():
            return _watch(session, output, run.name)
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None


def _tell_what_is_before(session: Session, output: Output, run: "TrainingRunOut") -> None:
    """Whoever waits for one run should know that others are executed first, here or by another worker."""
    names = [entry.run.name for entry in session.raven.queue.list_all()]
    before = names[: names.index(run.name)] if run.name in names else []
    if before:
        runs = "A run is" if len(before) == 1 else f"{len(before)} runs are"
        output.say(
            f"{runs} before it, first of all {before[0]}; see `raven queue`. To have it executed first: "
            f"raven runs move {run.name} --to first",
            style="yellow",
        )


def _watch(session: Session, output: Output, ref: str) -> "TrainingRunOut":
    try:
        return watch_run(session, output, ref)
    except KeyboardInterrupt:
        if session.platform is None:
            output.say(f"The run goes on at the server; `raven runs watch {ref}` shows it again.")
        else:
            output.say(
                f"Stopping. What runs here goes back to Waiting; `raven runs watch {ref}` or `raven worker`"
                " goes on with it."
            )
        raise


def watch_run(session: Session, output: Output, ref: str) -> "TrainingRunOut":
    """Shows progress until the run is at rest, and returns it."""
    from raven_scan.app.cli.run_progress import display_run  # noqa: PLC0415

    last: TrainingRunOut | None = None
    with display_run(output.message_console) as display:
        for last in session.raven.runs.watch(ref):
            display.show(last)
    assert last is not None  # noqa: S101 - watch yields the run at least once
    return last
