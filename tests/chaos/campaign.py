"""A campaign: many short runs on several workers, struck again and again, and what must be true afterwards."""

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TypeVar

from sqlalchemy.exc import InterfaceError, OperationalError
from tests.chaos import invariants, processes
from tests.chaos.attempt_watch import AIMED_AT, AttemptWatch
from tests.chaos.plan import RECIPES, PlannedRun, draw_blows, make_plan
from tests.chaos.striker import Striker, Struck, Target
from tests.chaos.takeovers import TAKEN_OVER_WITHIN_S, Recovery, Span, find_late_takeovers, find_recoveries
from tests.chaos.workers import WorkerPool
from tests.training_runs.conftest import write_coco

from raven_scan.access.types import LOCAL_ADMINISTRATOR, WORKER
from raven_scan.app.wiring import build_platform
from raven_scan.datasets.types import ImportOptions
from raven_scan.kernel.embedded_postgres.server import EmbeddedPostgres
from raven_scan.kernel.errors import NotFound
from raven_scan.kernel.paging import LARGEST_LIMIT, PageRequest
from raven_scan.kernel.progress import ignore_progress
from raven_scan.kernel.settings import Settings
from raven_scan.training_runs.types import RunStatus, TrainingRunSummary, TrainingRunView

ADMIN = LOCAL_ADMINISTRATOR
_LOOK_INTERVAL_S = 0.002
_STATUS_INTERVAL_S = 0.5
_RETRY_S = 0.2
_MOST_EXTRA_RUNS = 8
_SEED_OF_WORKERS = 1
_IMAGES_A_PART = 16

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Report:
    """What happened.

    Attributes:
        missed: blows that were planned, whose phase did not come again.
        ends: of attempts.
    """

    seed: int
    workers: int
    tiny_runs: int
    real_runs: int
    seconds: float
    struck: list[Struck]
    missed: list[str]
    ends: Counter[str]
    worker_deaths: int
    recoveries: list[Recovery]
    violations: list[str]


@dataclass
class _Progress:
    """What the monitor's thread knows.

    Attributes:
        worker_starts: by name, in seconds since 1970.
    """

    runs: dict[str, TrainingRunSummary] = field(default_factory=dict[str, TrainingRunSummary])
    violations: list[str] = field(default_factory=list[str])
    worker_starts: dict[str, float] = field(default_factory=dict[str, float])


