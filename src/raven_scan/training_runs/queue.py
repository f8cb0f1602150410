"""The queue as users see it: the order, why each run still waits, and when it will probably start."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import UUID

from raven_scan.access.types import Actor, Claim
from raven_scan.jobs.registry import WorkerRegistry, WorkerView
from raven_scan.kernel.clock import Clock
from raven_scan.kernel.database import Database
from raven_scan.training_runs.device_choice import choose_kind, get_kind
from raven_scan.training_runs.models import TrainingRun, TrainingRunAttempt
from raven_scan.training_runs.repository import attempts, runs
from raven_scan.training_runs.types import DeviceKind, NamedReference, QueueEntry, RunWorker, WorkerSlot

_NAMED = 3


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

    def __init__(self, database: Database, registry: WorkerRegistry, clock: Clock) -> None:
        self._database = database
        self._registry = registry
        self._clock = clock

    def list_queue(self, actor: Actor) -> list[QueueEntry]:
        """Runs that wait, the next first.

        The expected start follows from the time that runs in process have left, and from dry runs of those that
        wait: behind a run of which nobody knows how long it takes, nobody knows.
        """
        actor.require(Claim.TRAINING_RUN_VIEW)
        with self._database.transaction() as session:
            waiting = runs.list_queue(session)
            processing = runs.list_processing(session)
            ending = attempts.list_runs_with_open_ones(session)
            workers = self._registry.list_alive()
        now = self._clock.now()
        slots = _list_slots(workers, processing, now)
        groups = _Groups(slots)
        forecasts: dict[UUID, _Forecast] = {}
        # Those that may not begin yet let others pass.
        for run in sorted(waiting, key=lambda run: run.id in ending or _starts_later(run, now)):
            usable = groups.find(run)
            code, reason = _explain(run, usable, slots, now, is_ending=run.id in ending)
            forecasts[run.id] = _Forecast(code, reason, _occupy(run, usable, now))
        return [
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
            for place, run in enumerate(waiting, 1)
        ]

    def list_workers(self, actor: Actor) -> list[RunWorker]:
        """Workers that live, and what each of their slots does, as far as the actor may see runs.

        Args:
            actor: needs `system:view`.
        """
        actor.require(Claim.SYSTEM_VIEW)
        with self._database.transaction() as session:
            may_see = actor.may(Claim.TRAINING_RUN_VIEW)
            processing = list(runs.list_processing(session)) if may_see else []
            workers = self._registry.list_alive()
        return [
            RunWorker(
                name=worker.name,
                version=worker.version,
                slots=_list_worker_slots(worker, processing),
                is_draining=worker.is_draining,
                started_at=worker.started_at,
                heartbeat_at=worker.heartbeat_at,
            )
            for worker in workers
        ]


def _list_worker_slots(
    worker: WorkerView, processing: Sequence[tuple[TrainingRun, TrainingRunAttempt]]
) -> list[WorkerSlot]:
    occupied = [
        (device, NamedReference(run.id, run.name))
        for run, attempt in processing
        if attempt.worker == worker.name
        for device in attempt.device.split(",")
    ]
    slots: list[WorkerSlot] = []
    for device in worker.slots:
        mine = next((each for each in occupied if each[0] == device), None)
        if mine is not None:
            occupied.remove(mine)
        slots.append(WorkerSlot(device=device, run=mine[1] if mine else None))
    return slots


def _list_slots(
    workers: Sequence[WorkerView],
    processing: Sequence[tuple[TrainingRun, TrainingRunAttempt]],
    now: datetime,
) -> list[_Slot]:
    left = {run.id: run.progress.get("time_left_s") for run, _ in processing}
    slots: list[_Slot] = []
    for worker in workers:
        if worker.is_draining:
            continue
        for slot in _list_worker_slots(worker, processing):
            free_at: datetime | None = now
            if slot.run is not None:
                left_s = left.get(slot.run.id)
                free_at = None if left_s is None else now + timedelta(seconds=left_s)
            name = None if slot.run is None else slot.run.name
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

    def find(self, run: TrainingRun) -> list[list[_Slot]]:
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


def _starts_later(run: TrainingRun, now: datetime) -> bool:
    return run.start_at is not None and run.start_at > now


def _explain(
    run: TrainingRun, groups: list[list[_Slot]], slots: list[_Slot], now: datetime, *, is_ending: bool
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


def _explain_missing(run: TrainingRun, slots: list[_Slot]) -> tuple[str, str]:
    if not slots:
        return "no_worker", "No worker is running: start one with `raven worker` or `raven serve`."
    device = "device" if run.device_kind == DeviceKind.AUTO else f"{run.device_kind} device"
    amount = f"{run.device_count} {device}s" if run.device_count > 1 else f"a {device}"
    return "no_such_device", f"No worker has {amount}."


def _occupy(run: TrainingRun, groups: list[list[_Slot]], now: datetime) -> datetime | None:
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
    takes_s = (run.estimate or {}).get("time_s")
    for slot in chosen:
        slot.free_at = None if takes_s is None else start + timedelta(seconds=takes_s)
        slot.last = run.name
        if len(slot.promised_to) <= _NAMED:
            slot.promised_to.append(run.name)
    return start
