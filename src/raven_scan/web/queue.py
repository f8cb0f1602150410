"""The queue: what waits in which order and why, what is at work, and on which workers."""

from dataclasses import dataclass
from functools import partial
from html import escape

from nicegui import ui
from nicegui.page_arguments import PageArguments

from raven_scan.access.types import Actor, Claim
from raven_scan.evaluations.types import EvaluationStatus
from raven_scan.kernel.paging import Page, PageRequest
from raven_scan.training_runs.queue_types import QueuedEvaluation, QueueEntry
from raven_scan.training_runs.types import DeviceKind
from raven_scan.web.dialogs import Question
from raven_scan.web.frame import heading, screen, sheet
from raven_scan.web.hints import leave_out_marks
from raven_scan.web.live import Liveness, SharedAnswers
from raven_scan.web.marks import draw_bar, link
from raven_scan.web.page_turning import PageTurning
from raven_scan.web.rows import ShownTable, draw_row_button, draw_table, listen_to_rows
from raven_scan.web.services import Services
from raven_scan.web.texts import NONE, Texts
from raven_scan.web.viewer import Viewer, as_refresh
from raven_scan.web.worker_slots import draw_workers

_ROWS = 50
_REFRESH_S = 3.0
_FRESH_S = 1.5
_LAST = 1_000_000
_HIGHEST_PRIORITY = 1000


async def show_queue(viewer: Viewer, services: Services, liveness: Liveness, _: PageArguments) -> None:
    t = viewer.texts
    with screen(t("Queue")):
        with heading(t("Queue")):
            pass
        await _QueuePage(viewer, services, liveness.answers).show()


@dataclass(frozen=True, slots=True)
class _Look:
    """The queue at one moment. `evaluations`, `workers`: HTML, empty where there are none or not for who looks."""

    page: Page[QueueEntry]
    runs: str
    evaluations: str
    workers: str


class _QueuePage:
    def __init__(self, viewer: Viewer, services: Services, answers: SharedAnswers) -> None:
        self._viewer = viewer
        self._services = services
        self._answers = answers
        self._items: list[QueueEntry] = []

    async def show(self) -> None:
        viewer, t = self._viewer, self._viewer.texts
        with sheet(t("Evaluations")) as self._evaluations_sheet:
            ui.label(t("They come before all training runs.")).classes("muted small")
            self._evaluations = ShownTable()
        with sheet(t("Training runs that wait")):
            self._runs = ShownTable()
            acts = {"up": self._move_up, "down": self._move_down, "first": self._move_first}
            acts |= {"last": self._move_last, "priority": self._ask_for_priority}
            listen_to_rows(self._runs.element, viewer, acts)
            self._pages = PageTurning(viewer, self._refresh)
        with sheet(t("Workers")) as self._workers_sheet:
            self._workers = ShownTable()
        await self._refresh()
        ui.timer(_REFRESH_S, as_refresh(viewer, partial(self._refresh, fresh_s=_FRESH_S)), immediate=False)

    async def _refresh(self, *, fresh_s: float = 0.0) -> None:
        viewer, services, t = self._viewer, self._services, self._viewer.texts
        cursor = self._pages.cursor
        look = await self._answers.ask(
            viewer,
            ("queue", cursor, t.way),
            lambda actor: _look(actor, services, cursor, t),
            fresh_s=fresh_s,
        )
        if cursor != self._pages.cursor:
            return  # another page was turned to meanwhile
        self._items = look.page.items
        self._pages.show(look.page.next)
        self._runs.show(look.runs)
        for table, part, content in (
            (self._evaluations, self._evaluations_sheet, look.evaluations),
            (self._workers, self._workers_sheet, look.workers),
        ):
            table.show(content)
            part.set_visibility(bool(content))

    def _find_place(self, run_id: str) -> int:
        return next((each.place for each in self._items if str(each.run.id) == run_id), 1)

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
        entry = next((each for each in self._items if str(each.run.id) == run_id), None)
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


def _look(actor: Actor, services: Services, cursor: str | None, t: Texts) -> _Look:
    queue = services.run_queue
    page = queue.list_page(actor, PageRequest(limit=_ROWS, cursor=cursor))
    may_order = actor.may(Claim.TRAINING_RUN_SCHEDULE)
    evaluations = queue.list_evaluations(actor) if actor.may(Claim.TRAINED_MODEL_VIEW) else []
    workers = draw_workers(queue.list_workers(actor), t) if actor.may(Claim.SYSTEM_VIEW) else ""
    return _Look(
        page=page,
        runs=_draw_runs(page, t, may_order=may_order, is_first=cursor is None),
        evaluations=_draw_evaluations(evaluations, t) if evaluations else "",
        workers=workers,
    )


def _draw_runs(page: Page[QueueEntry], t: Texts, *, may_order: bool, is_first: bool) -> str:
    last = page.items[-1] if page.items and page.next is None else None
    rows = [_draw_run(each, t, may_order=may_order, is_last=each is last) for each in page.items]
    titles = [f"#{t('Place')}", t("Training run, and why it waits"), f"#{t('Priority')}", t("Device")]
    titles += [t("Expected start"), ""]
    empty = t("No training run waits.") if is_first else t("Nothing more waits than what is before.")
    return draw_table(titles, rows, empty=empty, caption=t("Queue"))


def _draw_run(entry: QueueEntry, t: Texts, *, may_order: bool, is_last: bool) -> str:
    name, id_ = entry.run.name, entry.run.id
    device = "" if entry.device_kind is DeviceKind.AUTO else str(entry.device_kind)
    if entry.device_count > 1:
        device = f"{t.number(entry.device_count)} \N{MULTIPLICATION SIGN} {device or t('any')}"
    priority = t.number(entry.priority)
    buttons = ""
    if may_order:
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
        f'<div class="small muted">{escape(leave_out_marks(entry.reason))}</div></td>'
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
