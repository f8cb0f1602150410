import pytest
from psycopg.conninfo import conninfo_to_dict
from sqlalchemy import make_url, text

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


@pytest.mark.parametrize("folder", ["/srv/my data", "/srv/a+b", "/srv/Müll'", "/srv/50%"])
def test_libpq_gets_the_address_as_it_is(folder: str):
    url = (
        make_url("postgresql+psycopg://raven@/postgres")
        .set(password="p w+'%")
        .update_query_dict({"host": folder})
    )
    read = conninfo_to_dict(make_conninfo(url))
    assert read == {"user": "raven", "password": "p w+'%", "dbname": "postgres", "host": folder}
