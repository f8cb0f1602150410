"""Migrations: one head, idempotent, and equal to the tables that the code speaks of."""

import threading
from collections.abc import Generator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, create_engine, text

from raven_scan.app.tables import metadata
from raven_scan.kernel.errors import Conflict
from raven_scan.kernel.migrations.filters import is_ours
from raven_scan.kernel.schema import (
    find_head,
    find_revision,
    is_known_revision,
    is_schema_current,
    make_alembic_config,
    upgrade_schema,
)


@pytest.fixture
def empty_engine(empty_database_url: str) -> Generator[Engine]:
    engine = create_engine(empty_database_url)
    yield engine
    engine.dispose()


def test_there_is_one_head_and_files_begin_with_their_revision(empty_engine: Engine):
    with empty_engine.connect() as connection:
        script = ScriptDirectory.from_config(make_alembic_config(connection))
    assert script.get_heads() == [find_head()]
    steps = list(script.walk_revisions())
    assert [Path(step.path).name.partition("_")[0] for step in steps] == [step.revision for step in steps]
    assert [step.revision for step in steps] == sorted((step.revision for step in steps), reverse=True)
    assert all(is_known_revision(step.revision) for step in steps)
    assert not is_known_revision("later")


def test_the_upgrade_equals_the_models(empty_engine: Engine):
    upgrade_schema(empty_engine)
    with empty_engine.connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"include_object": is_ours, "compare_server_default": True}
        )
        assert compare_metadata(context, metadata) == []


def test_an_upgrade_twice_changes_nothing(empty_engine: Engine):
    assert not is_schema_current(empty_engine)
    with empty_engine.connect() as connection:
        assert find_revision(connection) is None
    assert upgrade_schema(empty_engine)
    assert is_schema_current(empty_engine)
    assert not upgrade_schema(empty_engine)


def test_upgrades_at_once_take_turns(empty_engine: Engine):
    changed: list[bool] = []
    threads = [
        threading.Thread(target=lambda: changed.append(upgrade_schema(empty_engine))) for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(changed) == [False, False, True]


def test_a_database_of_a_later_release_is_refused(empty_engine: Engine):
    upgrade_schema(empty_engine)
    with empty_engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = 'later'"))
    with pytest.raises(Conflict) as refusal:
        upgrade_schema(empty_engine)
    assert refusal.value.code == "database.later_release"
