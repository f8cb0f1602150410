"""The list of datasets, and what to do where there is none."""

from collections.abc import Mapping
from html import escape

from nicegui import ui
from nicegui.page_arguments import PageArguments

from raven_scan.access.types import Claim
from raven_scan.datasets.types import DatasetView, SourceFindings
from raven_scan.kernel.paging import Page, PageRequest
from raven_scan.web.dataset_importing import DATASET_IMPORTS, begin_sample
from raven_scan.web.frame import button, heading, screen, sheet
from raven_scan.web.lists import Column, SearchedList
from raven_scan.web.live import Liveness
from raven_scan.web.marks import link
from raven_scan.web.rows import ShownTable
from raven_scan.web.services import Services
from raven_scan.web.texts import Texts
from raven_scan.web.viewer import Viewer, as_handler
from raven_scan.web.work_under_way import draw_work

PATH = "/datasets"
IMPORT_PATH = "/datasets/import"

_CLASSES_NAMED = 3
_LOOK_S = 1.0
_LONGEST_NOTES = 90


async def show_datasets(viewer: Viewer, services: Services, _: Liveness, arguments: PageArguments) -> None:
    t = viewer.texts
    may_import = viewer.may(Claim.DATASET_IMPORT)
    with screen(t("Datasets")):
        with heading(t("Datasets")):
            if may_import:
                button(
                    t("Import a dataset"),
                    lambda: ui.navigate.to(IMPORT_PATH),
                    kind="primary",
                    icon="upload_file",
                )
        _show_own_import(viewer)
        some = await viewer.ask(services.datasets.list_datasets, PageRequest(1))
        if not some.items:
            _show_first_steps(viewer, services)
            return

        async def fetch(request: PageRequest, wanted: Mapping[str, str]) -> Page[DatasetView]:
            return await viewer.ask(services.datasets.list_datasets, request, wanted["q"] or None)

        with sheet():
            await SearchedList[DatasetView](
                viewer,
                PATH,
                dict(arguments.query_parameters),
                columns=[
                    Column(t("Name"), "name"),
                    Column(t("Versions"), is_number=True),
                    Column(t("Images"), is_number=True),
                    Column(t("Boxes"), is_number=True),
                    Column(t("Classes")),
                    Column(t("Size"), is_number=True),
                    Column(t("Created"), "created_at"),
                ],
                fetch=fetch,
                draw_row=lambda dataset: _draw_row(dataset, t),
                search=t("Search datasets"),
                default_sort="-created_at",
                empty=f'<div class="empty">{escape(t("No dataset is like that."))}</div>',
            ).show()


def describe_classes(classes: list[str], t: Texts) -> str:
    """The first of them, and how many more."""
    named = ", ".join(classes[:_CLASSES_NAMED])
    rest = len(classes) - _CLASSES_NAMED
    return t("{classes} and {count} more", classes=named, count=rest) if rest > 0 else named


def _draw_row(dataset: DatasetView, t: Texts) -> str:
    newest = dataset.versions[0]
    parts = newest.parts.values()
    notes = dataset.notes.strip().partition("\n")[0]
    shown = f"{notes[:_LONGEST_NOTES]}…" if len(notes) > _LONGEST_NOTES else notes
    about = f'<div class="small muted">{escape(shown)}</div>' if shown else ""
    return (
        f'<tr><td class="name-cell">{link(dataset.name, f"{PATH}/{dataset.id}")}{about}</td>'
        f'<td class="n">{t.number(dataset.version_count)}</td>'
        f'<td class="n">{t.number(sum(part.image_count for part in parts))}</td>'
        f'<td class="n">{t.number(sum(part.box_count for part in parts))}</td>'
        f'<td class="name-cell" title="{escape(", ".join(newest.classes))}">'
        f"{escape(describe_classes(newest.classes, t))}</td>"
        f'<td class="n one-line">{escape(t.size(newest.image_bytes))}</td>'
        f'<td class="muted">{escape(t.moment(dataset.created_at))}</td></tr>'
    )


def _show_own_import(viewer: Viewer) -> None:
    """How far the viewer's import is, where there is one."""
    t = viewer.texts
    note = ShownTable()
    note.element.props('aria-live="polite"')

    def look() -> None:
        found = DATASET_IMPORTS.find(viewer.actor.id)
        drawn, path = "", IMPORT_PATH
        if found is not None and not isinstance(found.result, SourceFindings):
            if not found.is_over:
                drawn = draw_work(found, t)
            elif found.result is None:
                drawn = escape(t("{name} was refused.", name=found.name))
            else:
                drawn = escape(t("{name} is imported.", name=found.name))
                path = f"{PATH}/{found.result.id}"
            drawn = f'<div class="notice">{drawn} {link(t("Look at it"), path)}</div>'
        note.show(drawn)

    look()
    ui.timer(_LOOK_S, look, immediate=False)


def _show_first_steps(viewer: Viewer, services: Services) -> None:
    t = viewer.texts

    async def take_sample() -> None:
        await viewer.ask(begin_sample, services.datasets)
        ui.navigate.to(IMPORT_PATH)

    with sheet(), ui.element("div").classes("empty first-steps"):
        ui.icon("photo_library").props('aria-hidden="true"')
        ui.html(f"<h2>{escape(t('There is no dataset yet'))}</h2>", sanitize=False)
        ui.label(t("A dataset is a set of images with boxes around the waste in them. Models learn from it."))
        if viewer.may(Claim.DATASET_IMPORT):
            with ui.element("div").classes("row-gap centred"):
                button(t("Try the sample dataset"), as_handler(viewer, take_sample), kind="primary")
                button(t("Import your own"), lambda: ui.navigate.to(IMPORT_PATH))
            ui.label(
                t("The sample is 160 drawn scenes as a drone sees them; it takes up to a minute.")
            ).classes("small")
        else:
            ui.label(t("Somebody who may import datasets has to begin."))
