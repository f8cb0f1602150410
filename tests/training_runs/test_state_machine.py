"""A model of a run's life, explored with two workers: whatever happens in whatever order, a run is never lost.

Time passes by ageing the leases in the database. A worker that is well renews its leases as time passes; one that is
frozen does not, and its trainers end themselves before the lease runs out; one that died leaves its attempts behind.
"""

import threading
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from safetensors.numpy import save_file
from sqlalchemy import text

from raven_scan.access.types import LOCAL_ADMINISTRATOR, WORKER
from raven_scan.app.wiring import Platform
from raven_scan.datasets.types import DatasetVersionView
from raven_scan.jobs.lease import LeaseLost
from raven_scan.kernel.errors import Conflict
from raven_scan.trained_models.types import Figures, NewTrainedModel
from raven_scan.training_runs.announcements import RunAnnouncer
from raven_scan.training_runs.attempt import Attempt, Checkpoint
from raven_scan.training_runs.execution import CHECKPOINTS_KEPT
from raven_scan.training_runs.recovery import TrainingRunRecovery
from raven_scan.training_runs.repository.runs import FIRST_RETURNED
from raven_scan.training_runs.transitions import MOST_FRUITLESS_ATTEMPTS
from raven_scan.training_runs.types import (
    AttemptEnd,
    DeviceKind,
    MetricPoint,
    RunError,
    RunEstimate,
    RunOptions,
    RunProgress,
    RunStatus,
    TrainingRunView,
)

from .conftest import TINY

ADMIN = LOCAL_ADMINISTRATOR
LEASE_TIMEOUT_S = 1000.0
"""Far longer than an example takes, so that only the time that is made to pass counts."""
SHORT_S, LONG_S = 400.0, 1200.0
STOPPABLE = (RunStatus.WAITING, RunStatus.PROCESSING, RunStatus.PAUSED)
RETRIABLE = (RunStatus.ERROR, RunStatus.CANCELLED)
VERBS = ("schedule", "cancel", "pause", "resume", "retry", "move")
ENDS = ("end_well", "fail", "run out of memory", "lose", "lose", "hand_back", "hand_back")
HAPPENINGS = ("time passes", "much time passes", "recover", "freeze", "wake", "wake", "kill")
Choice = TypeVar("Choice")
LEASH_S = 0.75 * LEASE_TIMEOUT_S
ESTIMATE = RunEstimate(
    time_s=90.0,
    memory_mb=500.0,
    step_time_s=0.5,
    validation_image_time_s=0.1,
    checkpoint_time_s=0.1,
    start_time_s=8.0,
    steps=4,
    device="cpu",
)
CRASHED = RunError(code="crashed", message="It crashed.", hint="Look at the log.")
OUT_OF_MEMORY = RunError(code="out_of_memory.device", message="No memory is left.", hint="Lower it.")
DUMP = """
SELECT jsonb_build_array(
    (SELECT jsonb_agg(to_jsonb(run) ORDER BY run.id) FROM training_runs AS run),
    (SELECT jsonb_agg(to_jsonb(try) - 'heartbeat_at' ORDER BY try.run_id, try.number)
        FROM training_run_attempts AS try),
    (SELECT jsonb_agg(to_jsonb(kept) ORDER BY kept.run_id, kept.step) FROM training_run_checkpoints AS kept),
    (SELECT jsonb_agg(to_jsonb(point) ORDER BY point.run_id, point.name, point.step)
        FROM training_run_metrics AS point),
    (SELECT jsonb_agg(to_jsonb(part) ORDER BY part.run_id, part.start) FROM training_run_log_parts AS part),
    (SELECT jsonb_agg(to_jsonb(model) ORDER BY model.id) FROM trained_models AS model)
)
"""


@dataclass
class Run:
    """What is expected of a run."""

    id: str
    name: str
    options: RunOptions
    status: RunStatus = RunStatus.DRAFT
    fence: int = 0
    priority: int = 0
    position: int = 0
    is_pausing: bool = False
    is_dry: bool = False
    batch_size: int = 4
    was_halved: bool = False
    last_step: int = 0
    checkpoints: list[Checkpoint] = field(default_factory=list)
    ends: dict[int, AttemptEnd | None] = field(default_factory=dict)
    writers: dict[int, int] = field(default_factory=dict)

    @property
    def is_ending(self) -> bool:
        return any(end is None for end in self.ends.values())


