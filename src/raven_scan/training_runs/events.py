"""What happens to a run, told to whoever reads along, each thing once.

There is no table of events. A reader has a place: what it was told of the run, the last step of each metric, the bytes
of the log. What the database has beyond that place is what it is told next. So a place is all that a reader needs to
go on after it was cut off, at whichever server.
"""

import base64
import hashlib
import zlib
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from uuid import UUID

import msgspec
from sqlalchemy.orm import Session

from raven_scan.access.types import Actor
from raven_scan.kernel.database import Database
from raven_scan.kernel.errors import Invalid
from raven_scan.training_runs.log_ranges import read_log_range
from raven_scan.training_runs.models import TrainingRun
from raven_scan.training_runs.repository import metrics
from raven_scan.training_runs.service import get_run, view_run
from raven_scan.training_runs.types import (
    CLASS_METRICS,
    LogRange,
    MetricPoint,
    RunProgress,
    RunStatus,
    TrainingRunView,
)

AT_REST = frozenset({RunStatus.DRAFT, RunStatus.PAUSED, *(each for each in RunStatus if each.is_final)})
"""Where nothing happens to a run by itself."""

_MOST_POINTS_OF_A_NAME = 500
_LARGEST_LOG_BYTES = 1 << 16
_LARGEST_PLACE_BYTES = 1 << 16
_DIGEST_BYTES = 6


