"""The queue as users see it: the order, why each run still waits, and when it will probably start."""

from bisect import bisect_right
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import UUID

from raven_scan.access.types import WORKER, Actor, Claim
from raven_scan.evaluations.execution import EvaluationExecution
from raven_scan.evaluations.types import EvaluationStatus
from raven_scan.jobs.registry import WorkerRegistry, WorkerView
from raven_scan.kernel.clock import Clock
from raven_scan.kernel.cursors import make_cursor, read_cursor
from raven_scan.kernel.database import Database
from raven_scan.kernel.errors import Invalid
from raven_scan.kernel.paging import Page, PageRequest
from raven_scan.training_runs.device_choice import choose_kind, get_kind
from raven_scan.training_runs.queue_types import (
    QueuedEvaluation,
    QueueEntry,
    RunAtWork,
    RunWorker,
    WaitingRun,
    WorkerSlot,
)
from raven_scan.training_runs.repository import attempts, runs
from raven_scan.training_runs.types import DeviceKind, NamedReference

_NAMED = 3
_LIST = "queue"
_ORDER = "place"
_NO_WORKER = "No worker is running: start one with `raven worker` or `raven serve`."


@dataclass(slots=True)
class _Slot:
    """A device of a worker.

    Attributes:
        free_at: None where nobody can tell when it will be free.
        run: the name of the run that computes on it now.
        promised_to: the first names of runs that come before others on it.
        last: the name of the run that will have it last, as far as it is promised.
    """

    worker: str
    kind: DeviceKind
    free_at: datetime | None
    run: str | None
    promised_to: list[str] = field(default_factory=list[str])
    last: str | None = None

    @property
    def is_free_now(self) -> bool:
        return self.run is None and not self.promised_to


@dataclass(frozen=True, slots=True)
class _Forecast:
    reason_code: str
    reason: str
    expected_start_at: datetime | None


class TrainingRunQueue:
    """The queue and the workers, looked at; workers take from it by themselves."""

    def __init__(
        self, database: Database, registry: WorkerRegistry, evaluations: EvaluationExecution, clock: Clock
    ) -> None:
        self._database = database
        self._evaluations = evaluations
        self._registry = registry
        self._clock = clock

    def list_queue(self, actor: Actor) -> list[QueueEntry]:
        """Runs that wait, the next first.

        The expected start follows from the time that runs in process have left, and from dry runs of those that
        wait: behind a run of which nobody knows how long it takes, nobody knows.
        """
        return self._look(actor, lambda waiting: (0, len(waiting)))[0]

    def list_page(self, actor: Actor, page: PageRequest) -> Page[QueueEntry]:
        """A part of the queue, as `list_queue` tells it.

        Raises:
            Invalid: the cursor is none of the queue, or something else than its order is asked for.
        """
        if page.sort not in {None, _ORDER}:
            raise Invalid("paging.bad_sort", "The queue has one order.", hint="Leave `sort` out.")
        after = None
        if page.cursor is not None:
            (priority, position), id_ = read_cursor(_LIST, _ORDER, page.cursor, tuple[int, int])
            after = (-priority, position, id_)

        def find_part(waiting: list[WaitingRun]) -> tuple[int, int]:
            first = 0 if after is None else bisect_right(waiting, after, key=_get_place)
            return first, min(first + page.limit, len(waiting))

        entries, waiting, last = self._look(actor, find_part)
        cursor = None
        if last < len(waiting):
            end = waiting[last - 1]
            cursor = make_cursor(_LIST, _ORDER, (end.priority, end.queue_position), end.id)
        return Page(entries, cursor)

    def _look(
        self, actor: Actor, find_part: Callable[[list[WaitingRun]], tuple[int, int]]
    ) -> tuple[list[QueueEntry], list[WaitingRun], int]:
        """The entries of a part of the queue, all that waits, and where the part ends."""
        actor.require(Claim.TRAINING_RUN_VIEW)
        with self._database.reading() as session:
            waiting = runs.list_waiting(session)
            at_work = [*runs.list_at_work(session), *self._list_evaluations(actor)]
            ending = attempts.list_runs_with_open_ones(session)
            workers = self._registry.list_alive()
        first, last = find_part(waiting)
        shown = waiting[first:last]
        forecasts = _forecast(waiting, {run.id for run in shown}, ending, workers, at_work, self._clock.now())
        entries = [
            QueueEntry(
                place=place,
                run=NamedReference(run.id, run.name),
                priority=run.priority,
                device_kind=DeviceKind(run.device_kind),
                device_count=run.device_count,
                scheduled_at=run.scheduled_at,
                reason_code=forecasts[run.id].reason_code,
                reason=forecasts[run.id].reason,
                expected_start_at=forecasts[run.id].expected_start_at,
            )
            for place, run in enumerate(shown, first + 1)
        ]
        return entries, waiting, last

    def list_evaluations(self, actor: Actor) -> list[QueuedEvaluation]:
        """Evaluations that are at work, and those that wait: the next device that is free is theirs.

        Args:
            actor: needs `trained_model:view`.
        """
        with self._database.reading() as session:
            evaluations = self._evaluations.list_open(actor)
            if not evaluations:
                return []
            at_work = [*runs.list_at_work(session), *self._list_evaluations(actor)]
            workers = self._registry.list_alive()
        slots = _list_slots(workers, at_work, self._clock.now())
        free = sum(slot.is_free_now for slot in slots)
        queued: list[QueuedEvaluation] = []
        before = 0
        for each in evaluations:
            code = reason = None
            if each.status is EvaluationStatus.WAITING:
                code, reason = _explain_evaluation(before, free, slots)
                before += 1
            queued.append(
                QueuedEvaluation(
                    id=each.id,
                    model=each.model,
                    dataset_version=each.dataset_version,
                    part=each.part,
                    status=each.status,
                    progress=each.progress,
                    worker=each.worker if code is None else None,
                    device=each.device if code is None else None,
                    created_by=each.created_by,
                    created_at=each.created_at,
                    reason_code=code,
                    reason=reason,
                )
            )
        return queued

    def list_workers(self, actor: Actor) -> list[RunWorker]:
        """Workers that live, and what each of their slots does, as far as the actor may see it.

        Args:
            actor: needs `system:view`.
        """
        actor.require(Claim.SYSTEM_VIEW)
        with self._database.reading() as session:
            at_work = runs.list_at_work(session) if actor.may(Claim.TRAINING_RUN_VIEW) else []
            at_work += self._list_evaluations(actor)
            workers = self._registry.list_alive()
        return [
            RunWorker(
                name=worker.name,
                version=worker.version,
                slots=_list_worker_slots(worker, at_work),
                is_draining=worker.is_draining,
                started_at=worker.started_at,
                heartbeat_at=worker.heartbeat_at,
                load=worker.load,
            )
            for worker in workers
        ]

    def _list_evaluations(self, actor: Actor) -> list[RunAtWork]:
        """Evaluations that are at work; of which models, those hear who may see them."""
        is_hidden = not actor.may(Claim.TRAINED_MODEL_VIEW)
        return [
            RunAtWork(
                NamedReference(each.evaluation.id, "an evaluation" if is_hidden else each.evaluation.name),
                each.worker,
                (each.device,),
                each.time_left_s,
                is_evaluation=True,
            )
            for each in self._evaluations.list_at_work(WORKER)
        ]


