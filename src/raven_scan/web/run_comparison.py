"""Training runs beside each other: what differs, their figures, and their curves in one chart."""

from html import escape
from typing import Any

from nicegui import ui
from nicegui.page_arguments import PageArguments

from raven_scan.training_runs.comparison import (
    FEWEST,
    ComparedFigure,
    ComparedRun,
    RunComparison,
    RunDifference,
)
from raven_scan.web.charts import LineChart
from raven_scan.web.frame import heading, screen, sheet, show_empty
from raven_scan.web.live import Liveness
from raven_scan.web.marks import link, mark_status
from raven_scan.web.model_words import FIGURES
from raven_scan.web.run_words import INPUT_NAMES, OPTION_NAMES, PARAMETER_NAMES, name_parameter, show_value
from raven_scan.web.services import Services
from raven_scan.web.texts import NONE, Texts, later
from raven_scan.web.viewer import Viewer

_CURVES = {
    "loss": later("Loss"),
    "valid/map50": later("mAP50 on the valid part"),
    "valid/map": later("mAP on the valid part"),
    "valid/map75": later("mAP75 on the valid part"),
    "learning_rate": later("Learning rate"),
}
_NAMES = {**OPTION_NAMES, **INPUT_NAMES}
_GROUPS = {
    "inputs": later("Dataset and base model"),
    "parameters": later("Parameters"),
    "options": later("When and on what"),
    "environment": later("Code and machine"),
}
_DIGEST_CHARACTERS = 12


async def show_run_comparison(
    viewer: Viewer, services: Services, _: Liveness, arguments: PageArguments
) -> None:
    t = viewer.texts
    refs = [value for name, value in arguments.query_parameters.multi_items() if name == "run"]
    with screen(t("Compare training runs")):
        ui.html(f'<div class="crumbs">{link(t("Training runs"), "/training-runs")}</div>', sanitize=False)
        with heading(t("Compare training runs")):
            pass
        if len(refs) < FEWEST:
            with sheet():
                show_empty(
                    "compare_arrows",
                    t("Tick two or more runs in the list, then press Compare."),
                    link=(t("To the list"), "/training-runs"),
                )
            return
        comparison = await viewer.ask(
            services.run_comparisons.compare_runs, refs, metrics=tuple(_CURVES), points=200
        )
        _show(comparison, t)


def _show(comparison: RunComparison, t: Texts) -> None:
    with sheet(t("What differs"), classes="wide"):
        said = t("What is the same in all of them is left out.")
        ui.html(f'<div class="muted small">{escape(said)}</div>', sanitize=False)
        ui.html(_draw_differences(comparison, t), sanitize=False).classes("scroll")
    with sheet(t("Time and energy"), classes="wide"):
        ui.html(_draw_costs(comparison, t), sanitize=False).classes("scroll")
    with sheet(t("Figures"), classes="wide"):
        ui.html(_draw_figures(comparison, t), sanitize=False).classes("scroll")
    if not comparison.curves:
        with sheet(t("Curves")):
            show_empty("show_chart", t("None of them has measured anything yet."))
        return
    with ui.element("div").classes("grid charts"):
        for curve in comparison.curves:
            title = t(_CURVES[curve.metric])
            with sheet(title):
                chart = LineChart(title, step=t("Step"))
                chart.show(
                    (run.name, history)
                    for run, history in zip(comparison.runs, curve.histories, strict=True)
                    if history is not None
                )


def _draw_head(runs: list[ComparedRun], t: Texts) -> str:
    columns = "".join(
        f'<th class="run">{link(run.name, f"/training-runs/{run.id}")}<br>{mark_status(run.status, t)}</th>'
        for run in runs
    )
    return (
        f'<thead><tr><th><span class="visually-hidden">{escape(t("What"))}</span></th>{columns}</tr></thead>'
    )


def _draw_differences(comparison: RunComparison, t: Texts) -> str:
    rows = ""
    for group, title in _GROUPS.items():
        differences = [each for each in comparison.differences if each.group == group]
        if differences:
            width = len(comparison.runs) + 1
            rows += f'<tr class="group"><th scope="rowgroup" colspan="{width}">{escape(t(title))}</th></tr>'
            rows += "".join(_draw_difference(each, t) for each in differences)
    if not rows:
        rows = (
            f'<tr><td colspan="{len(comparison.runs) + 1}" class="muted">'
            f"{escape(t('Nothing: they were made of the same, with the same settings.'))}</td></tr>"
        )
    return f'<table class="list compare">{_draw_head(comparison.runs, t)}<tbody>{rows}</tbody></table>'


def _draw_difference(difference: RunDifference, t: Texts) -> str:
    name = difference.name
    if difference.group == "parameters" and name in PARAMETER_NAMES:
        name = name_parameter(name, t)
    elif name in _NAMES:
        name = t(_NAMES[name])
    values = "".join(
        f"<td>{escape(_show_value(difference.name, value, t))}</td>" for value in difference.values
    )
    return f'<tr><th scope="row">{escape(name)}</th>{values}</tr>'


def _show_value(name: str, value: Any, t: Texts) -> str:
    if value is not None and name.endswith("_digest"):
        return str(value)[:_DIGEST_CHARACTERS]
    return show_value(name, value, t)


def _draw_costs(comparison: RunComparison, t: Texts) -> str:
    used = [run.energy for run in comparison.runs]
    rows = [
        (t("Took"), [NONE if run.time_s is None else t.duration(run.time_s) for run in comparison.runs]),
        (t("Energy"), [NONE if each is None else t.energy(each.energy_wh) for each in used]),
        ("CO2", [NONE if each is None else t.co2(each.co2_g) for each in used]),
    ]
    drawn = "".join(
        f'<tr><th scope="row">{escape(name)}</th>{"".join(f"<td>{escape(value)}</td>" for value in values)}</tr>'
        for name, values in rows
    )
    return f'<table class="list compare">{_draw_head(comparison.runs, t)}<tbody>{drawn}</tbody></table>'


def _draw_figures(comparison: RunComparison, t: Texts) -> str:
    if not comparison.figures:
        return f'<div class="muted">{escape(t("None of them has figures yet."))}</div>'
    rows = "".join(_draw_figure(each, t) for each in comparison.figures)
    return f'<table class="list compare">{_draw_head(comparison.runs, t)}<tbody>{rows}</tbody></table>'


def _draw_figure(figure: ComparedFigure, t: Texts) -> str:
    part = t("test") if figure.part == "test" else t("valid, best epoch")
    name = f"{t(FIGURES.get(figure.name, figure.name))} ({part})"
    cells = ""
    known = [value for value in figure.values if value is not None]
    for index, (value, difference) in enumerate(zip(figure.values, figure.differences, strict=True)):
        shown = escape(t.figure(value))
        if value is not None and value == max(known) and len(known) > 1:
            shown = f"<b>{shown}</b>"
        if index and difference is not None:
            shown += f' <span class="small muted">{t.difference(difference)}</span>'
        cells += f"<td>{shown or NONE}</td>"
    return f'<tr><th scope="row">{escape(name)}</th>{cells}</tr>'
