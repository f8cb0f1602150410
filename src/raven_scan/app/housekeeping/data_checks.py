"""Looks at the storage, the queue and the working folders, against what the database says."""

import fcntl
import os
import time
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import text

from raven_scan.access.types import LOCAL_ADMINISTRATOR, WORKER
from raven_scan.app.housekeeping.blob_needs import list_needed_blobs, list_schemas_aside
from raven_scan.app.housekeeping.checks import (
    Check,
    format_size,
    make_error,
    make_ok,
    make_repaired,
    make_warning,
)
from raven_scan.app.housekeeping.collection import collect_unnamed_blobs
from raven_scan.app.wiring import Platform
from raven_scan.kernel.errors import NotFound
from raven_scan.kernel.ids import parse_id
from raven_scan.kernel.paging import PageRequest
from raven_scan.kernel.progress import Progress
from raven_scan.storage.scratch import hold_scratch_folder
from raven_scan.training_runs.types import RunFilter, RunStatus, TrainingRunSummary, TrainingRunView

_SHOWN = 3
_RECOVERY_S = 15.0
_INTERVAL_S = 0.5
_LOCK_SUFFIX = ".lock"


def check_storage(platform: Platform, progress: Progress, *, deep: bool, repair: bool) -> Iterator[Check]:
    """Whether each blob is there that the database names, and, where `deep`, is what its digest says."""
    blobs = platform.blobs
    named = sorted(list_needed_blobs(platform, allow_lost=True))
    missing = blobs.find_missing(named)
    lost = frozenset(missing)
    damaged: list[str] = []
    if deep:
        for number, digest in enumerate(named):
            progress("reading blobs", number, len(named))
            if digest not in lost and not blobs.verify(digest):
                damaged.append(digest)
        progress("reading blobs", len(named), len(named))
    for digests, how in ((missing, "missing"), (damaged, "damaged")):
        if digests:
            shown = ", ".join(digests[:_SHOWN]) + (", …" if len(digests) > _SHOWN else "")
            yield make_error(
                "storage",
                f"Of {len(named)} blobs that the database names, {len(digests)} are {how}: {shown}.",
                "`raven backup restore` brings them back; datasets can also be imported again from their source.",
            )
    if not missing and not damaged:
        how = "there and what its digest says" if deep else "there"
        yield make_ok("storage", f"Each of the {len(named)} blobs that the database names is {how}.")
    yield from _check_orphans(platform, repair=repair, is_known=not missing and not damaged)
    with platform.database.transaction() as session:
        aside = list_schemas_aside(session)
    for schema in aside:
        yield make_ok(
            "storage",
            f"Tables that a restore moved aside keep their blobs, until they are given up: DROP SCHEMA {schema} "
            "CASCADE.",
        )


def _check_orphans(platform: Platform, *, repair: bool, is_known: bool) -> Iterator[Check]:
    # Where a dataset's table is lost or damaged, its images are named by nothing that can be read.
    removed = collect_unnamed_blobs(platform) if repair and is_known else None
    found = removed or collect_unnamed_blobs(platform, dry_run=True)
    count = found.blob_count + found.leftover_count if found else 0
    if not found or not count:
        return
    size = format_size(found.blob_bytes + found.leftover_bytes)
    message = f"{count} files ({size}) in the storage are named by nothing, or were left half done"
    if removed:
        yield make_repaired("storage", f"{message}; they were removed.")
    else:
        yield make_ok("storage", f"{message}. `--repair` removes them.")


def check_queue(platform: Platform, *, repair: bool) -> Iterator[Check]:
    """Runs that nobody will execute, and runs whose worker is gone."""
    lost = _find_lost(platform)
    if lost and repair:
        # A worker that only slept, or was cut off from the database, has a few seconds to renew its lease.
        deadline = time.monotonic() + _RECOVERY_S
        while _find_lost(platform) and time.monotonic() < deadline:
            platform.recovery.recover_lost_runs(WORKER)
            time.sleep(_INTERVAL_S)
        left = {run.id for run in _find_lost(platform)}
        recovered = [run for run in lost if run.id not in left]
        lost = [run for run in lost if run.id in left]
        if recovered:
            yield make_repaired("queue", f"Runs had lost their worker: {_name(recovered)}. They wait again.")
    if lost:
        yield make_warning(
            "queue",
            f"The worker of these runs has not been heard of: {_name(lost)}.",
            "A worker takes them over within seconds; `--repair` makes them wait again.",
        )
    waiting = _list_runs(platform, RunStatus.WAITING)
    workers = platform.workers.list_alive()
    if waiting and not workers:
        yield make_warning(
            "queue",
            f"Runs wait, and no worker lives: {_name(waiting)}.",
            "Start `raven serve` or `raven worker`.",
        )
    elif not lost:
        runs = "1 run waits" if len(waiting) == 1 else f"{len(waiting)} runs wait"
        alive = "1 worker lives" if len(workers) == 1 else f"{len(workers)} workers live"
        yield make_ok("queue", f"{runs}; {alive}.")