@dataclass
class Held:
    """An attempt as its worker sees it. `is_void`: it has found out that its lease is gone."""

    run: Run
    attempt: Attempt
    silent_s: float = 0.0
    step: int = 0
    has_begun: bool = False
    is_void: bool = False
    told_bytes: int = 0

    @property
    def is_valid(self) -> bool:
        return (
            self.run.status is RunStatus.PROCESSING
            and self.run.fence == self.attempt.fence
            and self.run.ends[self.attempt.fence] is None
        )

    @property
    def has_trainer(self) -> bool:
        return self.silent_s < LEASH_S


@dataclass
class Worker:
    name: str
    capacity: list[str]
    is_frozen: bool = False
    held: list[Held] = field(default_factory=list)

    @property
    def free(self) -> list[str]:
        occupied = Counter(device for each in self.held for device in each.attempt.devices)
        return list((Counter(self.capacity) - occupied).elements())


def pick(choices: list[Choice], index: int) -> Choice:
    return choices[index % len(choices)]


class LivesOfRuns(RuleBasedStateMachine):
    """Rules are what users and workers do; each says what is expected, and the invariants compare."""

    platform: ClassVar[Platform]
    dataset: ClassVar[DatasetVersionView]
    weights_digest: ClassVar[str]

    def __init__(self) -> None:
        super().__init__()
        with self.platform.database.transaction() as session:
            session.execute(text("DELETE FROM training_runs"))
            session.execute(text("DELETE FROM trained_models WHERE origin = 'trained'"))
        self.runs: list[Run] = []
        self.workers = [
            Worker("first:1:0.00", ["cpu", "cpu"]),
            Worker("second:1:0.00", ["cpu", "cuda:0", "cuda:1"]),
        ]
        self.dead: list[Held] = []
        self.excused: set[str] = set()
        self.put: set[str] = set()
        self.worker_count = 2
        self.recovery = TrainingRunRecovery(
            self.platform.database,
            self.platform.settings.model_copy(update={"lease_timeout_s": LEASE_TIMEOUT_S}),
            self.platform.clock,
            RunAnnouncer(self.platform.notifications),
            confirmation_s=0,
        )

    @initialize(kind=st.sampled_from(DeviceKind), smaller=st.booleans(), worker=st.integers(0, 1))
    def begin_with_two_runs(self, kind: DeviceKind, worker: int, *, smaller: bool):
        self.create(kind, 1, 0, smaller=smaller, is_scheduled=True)
        self.create(DeviceKind.AUTO, 1, 0, smaller=smaller, is_scheduled=True)
        self.begin_next(worker, 3)

    # What users do.

    @precondition(lambda self: len(self.runs) < 4)
    @rule(
        kind=st.sampled_from(DeviceKind),
        count=st.sampled_from([1, 1, 2]),
        priority=st.sampled_from([0, 0, 5]),
        smaller=st.booleans(),
        is_scheduled=st.sampled_from([True, True, True, False]),
    )
    def create(self, kind: DeviceKind, count: int, priority: int, *, smaller: bool, is_scheduled: bool):
        name = f"run-{len(self.runs)}"
        options = RunOptions(
            device_kind=kind, device_count=count, priority=priority, retry_smaller_batch=smaller
        )
        view = self.platform.training_runs.create(
            ADMIN,
            name=name,
            dataset=self.dataset.full_name,
            base_model="yolox-nano",
            parameters=TINY,
            options=options,
        )
        self.runs.append(Run(str(view.id), name, options, priority=priority))
        if is_scheduled:
            self.schedule(self.runs[-1], dry_run=False)

    def schedule(self, run: Run, *, dry_run: bool):
        self.platform.training_runs.schedule(ADMIN, run.name, dry_run=dry_run)
        run.is_dry = dry_run
        self.put_in_queue(run)

    def cancel(self, run: Run):
        self.platform.run_control.cancel(ADMIN, run.name)
        self.take_out(run, RunStatus.CANCELLED)

    def pause(self, run: Run):
        self.platform.run_control.pause(ADMIN, run.name)
        if run.status is RunStatus.WAITING:
            self.take_out(run, RunStatus.PAUSED)
        elif run.status is RunStatus.PROCESSING:
            run.is_pausing = True

    def resume(self, run: Run):
        self.platform.run_control.resume(ADMIN, run.name)
        self.put_in_queue(run)

    def retry(self, run: Run, *, from_start: bool):
        self.platform.run_control.retry(ADMIN, run.name, from_start=from_start)
        if from_start:
            self.forget_training(run)
        self.put_in_queue(run)

    def move(self, run: Run, place: int):
        self.platform.run_control.move(ADMIN, run.name, place)
        order = [each for each in self.list_waiting() if each is not run]
        at = min(place, len(order) + 1) - 1
        if at > 0:
            run.priority = min(run.priority, order[at - 1].priority)
        if at < len(order):
            run.priority = max(run.priority, order[at].priority)
        order.insert(at, run)
        for position, each in enumerate(order, 1):
            each.position = position

    @precondition(lambda self: self.runs)
    @rule(verb=st.sampled_from(VERBS), index=st.integers(0, 3), place=st.integers(1, 5), flag=st.booleans())
    def control(self, verb: str, index: int, place: int, *, flag: bool):
        """One that the verb is for, where there is any; else it is refused and changes nothing."""
        admitted = {
            "schedule": self.list_in(RunStatus.DRAFT),
            "cancel": self.list_in(*STOPPABLE),
            "pause": self.list_in(*STOPPABLE),
            "resume": self.list_in(RunStatus.PAUSED),
            "retry": self.list_in(*RETRIABLE),
            "move": self.list_waiting(),
        }[verb]
        run = pick(admitted or self.runs, index)
        calls: dict[str, Callable[[], object]] = {
            "schedule": lambda: self.schedule(run, dry_run=flag),
            "cancel": lambda: self.cancel(run),
            "pause": lambda: self.pause(run),
            "resume": lambda: self.resume(run),
            "retry": lambda: self.retry(run, from_start=flag),
            "move": lambda: self.move(run, place),
        }
        if admitted:
            calls[verb]()
            return
        before = self.dump()
        with pytest.raises(Conflict):
            calls[verb]()
        assert self.dump() == before

    # What workers do.

    @precondition(lambda self: self.list_waiting())
    @rule(worker=st.integers(0, 1), offered=st.integers(1, 3))
    def begin_next(self, worker: int, offered: int):
        mine = self.workers[worker]
        free = mine.free[:offered]
        if mine.is_frozen or not free:
            return
        expected = self.find_next(mine, free)
        attempt = self.platform.execution.begin_next(
            WORKER, worker=mine.name, free=free, capacity=mine.capacity
        )
        assert (attempt.run_name if attempt else None) == (expected.name if expected else None)
        if attempt is None or expected is None:
            return
        self.take_out(expected, RunStatus.PROCESSING)
        expected.fence += 1
        expected.ends[expected.fence] = None
        assert attempt.fence == expected.fence
        assert attempt.checkpoints == expected.checkpoints
        assert attempt.is_dry_run == expected.is_dry
        assert attempt.parameters.batch_size == expected.batch_size
        assert len(attempt.devices) == expected.options.device_count
        assert not Counter(attempt.devices) - Counter(free)
        mine.held.append(Held(expected, attempt, has_begun=attempt.is_dry_run or attempt.fence == 1))

    @precondition(lambda self: self.list_held(has_begun=False))
    @rule(index=st.integers(0, 5), used=st.integers(0, 2))
    def go_on_from(self, index: int, used: int):
        """The first thing that a later attempt does: from the last checkpoint, the one before, or none."""
        held = pick(self.list_held(has_begun=False), index)
        found = held.attempt.checkpoints[used : used + 1]
        checkpoint = found[0] if found else None
        if self.writes(held, lambda: self.platform.execution.go_on_from(WORKER, held.attempt, checkpoint)):
            held.has_begun = True
            held.step = checkpoint.step if checkpoint else 0
            held.run.last_step = held.step
            held.run.checkpoints = [each for each in held.run.checkpoints if each.step <= held.step]

    @precondition(lambda self: self.list_held(is_dry=False))
    @rule(index=st.integers(0, 5), steps=st.integers(1, 3), is_checkpoint=st.booleans())
    def record(self, index: int, steps: int, *, is_checkpoint: bool):
        held = pick(self.list_held(is_dry=False), index)
        step = held.step + steps
        points = [MetricPoint("loss", each, 0, 1.0 / each) for each in range(held.step + 1, step + 1)]
        checkpoint = self.make_checkpoint(step, is_valid=held.is_valid) if is_checkpoint else None
        log = f"step {step}\n".encode()
        if self.writes(
            held,
            lambda: self.platform.execution.record(
                WORKER,
                held.attempt,
                progress=RunProgress(phase="training", step=step),
                points=points,
                warnings=[],
                best=None,
                checkpoint=checkpoint,
                log=log,
                log_position=held.told_bytes,
            ),
        ):
            held.told_bytes += len(log)
            held.step = held.run.last_step = step
            if checkpoint is not None:
                held.run.checkpoints = [checkpoint, *held.run.checkpoints][:CHECKPOINTS_KEPT]
                held.run.writers[step] = held.attempt.fence

    @precondition(lambda self: self.list_held())
    @rule(index=st.integers(0, 5), end=st.sampled_from(ENDS))
    def end_attempt(self, index: int, end: str):
        held = pick(self.list_held(), index)
        calls: dict[str, Callable[[], object]] = {
            "end_well": lambda: self.finish_dry_run(held) if held.attempt.is_dry_run else self.end_well(held),
            "fail": lambda: self.fail(held, CRASHED),
            "run out of memory": lambda: self.fail(held, OUT_OF_MEMORY),
            "lose": lambda: self.lose(held),
            "hand_back": lambda: self.hand_back(held),
        }
        calls[end]()

    def finish_dry_run(self, held: Held):
        if self.writes(held, lambda: self.platform.execution.finish_dry_run(WORKER, held.attempt, ESTIMATE)):
            self.take_out(held.run, RunStatus.DRAFT)
            held.run.is_dry = False
            self.end(held, AttemptEnd.DRY_RUN)

    def fail(self, held: Held, error: RunError):
        if not self.writes(held, lambda: self.platform.execution.fail(WORKER, held.attempt, error)):
            return
        run = held.run
        may_halve = run.options.retry_smaller_batch and not run.was_halved
        if error is OUT_OF_MEMORY and may_halve:
            run.was_halved = True
            run.batch_size //= 2
            self.forget_training(run)
            self.end(held, AttemptEnd.RETRIED_SMALLER)
            self.pause_or_wait(run)
        else:
            self.end_in_error(run)
            self.end(held, AttemptEnd.ERROR)

    def end_in_error(self, run: Run):
        self.take_out(run, RunStatus.DRAFT if run.is_dry else RunStatus.ERROR)
        run.is_dry = False

    def lose(self, held: Held):
        if self.writes(held, lambda: self.platform.execution.lose(WORKER, held.attempt, CRASHED)):
            self.end(held, AttemptEnd.LOST)
            self.note_loss(held.run)

    def hand_back(self, held: Held):
        if self.writes(held, lambda: self.platform.execution.hand_back(WORKER, held.attempt, "stopped")):
            self.end(held, AttemptEnd.PAUSED if held.run.is_pausing else AttemptEnd.WORKER_STOPPED)
            self.pause_or_wait(held.run)

    @precondition(lambda self: any(held.is_void for worker in self.workers for held in worker.held))
    @rule(worker=st.integers(0, 1))
    def end_void_attempts(self, worker: int):
        """What a worker does that found its lease gone, once the trainer is."""
        mine = self.workers[worker]
        for held in [each for each in mine.held if each.is_void and not mine.is_frozen]:
            self.platform.execution.end_void_attempt(WORKER, held.attempt)
            if held.run.ends[held.attempt.fence] is None:
                held.run.ends[held.attempt.fence] = AttemptEnd.CANCELLED
            mine.held.remove(held)

    # What happens.

    @precondition(lambda self: self.list_everybody())
    @rule(what=st.sampled_from(HAPPENINGS), worker=st.integers(0, 1))
    def happen(self, what: str, worker: int):
        calls: dict[str, Callable[[], object]] = {
            "time passes": lambda: self.let_time_pass(SHORT_S),
            "much time passes": lambda: self.let_time_pass(LONG_S),
            "recover": self.recover,
            "freeze": lambda: self.freeze(worker),
            "wake": self.wake,
            "kill": lambda: self.kill_worker(worker),
        }
        calls[what]()

    def let_time_pass(self, seconds: float):
        """Workers that are well renew their leases, those of this machine's that are frozen or dead do not."""
        with self.platform.database.transaction() as session:
            session.execute(
                text(
                    "UPDATE training_run_attempts SET heartbeat_at = heartbeat_at - make_interval(secs => :s)"
                ),
                {"s": seconds},
            )
        for held in self.list_everybody():
            held.silent_s += seconds
        for worker in self.workers:
            for held in worker.held:
                if not worker.is_frozen and not held.is_void:
                    self.beat(held)

    def recover(self):
        """What housekeeping of any worker does."""
        silent = [
            each
            for each in self.list_everybody()
            if each.silent_s > LEASE_TIMEOUT_S and each.run.ends[each.attempt.fence] is None
        ]
        assert self.recovery.recover_lost_runs(WORKER) == len(silent)
        returned = self.list_returned_places()
        for held in silent:
            if held.is_valid:
                self.note_loss(held.run)
                self.adopt_position(held.run, returned)
            else:
                held.run.ends[held.attempt.fence] = AttemptEnd.CANCELLED
        self.dead = [each for each in self.dead if each.run.ends[each.attempt.fence] is None]

    def freeze(self, worker: int):
        self.workers[worker].is_frozen = True

    def wake(self):
        for worker in self.workers:
            worker.is_frozen = False

    def kill_worker(self, worker: int):
        """Its trainers die with it; another one with its devices takes its place."""
        mine = self.workers[worker]
        for held in mine.held:
            held.silent_s = max(held.silent_s, LEASH_S)
            if held.run.ends[held.attempt.fence] is None:
                self.dead.append(held)
        # The lease in the table is as silent as the model has it.
        with self.platform.database.transaction() as session:
            for held in mine.held:
                session.execute(
                    text(
                        "UPDATE training_run_attempts SET heartbeat_at = now() - make_interval(secs => :s)"
                        " WHERE run_id = :run AND number = :fence"
                    ),
                    {"s": held.silent_s, "run": held.run.id, "fence": held.attempt.fence},
                )
        self.worker_count += 1
        self.workers[worker] = Worker(f"worker-{self.worker_count}:1:0.00", mine.capacity)

    # What must always be so.

    @invariant()
    def database_is_as_expected(self):
        with self.platform.database.transaction() as session:
            rows = session.execute(
                text(
                    "SELECT name, status, fence, is_pausing, is_dry_run, priority, queue_position IS NOT NULL,"
                    " error IS NOT NULL, model_id IS NOT NULL,"
                    " (SELECT jsonb_object_agg(number, coalesce(\"end\", '')) FROM training_run_attempts AS try"
                    "  WHERE try.run_id = run.id),"
                    " (SELECT count(*) FROM trained_models WHERE training_run_id = run.id),"
                    " (SELECT jsonb_agg(step ORDER BY step) FROM training_run_metrics AS point"
                    "  WHERE point.run_id = run.id)"
                    " FROM training_runs AS run ORDER BY name"
                )
            ).all()
        found = [tuple(row) for row in rows]
        assert found == [
            (
                run.name,
                run.status,
                run.fence,
                run.is_pausing,
                run.is_dry,
                run.priority,
                run.status is RunStatus.WAITING,
                run.status is RunStatus.ERROR,
                run.status is RunStatus.SUCCESS,
                {str(number): end or "" for number, end in run.ends.items()} or None,
                int(run.status is RunStatus.SUCCESS),
                list(range(1, run.last_step + 1)) or None,
            )
            for run in self.runs
        ]

    @invariant()
    def one_attempt_at_most_may_write(self):
        for run in self.runs:
            is_held = run.status is RunStatus.PROCESSING
            assert (run.ends.get(run.fence, AttemptEnd.LOST) is None) or not is_held
            assert all(end is not None for number, end in run.ends.items() if number < run.fence)

    @invariant()
    def no_two_trainers_of_a_run_are_at_work(self):
        at_work = Counter(
            held.run.name for worker in self.workers for held in worker.held if held.has_trainer
        )
        assert max(at_work.values(), default=0) <= 1, at_work

    @invariant()
    def checkpoints_are_there_and_no_more(self):
        with self.platform.database.transaction() as session:
            rows = session.execute(
                text(
                    "SELECT name, step, digest FROM training_run_checkpoints"
                    " JOIN training_runs AS run ON run.id = run_id ORDER BY name, step DESC"
                )
            ).all()
        assert [tuple(row) for row in rows] == [
            (run.name, each.step, each.digest) for run in self.runs for each in run.checkpoints
        ]
        assert all(len(run.checkpoints) <= CHECKPOINTS_KEPT for run in self.runs)
        named = {digest for _, _, digest in rows}
        assert {digest for digest in named if not self.platform.blobs.has(digest)} == set()
        left = {digest for digest in self.put - named if self.platform.blobs.has(digest)}
        assert left <= self.excused, "blobs of checkpoints that are not kept take room"

    @invariant()
    def queue_is_in_order(self):
        entries = self.platform.run_queue.list_queue(ADMIN)
        assert [entry.run.name for entry in entries] == [run.name for run in self.list_waiting()]
        assert [entry.place for entry in entries] == list(range(1, len(entries) + 1))
        for entry in entries:
            run = next(run for run in self.runs if run.name == entry.run.name)
            assert (entry.reason_code == "earlier_attempt_ending") == run.is_ending

    def teardown(self):
        """From wherever it stands, every run can still be brought to Success, once."""
        for worker in range(2):
            self.workers[worker].is_frozen = False
            self.kill_worker(worker)
        self.let_time_pass(LONG_S)
        self.recover()
        while drafts := self.list_in(RunStatus.DRAFT):
            self.schedule(drafts[0], dry_run=len(drafts) > 1)
        for run in self.list_in(RunStatus.PAUSED):
            self.resume(run)
        for run in self.list_in(*RETRIABLE):
            self.retry(run, from_start=False)
        while self.list_waiting():
            before = [run.fence for run in self.runs]
            for worker in range(2):
                self.begin_next(worker, 3)
            for held in self.list_everybody():
                if not held.attempt.is_dry_run:
                    self.end_well(held)
            for held in self.list_held(is_dry=True):
                self.finish_dry_run(held)
                self.schedule(held.run, dry_run=False)
            assert [run.fence for run in self.runs] != before, "runs that wait are never begun"
        self.database_is_as_expected()
        assert {run.status for run in self.runs} <= {RunStatus.SUCCESS}

    # How the model works.

    def list_in(self, *statuses: RunStatus) -> list[Run]:
        return [run for run in self.runs if run.status in statuses]

    def list_everybody(self) -> list[Held]:
        """Attempts of workers that are there, and of those that died."""
        return [*self.dead, *(each for worker in self.workers for each in worker.held)]

    def list_held(self, *, has_begun: bool = True, is_dry: bool | None = None) -> list[Held]:
        """Attempts that workers which are not frozen believe to hold."""
        return [
            held
            for worker in self.workers
            for held in worker.held
            if not worker.is_frozen and not held.is_void and held.has_begun is has_begun
            if is_dry is None or held.attempt.is_dry_run is is_dry
        ]

    def list_waiting(self) -> list[Run]:
        waiting = [run for run in self.runs if run.status is RunStatus.WAITING]
        return sorted(waiting, key=lambda run: (-run.priority, run.position, run.id))

    def find_next(self, worker: Worker, free: list[str]) -> Run | None:
        """Of each kind of device, the first that it could ever execute; it is not overtaken while it waits for more."""
        for kind in dict.fromkeys(device.partition(":")[0] for device in free):
            has = sum(device.startswith(kind) for device in worker.capacity)
            given = sum(device.startswith(kind) for device in free)
            for run in self.list_waiting():
                asked = str(run.options.device_kind)
                if asked == "auto":
                    asked = "cuda" if "cuda:0" in worker.capacity else "cpu"
                if asked != kind or run.is_ending or has < run.options.device_count:
                    continue
                if given >= run.options.device_count:
                    return run
                break
        return None

    def writes(self, held: Held, write: Callable[[], object]) -> bool:
        """A write of an attempt that holds its run is done; any other changes nothing."""
        if held.is_valid:
            write()
            return True
        before = self.dump()
        with pytest.raises(LeaseLost):
            write()
        assert self.dump() == before
        held.is_void = True
        return False

    def beat(self, held: Held):
        try:
            is_pausing = self.platform.execution.beat(WORKER, held.attempt)
        except LeaseLost:
            assert not held.is_valid
            held.is_void = True
        else:
            assert held.is_valid
            assert is_pausing == held.run.is_pausing
        # The lease of an attempt that has not ended is renewed though its run was cancelled.
        if held.run.ends[held.attempt.fence] is None:
            held.silent_s = 0.0

    def dump(self) -> Any:
        with self.platform.database.transaction() as session:
            return session.execute(text(DUMP)).scalar_one()

    def put_in_queue(self, run: Run, *, is_returned: bool = False):
        if is_returned:
            run.position = max(self.list_returned_places(), default=FIRST_RETURNED - 1) + 1
        else:
            run.position = max([0, *(each.position for each in self.list_waiting())]) + 1
        run.status = RunStatus.WAITING
        run.is_pausing = False

    def take_out(self, run: Run, status: RunStatus):
        run.status = status
        run.is_pausing = False

    def pause_or_wait(self, run: Run):
        if run.is_pausing:
            self.take_out(run, RunStatus.PAUSED)
        else:
            self.put_in_queue(run, is_returned=True)

    def list_returned_places(self) -> list[int]:
        return [each.position for each in self.list_waiting() if each.position < 0]

    def forget_training(self, run: Run):
        run.last_step = 0
        run.checkpoints = []

    def end(self, held: Held, end: AttemptEnd):
        held.run.ends[held.attempt.fence] = end
        for worker in self.workers:
            with suppress(ValueError):
                worker.held.remove(held)

    def note_loss(self, run: Run):
        """It waits again, or pauses; lost too often in a row without a checkpoint between, it ends in Error."""
        furthest = run.writers[run.checkpoints[0].step] if run.checkpoints else 0
        fruitless = 1
        while run.ends.get(run.fence - fruitless) is AttemptEnd.LOST and run.fence - fruitless >= furthest:
            fruitless += 1
        is_given_up = fruitless >= MOST_FRUITLESS_ATTEMPTS and not run.is_pausing
        run.ends[run.fence] = AttemptEnd.ERROR if is_given_up else AttemptEnd.LOST
        if is_given_up:
            self.end_in_error(run)
        else:
            self.pause_or_wait(run)

    def adopt_position(self, run: Run, returned: list[int]):
        """Of several that are recovered at once, nobody says which comes first; all come behind the earlier ones."""
        if run.status is not RunStatus.WAITING:
            return
        with self.platform.database.transaction() as session:
            query = text("SELECT queue_position FROM training_runs WHERE name = :name")
            run.position = session.execute(query, {"name": run.name}).scalar_one()
        assert max(returned, default=FIRST_RETURNED - 1) < run.position < 0

    def make_checkpoint(self, step: int, *, is_valid: bool) -> Checkpoint:
        """Those of one step are alike, so that runs share blobs."""
        digest = self.platform.blobs.put_bytes(f"checkpoint of step {step}".encode())
        self.put.add(digest)
        if is_valid:
            self.excused.discard(digest)
        else:
            self.excused.add(digest)
        return Checkpoint(step=step, epoch=0, position=step, digest=digest, size_bytes=20)

    def end_well(self, held: Held):
        model = NewTrainedModel(
            name=held.run.name,
            architecture="yolox-nano",
            classes=["waste"],
            starting_weights=None,
            weights_digest=self.weights_digest,
            configuration_digest=self.platform.blobs.put_bytes(b"{}"),
            parameter_count=3,
            valid=Figures(),
            test=Figures(map=0.5),
            leak_allowed=False,
            base_model_id=held.attempt.base_model_id,
            dataset_version_id=held.attempt.dataset_version_id,
            dataset_version_name="waste@1",
            training_run_id=held.attempt.run_id,
            training_run_name=held.run.name,
            parameters={},
            environment={},
        )
        if self.writes(
            held, lambda: self.platform.execution.succeed(WORKER, held.attempt, model, RunProgress())
        ):
            self.take_out(held.run, RunStatus.SUCCESS)
            held.run.checkpoints = []
            self.end(held, AttemptEnd.SUCCESS)


