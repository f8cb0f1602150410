"""`raven runs compare`, `reproduce` and `reproduction`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from raven_scan.app.cli.exit_codes import RUN_FAILED
from raven_scan.app.cli.output import JsonFlag, Output
from raven_scan.app.cli.run_display import show_run
from raven_scan.app.cli.run_settings import RunRef, naming_options
from raven_scan.app.cli.run_waiting import wait_for_rest
from raven_scan.app.cli.session import open_raven, open_session
from raven_scan.app.cli.written_files import ForceFlag, check_place, write_whole

if TYPE_CHECKING:
    from rich.console import Console

    from raven_scan.training_runs.comparison_schemas import (
        ComparedFigureOut,
        ReproductionReportOut,
        RunComparisonOut,
        RunDifferenceOut,
    )
    from raven_scan.training_runs.schemas import FindingOut

_DIGEST_DIGITS = 12
_LONGEST_VALUE = 60
_STYLE_OF_VERDICT = {"identical": "bold green", "within_tolerance": "green", "different": "bold red"}

ToleranceOption = Annotated[
    float | None,
    typer.Option("--tolerance", help="How much figures in 0-1 may differ.", show_default="0.02"),
]


def compare(
    runs: Annotated[
        list[str],
        typer.Argument(metavar="RUN…", help="Names or ids of two to ten runs.", show_default=False),
    ],
    metric: Annotated[
        list[str] | None,
        typer.Option(
            "--metric", help="Whose curve is drawn; can be given several times. Default: loss, valid/map50."
        ),
    ] = None,
    picture: Annotated[
        Path | None,
        typer.Option(
            "--picture", metavar="FILE", help="Draw the curves over each other: .png, .svg or .pdf."
        ),
    ] = None,
    force: ForceFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """Compare runs: only the settings that differ, figures side by side, curves on one scale.

    With --json, the curves are in it as numbers.
    """
    from raven_scan.app.cli.curve_pictures import check_kind, draw_compared_curves  # noqa: PLC0415

    if len(runs) == 1:
        raise typer.BadParameter("Name two to ten: others are compared with the first.", param_hint="RUN…")
    kind = None if picture is None else check_kind(picture)
    if picture is not None:
        check_place(picture, may_overwrite=force)
    with open_raven() as raven:
        compared = raven.run_comparisons.compare(runs, metrics=metric or ())
    output = Output(as_json)
    if picture is not None and not compared.curves:
        output.say("None of them has such a curve yet: there is nothing to draw.", style="yellow")
    elif picture is not None and kind is not None:
        write_whole(picture, draw_compared_curves(compared, kind))
        output.say(f"The curves are in {picture}.", style="dim")
    output.show(compared.model_dump(mode="json"), lambda console: _print_comparison(console, compared))
    if without := set(metric or ()) - {curve.metric for curve in compared.curves}:
        output.say(
            f"None of them has such a metric: {', '.join(sorted(without))}. `raven runs metrics {runs[0]}` lists them.",
            style="yellow",
        )
    unknown = [run.name for run in compared.runs if not run.has_environment]
    if unknown:
        output.say(f"What computed {', '.join(unknown)} was not written down.", style="yellow")
    if sum(run.model is not None for run in compared.runs) > 1:
        models = " ".join(run.model.name for run in compared.runs if run.model is not None)
        output.say(
            f"Whether such differences of figures mean anything: raven models compare {models}", style="dim"
        )


def reproduce(
    run: RunRef,
    name: Annotated[
        str | None, typer.Option("--name", help="Of the new run. Default: the run's, with -reproduced.")
    ] = None,
    wait: Annotated[
        bool, typer.Option("--wait/--no-wait", help="Wait for its end, and compare; else only schedule it.")
    ] = True,
    tolerance: ToleranceOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Run a run again from its record, and compare what comes out: code, libraries, figures, weights."""
    output = Output(as_json)
    with open_session() as session, naming_options():
        made = session.raven.run_comparisons.reproduce(run, name=name)
        for finding in made.findings:
            _say(output, finding)
        scheduled = session.raven.runs.schedule(str(made.run.id))
        for finding in scheduled.findings:
            _say(output, finding)
        findings = [*made.findings, *scheduled.findings]
        if not wait:
            output.say(f"Once it has ended: raven runs reproduction {made.run.name}", style="dim")
            show_run(output, scheduled.run, findings=findings)
            return
        ended = wait_for_rest(session, output, scheduled.run)
        if ended.status != "Success":
            show_run(output, ended, findings=findings)
            raise typer.Exit(RUN_FAILED)
        report = session.raven.run_comparisons.get_reproduction(str(made.run.id), tolerance=tolerance)
    _show_report(output, report, findings=findings)


