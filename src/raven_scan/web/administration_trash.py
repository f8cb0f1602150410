"""What was deleted: restored, or removed for good."""

from html import escape
from uuid import UUID

from nicegui import ui
from nicegui.page_arguments import PageArguments

from raven_scan.kernel.paging import Page, PageRequest
from raven_scan.kernel.trash import DeletedItem
from raven_scan.web.frame import button, confirm, heading, screen, sheet
from raven_scan.web.live import Liveness
from raven_scan.web.page_turning import PageTurning
from raven_scan.web.rows import ShownTable, draw_row_button, draw_table, listen_to_rows
from raven_scan.web.services import Services
from raven_scan.web.texts import later
from raven_scan.web.viewer import Viewer, as_handler

_ROWS = 50
_KINDS = {
    "training_run": later("Training run"),
    "trained_model": later("Trained model"),
    "dataset": later("Dataset"),
    "dataset_version": later("Dataset version"),
}


async def show_trash(viewer: Viewer, services: Services, _: Liveness, __: PageArguments) -> None:
    t = viewer.texts
    with screen(t("Trash")):
        page = _TrashPage(viewer, services)
        with heading(t("Trash")):
            page.empty_button = button(
                t("Empty trash"), as_handler(viewer, page.empty), kind="danger", icon="delete_forever"
            )
        with sheet():
            await page.show()


class _TrashPage:
    empty_button: ui.button

    def __init__(self, viewer: Viewer, services: Services) -> None:
        self._viewer = viewer
        self._service = services.trash
        self._page: Page[DeletedItem] = Page([], None)

    async def show(self) -> None:
        viewer = self._viewer
        self._table = ShownTable()
        listen_to_rows(self._table.element, viewer, {"restore": self._restore, "purge": self._purge})
        self._pages = PageTurning(viewer, self._refresh)
        await self._refresh()

    async def _refresh(self) -> None:
        request = PageRequest(limit=_ROWS, cursor=self._pages.cursor)
        self._page = await self._viewer.ask(self._service.list_items, request)
        self._table.show(self._draw())
        self._pages.show(self._page.next)
        self.empty_button.set_visibility(bool(self._page.items or self._pages.cursor))

    def _draw(self) -> str:
        t = self._viewer.texts
        rows: list[str] = []
        for item in self._page.items:
            label = t("Restore {name}", name=item.name)
            buttons = draw_row_button("restore", item.id, t("Restore"), label=label)
            label = t("Delete {name} for good", name=item.name)
            buttons += draw_row_button("purge", item.id, t("Delete for good"), label=label, danger=True)
            rows.append(
                f"<tr><td>{escape(item.name)}</td><td>{escape(t(_KINDS.get(item.kind, item.kind)))}</td>"
                f'<td>{escape(t.moment(item.deleted_at))}<div class="small muted">{escape(item.deleted_by)}</div></td>'
                f"<td>{escape(t.moment(self._service.find_purge_time(item)))}</td>"
                f'<td class="n">{buttons}</td></tr>'
            )
        titles = [t("Name"), t("What it is"), t("Deleted"), t("Gone for good from"), ""]
        return draw_table(titles, rows, empty=t("The trash is empty."), caption=t("Trash"))

    def _name(self, item_id: str) -> str:
        return next((item.name for item in self._page.items if str(item.id) == item_id), "")

    async def _restore(self, item_id: str) -> None:
        name = self._name(item_id)
        await self._viewer.ask(self._service.restore, UUID(item_id))
        self._viewer.notify(self._viewer.texts("{name} is restored.", name=name))
        await self._refresh()

    async def _purge(self, item_id: str) -> None:
        t = self._viewer.texts
        if await confirm(
            self._viewer,
            t("Delete {name} for good?", name=self._name(item_id)),
            explanation=t("Nobody can restore it then."),
            action=t("Delete for good"),
            danger=True,
        ):
            await self._viewer.ask(self._service.purge, UUID(item_id))
            await self._refresh()

    async def empty(self) -> None:
        t = self._viewer.texts
        if await confirm(
            self._viewer,
            t("Empty the trash?"),
            explanation=t(
                "All that is in it, and that you may delete, goes for good, whoever deleted it. Nobody can restore it "
                "then."
            ),
            action=t("Empty trash"),
            danger=True,
        ):
            purged = await self._viewer.ask(self._service.empty)
            self._viewer.notify(t("Deleted for good: {count}.", count=t.number(sum(purged.values()))))
            self._pages.begin_anew()
            await self._refresh()
