"""All SQL of kept differences."""

from collections.abc import Collection
from typing import NamedTuple
from uuid import UUID

import msgspec
from sqlalchemy import select, tuple_
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from raven_scan.evaluations.models import EvaluationDifference
from raven_scan.figures.difference import METHOD, Difference


class DifferenceKey(NamedTuple):
    """What a difference follows from. `class_name`: empty where it is overall."""

    first_id: UUID
    second_id: UUID
    figure: str
    class_name: str
    seed: int


def find_differences(session: Session, keys: Collection[DifferenceKey]) -> dict[DifferenceKey, Difference]:
    """Those that are kept, reckoned as it is done now."""
    table = EvaluationDifference
    columns = (table.first_id, table.second_id, table.figure, table.class_name, table.seed)
    statement = select(*columns, table.difference).where(
        tuple_(*columns).in_([tuple(key) for key in keys]), table.method == METHOD
    )
    return {
        DifferenceKey(*row[:-1]): msgspec.convert(row[-1], Difference) for row in session.execute(statement)
    }


def insert_difference(session: Session, key: DifferenceKey, difference: Difference) -> None:
    """In place of one that was reckoned otherwise. Raises IntegrityError where an evaluation is gone."""
    values = {"difference": msgspec.to_builtins(difference), "method": METHOD}
    statement = insert(EvaluationDifference).values(**key._asdict(), **values)
    session.execute(
        statement.on_conflict_do_update(
            index_elements=["first_id", "second_id", "figure", "class_name", "seed"], set_=values
        )
    )
