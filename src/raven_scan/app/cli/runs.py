"""`raven runs`: create, schedule, watch and read training runs."""

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from raven_scan.app.cli.exit_codes import INTERRUPTED, RUN_FAILED
from raven_scan.app.cli.output import JsonFlag, Output, print_json
from raven_scan.app.cli.session import Session, open_raven, open_session
from raven_scan.kernel.errors import Conflict

if TYPE_CHECKING:
    from rich.console import Console

    from raven_scan.training_runs.schemas import FindingOut, TrainingRunOut

app = typer.Typer(no_args_is_help=True, help="Training runs: create, schedule, watch and read them.")

RunRef = Annotated[str, typer.Argument(metavar="RUN", help="Name or id of the run.", show_default=False)]
WaitFlag = Annotated[
    bool,
    typer.Option("--wait", help="Wait for its end and show progress; without a server, execute it here."),
]
_PANEL = "Training parameters"


def _parameter(*names: str, help: str) -> Any:  # noqa: A002 - typer's word
    return typer.Option(*names, help=help, show_default=False, rich_help_panel=_PANEL)


@app.command()
def create(
    name: Annotated[str, typer.Option("--name", help="Of the run, and of the model that comes out.")],
    dataset: Annotated[str, typer.Option("--dataset", help="Name, name@version or id.")],
    base_model: Annotated[str, typer.Option("--base-model", help="Name or id of the model to start from.")],
    epochs: Annotated[int | None, _parameter("--epochs", help="Passes over the training part.")] = None,
    batch_size: Annotated[int | None, _parameter("--batch-size", help="Images a step.")] = None,
    image_size: Annotated[
        int | None, _parameter("--image-size", help="Side of the square input, in pixels; a multiple of 32.")
    ] = None,
    learning_rate: Annotated[
        float | None, _parameter("--learning-rate", help="Peak learning rate. Default: by architecture.")
    ] = None,
    weight_decay: Annotated[float | None, _parameter("--weight-decay", help="Weight decay.")] = None,
    warmup_epochs: Annotated[
        float | None,
        _parameter("--warmup-epochs", help="Epochs in which the learning rate rises from near zero."),
    ] = None,
    lr_schedule: Annotated[
        str | None,
        _parameter(
            "--lr-schedule", help="How the learning rate goes after warm-up: cosine, step or constant."
        ),
    ] = None,
    frozen_stages: Annotated[
        int | None,
        _parameter("--frozen-stages", help="Stages of the backbone that are not trained, from the stem."),
    ] = None,
    augmentation: Annotated[
        str | None, _parameter("--augmentation", help="Augmentation preset: off, light or full.")
    ] = None,
    seed: Annotated[int | None, _parameter("--seed", help="Seed of everything that is random.")] = None,
    precision: Annotated[
        str | None, _parameter("--precision", help="Arithmetic: auto, float32, bfloat16 or float16.")
    ] = None,
    early_stopping_patience: Annotated[
        int | None,
        _parameter("--early-stopping-patience", help="Stop after so many validations without a better mAP."),
    ] = None,
    validation_interval: Annotated[
        int | None, _parameter("--validation-interval", help="Epochs between validations.")
    ] = None,
    checkpoint_interval: Annotated[
        int | None, _parameter("--checkpoint-interval", help="Epochs between checkpoints.")
    ] = None,
    loader_processes: Annotated[
        int | None,
        _parameter("--loader-processes", help="Processes that load images. Default: by the machine."),
    ] = None,
    schedule: Annotated[bool, typer.Option("--schedule", help="Schedule it too.")] = False,
    wait: WaitFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """Create a training run; with --schedule it goes to a worker at once."""
    parameters = {
        "epochs": epochs,
        "batch_size": batch_size,
        "image_size": image_size,
        "learning_rate": learning_rate,
        "weight_decay": weight_decay,
        "warmup_epochs": warmup_epochs,
        "schedule": lr_schedule,
        "frozen_stages": frozen_stages,
        "augmentation": augmentation,
        "seed": seed,
        "precision": precision,
        "early_stopping_patience": early_stopping_patience,
        "validation_interval": validation_interval,
        "checkpoint_interval": checkpoint_interval,
        "loader_processes": loader_processes,
    }
    if wait and not schedule:
        raise typer.BadParameter("--wait needs --schedule: a Draft does not run.")
    output = Output(as_json)
    with open_session() as session:
        run = session.raven.runs.create(
            name=name,
            dataset=dataset,
            base_model=base_model,
            parameters={key: value for key, value in parameters.items() if value is not None},
        )
        if schedule:
            _schedule(session, output, run.name, wait=wait)
            return
    output.say(f"Next: raven runs schedule {run.name} --wait", style="dim")
    _show_run(output, run)


@app.command("schedule")
def schedule_run(run: RunRef, wait: WaitFlag = False, as_json: JsonFlag = False) -> None:
    """Schedule a Draft: after a preflight, it waits for a worker."""
    with open_session() as session:
        _schedule(session, Output(as_json), run, wait=wait)


@app.command("list")
def list_runs(
    status: Annotated[
        str | None, typer.Option("--status", help="Only these: Draft, Waiting, Processing, Success, Error, …")
    ] = None,
    limit: Annotated[int | None, typer.Option("--limit", help="At most so many.")] = None,
    cursor: Annotated[str | None, typer.Option("--cursor", help="Go on from the 'next' of a list.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """List training runs, newest first."""
    with open_raven() as raven:
        page = raven.runs.list(limit=limit, cursor=cursor, status=status)

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
            empty="There are no training runs yet: raven runs create --help",
        )
        print_next(console, page.next)

    Output(as_json).show(page.model_dump(mode="json"), render)


@app.command()
def show(run: RunRef, as_json: JsonFlag = False) -> None:
    """Show a training run."""
    with open_raven() as raven:
        _show_run(Output(as_json), raven.runs.get(run))


@app.command()
def watch(run: RunRef, as_json: JsonFlag = False) -> None:
    """Show a run's progress until its end; without a server, execute it here where it waits."""
    with open_session() as session:
        _wait(session, Output(as_json), run)


@app.command()
def logs(
    run: RunRef,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Until the run's end.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Print a run's log."""
    with open_raven() as raven:
        parts = raven.runs.follow_logs(run) if follow else raven.runs.read_logs(run)
        if as_json:
            print_json({"text": "".join(parts)})
            return
        for part in parts:
            sys.stdout.write(part)
            sys.stdout.flush()


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
                    series.epochs[-1],
                    series.steps[-1],
                )
            )
        print_table(
            console, ("Metric", "Last", "Least", "Most", "Epoch", "Step"), rows, empty="No metrics yet."
        )

    Output(as_json).show(found.model_dump(mode="json"), render)


def _schedule(session: Session, output: Output, ref: str, *, wait: bool) -> None:
    scheduled = session.raven.runs.schedule(ref)
    _say_findings(output, scheduled.findings)
    if wait:
        _wait(session, output, scheduled.run.name, findings=scheduled.findings)
        return
    if session.platform is not None:
        output.say(f"It waits for a worker. Next: raven runs watch {scheduled.run.name}", style="dim")
    _show_run(output, scheduled.run, findings=scheduled.findings)


def _say_findings(output: Output, findings: "list[FindingOut]") -> None:
    for finding in findings:
        output.say(f"{finding.message} {finding.hint} [{finding.code}]", style="yellow")


def _wait(session: Session, output: Output, ref: str, *, findings: "list[FindingOut] | None" = None) -> None:
    """Shows progress, then the run; the exit code says whether it ended in Success."""
    run = session.raven.runs.get(ref)
    if run.status == "Draft":
        raise Conflict(
            "training_run.not_scheduled",
            f"The training run {run.name!r} is a Draft: nothing will happen.",
            hint=f"Schedule it: raven runs schedule {run.name} --wait",
            parameters={"name": run.name},
        )
    if not run.status.is_final:
        try:
            with session.executing():
                run = _watch(session, output, ref)
        except KeyboardInterrupt:
            raise typer.Exit(INTERRUPTED) from None
    _show_run(output, run, findings=findings)
    if run.status != "Success":
        raise typer.Exit(RUN_FAILED)


def _watch(session: Session, output: Output, ref: str) -> "TrainingRunOut":
    from raven_scan.app.cli.run_progress import display_run  # noqa: PLC0415

    last: TrainingRunOut | None = None
    try:
        with display_run(output.message_console) as display:
            for last in session.raven.runs.watch(ref):
                display.show(last)
    except KeyboardInterrupt:
        if session.platform is None:
            output.say(f"The run goes on at the server; `raven runs watch {ref}` shows it again.")
        else:
            output.say(
                f"Stopping. What runs here goes back to Waiting; `raven runs watch {ref}` or `raven worker`"
                " goes on with it."
            )
        raise
    assert last is not None  # noqa: S101 - watch yields the run at least once
    return last


def _show_run(output: Output, run: "TrainingRunOut", *, findings: "list[FindingOut] | None" = None) -> None:
    """The run; with what the preflight found, where it was scheduled just now."""

    def render(console: "Console") -> None:
        from raven_scan.app.cli.tables import make_status, print_facts  # noqa: PLC0415

        print_facts(
            console,
            {
                "Run": run.name,
                "Status": make_status(run.status),
                "Epoch": f"{run.epoch}/{run.epochs}",
                "Dataset": run.dataset_version.name,
                "Base model": f"{run.base_model.name} ({run.architecture})",
                "Parameters": _describe_parameters(run.parameters.model_dump(mode="json", exclude_none=True)),
                **_describe_best(run),
                **({"Model": run.model.name} if run.model else {}),
                "Created": run.created_at,
                **({"Ended": run.ended_at} if run.ended_at else {}),
                **({"Warnings": "\n".join(run.warnings)} if run.warnings else {}),
            },
        )
        if run.error is not None:
            output.say(run.error.message, style="bold red")
            for line in run.error.log_tail:
                output.say(f"  {line}", style="dim")
            if run.error.hint:
                output.say(run.error.hint, style="yellow")
        if run.model is not None:
            output.say(f"Next: raven models show {run.model.name}", style="dim")

    document = run.model_dump(mode="json")
    if findings is not None:
        document["findings"] = [finding.model_dump(mode="json") for finding in findings]
    output.show(document, render)


def _describe_parameters(parameters: Mapping[str, Any]) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in parameters.items())


def _describe_best(run: "TrainingRunOut") -> dict[str, str]:
    from raven_scan.app.cli.tables import format_figure  # noqa: PLC0415

    if not run.best:
        return {}
    return {
        "Best (valid)": f"mAP {format_figure(run.best.get('map'))}, mAP50 {format_figure(run.best.get('map50'))}"
    }
