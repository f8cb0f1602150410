"""Differences between evaluations: reckoned once, in a process of its own, and kept.

A difference follows from two evaluations, a figure and a seed, none of which ever changes. At the scale of COCO it
takes seconds, which no server has to spare: requests wait for the process, and later ones find what it told.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from sqlalchemy.exc import IntegrityError

from raven_scan.evaluations import difference_repository as repository
from raven_scan.evaluations.comparison_child import compare_in_child
from raven_scan.evaluations.errors import (
    make_comparisons_busy,
    make_different_content,
    make_matches_damaged,
    make_unknown_class,
)
from raven_scan.evaluations.types import NamedReference
from raven_scan.figures.comparison_orders import ComparisonAnswer, ComparisonOrder, Problem
from raven_scan.figures.difference import Difference
from raven_scan.kernel.database import Database
from raven_scan.kernel.errors import RavenError

_SEED = 0
_LONGEST_WAIT_S = 120.0


@dataclass(frozen=True, slots=True)
class Comparable:
    """A successful evaluation, and whose it is."""

    evaluation_id: UUID
    model: NamedReference


class EvaluationDifferences:
    """Args:
    open_matches: the file of matches of an evaluation.
    """

    def __init__(self, database: Database, open_matches: Callable[[UUID], Path]) -> None:
        self._database = database
        self._open_matches = open_matches
        # One process at a time: several would take each other's time, and may be asked the same.
        self._turn = threading.Lock()

    def find_all(
        self, others: Sequence[Comparable], base: Comparable, figure: str, class_name: str | None = None
    ) -> list[Difference]:
        """By how much each of the others is better than the base.

        Args:
            others: compared with the base.
            base: on the same part of the same dataset version.
            figure: such as `map50`.
            class_name: of this class alone.

        Raises:
            Conflict: `evaluations.different_parts`, they are of different images or boxes.
            Invalid: there is no such class.
            Damaged: a file cannot be read.
            Busy: other comparisons take too long.
            Unavailable: the process that compares was killed.
        """
        keys = [
            repository.DifferenceKey(each.evaluation_id, base.evaluation_id, figure, class_name or "", _SEED)
            for each in others
        ]
        found = self._find_kept(keys)
        if len(found) < len(keys):
            if not self._turn.acquire(timeout=_LONGEST_WAIT_S):
                raise make_comparisons_busy()
            try:
                # Whoever had the turn before may have been asked the same.
                found = self._find_kept(keys)
                missing = [each for each in keys if each not in found]
                found |= self._reckon(missing, {each.evaluation_id: each.model for each in [*others, base]})
            finally:
                self._turn.release()
        return [found[key] for key in keys]

    def _find_kept(self, keys: list[repository.DifferenceKey]) -> dict[repository.DifferenceKey, Difference]:
        with self._database.reading() as session:
            return repository.find_differences(session, keys)

    def _reckon(
        self, keys: list[repository.DifferenceKey], models: dict[UUID, NamedReference]
    ) -> dict[repository.DifferenceKey, Difference]:
        if not keys:
            return {}
        answers = compare_in_child(
            [
                ComparisonOrder(
                    first=str(self._open_matches(key.first_id)),
                    second=str(self._open_matches(key.second_id)),
                    figure=key.figure,
                    class_name=key.class_name or None,
                    seed=key.seed,
                )
                for key in keys
            ]
        )
        found: dict[repository.DifferenceKey, Difference] = {}
        for key, answer in zip(keys, answers, strict=True):
            if answer.difference is None:
                raise _make_error(answer, key, models)
            found[key] = answer.difference
            self._keep(key, answer.difference)
        return found

    def _keep(self, key: repository.DifferenceKey, difference: Difference) -> None:
        try:
            with self._database.transaction() as session:
                repository.insert_difference(session, key, difference)
        except IntegrityError:
            # A model is gone meanwhile, and its evaluations with it.
            return


def _make_error(
    answer: ComparisonAnswer, key: repository.DifferenceKey, models: dict[UUID, NamedReference]
) -> RavenError:
    if answer.problem is Problem.UNKNOWN_CLASS:
        return make_unknown_class(key.class_name, answer.classes)
    if answer.problem is Problem.DIFFERENT_PARTS:
        return make_different_content(models[key.first_id].name, models[key.second_id].name, answer.text)
    return make_matches_damaged(answer.text)
