"""Looks at everything that the platform stands on, and repairs what it can."""

from collections.abc import Iterator

from sqlalchemy.exc import SQLAlchemyError

from raven_scan.app.housekeeping.checks import Check, CheckState, make_error, make_ok
from raven_scan.app.housekeeping.data_checks import check_queue, check_storage, check_working_folders
from raven_scan.app.housekeeping.database_checks import (
    check_clock,
    check_embedded_files,
    check_schema,
    check_server,
)
from raven_scan.app.housekeeping.home_checks import check_disk, check_home
from raven_scan.app.housekeeping.machine_checks import check_devices, check_shared_memory, check_versions
from raven_scan.app.housekeeping.trail_checks import check_audit_trail
from raven_scan.app.wiring import build_services, hold_database
from raven_scan.kernel.database import Database, describe_database_loss
from raven_scan.kernel.embedded_postgres.server import Holding
from raven_scan.kernel.errors import RavenError
from raven_scan.kernel.progress import Progress
from raven_scan.kernel.settings import Settings


def examine(settings: Settings, progress: Progress, *, deep: bool, repair: bool) -> Iterator[Check]:
    """Looks at one thing after the other; what follows is looked at also where something is not well.

    Args:
        settings: where the data folder and the database are.
        progress: told while blobs are read.
        deep: read every blob.
        repair: what can be repaired without losing anything.
    """
    progress("looking", 0, 0)
    yield from check_home(settings, repair=repair)
    yield from check_disk(settings.home)
    yield from check_shared_memory()
    yield from check_devices(settings.device)
    yield from check_versions()
    try:
        yield from _examine_data(settings, progress, deep=deep, repair=repair)
    except SQLAlchemyError:
        yield _tell(describe_database_loss())
    except RavenError as error:
        yield _tell(error)
    except OSError as error:
        yield make_error(
            "home",
            f"{error.filename or settings.home} cannot be used: {error.strerror or error}.",
            "See what it is, and who owns it.",
        )


def _examine_data(settings: Settings, progress: Progress, *, deep: bool, repair: bool) -> Iterator[Check]:
    if settings.database_url is None:
        if not (settings.home / "postgres" / "data").exists():
            yield make_ok("database", "There is none yet; the first command that needs it makes it.")
            return
        files = list(check_embedded_files(settings, repair=repair))
        yield from files
        if any(check.state is CheckState.ERROR for check in files):
            return
    with hold_database(settings) as (database, holding):
        yield from _examine_database(settings, database, holding, progress, deep=deep, repair=repair)


def _examine_database(
    settings: Settings,
    database: Database,
    holding: Holding | None,
    progress: Progress,
    *,
    deep: bool,
    repair: bool,
) -> Iterator[Check]:
    is_embedded = holding is not None
    yield from check_server(database, is_embedded=is_embedded)
    yield from check_clock(database)
    schema = list(check_schema(database, is_embedded=is_embedded, repair=repair))
    yield from schema
    if any(check.state is not CheckState.OK for check in schema):
        # The services would not find their columns.
        return
    platform = build_services(settings, database, holding)
    try:
        yield from check_storage(platform, progress, deep=deep, repair=repair)
    except RavenError as error:
        yield make_error("storage", error.message, error.hint)
    yield from check_audit_trail(platform)
    yield from check_queue(platform, repair=repair)
    yield from check_working_folders(platform, repair=repair)


def _tell(error: RavenError) -> Check:
    return make_error("database", error.message, error.hint)
