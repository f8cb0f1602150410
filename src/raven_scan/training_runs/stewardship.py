"""The use cases of looking after runs: edit, delete, restore, purge."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import func
from sqlalchemy.exc import IntegrityError

from raven_scan.access.audit import Target, record
from raven_scan.access.types import Actor, Claim
from raven_scan.kernel.clock import Clock
from raven_scan.kernel.database import Database
from raven_scan.kernel.names import check_name
from raven_scan.kernel.notes import check_notes
from raven_scan.kernel.paging import Page, PageRequest
from raven_scan.kernel.revisions import check_revision
from raven_scan.kernel.trash import DeletedItem, make_not_in_trash
from raven_scan.trained_models.service import TrainedModelService
from raven_scan.training_runs.errors import name_taken, run_is_processing
from raven_scan.training_runs.repository import logs, runs, trash
from raven_scan.training_runs.run_log import format_line
from raven_scan.training_runs.service import get_run, record_run, view_changed_run
from raven_scan.training_runs.transitions import take_out_of_queue
from raven_scan.training_runs.types import RunStatus, TrainingRunView


class RunStewardship:
    """Runs as somebody looks after them, whatever becomes of their training."""

    kind = trash.KIND
    delete_claim = Claim.TRAINING_RUN_DELETE

    def __init__(self, database: Database, models: TrainedModelService, clock: Clock) -> None:
        self._database = database
        self._models = models
        self._clock = clock

    def edit(
        self,
        actor: Actor,
        ref: str,
        *,
        name: str | None = None,
        notes: str | None = None,
        expected: int | None = None,
    ) -> TrainingRunView:
        """Changes name and notes; None leaves one as it is. A model that the run has made keeps its own name.

        Args:
            actor: needs `training_run:edit`.
            ref: name or id.
            name: unique among runs; and among models, as long as the run has made none.
            notes: what users write about it.
            expected: the revision that the caller saw.

        Raises:
            NotFound: there is no such run.
            Invalid: the name or the notes cannot be so.
            Conflict: the name is taken.
            Stale: it was changed since.
        """
        try:
            with self._database.transaction() as session:
                run = get_run(session, actor, ref, claim=Claim.TRAINING_RUN_EDIT, lock=True)
                check_revision(self.kind, run.name, run.revision, expected)
                changes: dict[str, object] = {}
                if name is not None and name != run.name:
                    check_name(self.kind, name)
                    if run.model_id is None:
                        self._models.check_name_free(actor, name)
                    changes["name"] = {"from": run.name, "to": name}
                    run.name = name
                    runs.rename_reproduced(session, run.id, name)
                    self._models.follow_run(actor, run.id, name)
                if notes is not None and notes != run.notes:
                    check_notes(self.kind, notes)
                    run.notes = notes
                    changes["notes"] = True
                if changes:
                    run.revision += 1
                    record_run(session, actor, "edited", run, **changes)
                return view_changed_run(session, run)
        except IntegrityError as error:
            raise name_taken(name or "") from error

    def delete(self, actor: Actor, ref: str) -> None:
        """Puts a run into the trash; its name is free. A model that it has made stays, and tells where it is from.

        One that waits is cancelled by it: restored, it is Cancelled, and can be retried from its last checkpoint.

        Args:
            actor: needs `training_run:delete`.
            ref: name or id.

        Raises:
            NotFound: there is no such run.
            Conflict: it is Processing.
        """
        with self._database.transaction() as session:
            run = get_run(session, actor, ref, claim=Claim.TRAINING_RUN_DELETE, lock=True)
            if run.status == RunStatus.PROCESSING:
                raise run_is_processing(run.name)
            status = run.status
            if run.status == RunStatus.WAITING:
                take_out_of_queue(run, RunStatus.CANCELLED)
                run.ended_at = func.now()
                line = f"Cancelled, since {actor.name} deleted it."
                logs.append(session, run.id, format_line(self._clock.now(), line))
            run.deleted_at = self._clock.now()
            run.deleted_by = actor.name
            record_run(session, actor, "deleted", run, status=str(status))

    def list_deleted(self, actor: Actor, page: PageRequest) -> Page[DeletedItem]:
        """What is in the trash, last deleted first."""
        actor.require(Claim.TRAINING_RUN_DELETE)
        with self._database.reading() as session:
            return trash.list_deleted(session, page)

    def restore(self, actor: Actor, id_: UUID) -> TrainingRunView:
        """Takes a run out of the trash. Raises NotFound; Conflict where another has its name by now."""
        actor.require(Claim.TRAINING_RUN_DELETE)
        name = ""
        try:
            with self._database.transaction() as session:
                run = trash.lock_deleted(session, id_)
                if run is None:
                    raise make_not_in_trash(id_)
                name = run.name
                run.deleted_at = run.deleted_by = None
                record_run(session, actor, "restored", run)
                return view_changed_run(session, run)
        except IntegrityError as error:
            raise name_taken(
                name, hint=f"Rename that one first: `raven runs edit {name} --name OTHER`."
            ) from error

    def purge(self, actor: Actor, deleted_before: datetime, *, id_: UUID | None = None) -> int:
        """Removes for good what was deleted by then, or that one run of it; returns how many there were.

        A run may have millions of rows: they go in parts, each in a transaction of its own. Cut short, the next one
        goes on; a run that has begun to go cannot be restored. Its checkpoints are then named by nothing, and the
        collector frees them.
        """
        actor.require(Claim.TRAINING_RUN_DELETE)
        with self._database.transaction() as session:
            trash.begin_purge(session, deleted_before, id_)
        count = 0
        while True:
            with self._database.transaction() as session:
                run_id = trash.find_purging(session, id_)
            if run_id is None:
                return count
            removed = 1
            while removed:
                with self._database.transaction() as session:
                    removed = trash.remove_rows(session, run_id)
            with self._database.transaction() as session:
                name = trash.remove_run(session, run_id)
                if name is not None:  # else another has removed it just now
                    record(session, actor, "training_run.purged", Target(self.kind, run_id, name))
                    count += 1
