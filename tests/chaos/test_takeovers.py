"""What is measured of takeovers: the wait for a slot is told apart from what the takeover itself takes."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, cast

import pytest
from tests.chaos.attempt_watch import Phase
from tests.chaos.plan import Blow, Kind, Victim
from tests.chaos.striker import Struck
from tests.chaos.takeovers import Recovery, Span, find_late_takeovers, find_recoveries

from raven_scan.training_runs.types import AttemptEnd, TrainingRunView

ALWAYS: Span = (0.0, 1000.0)


@dataclass(frozen=True)
class Tried:
    """An attempt, as much of it as is looked at."""

    number: int
    worker: str
    begun: float
    ended: float
    end: AttemptEnd = AttemptEnd.SUCCESS

    @property
    def started_at(self) -> datetime:
        return datetime.fromtimestamp(self.begun, UTC)

    @property
    def ended_at(self) -> datetime:
        return datetime.fromtimestamp(self.ended, UTC)


@dataclass(frozen=True)
class Run:
    name: str
    attempts: list[Tried] = field(default_factory=list[Tried])


def strike(run: str, worker: str, at: float, kind: Kind = Kind.KILL, lasting_s: float = 0.0) -> Struck:
    return Struck(run, 1, worker, is_real=False, blow=Blow(Phase.STEP, Victim.WORKER, kind, lasting_s), at=at)


def recover(runs: list[Run], struck: list[Struck], lives: dict[str, Span]) -> Recovery:
    (found,) = find_recoveries(cast("list[TrainingRunView]", runs), struck, lives)
    return found


def lose(taken_at: float, worker: str = "b") -> Run:
    """To a blow at 100, given up at 104."""
    return Run(
        "lost",
        [Tried(1, "a", 90, 104, AttemptEnd.LOST), Tried(2, worker, taken_at, taken_at + 10)],
    )


@pytest.mark.parametrize(
    ("others", "struck", "lives", "slot_wait_s"),
    [
        # Free all along: nothing is excused.
        ([], [], {"a": (0.0, 100.0), "b": ALWAYS}, 0.0),
        # Its slot was busy until 120.
        ([Run("other", [Tried(1, "b", 80, 120)])], [], {"a": (0.0, 100.0), "b": ALWAYS}, 16.0),
        # A third worker's slot was free from 110 on.
        (
            [Run("other", [Tried(1, "b", 80, 120)]), Run("third", [Tried(1, "c", 80, 110)])],
            [],
            {"a": (0.0, 100.0), "b": ALWAYS, "c": ALWAYS},
            6.0,
        ),
        # A slot that another run takes a second later was free for a second.
        (
            [Run("other", [Tried(1, "b", 80, 106)]), Run("newer", [Tried(1, "b", 107, 125)])],
            [],
            {"a": (0.0, 100.0), "b": ALWAYS},
            20.0,
        ),
        # The other worker was not there until 112.
        ([], [], {"a": (0.0, 100.0), "b": (112.0, 1000.0)}, 8.0),
        # It stood still from 99 to 111.
        ([], [strike("other", "b", 99, Kind.FREEZE, 12)], {"a": (0.0, 100.0), "b": ALWAYS}, 7.0),
    ],
)
def test_the_wait_for_a_slot_is_told_apart(
    others: list[Run], struck: list[Struck], lives: dict[str, Any], slot_wait_s: float
):
    found = recover([lose(125), *others], [strike("lost", "a", 100), *struck], lives)
    assert found.given_up_s == pytest.approx(4)
    assert found.total_s == pytest.approx(25)
    assert found.slot_wait_s == pytest.approx(slot_wait_s)
    assert found.taken_over_s == pytest.approx(25 - slot_wait_s)
    assert bool(find_late_takeovers([found])) == (25 - slot_wait_s > 20)


def test_who_was_behind_it_and_began_before_it_is_counted():
    newer = Run("newer", [Tried(1, "b", 110, 112)])
    came_back_later = Run("later", [Tried(1, "c", 80, 106, AttemptEnd.LOST), Tried(2, "b", 113, 115)])
    came_back_earlier = Run("earlier", [Tried(1, "c", 80, 95, AttemptEnd.LOST), Tried(2, "b", 116, 118)])
    found = recover(
        [lose(125), newer, came_back_later, came_back_earlier],
        [strike("lost", "a", 100)],
        {"a": (0.0, 100.0), "b": ALWAYS},
    )
    assert found.overtaken_by == 2


def test_what_no_blow_has_ended_is_no_recovery():
    run = cast("TrainingRunView", Run("fine", [Tried(1, "a", 90, 104)]))
    assert find_recoveries([run], [strike("fine", "a", 100)], {"a": ALWAYS}) == []
    assert find_recoveries([cast("TrainingRunView", lose(105))], [], {"a": ALWAYS}) == []
