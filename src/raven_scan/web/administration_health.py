"""How the platform is: what it stands on, its storage, its workers, what it sent."""

from collections.abc import Sequence
from html import escape

from nicegui import ui
from nicegui.page_arguments import PageArguments

from raven_scan.kernel.paging import PageRequest
from raven_scan.notifications.types import NotificationState, NotificationView
from raven_scan.web.frame import button, heading, screen, sheet
from raven_scan.web.live import Liveness
from raven_scan.web.rows import ShownTable, draw_table
from raven_scan.web.services import CheckShown, Services
from raven_scan.web.storage_use import draw_storage
from raven_scan.web.texts import Texts, later
from raven_scan.web.viewer import Viewer, as_handler
from raven_scan.web.worker_slots import draw_workers

_FAILED = 10
_WORDS = {
    "ok": ("good", later("OK")),
    "warning": ("warn", later("Warning")),
    "error": ("bad", later("Error")),
}
_NAMES = {
    "version": later("Release"),
    "database": later("Database"),
    "schema": later("Schema"),
    "clock": later("Clock"),
    "storage": later("Storage"),
    "disk": later("Disk"),
    "shared memory": later("Shared memory"),
    "versions": later("Packages"),
}


async def show_health(viewer: Viewer, services: Services, _: Liveness, __: PageArguments) -> None:
    t = viewer.texts
    with screen(t("System health")):
        page = _HealthPage(viewer, services)
        with heading(t("System health")):
            button(t("Look again"), as_handler(viewer, page.refresh), icon="refresh")
        await page.show()


class _HealthPage:
    def __init__(self, viewer: Viewer, services: Services) -> None:
        self._viewer = viewer
        self._services = services

    async def show(self) -> None:
        t = self._viewer.texts
        with sheet(t("What it stands on")):
            self._checks = ShownTable()
            ui.label(
                t("`raven doctor` on the server looks deeper, and repairs.").replace("`", "\u2009")
            ).classes("muted small")
        with ui.element("div").classes("grid"):
            with sheet(t("Storage")):
                self._storage = ShownTable()
            with sheet(t("Workers")):
                self._workers = ShownTable()
        with sheet(t("Notifications that could not be sent"), classes="short"):
            self._failed = ShownTable()
        await self.refresh()

    async def refresh(self) -> None:
        viewer, services, t = self._viewer, self._services, self._viewer.texts
        self._checks.show(_draw_checks(await viewer.ask(services.system_health.examine), t))
        self._storage.show(draw_storage(await viewer.ask(services.system_health.measure_storage), t))
        self._workers.show(draw_workers(await viewer.ask(services.run_queue.list_workers), t))
        failed = await viewer.ask(
            services.notifications.list_notifications,
            PageRequest(limit=_FAILED),
            state=NotificationState.FAILED,
        )
        self._failed.show(_draw_failed(failed.items, t))


def _draw_checks(checks: Sequence[CheckShown], t: Texts) -> str:
    rows: list[str] = []
    for each in checks:
        kind, words = _WORDS[str(each.state)]
        name = t(_NAMES[each.name]) if each.name in _NAMES else each.name.capitalize()
        hint = f'<div class="small muted">{escape(each.hint)}</div>' if each.hint else ""
        rows.append(
            f'<tr><th scope="row">{escape(name)}</th>'
            f'<td><span class="chip {kind}">{escape(t(words))}</span></td><td>{escape(each.message)}{hint}</td></tr>'
        )
    return draw_table([t("What"), t("How it is"), t("Found")], rows, empty="", caption=t("System health"))


def _draw_failed(failed: list[NotificationView], t: Texts) -> str:
    rows = [
        f"<tr><td>{escape(t.moment(each.ended_at))}</td><td>{escape(each.subject)}</td>"
        f'<td>{escape(each.recipient)}</td><td class="small">{escape(each.reason)}</td></tr>'
        for each in failed
    ]
    titles = [t("When"), t("About"), t("To"), t("Why not")]
    return draw_table(titles, rows, empty=t("None."), caption=t("Notifications"))
