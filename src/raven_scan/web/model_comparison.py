"""Two to ten models side by side: differences with intervals and in words, and their curves in one chart."""

from collections.abc import Sequence
from html import escape
from urllib.parse import urlencode

from nicegui import ui
from nicegui.page_arguments import PageArguments

from raven_scan.datasets.types import Part
from raven_scan.evaluations.types import DEFAULT_FIGURE, FIGURES_COMPARED, ComparedModel, Comparison
from raven_scan.figures.difference import Difference, Verdict
from raven_scan.figures.report import EvaluationReport
from raven_scan.kernel.errors import RavenError, Unauthenticated
from raven_scan.web.frame import heading, screen, sheet
from raven_scan.web.live import Liveness
from raven_scan.web.marks import link, mark
from raven_scan.web.model_charts import Curve, draw_curves
from raven_scan.web.model_words import FIGURES, MODELS_PATH, write_figure, write_interval
from raven_scan.web.rows import draw_table
from raven_scan.web.services import Services
from raven_scan.web.texts import NONE, Texts, later
from raven_scan.web.viewer import Viewer

_VERDICTS = {
    Verdict.BETTER: (later("better"), "good"),
    Verdict.WORSE: (later("worse"), "bad"),
    Verdict.NO_SIGNIFICANT_DIFFERENCE: (later("no significant difference"), ""),
    Verdict.TOO_FEW_IMAGES: (later("too few images to tell"), "warn"),
}
_OVERALL = ("map50", "map", "map75", "precision", "recall", "f1")


async def show_model_comparison(
    viewer: Viewer, services: Services, _: Liveness, arguments: PageArguments
) -> None:
    t, query = viewer.texts, arguments.query_parameters
    models = query.getlist("model")
    figure = query.get("figure", DEFAULT_FIGURE)
    part = query.get("part", Part.TEST)
    class_name = query.get("class") or None
    with screen(t("Compare models")):
        ui.html(f'<div class="crumbs">{link(t("Trained models"), MODELS_PATH)}</div>', sanitize=False)
        with heading(t("Compare models")):
            pass
        waiting = ui.label(t("Comparing: what is asked for the first time takes some seconds.")).classes(
            "muted"
        )
        waiting.props('role="status"')
        try:
            comparison = await viewer.ask(
                services.evaluation_review.compare_models,
                models,
                part=part,
                figure=figure,
                class_name=class_name,
            )
        except Unauthenticated:
            raise
        except RavenError as error:
            waiting.delete()
            _show_refusal(viewer, error, models)
            return
        reports = [
            await viewer.ask(services.evaluations.read_report, each.evaluation_id)
            for each in comparison.models
        ]
        waiting.delete()
        with sheet():
            _build_choices(comparison, reports[0], models, t)
            ui.html(_draw_differences(comparison, t), sanitize=False).classes("scroll")
        with sheet(t("Precision by recall")):
            _draw_overlaid(comparison, reports, t)
        with sheet(t("All figures")):
            ui.html(_draw_figures(comparison, reports, t), sanitize=False).classes("scroll")


def _show_refusal(viewer: Viewer, error: RavenError, models: Sequence[str]) -> None:
    t = viewer.texts
    review = "".join(
        f"<li>{link(t('Review of model {number}', number=number), f'{MODELS_PATH}/{ref}/review')}</li>"
        for number, ref in enumerate(models, 1)
    )
    ui.html(f'{viewer.draw_error(error)}<ul class="plain">{review}</ul>', sanitize=False)


