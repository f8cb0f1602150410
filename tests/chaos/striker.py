"""Strikes runs at the phase that was aimed at: victims stand still while the phase is read, so what is logged is so."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from tests.chaos import processes
from tests.chaos.attempt_watch import AttemptWatch, Phase
from tests.chaos.plan import Blow, Kind, Victim

from raven_scan.kernel.embedded_postgres.server import EmbeddedPostgres

_GONE_WITHIN_S = 2.0
"""A trainer and its loader processes, after their worker was killed."""
_ENDS_ITSELF_WITHIN_S = 2.0
"""A trainer that wakes up together with its worker, after another worker took its run over."""
_REST_S = 0.3


@dataclass(frozen=True, slots=True)
class Struck:
    """A blow that was dealt.

    Attributes:
        at: seconds since 1970.
    """

    run: str
    attempt: int
    worker: str
    is_real: bool
    blow: Blow
    at: float


@dataclass(frozen=True, slots=True)
class Target:
    """An attempt at work.

    Attributes:
        is_current: asks whether no other attempt at its run has begun.
    """

    run: str
    is_real: bool
    watch: AttemptWatch
    worker: str
    is_current: Callable[[], bool]

    @property
    def worker_pid(self) -> int:
        return int(self.worker.rsplit(":", 2)[1])


class Striker:
    """Deals blows in a home; what it freezes it thaws, from threads of its own."""

    def __init__(self, home: Path, log: Callable[[str], None]) -> None:
        self._home = home
        self._log = log
        self._timers: list[threading.Timer] = []
        self._rests: dict[Path, float] = {}
        self._database_rests_until = 0.0
        self.struck: list[Struck] = []
        self.woken_at: dict[int, float] = {}
        """When trainers woke up that were frozen with their worker, in seconds since 1970."""
        self.violations: list[str] = []

    def strike(self, target: Target, blow: Blow) -> bool:
        """Deals the blow if the attempt is in the phase aimed at, and tells whether it did."""
        if self._is_resting(target, blow):
            return False
        folder, worker = target.watch.folder, target.worker_pid
        if blow.phase in {Phase.LAYOUT, Phase.REGISTRATION}:
            trainer, held = None, [worker]
        else:
            trainer = processes.find_trainer(folder, worker)
            if trainer is None:
                return False
            held = [trainer, *([worker] if blow.victim in {Victim.WORKER, Victim.MACHINE} else [])]
        _send(held, signal.SIGSTOP)
        processes.await_stopped(held)
        if target.watch.look() is not blow.phase or not target.is_current():
            _send(held, signal.SIGCONT)
            return False
        self.struck.append(
            Struck(target.run, target.watch.number, target.worker, target.is_real, blow, time.time())
        )
        self._log(f"{target.run}, attempt {target.watch.number}: {blow}")
        self._rests[folder] = time.monotonic() + blow.lasting_s + _REST_S
        if blow.victim is Victim.DATABASE:
            self._strike_database(blow)
            _send(held, signal.SIGCONT)
        else:
            self._strike_processes(target, blow, worker, trainer)
        return True

    def _is_resting(self, target: Target, blow: Blow) -> bool:
        """Whether the last blow is still at work: one at a time, so that each is what it is called."""
        now = time.monotonic()
        is_resting = now < self._rests.get(target.watch.folder, 0.0)
        return is_resting or (blow.victim is Victim.DATABASE and now < self._database_rests_until)

    def await_thaws(self) -> None:
        for timer in self._timers:
            timer.join()

    def _strike_processes(self, target: Target, blow: Blow, worker: int, trainer: int | None) -> None:
        """All that takes part stands still now."""
        of_attempt = processes.mark(processes.find_by_command_line(target.watch.folder))
        victim = worker if blow.victim is Victim.WORKER else trainer
        match blow.victim, blow.kind:
            case Victim.MACHINE, _:
                pids = [worker, *(pid for pid, _ in of_attempt)]
                _send(pids, signal.SIGSTOP)
                self._after(blow.lasting_s, lambda: self._thaw_machine(target, pids, of_attempt))
            case _, Kind.FREEZE:
                assert victim is not None
                if blow.victim is Victim.WORKER and trainer is not None:
                    processes.send(trainer, signal.SIGCONT)
                self._after(blow.lasting_s, lambda: processes.send(victim, signal.SIGCONT))
            case _, kind:
                assert victim is not None
                processes.send(victim, signal.SIGKILL if kind is Kind.KILL else signal.SIGTERM)
                _send([worker, *([] if trainer is None else [trainer])], signal.SIGCONT)
                if kind is Kind.KILL:
                    self._after(_GONE_WITHIN_S, lambda: self._check_gone(target, of_attempt, "its death"))

    def _thaw_machine(self, target: Target, pids: list[int], of_attempt: list[processes.Mark]) -> None:
        was_current = target.is_current()
        self.woken_at |= {pid: time.time() for pid in pids}
        _send(pids, signal.SIGCONT)
        if not was_current:
            self._after(
                _ENDS_ITSELF_WITHIN_S,
                lambda: self._check_gone(target, of_attempt, "it was frozen and woke up"),
            )

    def _check_gone(self, target: Target, marks: list[processes.Mark], since: str) -> None:
        for pid in processes.list_living(marks):
            self.violations.append(
                f"{target.run}, attempt {target.watch.number}: process {pid} lives {_GONE_WITHIN_S:.0f} s after {since}"
            )

    def _strike_database(self, blow: Blow) -> None:
        self._database_rests_until = time.monotonic() + blow.lasting_s + 2.0
        if blow.kind is Kind.RESTART:
            # Stopped; those who hold it bring it back.
            EmbeddedPostgres(self._home).stop(force=True)
            return
        pids = processes.find_postgres(self._home)
        if blow.kind is Kind.KILL:
            for pid in pids:
                if (
                    os.fsdecode(Path(f"/proc/{pid}/cmdline").read_bytes())
                    .split("\0")[0]
                    .endswith("bin/postgres")
                ):
                    processes.send(pid, signal.SIGKILL)
            return
        _send(pids, signal.SIGSTOP)
        self._after(blow.lasting_s, lambda: _send(pids, signal.SIGCONT))

    def _after(self, delay_s: float, do: Callable[[], None]) -> None:
        timer = threading.Timer(delay_s, do)
        timer.start()
        self._timers.append(timer)


def _send(pids: Iterable[int], number: signal.Signals) -> None:
    for pid in pids:
        processes.send(pid, number)