def _get_place(run: WaitingRun) -> tuple[int, int, UUID]:
    return -run.priority, run.queue_position, run.id


def _forecast(
    waiting: Sequence[WaitingRun],
    explained: Collection[UUID],
    ending: Collection[UUID],
    workers: Sequence[WorkerView],
    at_work: Sequence[RunAtWork],
    now: datetime,
) -> dict[UUID, _Forecast]:
    """Why runs still wait, and when they will start, of those that are to be explained."""
    slots = _list_slots(workers, at_work, now)
    groups = _Groups(slots)
    forecasts: dict[UUID, _Forecast] = {}
    left = len(explained)
    # Those that may not begin yet let others pass.
    for run in sorted(waiting, key=lambda run: run.id in ending or _starts_later(run, now)):
        if not left:
            break
        usable = groups.find(run)
        if run.id not in explained:
            _occupy(run, usable, now)
            continue
        code, reason = _explain(run, usable, slots, now, is_ending=run.id in ending)
        forecasts[run.id] = _Forecast(code, reason, _occupy(run, usable, now))
        left -= 1
    return forecasts


def _list_worker_slots(worker: WorkerView, at_work: Sequence[RunAtWork]) -> list[WorkerSlot]:
    occupied = [(device, each) for each in at_work if each.worker == worker.name for device in each.devices]
    slots: list[WorkerSlot] = []
    for device in worker.slots:
        mine = next((each for each in occupied if each[0] == device), None)
        if mine is not None:
            occupied.remove(mine)
        work = mine[1] if mine else None
        slots.append(
            WorkerSlot(
                device=device,
                run=work.run if work and not work.is_evaluation else None,
                evaluation=work.run if work and work.is_evaluation else None,
                load=None if worker.load is None else worker.load.devices.get(device),
            )
        )
    return slots


def _list_slots(workers: Sequence[WorkerView], at_work: Sequence[RunAtWork], now: datetime) -> list[_Slot]:
    left = {each.run.id: each.time_left_s for each in at_work}
    slots: list[_Slot] = []
    for worker in workers:
        if worker.is_draining:
            continue
        for slot in _list_worker_slots(worker, at_work):
            free_at: datetime | None = now
            work = slot.run or slot.evaluation
            if work is not None:
                left_s = left.get(work.id)
                free_at = None if left_s is None else now + timedelta(seconds=left_s)
            name = None if work is None else work.name
            slots.append(_Slot(worker.name, get_kind(slot.device), free_at, name))
    return slots