def test_no_run_is_lost_whatever_happens(platform: Platform, dataset: DatasetVersionView, tmp_path: Path):
    file = tmp_path / "weights.safetensors"
    save_file({"weight": np.ones(3, dtype=np.float32)}, file)
    LivesOfRuns.platform = platform
    LivesOfRuns.dataset = dataset
    LivesOfRuns.weights_digest = platform.blobs.put_file(file)
    run_state_machine_as_test(
        LivesOfRuns,
        settings=settings(
            max_examples=16,
            stateful_step_count=40,
            deadline=None,
            # To shorten what fails takes minutes; its steps are printed as they are.
            phases=[Phase.generate],
            database=None,
            derandomize=True,
            suppress_health_check=[
                HealthCheck.too_slow,
                HealthCheck.data_too_large,
                HealthCheck.filter_too_much,
            ],
        ),
    )


def test_workers_that_ask_at_once_never_get_the_same_run(
    platform: Platform, schedule_run: Callable[..., TrainingRunView]
):
    names = [schedule_run(name=f"run-{number}").name for number in range(12)]
    taken: list[str] = []
    barrier = threading.Barrier(4)

    def take(worker: str) -> None:
        barrier.wait()
        while attempt := platform.execution.begin_next(WORKER, worker=worker, free=["cpu"], capacity=["cpu"]):
            assert attempt.fence == 1
            taken.append(attempt.run_name)

    threads = [threading.Thread(target=take, args=(f"elsewhere-{number}:1:0.00",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(taken) == sorted(names)


def test_a_run_that_is_controlled_while_its_worker_writes_ends_one_way(
    platform: Platform, schedule_run: Callable[..., TrainingRunView]
):
    """Cancelled by one, failed by another, recovered by a third at once: one of them decides."""
    for number in range(6):
        run = schedule_run(name=f"run-{number}")
        attempt = platform.execution.begin_next(
            WORKER, worker="elsewhere:1:0.00", free=["cpu"], capacity=["cpu"]
        )
        assert attempt
        barrier = threading.Barrier(3)
        done: list[str] = []

        def act(name: str, call: Callable[[], object], barrier: threading.Barrier, done: list[str]) -> None:
            barrier.wait()
            with suppress(LeaseLost, Conflict):
                call()
                done.append(name)

        calls: dict[str, Callable[[], object]] = {
            "cancel": lambda ref=run.name: platform.run_control.cancel(ADMIN, ref),
            "fail": lambda attempt=attempt: platform.execution.fail(WORKER, attempt, CRASHED),
            "hand_back": lambda attempt=attempt: platform.execution.hand_back(WORKER, attempt, "stopped"),
        }
        threads = [
            threading.Thread(target=act, args=(name, call, barrier, done)) for name, call in calls.items()
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        status = platform.training_runs.get_run(ADMIN, run.name).status
        # A run that was handed back, or failed, may be cancelled afterwards or not, never the other way round.
        expected = {
            RunStatus.CANCELLED: [["cancel"], ["hand_back", "cancel"]],
            RunStatus.ERROR: [["fail"]],
        }
        assert done in expected.get(status, [["hand_back"]]), (status, done)


def test_an_attempt_that_was_cancelled_is_told_so_though_its_run_waits_again(
    platform: Platform, schedule_run: Callable[..., TrainingRunView]
):
    """Told as lost, it would count against the run."""
    schedule_run()
    for _ in range(MOST_FRUITLESS_ATTEMPTS):
        attempt = platform.execution.begin_next(
            WORKER, worker="elsewhere:1:0.00", free=["cpu"], capacity=["cpu"]
        )
        assert attempt
        platform.run_control.cancel(ADMIN, "first")
        platform.run_control.retry(ADMIN, "first")
        platform.execution.end_void_attempt(WORKER, attempt)
    attempts = platform.training_runs.get_run(ADMIN, "first").attempts
    assert [each.end for each in attempts] == [AttemptEnd.CANCELLED] * MOST_FRUITLESS_ATTEMPTS
