import pytest
from sqlalchemy import text

from raven_scan.kernel.database import Database


def test_a_nested_transaction_joins_and_the_outermost_decides(database: Database):
    with database.transaction() as session:
        session.execute(text("CREATE TABLE things (name text)"))

    def add(name: str):
        with database.transaction() as session:
            session.execute(text("INSERT INTO things VALUES (:name)"), {"name": name})

    def fail():
        with database.transaction():
            add("lost")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    with database.transaction():
        add("kept")
    with database.transaction() as session:
        assert session.scalars(text("SELECT name FROM things")).all() == ["kept"]
