"""The list of trained models, and which of them are to be compared."""

from collections.abc import Mapping
from functools import partial
from html import escape
from typing import Any
from urllib.parse import urlencode

from nicegui import ui
from nicegui.page_arguments import PageArguments

from raven_scan.access.types import Claim
from raven_scan.architectures.catalogue import list_architectures
from raven_scan.evaluations.types import FEWEST_COMPARED, MOST_COMPARED
from raven_scan.kernel.paging import Page, PageRequest
from raven_scan.trained_models.types import ModelFilter, Origin, Stage, TrainedModelSummary
from raven_scan.web.frame import button, heading, screen, sheet
from raven_scan.web.lists import Choice, Column, SearchedList
from raven_scan.web.live import Liveness
from raven_scan.web.model_words import MODELS_PATH, mark_stage, name_origin, name_stage
from raven_scan.web.services import Services
from raven_scan.web.texts import NONE, Texts
from raven_scan.web.viewer import Viewer

_TELL_TICK = (
    "(event) => { const box = event.target.closest('input[data-model]'); "
    "if (box) emit({ id: box.dataset.model, on: box.checked }); }"
)

_ALL = "any"


async def show_trained_models(
    viewer: Viewer, services: Services, _: Liveness, arguments: PageArguments
) -> None:
    t = viewer.texts
    with screen(t("Trained models")):
        page = _ModelsPage(viewer, services, dict(arguments.query_parameters))
        with heading(t("Trained models")):
            if viewer.may(Claim.TRAINED_MODEL_IMPORT):
                button(
                    t("Import a model"),
                    partial(ui.navigate.to, f"{MODELS_PATH}/import"),
                    icon="upload_file",
                )
        with sheet():
            await page.show()


class _ModelsPage:
    def __init__(self, viewer: Viewer, services: Services, asked: Mapping[str, str]) -> None:
        self._viewer = viewer
        self._services = services
        self._asked = asked
        self._chosen: list[str] = []
        self._may_compare = viewer.may(Claim.TRAINED_MODEL_REVIEW)

    async def show(self) -> None:
        t = self._viewer.texts
        columns = [
            Column(t("Name"), "name"),
            Column(t("Stage")),
            Column(t("Architecture, origin")),
            Column(t("Learned from")),
            Column(t("Test mAP50"), "test_map50", is_number=True),
            Column(t("Size"), "size", is_number=True),
            Column(t("Created"), "created_at"),
        ]
        architectures = {each.name: each.name for each in list_architectures()}
        rows = SearchedList[TrainedModelSummary](
            self._viewer,
            MODELS_PATH,
            self._asked,
            columns=columns,
            fetch=self._fetch,
            draw_row=self._draw_row,
            search=t("Search models"),
            choices=(
                Choice(
                    "stage",
                    t("Stage"),
                    {"": t("Any stage"), **{str(each): name_stage(each, t) for each in Stage}},
                ),
                Choice(
                    "origin",
                    t("Origin"),
                    {
                        "": t("Trained and imported"),
                        _ALL: t("Any origin"),
                        **{str(each): name_origin(each, t) for each in Origin},
                    },
                ),
                Choice(
                    "architecture",
                    t("Architecture"),
                    {"": t("Any architecture"), **architectures},
                ),
            ),
            default_sort="-created_at",
            empty=f'<div class="empty">{escape(self._say_empty())}</div>',
        )
        await rows.show()
        rows.table.classes("models-list")
        if self._may_compare:
            with rows.tools, ui.element("div").classes("row-gap beside"):
                self._said = ui.label().classes("muted small").props('aria-live="polite"')
                self._compare = button(t("Compare"), self._open_comparison, icon="compare_arrows")
            self._tell_choice()
            rows.table.on("change", partial(self._tick, rows), js_handler=_TELL_TICK)

    async def _fetch(self, request: PageRequest, wanted: Mapping[str, str]) -> Page[TrainedModelSummary]:
        chosen = ModelFilter(
            origins=_read_origins(wanted["origin"]),
            stage=Stage(wanted["stage"]) if wanted["stage"] else None,
            architecture=wanted["architecture"] or None,
            words=wanted["q"] or None,
        )
        return await self._viewer.ask(self._services.trained_models.list_models, request, chosen)

    def _say_empty(self) -> str:
        t = self._viewer.texts
        return t(
            "No trained or imported model is like that. A training run makes one; the built-in architectures, from "
            "which it starts, are shown by Any origin."
        )

    def _tick(self, rows: SearchedList[TrainedModelSummary], event: Any) -> None:
        id_, is_on = str(event.args["id"]), bool(event.args["on"])
        self._chosen = [each for each in self._chosen if each != id_] + ([id_] if is_on else [])
        rows.keep_shown()
        self._tell_choice()

    def _tell_choice(self) -> None:
        t, count = self._viewer.texts, len(self._chosen)
        self._compare.set_enabled(FEWEST_COMPARED <= count <= MOST_COMPARED)
        if count == 0:
            said = t("Tick two to ten to compare them.")
        elif count > MOST_COMPARED:
            said = t("{count} models are ticked: at most ten can be compared.", count=count)
        else:
            said = t("{count} ticked; the others are compared with the first.", count=count)
        self._said.set_text(said)

    def _open_comparison(self) -> None:
        ui.navigate.to(f"{MODELS_PATH}/compare?{urlencode([('model', each) for each in self._chosen])}")

    def _draw_row(self, model: TrainedModelSummary) -> str:
        t = self._viewer.texts
        tick = ""
        if self._may_compare:
            checked = " checked" if str(model.id) in self._chosen else ""
            # A model without weights of its own was never evaluated.
            box = (
                f'<input type="checkbox" data-model="{model.id}"{checked} '
                f'aria-label="{escape(t("Compare {name}", name=model.name))}">'
            )
            tick = f'<span class="tick">{"" if model.origin is Origin.BUILTIN else box}</span>'
        return f"<tr>{_draw_cells(model, tick, t)}</tr>"


def _read_origins(wanted: str) -> tuple[Origin, ...]:
    """Architectures are no result of anybody's work: they are left out where nothing is said."""
    if wanted == _ALL:
        return ()
    return (Origin(wanted),) if wanted else (Origin.TRAINED, Origin.IMPORTED)


def _draw_cells(model: TrainedModelSummary, tick: str, t: Texts) -> str:
    test = model.test
    learned = model.lineage.dataset_version
    beside = ""
    if test is not None and test.map is not None:
        beside = f'<div class="small muted">{escape(t("mAP {value}", value=t.figure(test.map)))}</div>'
    size = NONE if model.weights_size_bytes is None else t.size(model.weights_size_bytes)
    return (
        f'<td class="named"><div class="ticked">{tick}<a href="{MODELS_PATH}/{model.id}">{escape(model.name)}</a>'
        "</div></td>"
        f"<td>{NONE if model.origin is Origin.BUILTIN else mark_stage(model.stage, t)}</td>"
        f"<td>{escape(model.architecture)}"
        f'<div class="small muted">{escape(name_origin(model.origin, t))}</div></td>'
        f'<td class="named">{NONE if learned is None else escape(learned.name)}</td>'
        f'<td class="n">{t.figure(None if test is None else test.map50)}{beside}</td>'
        f'<td class="n unbroken">{escape(size)}</td>'
        f'<td class="muted unbroken" title="{escape(t.moment(model.created_at))}">'
        f"{escape(t.day(model.created_at))}</td>"
    )