def check_working_folders(platform: Platform, *, repair: bool) -> Iterator[Check]:
    """What killed processes left in the data folder."""
    work = platform.settings.work_folder
    attempts = [path for entry in sorted(work.iterdir()) for path in _find_ended_attempts(platform, entry)]
    scratch = _find_abandoned(work)
    names = [path.name for path in (*attempts, *scratch)]
    if not names:
        yield make_ok("working folders", "No working folder was left behind.")
        return
    message = f"{len(names)} working folders were left by killed processes"
    if not repair:
        yield make_warning("working folders", f"{message} in {work}.", "`--repair` removes them.")
        return
    platform.recovery.remove_leftovers(WORKER)
    for prefix in {path.name.rpartition("-")[0] for path in scratch}:
        with hold_scratch_folder(work, prefix):
            pass  # whoever makes one removes the abandoned ones
    left = [path for path in (*attempts, *scratch) if path.exists()]
    if left:
        yield make_warning(
            "working folders", f"{left[0]} could not be removed.", "Look at its owner and permissions."
        )
    else:
        yield make_repaired("working folders", f"{message}; they were removed.")


def _find_ended_attempts(platform: Platform, run_folder: Path) -> list[Path]:
    """Folders of attempts that nobody works on any more."""
    run_id = parse_id(run_folder.name)
    if run_id is None:
        return []
    folders = sorted(run_folder.glob("attempt-*"))
    try:
        run = platform.training_runs.get_run(LOCAL_ADMINISTRATOR, str(run_id))
    except NotFound:
        return folders
    ended = {f"attempt-{attempt.number}" for attempt in run.attempts if attempt.ended_at is not None}
    return [folder for folder in folders if folder.name in ended]


def _find_lost(platform: Platform) -> list[TrainingRunView]:
    with platform.database.transaction() as session:
        now: datetime = session.execute(text("SELECT now()")).scalar_one()
    expired = now - timedelta(seconds=platform.settings.lease_timeout_s)
    processing = [
        platform.training_runs.get_run(LOCAL_ADMINISTRATOR, str(run.id))
        for run in _list_runs(platform, RunStatus.PROCESSING)
    ]
    return [run for run in processing if not run.attempts or run.attempts[-1].heartbeat_at < expired]


def _list_runs(platform: Platform, status: RunStatus) -> list[TrainingRunSummary]:
    runs: list[TrainingRunSummary] = []
    page = PageRequest(limit=100)
    wanted = RunFilter(statuses=(status,))
    while True:
        found = platform.training_runs.list_runs(LOCAL_ADMINISTRATOR, page, wanted)
        runs += found.items
        if found.next is None:
            return runs
        page = PageRequest.parse(limit=100, cursor=found.next)


def _name(runs: Sequence[TrainingRunView | TrainingRunSummary]) -> str:
    names = ", ".join(run.name for run in runs[:_SHOWN])
    return names if len(runs) <= _SHOWN else f"{names}, … ({len(runs)})"


def _find_abandoned(folder: Path) -> list[Path]:
    """Scratch folders whose holder is dead: their lock file is there, and nobody holds it."""
    abandoned: list[Path] = []
    for lock in sorted(folder.glob(f"*{_LOCK_SUFFIX}")):
        descriptor = os.open(lock, os.O_RDWR | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            abandoned.append(lock.with_name(lock.name.removesuffix(_LOCK_SUFFIX)))
        except BlockingIOError:
            continue
        finally:
            os.close(descriptor)
    return abandoned
