"""How a training run looks once it stands still: its facts, attempts, checkpoints, and what went wrong."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from raven_scan.app.cli.output import Output

if TYPE_CHECKING:
    from rich.console import Console

    from raven_scan.training_runs.energy_schemas import EnergyOut
    from raven_scan.training_runs.schemas import (
        Attempt,
        Estimate,
        FindingOut,
        Options,
        RunErrorOut,
        TrainingRunOut,
    )

_WORLD_AVERAGE = "world's average"
_METHODS = {
    "rapl": "measured",
    "tdp": "estimated from its design power and load",
    "default": "estimated from 4 W a thread and load",
}


def show_run(output: Output, run: "TrainingRunOut", *, findings: "list[FindingOut] | None" = None) -> None:
    """Tells the run as a command's result.

    Args:
        output: of the command.
        run: to tell.
        findings: what the preflight found, where it was scheduled just now.
    """

    def render(console: "Console") -> None:
        from raven_scan.app.cli.tables import format_moment, make_status, print_facts  # noqa: PLC0415

        status = make_status(run.status)
        if run.is_dry_run:
            status.append(" (dry run)")
        if run.is_pausing:
            status.append(" (pausing)")
        options = describe_options(run.options)
        print_facts(
            console,
            {
                "Run": run.name,
                "Status": status,
                "Epoch": f"{run.epoch}/{run.epochs}",
                "Dataset": run.dataset_version.name,
                "Base model": f"{run.base_model.name} ({run.architecture})",
                "Parameters": describe_parameters(run.parameters.model_dump(mode="json", exclude_none=True)),
                **({"Options": options} if options else {}),
                **({"Preset": run.preset} if run.preset else {}),
                **({"Cloned from": run.cloned_from} if run.cloned_from else {}),
                **({"Reproduces": run.reproduces.name} if run.reproduces else {}),
                **({"Estimate": describe_estimate(run.estimate)} if run.estimate else {}),
                **_describe_best(run),
                **({"Model": run.model.name} if run.model else {}),
                "Created": format_moment(run.created_at),
                **({"Ended": format_moment(run.ended_at)} if run.ended_at else {}),
                **_describe_time(run),
                **({"Energy": _describe_energy(run.energy)} if run.energy else {}),
                **({"Warnings": "\n".join(run.warnings)} if run.warnings else {}),
                **({"Notes": run.notes} if run.notes else {}),
            },
        )
        _print_attempts(console, run)
        _print_checkpoints(console, run)
        if run.error is not None:
            _say_error(output, run.error)
        if run.dry_run_error is not None:
            output.say("Its dry run failed; it is a Draft again.", style="bold red")
            _say_error(output, run.dry_run_error)
        if run.model is not None:
            output.say(f"Next: raven models show {run.model.name}", style="dim")

    document = run.model_dump(mode="json")
    if findings is not None:
        document["findings"] = [finding.model_dump(mode="json") for finding in findings]
    output.show(document, render)


def describe_parameters(parameters: Mapping[str, Any]) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in parameters.items())


def describe_options(options: "Options") -> str:
    """Those that are not as by default."""
    from raven_scan.app.cli.run_times import format_time  # noqa: PLC0415
    from raven_scan.app.cli.tables import format_duration  # noqa: PLC0415

    parts = [
        f"priority {options.priority}" if options.priority else "",
        f"not before {format_time(options.start_at)}" if options.start_at else "",
        f"at most {format_duration(options.time_limit_s)}" if options.time_limit_s else "",
        f"on {options.device_kind}" if options.device_kind != "auto" else "",
        f"on {options.device_count} devices" if options.device_count > 1 else "",
        "out of memory: once more with half the batch" if options.retry_smaller_batch else "",
    ]
    return ", ".join(part for part in parts if part)


def describe_estimate(estimate: "Estimate") -> str:
    """What a dry run says of the whole run."""
    from raven_scan.app.cli.tables import (  # noqa: PLC0415
        format_co2,
        format_duration,
        format_energy,
        format_size,
    )

    energy = (
        f", {format_energy(estimate.energy_wh)} and {format_co2(estimate.co2_g)} of CO2"
        if estimate.energy_wh is not None
        else ""
    )
    return (
        f"{format_duration(estimate.time_s)} for {estimate.steps} steps of {_format_short(estimate.step_time_s)}, "
        f"{format_size(round(estimate.memory_mb * 2**20))} of memory at most{energy}, on {estimate.device}"
    )


def _describe_time(run: "TrainingRunOut") -> dict[str, str]:
    from raven_scan.app.cli.tables import format_duration  # noqa: PLC0415

    if run.started_at is None or run.ended_at is None:
        return {}
    return {"Took": format_duration((run.ended_at - run.started_at).total_seconds())}


def _describe_energy(energy: "EnergyOut") -> str:
    """What was used, of what it is made up, and what is an estimate."""
    from raven_scan.app.cli.tables import format_co2, format_energy  # noqa: PLC0415
    from raven_scan.training_runs.energy import WORLD  # noqa: PLC0415

    countries = ", ".join(_WORLD_AVERAGE if each == WORLD else each for each in energy.countries)
    methods = " and ".join(_METHODS[method] for method in energy.processor_methods)
    parts = [
        f"processor {format_energy(energy.processor_wh)}, {methods}",
        f"memory {format_energy(energy.memory_wh)}, estimated",
        *([f"GPU {format_energy(energy.gpu_wh)}, measured"] if energy.gpu_wh else []),
        *([] if energy.is_complete else ["a device could not be measured"]),
    ]
    return (
        f"{format_energy(energy.energy_wh)}, {format_co2(energy.co2_g)} of CO2 (electricity: {countries})\n"
        + "; ".join(parts)
    )


def _format_short(duration_s: float) -> str:
    return f"{duration_s * 1000:.0f} ms" if duration_s < 1 else f"{duration_s:.2f} s"


def _describe_best(run: "TrainingRunOut") -> dict[str, str]:
    from raven_scan.app.cli.tables import format_figure  # noqa: PLC0415

    if not run.best:
        return {}
    return {
        "Best (valid)": f"mAP {format_figure(run.best.get('map'))}, mAP50 {format_figure(run.best.get('map50'))}"
    }


def _print_attempts(console: "Console", run: "TrainingRunOut") -> None:
    from raven_scan.app.cli.tables import (  # noqa: PLC0415
        format_duration,
        format_energy,
        format_moment,
        print_table,
    )

    if run.attempts:
        print_table(
            console,
            ("Attempt", "Worker", "Device", "Started", "Took", "Energy", "End", "Reason"),
            [
                (
                    attempt.number,
                    attempt.worker,
                    attempt.device,
                    format_moment(attempt.started_at),
                    format_duration(_measure(attempt)),
                    format_energy(attempt.energy.energy_wh) if attempt.energy else None,
                    (attempt.end or "").replace("_", " ") or None,
                    attempt.reason or None,
                )
                for attempt in run.attempts
            ],
            empty="",
        )


def _measure(attempt: "Attempt") -> float:
    """Seconds until its end, or now."""
    return ((attempt.ended_at or datetime.now(UTC)) - attempt.started_at).total_seconds()


def _print_checkpoints(console: "Console", run: "TrainingRunOut") -> None:
    from raven_scan.app.cli.tables import format_moment, format_size, print_table  # noqa: PLC0415

    if run.checkpoints:
        print_table(
            console,
            ("Checkpoint", "Epoch", "Size", "Attempt", "Written"),
            [
                (
                    f"step {checkpoint.step}",
                    f"{checkpoint.epoch} + {checkpoint.position} steps"
                    if checkpoint.position
                    else str(checkpoint.epoch),
                    format_size(checkpoint.size_bytes),
                    checkpoint.attempt,
                    format_moment(checkpoint.created_at),
                )
                for checkpoint in run.checkpoints
            ],
            empty="",
        )


def _say_error(output: Output, error: "RunErrorOut") -> None:
    output.say(error.message, style="bold red")
    for name, value in error.evidence.items():
        output.say(f"  {name.replace('_', ' ')}: {_describe_evidence(value)}")
    for line in error.log_tail:
        output.say(f"  {line}", style="dim")
    if error.hint:
        output.say(error.hint, style="yellow")


def _describe_evidence(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(str(each) for each in value)  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType] - JSON
    return str(value)
