"""How long lost runs took to be taken over, and how much of that they waited for a slot."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from tests.chaos.plan import Kind, Victim
from tests.chaos.striker import Struck

from raven_scan.training_runs.types import AttemptEnd, TrainingRunView

TAKEN_OVER_WITHIN_S = 20.0

_AT_ONCE_S = 1.0
"""Times are those of transactions' beginnings: two that are at work at once do not see what the other one did."""

Span = tuple[float, float]
"""From, to; in seconds since 1970."""


@dataclass(frozen=True, slots=True)
class Recovery:
    """An attempt that was lost to a blow, and the one after it.

    Attributes:
        given_up_s: from the blow to the attempt's end in the database.
        slot_wait_s: after that, as long as the slot of every worker that lives was busy with other runs.
        total_s: from the blow to the next attempt's start.
        overtaken_by: attempts at runs behind it in the queue that began while it waited.
    """

    struck: Struck
    given_up_s: float
    slot_wait_s: float
    total_s: float
    overtaken_by: int

    @property
    def taken_over_s(self) -> float:
        """From the blow to the next attempt's start, less the wait for a slot."""
        return self.total_s - self.slot_wait_s

    def __str__(self) -> str:
        return (
            f"{self.struck.run}, attempt {self.struck.attempt}, lost to {self.struck.blow}: given up after"
            f" {self.given_up_s:.1f} s, waited {self.slot_wait_s:.1f} s for a slot, begun after {self.total_s:.1f} s,"
            f" overtaken by {self.overtaken_by}"
        )


def find_recoveries(
    runs: Sequence[TrainingRunView], struck: Sequence[Struck], lives: Mapping[str, Span]
) -> list[Recovery]:
    """Of all attempts that a blow has ended.

    Args:
        runs: that have ended, all of the campaign's.
        struck: what they and their workers were struck by.
        lives: of workers of one slot each, by name: since when each took runs, and when its process was gone.
    """
    free = _find_free(runs, struck, lives)
    last = {(each.run, each.attempt): each for each in struck}
    recoveries: list[Recovery] = []
    for run in runs:
        for attempt, following in zip(run.attempts, run.attempts[1:], strict=False):
            blow = last.get((run.name, attempt.number))
            if attempt.ended_at is None or attempt.end is AttemptEnd.SUCCESS or blow is None:
                continue
            given_up, taken = attempt.ended_at.timestamp(), following.started_at.timestamp()
            recoveries.append(
                Recovery(
                    struck=blow,
                    given_up_s=given_up - blow.at,
                    slot_wait_s=max(0.0, taken - given_up - _measure_overlap(free, (given_up, taken))),
                    total_s=taken - blow.at,
                    overtaken_by=_count_overtaking(runs, given_up + _AT_ONCE_S, taken),
                )
            )
    return recoveries


def find_late_takeovers(recoveries: Iterable[Recovery], within_s: float = TAKEN_OVER_WITHIN_S) -> list[str]:
    return [
        f"{each}: more than {within_s:.0f} s in which it need not have waited"
        for each in recoveries
        if each.taken_over_s > within_s
    ]


def _find_free(
    runs: Sequence[TrainingRunView], struck: Sequence[Struck], lives: Mapping[str, Span]
) -> list[Span]:
    """When at least one worker lived, stood not still, and had no attempt; disjoint, in order.

    A worker that has just woken up, or has still to clear up after an attempt, counts as free: what is measured from
    this is rather too long than too short.
    """
    free: list[Span] = []
    for worker, life in lives.items():
        busy = [
            (attempt.started_at.timestamp(), attempt.ended_at.timestamp())
            for run in runs
            for attempt in run.attempts
            if attempt.worker == worker and attempt.ended_at is not None
        ]
        busy += [
            (each.at, each.at + each.blow.lasting_s)
            for each in struck
            if each.worker == worker
            and each.blow.kind is Kind.FREEZE
            and each.blow.victim in {Victim.WORKER, Victim.MACHINE}
        ]
        at, end = life
        for begin, until in sorted(busy):
            if begin > at:
                free.append((at, min(begin, end)))
            at = max(at, until)
        if at < end:
            free.append((at, end))
    return _merge(free)


def _count_overtaking(runs: Sequence[TrainingRunView], since: float, until: float) -> int:
    """Attempts begun in between at runs that had not begun before, or came back later."""
    count = 0
    for run in runs:
        for earlier, attempt in zip([None, *run.attempts], run.attempts, strict=False):
            came_back_at = earlier.ended_at.timestamp() if earlier and earlier.ended_at else None
            is_behind = came_back_at is None or came_back_at > since
            count += is_behind and since < attempt.started_at.timestamp() < until
    return count


def _merge(spans: Iterable[Span]) -> list[Span]:
    merged: list[Span] = []
    for begin, end in sorted(span for span in spans if span[1] > span[0]):
        if merged and begin <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((begin, end))
    return merged


def _measure_overlap(spans: Sequence[Span], window: Span) -> float:
    """In seconds; the spans are disjoint."""
    return sum(max(0.0, min(end, window[1]) - max(begin, window[0])) for begin, end in spans)
