"""`raven runs`: create, schedule, watch and read training runs."""

import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from raven_scan.app.cli import run_comparison, run_control, run_upkeep
from raven_scan.app.cli.output import JsonFlag, Output, print_json
from raven_scan.app.cli.run_display import show_run
from raven_scan.app.cli.run_settings import (
    RunRef,
    RunSettings,
    WaitFlag,
    naming_options,
    take_run_settings,
)
from raven_scan.app.cli.run_times import parse_moment
from raven_scan.app.cli.run_waiting import schedule_and_show, wait_and_show
from raven_scan.app.cli.session import Session, open_raven, open_session
from raven_scan.app.cli.written_files import ForceFlag, check_place

if TYPE_CHECKING:
    from rich.console import Console

    from raven_scan.training_runs.schemas import TrainingRunOut

app = typer.Typer(no_args_is_help=True, help="Training runs: create, schedule, control, watch and read them.")

ScheduleFlag = Annotated[bool, typer.Option("--schedule", help="Schedule it too.")]
DryRunFlag = Annotated[
    bool,
    typer.Option(
        "--dry-run",
        help="Only a step of training and one of validation, to estimate the whole run's time and memory.",
    ),
]


@app.command()
@take_run_settings
def create(
    settings: RunSettings,
    name: Annotated[str, typer.Option("--name", help="Of the run, and of the model that comes out.")],
    dataset: Annotated[str, typer.Option("--dataset", help="Name, name@version or id.")],
    base_model: Annotated[str, typer.Option("--base-model", help="Name or id of the model to start from.")],
    preset: Annotated[
        str | None,
        typer.Option("--preset", help="Take the parameters of this preset where none are given here."),
    ] = None,
    schedule: ScheduleFlag = False,
    dry_run: DryRunFlag = False,
    wait: WaitFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """Create a training run; with --schedule it goes to a worker at once."""
    _check_flags(schedule=schedule, dry_run=dry_run, wait=wait)
    output = Output(as_json)
    with open_session() as session, naming_options():
        run = session.raven.runs.create(
            name=name,
            dataset=dataset,
            base_model=base_model,
            parameters=settings.parameters,
            options=settings.options,
            preset=preset,
        )
        _go_on(session, output, run, schedule=schedule, dry_run=dry_run, wait=wait)


@app.command()
@take_run_settings
def clone(
    run: RunRef,
    settings: RunSettings,
    name: Annotated[str, typer.Option("--name", help="Of the new run, and of the model that comes out.")],
    dataset: Annotated[
        str | None, typer.Option("--dataset", help="Name, name@version or id; where not the same.")
    ] = None,
    base_model: Annotated[
        str | None, typer.Option("--base-model", help="Name or id; where not the same.")
    ] = None,
    schedule: ScheduleFlag = False,
    dry_run: DryRunFlag = False,
    wait: WaitFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """Create a run like another one; what is given here is changed."""
    _check_flags(schedule=schedule, dry_run=dry_run, wait=wait)
    output = Output(as_json)
    with open_session() as session, naming_options():
        cloned = session.raven.runs.clone(
            run,
            name=name,
            dataset=dataset,
            base_model=base_model,
            parameters=settings.parameters,
            options=settings.options,
        )
        _go_on(session, output, cloned, schedule=schedule, dry_run=dry_run, wait=wait)


@app.command("schedule")
def schedule_run(
    run: RunRef, dry_run: DryRunFlag = False, wait: WaitFlag = False, as_json: JsonFlag = False
) -> None:
    """Schedule a Draft: after a preflight, it waits for a worker."""
    with open_session() as session:
        schedule_and_show(session, Output(as_json), run, dry_run=dry_run, wait=wait or dry_run)


@app.command("list")
def list_runs(
    search: Annotated[
        str | None,
        typer.Option(
            "--search",
            "-q",
            help="Words, or how they begin, of name, notes, dataset, base model, architecture or creator.",
        ),
    ] = None,
    status: Annotated[
        list[str] | None,
        typer.Option(
            "--status",
            help="Draft, Waiting, Processing, Paused, Success, Error or Cancelled; several times: any.",
        ),
    ] = None,
    dataset: Annotated[str | None, typer.Option("--dataset", help="Name, name@version or id.")] = None,
    base_model: Annotated[str | None, typer.Option("--base-model", help="Name or id.")] = None,
    architecture: Annotated[str | None, typer.Option("--architecture", help="Name.")] = None,
    created_by: Annotated[str | None, typer.Option("--created-by", metavar="USER", help="Name.")] = None,
    since: Annotated[
        str | None, typer.Option("--since", metavar="TIME", help="Created since: 2026-12-24, or with a time.")
    ] = None,
    until: Annotated[str | None, typer.Option("--until", metavar="TIME", help="Created before.")] = None,
    ended_since: Annotated[
        str | None, typer.Option("--ended-since", metavar="TIME", help="Ended since.")
    ] = None,
    ended_until: Annotated[
        str | None, typer.Option("--ended-until", metavar="TIME", help="Ended before.")
    ] = None,
    sort: Annotated[
        str | None,
        typer.Option(
            "--sort",
            help="name, status, created_at, scheduled_at, ended_at, priority or best_map50; as -name: descending.",
        ),
    ] = None,
    limit: Annotated[int | None, typer.Option("--limit", help="At most so many.")] = None,
    cursor: Annotated[str | None, typer.Option("--cursor", help="Go on from the 'next' of a list.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """List training runs, newest first where --sort says nothing else."""
    chosen: dict[str, Any] = {
        "search": search,
        "status": status or None,
        "dataset": dataset,
        "base_model": base_model,
        "architecture": architecture,
        "created_by": created_by,
        "created_since": parse_moment(since, "--since"),
        "created_until": parse_moment(until, "--until"),
        "ended_since": parse_moment(ended_since, "--ended-since"),
        "ended_until": parse_moment(ended_until, "--ended-until"),
    }
    with open_raven() as raven, naming_options():
        page = raven.runs.list(**chosen, sort=sort, limit=limit, cursor=cursor)
    is_chosen = cursor is not None or any(value is not None for value in chosen.values())

    def render(console: "Console") -> None:
        from raven_scan.app.cli.tables import format_figure, make_status, print_next, print_table  # noqa: PLC0415

        print_table(
            console,
            ("Name", "Status", "Epoch", "Dataset", "Base model", "Best mAP50", "Created"),
            [
                (
                    run.name,
                    make_status(run.status),
                    f"{run.epoch}/{run.epochs}",
                    run.dataset_version.name,
                    run.base_model.name,
                    format_figure((run.best or {}).get("map50")),
                    run.created_at,
                )
                for run in page.items
            ],
            empty="No run is so."
            if is_chosen
            else "There are no training runs yet: raven runs create --help",
        )
        print_next(console, page.next)

    Output(as_json).show(page.model_dump(mode="json"), render)


@app.command()
def show(run: RunRef, as_json: JsonFlag = False) -> None:
    """Show a training run."""
    with open_raven() as raven:
        show_run(Output(as_json), raven.runs.get(run))


@app.command()
def watch(run: RunRef, as_json: JsonFlag = False) -> None:
    """Show a run's progress until it is at rest; without a server, execute it here where it waits."""
    with open_session() as session:
        wait_and_show(session, Output(as_json), session.raven.runs.get(run))


@app.command()
def logs(
    run: RunRef,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Until the run's end.")] = False,
    output_file: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write it to this file.")
    ] = None,
    force: ForceFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """Print a run's log, or download it."""
    if output_file is not None:
        check_place(output_file, may_overwrite=force)
    with open_raven() as raven:
        parts = raven.runs.follow_logs(run) if follow else raven.runs.read_logs(run)
        if output_file is not None:
            size_bytes = _write_parts(output_file, parts)
            Output(as_json).show(
                {"file": str(output_file.absolute()), "size_bytes": size_bytes},
                lambda console: console.print(f"{size_bytes} bytes in {output_file}", markup=False),
            )
            return
        if as_json:
            print_json({"text": "".join(parts)})
            return
        is_empty = True
        for part in parts:
            is_empty = False
            sys.stdout.write(part)
            sys.stdout.flush()
        if is_empty:
            status = raven.runs.get(run).status
            Output(as_json).say(
                "It is a Draft: it has no log before it is executed."
                if status == "Draft"
                else f"It has no log yet; it is {status}."
            )


@app.command()
def metrics(
    run: RunRef,
    name: Annotated[
        list[str] | None, typer.Option("--name", help="Only this metric; can be given several times.")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Show a run's metrics: what was told last, and the best; all of it with --json."""
    with open_raven() as raven:
        found = raven.runs.metrics(run, names=name or [])
        unknown = set(name or ()) - {series.name for series in found.series}
        if unknown and (known := [series.name for series in raven.runs.metrics(run).series]):
            from raven_scan.training_runs.types import CLASS_METRICS  # noqa: PLC0415

            named = dict.fromkeys(
                f"{CLASS_METRICS}CLASS" if each.startswith(CLASS_METRICS) else each for each in known
            )
            raise typer.BadParameter(
                f"This run has no metric {', '.join(map(repr, sorted(unknown)))}; it has {', '.join(named)}.",
                param_hint="--name",
            )

    def render(console: "Console") -> None:
        from raven_scan.app.cli.tables import print_table  # noqa: PLC0415

        rows: list[tuple[Any, ...]] = []
        for series in found.series:
            known = [value for value in series.values if value is not None]
            rows.append(
                (
                    series.name,
                    known[-1] if known else None,
                    min(known, default=None),
                    max(known, default=None),
                    series.steps[-1],
                )
            )
        print_table(console, ("Metric", "Last", "Least", "Most", "At step"), rows, empty="No metrics yet.")

    Output(as_json).show(found.model_dump(mode="json"), render)


for command in (
    run_control.cancel,
    run_control.pause,
    run_control.resume,
    run_control.retry,
    run_control.move,
    run_upkeep.edit,
    run_upkeep.delete,
    run_comparison.compare,
    run_comparison.reproduce,
    run_comparison.reproduction,
):
    app.command()(command)
app.command("artifacts")(run_upkeep.list_artifacts)
# A negative number is no option.
app.command("priority", context_settings={"ignore_unknown_options": True})(run_upkeep.set_priority)


def _check_flags(*, schedule: bool, dry_run: bool, wait: bool) -> None:
    if schedule and dry_run:
        raise typer.BadParameter("--schedule and --dry-run exclude each other: the dry run comes first.")
    if wait and not (schedule or dry_run):
        raise typer.BadParameter("--wait needs --schedule: a Draft does not run.")


def _go_on(
    session: Session, output: Output, run: "TrainingRunOut", *, schedule: bool, dry_run: bool, wait: bool
) -> None:
    """What becomes of a new Draft. A dry run is always waited for: its estimate is what it is made for."""
    if schedule or dry_run:
        schedule_and_show(session, output, run.name, dry_run=dry_run, wait=wait or dry_run)
        return
    output.say(f"Next: raven runs schedule {run.name} --wait", style="dim")
    show_run(output, run)


def _write_parts(path: Path, parts: Iterable[str]) -> int:
    """Writes a file that is whole or not there, and returns its size."""
    unfinished = path.with_name(f".{path.name}.part")
    try:
        with unfinished.open("w", encoding="utf-8", newline="") as file:
            for part in parts:
                file.write(part)
            file.flush()
            os.fsync(file.fileno())
            size_bytes = os.fstat(file.fileno()).st_size
        unfinished.replace(path)
    except BaseException as error:
        unfinished.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise typer.BadParameter(
                f"{path} cannot be written: {error.strerror}.", param_hint="--output"
            ) from error
        raise
    return size_bytes
