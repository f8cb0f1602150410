"""The presets that new training runs can be filled in with."""

from html import escape
from urllib.parse import urlencode

from nicegui import ui
from nicegui.page_arguments import PageArguments

from raven_scan.access.types import Claim
from raven_scan.architectures.parameters import TrainingParameters
from raven_scan.training_runs.types import TrainingPresetView
from raven_scan.web.frame import confirm, heading, screen, sheet
from raven_scan.web.live import Liveness
from raven_scan.web.marks import link
from raven_scan.web.rows import ShownTable, draw_row_button, draw_table, listen_to_rows
from raven_scan.web.run_words import PARAMETER_NAMES, name_parameter, show_value
from raven_scan.web.services import Services
from raven_scan.web.texts import Texts
from raven_scan.web.viewer import Viewer

PRESETS_PATH = "/training-runs/presets"
_DEFAULTS = TrainingParameters()


async def show_training_presets(viewer: Viewer, services: Services, _: Liveness, __: PageArguments) -> None:
    t = viewer.texts
    with screen(t("Presets")):
        ui.html(f'<div class="crumbs">{link(t("Training runs"), "/training-runs")}</div>', sanitize=False)
        with heading(t("Presets")):
            pass
        with sheet():
            await _Presets(viewer, services).show()


class _Presets:
    def __init__(self, viewer: Viewer, services: Services) -> None:
        self._viewer = viewer
        self._service = services.presets

    async def show(self) -> None:
        self._table = ShownTable()
        listen_to_rows(self._table.element, self._viewer, {"delete": self._delete})
        await self._refresh()

    async def _refresh(self) -> None:
        presets = await self._viewer.ask(self._service.list_presets)
        may_delete = self._viewer.may(Claim.TRAINING_RUN_CREATE)
        self._table.show(_draw(presets, self._viewer.texts, may_use=may_delete))

    async def _delete(self, name: str) -> None:
        t = self._viewer.texts
        if await confirm(
            self._viewer,
            t("Delete the preset {name}?", name=name),
            explanation=t("Runs that were created with it keep their parameters."),
            action=t("Delete"),
            danger=True,
        ):
            await self._viewer.ask(self._service.delete, name)
            await self._refresh()


def _draw(presets: list[TrainingPresetView], t: Texts, *, may_use: bool) -> str:
    rows: list[str] = []
    for each in presets:
        buttons = ""
        if may_use:
            path = f"/training-runs/new?{urlencode({'preset': each.name})}"
            buttons = f"{link(t('New run with it'), path)} " + draw_row_button(
                "delete", each.name, t("Delete"), label=t("Delete {name}", name=each.name), danger=True
            )
        rows.append(
            f'<tr><td class="name"><b>{escape(each.name)}</b></td><td>{escape(each.architecture)}</td>'
            f'<td class="small">{escape(_describe(each.parameters, t))}</td><td>{escape(each.run_name)}</td>'
            f'<td class="muted nowrap">{escape(t.moment(each.created_at))}'
            f'<div class="small">{escape(each.created_by)}</div></td><td class="n">{buttons}</td></tr>'
        )
    titles = [t("Name"), t("Architecture"), t("Parameters"), t("Of the run"), t("Created"), ""]
    return draw_table(
        titles, rows, empty=t("There is none yet: a run's page has Save as preset."), caption=t("Presets")
    )


def _describe(parameters: TrainingParameters, t: Texts) -> str:
    """Those that are not as they come."""
    changed = [name for name in PARAMETER_NAMES if getattr(parameters, name) != getattr(_DEFAULTS, name)]
    told = (
        f"{name_parameter(name, t)}: {show_value(name, getattr(parameters, name), t)}" for name in changed
    )
    return " · ".join(told) or t("All as it comes.")