class _Groups:
    """Of each worker that could ever execute a run, its slots of the right kind.

    Found once for all runs that ask for the same: hundreds may wait.
    """

    def __init__(self, slots: list[_Slot]) -> None:
        self._slots_of: dict[str, list[_Slot]] = {}
        for slot in slots:
            self._slots_of.setdefault(slot.worker, []).append(slot)
        self._found: dict[tuple[str, int], list[list[_Slot]]] = {}

    def find(self, run: WaitingRun) -> list[list[_Slot]]:
        asked = (run.device_kind, run.device_count)
        if asked not in self._found:
            self._found[asked] = self._search(DeviceKind(run.device_kind), run.device_count)
        return self._found[asked]

    def _search(self, asked: DeviceKind, count: int) -> list[list[_Slot]]:
        groups: list[list[_Slot]] = []
        for mine in self._slots_of.values():
            kind = choose_kind(asked, [slot.kind for slot in mine])
            fitting = [slot for slot in mine if slot.kind is kind]
            if len(fitting) >= count:
                groups.append(fitting)
        return groups


def _starts_later(run: WaitingRun, now: datetime) -> bool:
    return run.start_at is not None and run.start_at > now


def _explain(
    run: WaitingRun, groups: list[list[_Slot]], slots: list[_Slot], now: datetime, *, is_ending: bool
) -> tuple[str, str]:
    if run.start_at is not None and run.start_at > now:
        return "starts_later", f"It is not to start before {run.start_at.astimezone(UTC):%Y-%m-%d %H:%M} UTC."
    if is_ending:
        return "earlier_attempt_ending", "Its earlier attempt is still ending."
    if not groups:
        return _explain_missing(run, slots)
    if not any(sum(slot.is_free_now for slot in group) >= run.device_count for group in groups):
        return "devices_busy", _explain_busy([slot for group in groups for slot in group])
    return "about_to_start", "It is about to start."


def _explain_evaluation(before: int, free: int, slots: list[_Slot]) -> tuple[str, str]:
    """Of one that waits behind so many others; any device will do."""
    if not slots:
        return "no_worker", _NO_WORKER
    if before < free:
        return "about_to_start", "It is about to start."
    behind = f" Evaluations before it: {before}." if before else ""
    return "devices_busy", f"{_explain_busy(slots)}{behind}"


def _explain_busy(slots: list[_Slot]) -> str:
    """Which runs are in the way, and of which of them nobody knows for how long."""
    at_work = list(dict.fromkeys(slot.run for slot in slots if slot.run is not None))
    before = list(dict.fromkeys(name for slot in slots for name in slot.promised_to if name not in at_work))
    ways = [
        *([f"busy with {_name_some(at_work)}"] if at_work else []),
        *([f"promised to {_name_some(before)}"] if before else []),
    ]
    sentence = f"The devices that it could use are {' and '.join(ways)}."
    unknown = list(dict.fromkeys(slot.last or slot.run or "" for slot in slots if slot.free_at is None))
    if unknown and all(slot.free_at is None for slot in slots):
        sentence += f" Nobody knows yet how long {_name_some(unknown)} will take."
    return sentence


def _name_some(names: list[str]) -> str:
    shown = [repr(name) for name in names[:_NAMED]]
    if len(names) > len(shown):
        return f"{', '.join(shown)} and others"
    return " and ".join([", ".join(shown[:-1]), shown[-1]] if len(shown) > 1 else shown)


def _explain_missing(run: WaitingRun, slots: list[_Slot]) -> tuple[str, str]:
    if not slots:
        return "no_worker", _NO_WORKER
    device = "device" if run.device_kind == DeviceKind.AUTO else f"{run.device_kind} device"
    amount = f"{run.device_count} {device}s" if run.device_count > 1 else f"a {device}"
    return "no_such_device", f"No worker has {amount}."


def _occupy(run: WaitingRun, groups: list[list[_Slot]], now: datetime) -> datetime | None:
    """When the run will start; its slots are then occupied for as long as it will probably take."""
    earliest = max(now, run.start_at) if run.start_at else now
    best: tuple[datetime, list[_Slot]] | None = None
    for group in groups:
        known = sorted((slot for slot in group if slot.free_at), key=lambda slot: slot.free_at or now)
        if len(known) < run.device_count:
            continue
        chosen = known[: run.device_count]
        start = max(earliest, chosen[-1].free_at or now)
        if best is None or start < best[0]:
            best = (start, chosen)
    if best is None:
        return None
    start, chosen = best
    for slot in chosen:
        slot.free_at = None if run.takes_s is None else start + timedelta(seconds=run.takes_s)
        slot.last = run.name
        if len(slot.promised_to) <= _NAMED:
            slot.promised_to.append(run.name)
    return start