def _build_choices(comparison: Comparison, report: EvaluationReport, models: Sequence[str], t: Texts) -> None:
    chosen = {"figure": comparison.figure, "class": comparison.class_name or "", "part": comparison.part}

    def choose(name: str, value: object) -> None:
        wanted = {**chosen, name: str(value or "")}
        query = [("model", each) for each in models] + [(key, each) for key, each in wanted.items() if each]
        ui.navigate.to(f"{MODELS_PATH}/compare?{urlencode(query)}")

    with ui.element("div").classes("row-gap"):
        ui.select(
            {name: t(FIGURES[name]) for name in FIGURES_COMPARED},
            label=t("Figure"),
            value=comparison.figure,
            on_change=lambda event: choose("figure", event.value),
        ).props("outlined dense options-dense").style("min-width: 180px")
        ui.select(
            {"": t("All classes"), **{name: name for name in report.classes}},
            label=t("Class"),
            value=comparison.class_name or "",
            on_change=lambda event: choose("class", event.value),
        ).props("outlined dense options-dense").style("min-width: 180px")
        said = t(
            "On the {part} part of {dataset}, by their last evaluations there. The first is what the others are "
            "compared with; intervals are of 95%.",
            part=comparison.part,
            dataset=comparison.dataset_version.name,
        )
        ui.label(said).classes("muted small")


def _draw_differences(comparison: Comparison, t: Texts) -> str:
    names = (
        t("Model"),
        f"#{t(FIGURES[comparison.figure])}",
        f"#{t('Difference')}",
        f"#{t('95% interval')}",
        t("In words"),
    )
    return draw_table(names, [_draw_row(each, t) for each in comparison.models], empty="")


def _draw_row(compared: ComparedModel, t: Texts) -> str:
    name = link(
        compared.model.name, f"{MODELS_PATH}/{compared.model.id}/review?evaluation={compared.evaluation_id}"
    )
    difference = compared.difference
    if difference is None:
        told = f'<td class="n">{NONE}</td><td class="n">{NONE}</td><td>{escape(t("compared with"))}</td>'
    else:
        verdict, kind = _VERDICTS[difference.verdict]
        interval = write_interval(difference.low, difference.high, t) or NONE
        reason = f'<div class="small muted">{escape(difference.reason)}</div>' if difference.reason else ""
        told = (
            f'<td class="n">{_write_difference(difference, t)}</td><td class="n">{interval}</td>'
            f"<td>{mark(t(verdict), kind)}{reason}</td>"
        )
    return f'<tr><td class="named">{name}</td><td class="n">{t.figure(compared.value)}</td>{told}</tr>'


def _write_difference(difference: Difference, t: Texts) -> str:
    if difference.value is None:
        return NONE
    return t.difference(difference.value)


def _draw_overlaid(comparison: Comparison, reports: Sequence[EvaluationReport], t: Texts) -> None:
    curves: list[Curve] = []
    for compared, report in zip(comparison.models, reports, strict=True):
        told = report.precision_recall
        wanted = comparison.class_name
        precision = told.overall if wanted is None else told.by_class.get(wanted)
        if precision is not None:
            points: list[tuple[float, float | None]] = list(zip(told.recalls, precision, strict=True))
            curves.append(Curve(compared.model.name, points, is_strong=not curves))
    if curves:
        draw_curves(
            t("Precision by recall of each model"), t("Recall"), t("Precision"), curves, height_px=360
        )
    else:
        ui.label(t("It cannot be had: the part has no boxes.")).classes("muted")


def _draw_figures(comparison: Comparison, reports: Sequence[EvaluationReport], t: Texts) -> str:
    head = f"<th>{escape(t('Model'))}</th>" + "".join(
        f'<th class="n">{escape(t(FIGURES[name]))}</th>' for name in _OVERALL
    )
    rows = ""
    for compared, report in zip(comparison.models, reports, strict=True):
        wanted = comparison.class_name
        figures = report.figures if wanted is None else report.by_class.get(wanted, {})
        cells = "".join(f'<td class="n">{write_figure(figures.get(name), t)}</td>' for name in _OVERALL)
        rows += f'<tr><td class="named">{escape(compared.model.name)}</td>{cells}</tr>'
    return f'<table class="list"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>'
