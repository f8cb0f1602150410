"""The queue: what waits in which order and why, what is at work, and on which workers."""

from html import escape

from nicegui import ui
from nicegui.page_arguments import PageArguments

from raven_scan.access.types import Claim
from raven_scan.evaluations.types import EvaluationStatus
from raven_scan.kernel.paging import Page, PageRequest
from raven_scan.training_runs.queue_types import QueuedEvaluation, QueueEntry
from raven_scan.training_runs.types import DeviceKind
from raven_scan.web.dialogs import Question
from raven_scan.web.frame import button, heading, screen, sheet
from raven_scan.web.live import Liveness
from raven_scan.web.marks import draw_bar, link
from raven_scan.web.rows import ShownTable, draw_row_button, draw_table, listen_to_rows
from raven_scan.web.services import Services
from raven_scan.web.texts import NONE, Texts
from raven_scan.web.viewer import Viewer, as_handler
from raven_scan.web.worker_slots import draw_workers

_ROWS = 50
_REFRESH_S = 3.0
_LAST = 1_000_000
_HIGHEST_PRIORITY = 1000


async def show_queue(viewer: Viewer, services: Services, _: Liveness, arguments: PageArguments) -> None:
    t = viewer.texts
    with screen(t("Queue")):
        with heading(t("Queue")):
            pass
        await _QueuePage(viewer, services, arguments.query_parameters.get("cursor", "")).show()


