"""Downloading a checkpoint that has learned from COCO: what a run on few images starts from best."""

from nicegui import ui

from raven_scan.architectures.catalogue import Architecture, list_architectures
from raven_scan.web.frame import button, sheet
from raven_scan.web.model_importing import ImportedModel, begin_pull
from raven_scan.web.services import Services
from raven_scan.web.texts import Texts
from raven_scan.web.viewer import Viewer, as_handler


class PullPage:
    """Args:
    viewer: who downloads.
    services: that do it.
    architecture: that is chosen at first, where its checkpoint can be had.
    """

    def __init__(self, viewer: Viewer, services: Services, architecture: str) -> None:
        self._viewer = viewer
        self._services = services
        self._asked = architecture

    def build(self) -> None:
        t = self._viewer.texts
        offered = {each.name: _describe(each, t) for each in list_architectures() if each.pretrained}
        with sheet(t("Weights that have learned from COCO")), ui.element("div").classes("form"):
            ui.label(
                t(
                    "MMDetection's authors trained these on 118,000 photographs of everyday things. A run that starts "
                    "from one needs fewer images and epochs. The server downloads it, so it needs the internet."
                )
            ).classes("muted")
            self._chosen = ui.select(
                offered,
                label=t("Architecture"),
                value=self._asked if self._asked in offered else next(iter(offered)),
            ).props("outlined dense options-dense")
            self._name = ui.input(t("Name; without one, the name that it had")).props("outlined dense")
            with ui.element("div").classes("row-gap"):
                self._pull = button(
                    t("Download and import"), as_handler(self._viewer, self._begin), kind="primary"
                )
            self._import = ImportedModel(self._viewer, self._enable)
        self._import.look()

    def _enable(self) -> None:
        self._pull.set_enabled(self._import.is_free)

    async def _begin(self) -> None:
        name = str(self._name.value or "").strip()
        await self._viewer.ask(begin_pull, self._services, str(self._chosen.value), name)
        self._import.look()


def _describe(architecture: Architecture, t: Texts) -> str:
    return t(
        "{title}, {count} million parameters",
        title=architecture.title,
        count=t.number(architecture.parameters_millions, 1),
    )