class Place(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """How much a reader was told of a run.

    Attributes:
        of_run: the end of the run's id, so that no other run's place is taken for one of it.
        run: digest of the run as it was told, without its progress.
        progress: digest of its progress.
        removals: how many times metrics had been removed.
        steps: names of metrics by the last step that was told of them; those by class as one, `CLASS_METRICS`.
        log_offset: bytes of the log.
        is_over: it was told that the run is at rest.
    """

    of_run: bytes
    run: bytes = b""
    progress: bytes = b""
    removals: int = 0
    steps: dict[int, list[str]] = {}
    log_offset: int = 0
    is_over: bool = False

    def format(self) -> str:
        """As an event's id: short, and nobody else's business what it says."""
        packed = zlib.compress(msgspec.msgpack.encode(self), wbits=-zlib.MAX_WBITS)
        return base64.urlsafe_b64encode(packed).rstrip(b"=").decode()

    @property
    def last_steps(self) -> dict[str, int]:
        return {name: step for step, names in self.steps.items() for name in names}


@dataclass(frozen=True, slots=True)
class RunTold:
    """The run as it is now: something but its progress changed."""

    run: TrainingRunView


@dataclass(frozen=True, slots=True)
class ProgressTold:
    progress: RunProgress


@dataclass(frozen=True, slots=True)
class PointsTold:
    """By name and step, behind what was told of each name."""

    points: list[MetricPoint]


@dataclass(frozen=True, slots=True)
class PointsRemoved:
    """All points after `step` are void: the run goes on from there, and tells them again."""

    step: int


@dataclass(frozen=True, slots=True)
class LogTold:
    log: LogRange


@dataclass(frozen=True, slots=True)
class Rested:
    """The run is at rest, and all is told: nothing follows until somebody does something to it."""

    status: RunStatus


AnyTold = RunTold | ProgressTold | PointsTold | PointsRemoved | LogTold | Rested


@dataclass(frozen=True, slots=True)
class Look:
    """What a reader did not know.

    Attributes:
        told: each with the reader's place after it.
        place: after all of it.
        has_more: it was too much for one look.
    """

    told: list[tuple[AnyTold, Place]]
    place: Place
    has_more: bool


class TrainingRunEvents:
    """Looks at runs for those who read along."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def open(
        self, actor: Actor, ref: str, last_event_id: str | None, *, has_history: bool
    ) -> tuple[UUID, Place]:
        """Where a reader begins.

        Args:
            actor: needs `training_run:view`.
            ref: name or id.
            last_event_id: of the last event that it got; None: it got none.
            has_history: from the run's beginning, rather than from now, where it got none.

        Raises:
            NotFound: there is no such run.
            Invalid: the id is not one of this run's events.
        """
        with self._database.transaction() as session:
            _take_snapshot(session)
            run = get_run(session, actor, ref)
            if last_event_id:
                return run.id, _parse_place(last_event_id, run.id)
            place = Place(of_run=_cut_id(run.id))
            if not has_history:
                place = msgspec.structs.replace(
                    place,
                    removals=len(run.metric_removals),
                    steps=_group(metrics.find_last_steps(session, run.id)),
                    log_offset=run.log_size_bytes,
                )
            return run.id, place

    def look(self, actor: Actor, run_id: UUID, place: Place, *, has_metrics: bool, has_log: bool) -> Look:
        """What the run has beyond `place`. All as of one moment.

        Raises NotFound: the run is gone, or not for this actor any more.
        """
        with self._database.transaction() as session:
            _take_snapshot(session)
            run = get_run(session, actor, str(run_id))
            reader = _Reader(place)
            reader.tell_run(view_run(session, run))
            if has_metrics:
                reader.tell_removals(run.metric_removals)
                reader.tell_points(
                    metrics.list_new_points(session, run.id, reader.place.last_steps, _MOST_POINTS_OF_A_NAME)
                )
            if has_log:
                reader.tell_log(lambda offset: read_log_range(session, run, offset, _LARGEST_LOG_BYTES))
            if not reader.has_more:
                reader.tell_end(run)
            return Look(reader.told, reader.place, reader.has_more)


class _Reader:
    """Tells one thing after another, and keeps the place up with it."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.told: list[tuple[AnyTold, Place]] = []
        self.has_more = False

    def tell_run(self, run: TrainingRunView) -> None:
        progress = _digest(asdict(run.progress))
        described = asdict(replace(run, progress=RunProgress()))
        for attempt in described["attempts"]:
            del attempt[
                "heartbeat_at"
            ]  # is none of its reader's business, and there is one every other second
        described["parameters"] = run.parameters.model_dump(mode="json")
        digest = _digest(described)
        if digest != self.place.run:
            self._tell(RunTold(run), run=digest, progress=progress)
        elif progress != self.place.progress:
            self._tell(ProgressTold(run.progress), progress=progress)

    def tell_removals(self, removals: list[int]) -> None:
        new = removals[self.place.removals :]
        if not new:
            return
        step = min(new)
        cut = {name: min(last, step) for name, last in self.place.last_steps.items()}
        had_points = cut != self.place.last_steps
        # Who was told nothing of what went hears nothing of its end either.
        told = PointsRemoved(step) if had_points else None
        kept = _group({name: last for name, last in cut.items() if last >= 0})
        self._tell(told, removals=len(removals), steps=kept)

    def tell_points(self, points: list[MetricPoint]) -> None:
        if not points:
            return
        last_steps = self.place.last_steps
        counts: dict[str, int] = {}
        for point in points:
            last_steps[point.name] = point.step
            counts[point.name] = counts.get(point.name, 0) + 1
        self._tell(PointsTold(points), steps=_group(last_steps))
        self.has_more |= max(counts.values()) == _MOST_POINTS_OF_A_NAME

    def tell_log(self, read: Callable[[int], LogRange]) -> None:
        log = read(self.place.log_offset)
        if log.next_offset > log.offset:
            self._tell(LogTold(log), log_offset=log.next_offset)
            self.has_more |= log.next_offset < log.size_bytes

    def tell_end(self, run: TrainingRun) -> None:
        status = RunStatus(run.status)
        if status not in AT_REST:
            self.place = msgspec.structs.replace(self.place, is_over=False)
        elif self.told or not self.place.is_over:
            self._tell(Rested(status), is_over=True)

    def _tell(self, told: AnyTold | None, **changes: object) -> None:
        self.place = msgspec.structs.replace(self.place, **{"is_over": False, **changes})
        if told is not None:
            self.told.append((told, self.place))


def _take_snapshot(session: Session) -> None:
    """One moment for all that is read: nothing comes in between that a place would not show."""
    session.connection(execution_options={"isolation_level": "REPEATABLE READ"})


def _cut_id(run_id: UUID) -> bytes:
    return run_id.bytes[-_DIGEST_BYTES:]


def _group(last_steps: dict[str, int]) -> dict[int, list[str]]:
    """Most metrics are told of at every step: names by step is the shorter form.

    Those by class are as many as there are classes, and called as users like: one stands for all of them.
    """
    steps: dict[int, list[str]] = {}
    of_classes = [step for name, step in last_steps.items() if name.startswith(CLASS_METRICS)]
    if of_classes:
        steps[max(of_classes)] = [CLASS_METRICS]
    for name, step in sorted(last_steps.items()):
        if not name.startswith(CLASS_METRICS):
            steps.setdefault(step, []).append(name)
    return steps


def _digest(described: object) -> bytes:
    return hashlib.blake2b(msgspec.json.encode(described), digest_size=_DIGEST_BYTES).digest()


def _parse_place(event_id: str, run_id: UUID) -> Place:
    try:
        packed = base64.urlsafe_b64decode(event_id.encode("ascii") + b"=" * (-len(event_id) % 4))
        inflater = zlib.decompressobj(wbits=-zlib.MAX_WBITS)
        plain = inflater.decompress(packed, _LARGEST_PLACE_BYTES)
        place = msgspec.msgpack.decode(plain, type=Place)
    except (ValueError, zlib.error, msgspec.MsgspecError):
        place = None
    if place is None or place.of_run != _cut_id(run_id) or not _is_possible(place):
        raise Invalid(
            "training_run.bad_event_id",
            "The Last-Event-ID is not of an event of this run.",
            hint="Leave it out, to begin with the first event.",
        )
    return place


def _is_possible(place: Place) -> bool:
    """Whether PostgreSQL takes its numbers and names."""
    return (
        place.removals >= 0
        and 0 <= place.log_offset < 1 << 62
        and all(0 <= step < 1 << 31 for step in place.steps)
        and all(name.isprintable() for names in place.steps.values() for name in names)
    )
