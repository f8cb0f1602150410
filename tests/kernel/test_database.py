import time

import pytest
from psycopg.conninfo import conninfo_to_dict
from sqlalchemy import make_url, text
from sqlalchemy.exc import InternalError

from raven_scan.kernel.database import Database, make_conninfo


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


def test_who_reads_changes_nothing_and_sees_what_the_transaction_around_it_changed(database: Database):
    with database.transaction() as session:
        session.execute(text("CREATE TABLE things (name text)"))
        with database.reading() as inner:
            assert inner is session
            assert inner.scalars(text("SELECT name FROM things")).all() == []
    with database.reading() as session, database.reading() as inner:
        assert inner is session
        with pytest.raises(InternalError, match="read-only"):
            session.execute(text("INSERT INTO things VALUES ('lost')"))
        with database.transaction() as changing:
            assert changing is not session
            changing.execute(text("INSERT INTO things VALUES ('kept')"))
        assert session.scalars(text("SELECT name FROM things")).all() == ["kept"]


def test_a_connection_that_was_idle_is_tried_before_it_is_used(
    database: Database, monkeypatch: pytest.MonkeyPatch
):
    def ask() -> int | None:
        with database.reading() as session:
            return session.scalar(text("SELECT pg_backend_pid()"))

    first = ask()
    assert ask() == first
    with database.transaction() as session:
        session.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": first})
    hours_later = time.monotonic() + 3600
    monkeypatch.setattr("raven_scan.kernel.database.time.monotonic", lambda: hours_later)
    assert ask() != first


@pytest.mark.parametrize("folder", ["/srv/my data", "/srv/a+b", "/srv/Müll'", "/srv/50%"])
def test_libpq_gets_the_address_as_it_is(folder: str):
    url = (
        make_url("postgresql+psycopg://raven@/postgres")
        .set(password="p w+'%")
        .update_query_dict({"host": folder})
    )
    read = conninfo_to_dict(make_conninfo(url))
    assert read == {"user": "raven", "password": "p w+'%", "dbname": "postgres", "host": folder}