class Campaign:
    """One home, its workers, its runs.

    Args:
        folder: empty; gets the home, logs and the dataset.
        seed: of the plan. The instants within phases are the machine's.
        is_every_phase_hit: goes on until every phase was hit.
        taken_over_within_s: what a takeover may take. On a machine that does much else, all takes longer.
        log: is told what happens.
    """

    def __init__(
        self,
        folder: Path,
        *,
        seed: int,
        tiny_runs: int,
        real_runs: int,
        workers: int,
        longest_s: float,
        is_every_phase_hit: bool = True,
        taken_over_within_s: float = TAKEN_OVER_WITHIN_S,
        log: Callable[[str], None],
    ) -> None:
        self._folder = folder
        self._seed = seed
        self._workers = workers
        self._deadline = time.monotonic() + longest_s
        self._is_every_phase_hit = is_every_phase_hit
        self._taken_over_within_s = taken_over_within_s
        self._log = log
        self._home = folder / "home"
        self._generator = random.Random(seed + 1)  # noqa: S311 - no secret
        self._plan = {run.name: run for run in make_plan(seed, tiny_runs=tiny_runs, real_runs=real_runs)}
        self._pending = {name: list(run.blows) for name, run in self._plan.items()}
        self._names: dict[str, str] = {}
        self._targets: dict[Path, Target] = {}
        self._progress = _Progress()
        self._striker = Striker(self._home, log)
        self._done = threading.Event()

    def run(self) -> Report:
        """Everything, to the end; whatever happens, no process of it is left."""
        started = time.monotonic()
        self._home.mkdir(mode=0o700)
        (self._folder / "witness").mkdir()
        settings = Settings(home=self._home)
        with build_platform(settings) as platform:
            self._platform = platform
            platform.datasets.import_version(
                ADMIN,
                write_coco(self._folder / "coco", images_a_part=_IMAGES_A_PART),
                ImportOptions(name="squares"),
                ignore_progress,
            )
            pool = WorkerPool(self._home, self._folder, self._workers, random.Random(_SEED_OF_WORKERS))  # noqa: S311
            monitor = threading.Thread(target=self._monitor, name="monitor")
            monitor.start()
            try:
                references = self._run_references(pool)
                # Beside the strikes: the first runs begin before the last are made.
                scheduling = threading.Thread(target=self._schedule, args=(list(self._plan.values()),))
                scheduling.start()
                self._strike_until_all_ended(pool)
                scheduling.join()
            except BaseException:
                self._log(pool.read_logs()[-20_000:])
                raise
            finally:
                self._done.set()
                monitor.join()
                self._striker.await_thaws()
                try:
                    pool.stop()
                finally:
                    pool.kill()
            report = self._judge(references, pool, time.monotonic() - started)
        EmbeddedPostgres(self._home).stop(force=True)
        if left := processes.find_postgres(self._home):
            report.violations.append(f"PostgreSQL's processes {left} are left")
        return report

    def _run_references(self, pool: WorkerPool) -> dict[str, TrainingRunView]:
        """A run of each recipe that nothing happens to."""
        used = {run.recipe.name for run in self._plan.values()}
        references = [
            PlannedRun(f"reference-{recipe.name}", recipe) for recipe in RECIPES if recipe.name in used
        ]
        self._schedule(references)
        names = [run.name for run in references]
        while not self._have_ended(names):
            self._check_deadline(names)
            pool.keep()
            time.sleep(_LOOK_INTERVAL_S)
        ended = {
            run.recipe.name: self._ask(
                lambda name=run.name: self._platform.training_runs.get_run(ADMIN, name)
            )
            for run in references
        }
        for run in ended.values():
            if run.status is not RunStatus.SUCCESS:
                raise AssertionError(
                    f"{run.name}, which nothing happened to, ended in {run.status}: {run.error}"
                )
        return ended

    def _schedule(self, planned: Iterable[PlannedRun]) -> None:
        for run in planned:
            self._ask(partial(self._create, run))

    def _create(self, planned: PlannedRun) -> None:
        """Whatever the database did of it the last time, without being able to say so."""
        runs = self._platform.training_runs
        try:
            view = runs.get_run(ADMIN, planned.name)
        except NotFound:
            view = runs.create(
                ADMIN,
                name=planned.name,
                dataset="squares",
                base_model=planned.recipe.base_model,
                parameters=planned.recipe.parameters,
            )
        self._names[str(view.id)] = planned.name
        if view.status is RunStatus.DRAFT:
            runs.schedule(ADMIN, planned.name)

    def _strike_until_all_ended(self, pool: WorkerPool) -> None:
        while True:
            names = list(self._plan)
            if self._have_ended(names) and not self._add_runs_for_phases_not_hit():
                return
            self._check_deadline(names)
            pool.keep()
            for target in self._list_targets():
                pending = self._pending.get(target.run)
                if (
                    pending
                    and target.watch.look() is pending[0].phase
                    and self._striker.strike(target, pending[0])
                ):
                    pending.pop(0)
            time.sleep(_LOOK_INTERVAL_S)

    def _add_runs_for_phases_not_hit(self) -> bool:
        missing = [
            phase for phase in AIMED_AT if phase not in {each.blow.phase for each in self._striker.struck}
        ]
        extra = sum(name.startswith("extra") for name in self._plan)
        if not self._is_every_phase_hit or not missing or extra >= _MOST_EXTRA_RUNS:
            return False
        added = [
            PlannedRun(f"extra-{extra + number}-tiny", RECIPES[0], draw_blows(self._generator, [phase]))
            for number, phase in enumerate(missing)
        ]
        self._plan |= {run.name: run for run in added}
        self._pending |= {run.name: list(run.blows) for run in added}
        self._schedule(added)
        return True

    def _list_targets(self) -> Iterator[Target]:
        """Attempts at work that blows are waiting for."""
        work = self._home / "work"
        for of_run in work.iterdir() if work.is_dir() else ():
            name = self._names.get(of_run.name)
            if name is None or not self._pending.get(name):
                continue
            folders = list(of_run.glob("attempt-*"))
            if not folders:
                continue
            folder = max(folders, key=lambda path: int(path.name.removeprefix("attempt-")))
            target = self._targets.get(folder) or self._find_target(name, folder)
            if target is not None:
                self._targets[folder] = target
                yield target

    def _find_target(self, name: str, folder: Path) -> Target | None:
        watch = AttemptWatch(folder)

        def find_last() -> tuple[int, str] | None:
            run = self._ask(lambda: self._platform.training_runs.get_run(ADMIN, name))
            if run.status is not RunStatus.PROCESSING:
                return None
            return run.attempts[-1].number, run.attempts[-1].worker

        last = find_last()
        if last is None or last[0] != watch.number:
            return None

        return Target(
            run=name,
            is_real=self._plan[name].recipe.is_real,
            watch=watch,
            worker=last[1],
            is_current=lambda: find_last() == last,
        )

    def _monitor(self) -> None:
        """Looks again and again, as any user might: what has ended stays so, and no run has two models."""
        while not self._done.wait(_STATUS_INTERVAL_S):
            page = self._ask(
                lambda: self._platform.training_runs.list_runs(ADMIN, PageRequest(limit=LARGEST_LIMIT))
            )
            for worker in self._ask(self._platform.workers.list_alive):
                self._progress.worker_starts.setdefault(worker.name, worker.started_at.timestamp())
            models = self._ask(lambda: invariants.list_trained_models(self._platform))
            counts = Counter(made.id for model in models if (made := model.lineage.training_run))
            for run in page.items:
                before = self._progress.runs.get(run.name)
                self._progress.runs[run.name] = run
                if before is not None and before.status is run.status:
                    continue
                if before is not None and before.status.is_final:
                    self._progress.violations.append(f"{run.name} was {before.status}, and is {run.status}")
                if run.status.is_final:
                    self._log(f"{run.name}: {run.status} with attempt {run.attempt_count}")
                if counts[run.id] > 1:
                    self._progress.violations.append(f"{run.name} has {counts[run.id]} models")

    def _have_ended(self, names: list[str]) -> bool:
        known = dict(self._progress.runs)
        return all(name in known and known[name].status.is_final for name in names)

    def _check_deadline(self, names: list[str]) -> None:
        if time.monotonic() > self._deadline:
            known = dict(self._progress.runs)
            waiting = {
                name: (known[name].status, known[name].progress.phase, known[name].attempt_count)
                for name in names
                if name in known and not known[name].status.is_final
            }
            raise TimeoutError(f"The campaign takes too long; not ended: {waiting}")

    def _judge(self, references: dict[str, TrainingRunView], pool: WorkerPool, seconds: float) -> Report:
        platform = self._platform
        if platform.holding is not None:
            platform.holding.ensure_running()
        # As the next worker does when it starts.
        self._ask(lambda: platform.recovery.remove_leftovers(WORKER))
        violations = [*self._progress.violations, *self._striker.violations]
        violations += invariants.find_overlaps(self._folder, self._striker.woken_at)
        violations += invariants.find_leftovers(self._home)
        models = self._ask(lambda: invariants.list_trained_models(platform))
        learned = {
            recipe: self._ask(lambda run=run: invariants.read_learned(platform, run))
            for recipe, run in references.items()
        }
        ends: Counter[str] = Counter()
        runs: list[TrainingRunView] = []
        for name, planned in self._plan.items():
            run = self._ask(lambda name=name: platform.training_runs.get_run(ADMIN, name))
            runs.append(run)
            ends.update(str(attempt.end) for attempt in run.attempts)
            found = invariants.find_run_violations(run, models)
            violations += found
            if run.status is RunStatus.SUCCESS:
                got = self._ask(lambda run=run: invariants.read_learned(platform, run))
                violations += invariants.find_learning_violations(
                    name, got, learned[planned.recipe.name], is_real=planned.recipe.is_real
                )
        recoveries = find_recoveries(runs, self._striker.struck, self._list_lives(pool))
        violations += find_late_takeovers(recoveries, self._taken_over_within_s)
        hit = {each.blow.phase for each in self._striker.struck}
        if self._is_every_phase_hit:
            violations += [f"the phase {phase} was never hit" for phase in AIMED_AT if phase not in hit]
        return Report(
            seed=self._seed,
            workers=self._workers,
            tiny_runs=sum(not run.recipe.is_real for run in self._plan.values()),
            real_runs=sum(run.recipe.is_real for run in self._plan.values()),
            seconds=seconds,
            struck=self._striker.struck,
            missed=[f"{name}: {blow}" for name, blows in self._pending.items() for blow in blows],
            ends=ends,
            worker_deaths=pool.deaths,
            recoveries=recoveries,
            violations=violations,
        )

    def _list_lives(self, pool: WorkerPool) -> dict[str, Span]:
        """Of each worker, by name."""
        now = time.time()
        return {
            name: (since, pool.ended_at.get(int(name.rsplit(":", 2)[1]), now))
            for name, since in self._progress.worker_starts.items()
        }

    def _ask(self, ask: Callable[[], T]) -> T:
        """Again and again while the database is away."""
        while True:
            try:
                return ask()
            except (OperationalError, InterfaceError):
                if time.monotonic() > self._deadline:
                    raise
                time.sleep(_RETRY_S)