def reproduction(run: RunRef, tolerance: ToleranceOption = None, as_json: JsonFlag = False) -> None:
    """Show how a reproduction compares with the run that it reproduces."""
    with open_raven() as raven:
        report = raven.run_comparisons.get_reproduction(run, tolerance=tolerance)
    _show_report(Output(as_json), report, findings=None)


def _say(output: Output, finding: "FindingOut") -> None:
    output.say(f"{finding.message} {finding.hint} [{finding.code}]", style="yellow")


def _show_report(
    output: Output, report: "ReproductionReportOut", *, findings: "list[FindingOut] | None"
) -> None:
    def render(console: "Console") -> None:
        from rich.text import Text  # noqa: PLC0415

        names = [report.original.name, report.run.name]
        if report.differences:
            _print_differences(console, names, report.differences)
        _print_figures(console, names, report.figures)
        weights = {True: "the same", False: "not the same", None: "not known"}[report.is_weights_equal]
        configuration = {True: "the same", False: "not the same", None: "not known"}[
            report.is_configuration_equal
        ]
        console.print(Text(f"Configuration: {configuration}. Weights: {weights}."))
        console.print(
            Text(report.message, style=_STYLE_OF_VERDICT.get(report.verdict, "yellow")), soft_wrap=True
        )

    document = report.model_dump(mode="json")
    if findings is not None:
        document["findings"] = [finding.model_dump(mode="json") for finding in findings]
    output.show(document, render)
    if report.verdict not in {"identical", "within_tolerance", "pending"}:
        raise typer.Exit(RUN_FAILED)


def _print_comparison(console: "Console", compared: "RunComparisonOut") -> None:
    from raven_scan.app.cli.tables import (  # noqa: PLC0415
        format_co2,
        format_duration,
        format_energy,
        make_status,
        print_table,
    )

    names = [run.name for run in compared.runs]
    print_table(
        console,
        ("Run", "Status", "Model", "Took", "Energy", "CO2"),
        [
            (
                run.name,
                make_status(run.status),
                run.model.name if run.model else None,
                format_duration(run.time_s),
                format_energy(run.energy.energy_wh if run.energy else None),
                format_co2(run.energy.co2_g if run.energy else None),
            )
            for run in compared.runs
        ],
        empty="",
    )
    if compared.differences:
        _print_differences(console, names, compared.differences)
    else:
        console.print("Inputs, parameters, options and environment are the same.", style="dim")
    _print_figures(console, names, compared.figures)
    _print_curves(console, compared)


def _print_differences(console: "Console", names: list[str], differences: "list[RunDifferenceOut]") -> None:
    from raven_scan.app.cli.tables import print_table  # noqa: PLC0415

    print_table(
        console,
        ("What differs", "", *names),
        [
            (
                each.name.replace("_", " "),
                each.group,
                *(_describe_value(each.name, value) for value in each.values),
            )
            for each in differences
        ],
        empty="",
    )


def _describe_value(name: str, value: Any) -> str | None:
    if value is None:
        return None
    text = str(value)
    if name.endswith("digest"):
        return text[:_DIGEST_DIGITS]
    if name == "git-commit":
        return text[:_DIGEST_DIGITS] + (" with changes" if "+" in text else "")
    return text if len(text) <= _LONGEST_VALUE else text[:_LONGEST_VALUE] + "…"


def _print_figures(console: "Console", names: list[str], figures: "list[ComparedFigureOut]") -> None:
    from raven_scan.app.cli.tables import format_figure, print_table  # noqa: PLC0415

    def describe(value: float | None, difference: float | None) -> str:
        if difference is None:
            return format_figure(value)
        return f"{format_figure(value)} ({difference:+.3f})"

    print_table(
        console,
        ("Figure", "Part", *names),
        [
            (
                each.name,
                each.part,
                format_figure(each.values[0]),
                *map(describe, each.values[1:], each.differences[1:]),
            )
            for each in figures
        ],
        empty="None of them has figures yet.",
    )


def _print_curves(console: "Console", compared: "RunComparisonOut") -> None:
    from rich.text import Text  # noqa: PLC0415

    from raven_scan.app.cli.text_curves import draw_curves  # noqa: PLC0415

    names = [run.name for run in compared.runs]
    width = max(map(len, names))
    for curve in compared.curves:
        drawn = draw_curves([series and (series.steps, series.values) for series in curve.series])
        console.print(
            Text(f"{curve.metric}: {drawn.lowest:.4g} to {drawn.highest:.4g}, steps to {drawn.last_step}"),
            style="bold",
        )
        for name, line in zip(names, drawn.lines, strict=True):
            console.print(Text(f"{name:{width}}  {line}"), soft_wrap=True)