class _QueuePage:
    def __init__(self, viewer: Viewer, services: Services, cursor: str) -> None:
        self._viewer = viewer
        self._services = services
        self._cursors = [cursor] if cursor else []
        self._page: Page[QueueEntry] = Page([], None)
        self._may_order = viewer.may(Claim.TRAINING_RUN_SCHEDULE)

    async def show(self) -> None:
        viewer, t = self._viewer, self._viewer.texts
        self._evaluations: ShownTable | None = None
        self._workers: ShownTable | None = None
        if viewer.may(Claim.TRAINED_MODEL_VIEW):
            with sheet(t("Evaluations")) as self._evaluations_sheet:
                ui.label(t("They come before all training runs.")).classes("muted small")
                self._evaluations = ShownTable()
            self._evaluations_sheet.set_visibility(False)
        with sheet(t("Training runs that wait")):
            self._runs = ShownTable()
            acts = {"up": self._move_up, "down": self._move_down, "first": self._move_first}
            acts |= {"last": self._move_last, "priority": self._ask_for_priority}
            listen_to_rows(self._runs.element, viewer, acts)
            with (
                ui.element("nav")
                .classes("row-gap")
                .props(f'aria-label="{escape(t("Pages"))}"') as self._pages
            ):
                self._back = button(t("Back"), as_handler(viewer, self._go_back), icon="chevron_left")
                self._forward = button(t("Next"), as_handler(viewer, self._go_on), icon="chevron_right")
            self._pages.set_visibility(False)
        if viewer.may(Claim.SYSTEM_VIEW):
            with sheet(t("Workers")):
                self._workers = ShownTable()
        await self._refresh()
        ui.timer(_REFRESH_S, as_handler(viewer, self._refresh), immediate=False)

    async def _refresh(self) -> None:
        viewer, queue, t = self._viewer, self._services.run_queue, self._viewer.texts
        request = PageRequest(limit=_ROWS, cursor=self._cursors[-1] if self._cursors else None)
        self._page = await viewer.ask(queue.list_page, request)
        self._runs.show(self._draw_runs())
        self._back.set_enabled(bool(self._cursors))
        self._forward.set_enabled(self._page.next is not None)
        self._pages.set_visibility(bool(self._cursors) or self._page.next is not None)
        if self._evaluations is not None:
            evaluations = await viewer.ask(queue.list_evaluations)
            self._evaluations.show(_draw_evaluations(evaluations, t))
            self._evaluations_sheet.set_visibility(bool(evaluations))
        if self._workers is not None:
            self._workers.show(draw_workers(await viewer.ask(queue.list_workers), t))

    async def _go_on(self) -> None:
        if self._page.next is not None:
            self._cursors.append(self._page.next)
            await self._refresh()

    async def _go_back(self) -> None:
        if self._cursors:
            self._cursors.pop()
            await self._refresh()

    def _find_place(self, run_id: str) -> int:
        return next((each.place for each in self._page.items if str(each.run.id) == run_id), 1)

    async def _move_up(self, run_id: str) -> None:
        await self._move(run_id, max(self._find_place(run_id) - 1, 1))

    async def _move_down(self, run_id: str) -> None:
        await self._move(run_id, self._find_place(run_id) + 1)

    async def _move_first(self, run_id: str) -> None:
        await self._move(run_id, 1)

    async def _move_last(self, run_id: str) -> None:
        await self._move(run_id, _LAST)

    async def _move(self, run_id: str, place: int) -> None:
        await self._viewer.ask(self._services.run_control.move, run_id, place)
        await self._refresh()

    async def _ask_for_priority(self, run_id: str) -> None:
        t = self._viewer.texts
        entry = next((each for each in self._page.items if str(each.run.id) == run_id), None)
        if entry is None:
            return
        question = Question(
            self._viewer,
            t("Priority of {name}", name=entry.run.name),
            action=t("Set priority"),
        )
        with question.fields():
            ui.label(t("Of two runs that wait, the one of the higher priority comes first.")).classes("muted")
            field = ui.number(
                t("Priority"),
                value=entry.priority,
                min=-_HIGHEST_PRIORITY,
                max=_HIGHEST_PRIORITY,
                step=1,
                format="%d",
            ).props("outlined dense autofocus")

        async def set_priority() -> None:
            priority = round(float(field.value or 0))
            await self._viewer.ask(self._services.run_control.set_priority, run_id, priority)
            await self._refresh()

        question.open(set_priority)

    def _draw_runs(self) -> str:
        t = self._viewer.texts
        is_whole = not self._cursors and self._page.next is None
        count = len(self._page.items)
        rows = [
            self._draw_run(each, is_last=is_whole and index == count)
            for index, each in enumerate(self._page.items, 1)
        ]
        titles = [f"#{t('Place')}", t("Training run, and why it waits"), f"#{t('Priority')}", t("Device")]
        titles += [t("Expected start"), ""]
        return draw_table(titles, rows, empty=t("No training run waits."), caption=t("Queue"))

    def _draw_run(self, entry: QueueEntry, *, is_last: bool) -> str:
        t = self._viewer.texts
        name, id_ = entry.run.name, entry.run.id
        device = "" if entry.device_kind is DeviceKind.AUTO else str(entry.device_kind)
        if entry.device_count > 1:
            device = f"{t.number(entry.device_count)} \N{MULTIPLICATION SIGN} {device or t('any')}"
        priority = t.number(entry.priority)
        buttons = ""
        if self._may_order:
            label = t("Change the priority of {name}", name=name)
            priority = draw_row_button("priority", id_, priority, label=label)
            moves: list[tuple[str, str, str]] = []
            if entry.place > 1:
                moves += [("first", "⤒", t("Move {name} to the front", name=name))]
                moves += [("up", "↑", t("Move {name} up", name=name))]
            if not is_last:
                moves += [("down", "↓", t("Move {name} down", name=name))]
                moves += [("last", "⤓", t("Move {name} to the end", name=name))]
            buttons = "".join(draw_row_button(act, id_, sign, label=said) for act, sign, said in moves)
        return (
            f'<tr><td class="n">{t.number(entry.place)}</td><td>{link(name, f"/training-runs/{id_}")}'
            f'<div class="small muted">{escape(entry.reason)}</div></td>'
            f'<td class="n">{priority}</td><td>{escape(device or t("any"))}</td>'
            f'<td>{escape(t.moment(entry.expected_start_at))}</td><td class="n">{buttons}</td></tr>'
        )


def _draw_evaluations(evaluations: list[QueuedEvaluation], t: Texts) -> str:
    rows: list[str] = []
    for each in evaluations:
        if each.status == EvaluationStatus.WAITING:
            state = f'<span class="chip warn">{escape(t("Waiting"))}</span>'
            how_far = f'<span class="small">{escape(each.reason or "")}</span>'
        else:
            state = f'<span class="chip busy">{escape(t("Processing"))}</span>'
            progress = each.progress
            label = t(
                "{done} of {total} images", done=t.number(progress.done), total=t.number(progress.total)
            )
            share = progress.done / progress.total if progress.total else 0.0
            words = label if progress.total else progress.phase
            how_far = f'{draw_bar(share, label)}<span class="small muted">{escape(words)}</span>'
        rows.append(
            f"<tr><td>{link(each.model.name, f'/trained-models/{each.model.id}')}</td>"
            f"<td>{escape(each.dataset_version.name)}, {escape(t(each.part))}</td><td>{state}</td>"
            f"<td>{how_far}</td><td>{escape(each.device or NONE)}</td><td>{escape(each.created_by)}</td></tr>"
        )
    titles = [t("Model"), t("Evaluated on"), t("Status"), t("Progress"), t("Device"), t("Asked for by")]
    return draw_table(titles, rows, empty=t("No evaluation waits."), caption=t("Evaluations"))
