"""The use cases of trained models."""

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy import Select

from raven_scan.access.audit import Target, record
from raven_scan.access.types import Actor, Claim
from raven_scan.architectures.catalogue import list_architectures
from raven_scan.kernel.clock import Clock
from raven_scan.kernel.database import Database
from raven_scan.kernel.findings import Finding
from raven_scan.kernel.ids import parse_id
from raven_scan.kernel.names import check_name
from raven_scan.kernel.paging import Page, PageRequest
from raven_scan.kernel.progress import Progress, ignore_progress
from raven_scan.kernel.settings import Settings
from raven_scan.storage.blob_store import BlobStore
from raven_scan.storage.scratch import hold_scratch_folder
from raven_scan.trained_models import repository
from raven_scan.trained_models.checkpoint_reading import read_checkpoint
from raven_scan.trained_models.errors import make_name_taken, make_not_found, make_unknown_architecture
from raven_scan.trained_models.file_names import make_file_name
from raven_scan.trained_models.model_index import IndexedCheckpoint, get_checkpoint
from raven_scan.trained_models.new_rows import NewModelRows
from raven_scan.trained_models.types import (
    ModelFilter,
    NewPackagedModel,
    NewTrainedModel,
    Origin,
    TrainedModelSummary,
    TrainedModelView,
)
from raven_scan.trained_models.weights_file import find_file_problems, make_missing

_ALL = ModelFilter()


class TrainedModelService:
    """Trained models: what there is, where it came from, what it scores."""

    def __init__(
        self,
        database: Database,
        blobs: BlobStore,
        settings: Settings,
        clock: Clock,
        *,
        retry_pauses_s: Sequence[float] | None = None,
    ) -> None:
        self._database = database
        self._blobs = blobs
        self._settings = settings
        self._retry_pauses_s = retry_pauses_s
        self._rows = NewModelRows(blobs, clock)

    def ensure_builtins(self) -> None:
        """Adds a builtin model for each architecture that has none. Several processes may do so at once."""
        with self._database.transaction() as session:
            there = repository.list_builtin_architectures(session)
            rows = [
                self._rows.describe_builtin(architecture)
                for architecture in list_architectures()
                if architecture.name not in there
            ]
            if rows:
                repository.insert_missing_builtins(session, rows)

    def get_model(self, actor: Actor, ref: str | UUID) -> TrainedModelView:
        """The model of this name or id. Raises NotFound."""
        model = self.find_model(actor, ref)
        if model is None:
            raise make_not_found(ref)
        return model

    def find_model(self, actor: Actor, ref: str | UUID) -> TrainedModelView | None:
        """The model of this name or id."""
        if not actor.may(Claim.TRAINED_MODEL_VIEW):
            return None  # what somebody may not see is not there
        id_ = ref if isinstance(ref, UUID) else parse_id(ref)
        with self._database.reading() as session:
            if id_ is not None:
                return repository.find_by_id(session, id_)
            # No name has a NUL or half a surrogate pair, and PostgreSQL takes neither.
            return repository.find_by_name(session, str(ref)) if str(ref).isprintable() else None

    def list_models(
        self, actor: Actor, page: PageRequest, chosen: ModelFilter = _ALL
    ) -> Page[TrainedModelSummary]:
        """Newest first, or as `page.sort` says: name, created_at, test_map50, size."""
        actor.require(Claim.TRAINED_MODEL_VIEW)
        with self._database.reading() as session:
            return repository.list_models(session, page, chosen)

    def keep_model(self, actor: Actor, id_: UUID) -> None:
        """In the caller's transaction: the model cannot be deleted before that ends. Raises NotFound."""
        with self._database.transaction() as session:
            if not (actor.may(Claim.TRAINED_MODEL_VIEW) and repository.keep_model(session, id_)):
                raise make_not_found(id_)

    def select_ids(self, actor: Actor) -> Select[UUID]:
        """A query for the ids of all models that are not in the trash: a part of others' queries."""
        actor.require(Claim.TRAINED_MODEL_VIEW)
        return repository.select_ids()

    def follow_run(self, actor: Actor, run_id: UUID, name: str) -> None:
        """In the caller's transaction: models of a run that is renamed have its new name in their lineage."""
        actor.require(Claim.TRAINING_RUN_EDIT)
        with self._database.transaction() as session:
            repository.rename_run(session, run_id, name)

    def list_blob_digests(self, actor: Actor) -> set[str]:
        """Blobs that models need, those in the trash too: their weights and configurations."""
        actor.require(Claim.TRAINED_MODEL_VIEW)
        with self._database.transaction() as session:
            return repository.list_digests(session)

    def check_name_free(self, actor: Actor, name: str) -> None:
        """Raises Invalid where `name` cannot be a name, Conflict where a model has it."""
        actor.require(Claim.TRAINED_MODEL_VIEW)
        check_name("trained_model", name)
        with self._database.transaction() as session:
            if repository.has_name(session, name):
                raise make_name_taken(name)

    def create_from_run(self, actor: Actor, new: NewTrainedModel) -> TrainedModelView:
        """Adds what a training run made, in the caller's transaction where there is one.

        Raises:
            Conflict: `trained_model.name_taken`; the caller's transaction still holds.
            NotFound: a blob is not stored.
        """
        actor.require(Claim.TRAINED_MODEL_CREATE)
        check_name("trained_model", new.name)
        _check_architecture(new.architecture)
        self._blobs.get_path(new.configuration_digest)
        with self._database.transaction() as session:
            base_model_name = repository.find_name(session, new.base_model_id)
        if base_model_name is None:
            raise make_not_found(new.base_model_id)
        return self._insert_model(actor, self._rows.describe_trained(actor, new, base_model_name))

    def create_from_package(self, actor: Actor, new: NewPackagedModel) -> TrainedModelView:
        """Adds what a package from another platform held, in the caller's transaction where there is one.

        Raises:
            Conflict: `trained_model.name_taken`.
            NotFound: a blob is not stored.
        """
        actor.require(Claim.TRAINED_MODEL_IMPORT)
        self.check_import(actor, architecture=new.architecture, name=new.name)
        for digest in (new.weights_digest, new.configuration_digest):
            if digest is not None:
                self._blobs.get_path(digest)
        return self._insert_model(actor, self._rows.describe_packaged(actor, new))

    def open_weights(self, actor: Actor, id_: UUID) -> Path | None:
        """The safetensors, read-only; None for a builtin model, whose weights the trainer builds.

        Raises:
            NotFound: there is no such model, or its blob is gone.
        """
        model = self.get_model(actor, id_)
        return None if model.weights_digest is None else self._blobs.get_path(model.weights_digest)

    def open_configuration(self, actor: Actor, id_: UUID) -> Path | None:
        """MMDetection's configuration as JSON, read-only; None where the model was not trained here."""
        model = self.get_model(actor, id_)
        digest = model.configuration_digest
        return None if digest is None else self._blobs.get_path(digest)

    def find_weights_problems(
        self, actor: Actor, model: TrainedModelView, *, check_digest: bool = False
    ) -> list[Finding]:
        """Why the weights cannot be used; [] where they can.

        Args:
            actor: who asks.
            model: any; a builtin one has no file that could be damaged.
            check_digest: read the file whole.
        """
        actor.require(Claim.TRAINED_MODEL_VIEW)
        if model.weights_digest is None:
            return []
        if not self._blobs.has(model.weights_digest):
            return [make_missing(model.name)]
        return find_file_problems(
            self._blobs.get_path(model.weights_digest),
            size_bytes=model.weights_size_bytes,
            digest=model.weights_digest if check_digest else None,
        )

    def check_import(self, actor: Actor, *, architecture: str, name: str) -> None:
        """Raises what an import of this name and architecture would raise before it looks at the file."""
        actor.require(Claim.TRAINED_MODEL_IMPORT)
        _check_architecture(architecture)
        check_name("trained_model", name)
        with self._database.transaction() as session:
            if repository.has_name(session, name):
                raise make_name_taken(name)

    @contextmanager
    def open_upload(self, actor: Actor, *, architecture: str, name: str, file_name: str) -> Generator[Path]:
        """Where a checkpoint that is uploaded may be written; gone with the context. Raises as `check_import`."""
        self.check_import(actor, architecture=architecture, name=name)
        with hold_scratch_folder(self._settings.work_folder, "checkpoint") as folder:
            yield folder / make_file_name(file_name)

    def import_checkpoint(
        self,
        actor: Actor,
        path: Path,
        *,
        architecture: str,
        name: str,
        file_name: str | None = None,
        progress: Progress = ignore_progress,
    ) -> TrainedModelView:
        """Adds a model from a checkpoint file, MMDetection's `.pth` or `.safetensors`.

        Args:
            actor: who imports.
            path: the file; it is read in a child process, tensors only, and kept as safetensors.
            architecture: what it is of.
            name: of the model.
            file_name: what the user calls the file, where that is not its name.
            progress: told of stages.

        Raises:
            Invalid: name, architecture or file will not do; a refusal of the file begins with
                `trained_model.refused`.
            Conflict: `trained_model.name_taken`.
            Unavailable: the child process failed, or the disk is full.
        """
        return self._import(
            actor,
            path,
            architecture=architecture,
            name=name,
            file_name=file_name or path.name,
            source=None,
            progress=progress,
        )

    def check_pull(self, actor: Actor, index_name: str, *, name: str | None = None) -> IndexedCheckpoint:
        """What `pull_model` would refuse before it downloads anything; returns what it would download."""
        actor.require(Claim.TRAINED_MODEL_IMPORT)
        source = get_checkpoint(index_name, self._settings.model_index)
        self.check_import(actor, architecture=source.architecture, name=name or source.name)
        return source

    def pull_model(
        self, actor: Actor, index_name: str, *, name: str | None = None, progress: Progress = ignore_progress
    ) -> TrainedModelView:
        """Downloads a checkpoint that MMDetection's model index names, and imports it.

        Args:
            actor: who imports.
            index_name: a name in the index, or one of our architectures.
            name: of the model; without it the name in the index.
            progress: told of bytes, then of stages.

        Raises:
            NotFound, Invalid, Busy, Unavailable: as `get_checkpoint` and `download_file`.
            Conflict: `trained_model.name_taken`, before anything is downloaded.
        """
        # A worker that only waits needs no HTTP.
        from raven_scan.trained_models.checkpoint_download import (  # noqa: PLC0415
            RETRY_PAUSES_S,
            download_file,
        )

        source = self.check_pull(actor, index_name, name=name)
        name = name or source.name
        with download_file(
            source.url,
            self._settings.home / "downloads",
            file_name=source.file_name,
            digest_prefix=source.digest_prefix,
            progress=progress,
            pauses_s=RETRY_PAUSES_S if self._retry_pauses_s is None else self._retry_pauses_s,
        ) as path:
            return self._import(
                actor,
                path,
                architecture=source.architecture,
                name=name,
                file_name=source.file_name,
                source=source,
                progress=progress,
            )

    def _import(
        self,
        actor: Actor,
        path: Path,
        *,
        architecture: str,
        name: str,
        file_name: str,
        source: IndexedCheckpoint | None,
        progress: Progress,
    ) -> TrainedModelView:
        self.check_import(actor, architecture=architecture, name=name)
        with hold_scratch_folder(self._settings.work_folder, "checkpoint") as folder:
            read = read_checkpoint(
                path,
                architecture,
                folder=folder,
                file_name=file_name,
                url=source.url if source else None,
                progress=progress,
            )
            progress("storing", 0, 0)
            weights_digest = self._blobs.put_file(read.weights)
        row = self._rows.describe_checkpoint(
            actor, read, name=name, architecture=architecture, weights_digest=weights_digest, source=source
        )
        return self._insert_model(actor, row)

    def _insert_model(self, actor: Actor, row: dict[str, Any]) -> TrainedModelView:
        with self._database.transaction() as session:
            if not repository.insert_model(session, row):
                raise make_name_taken(row["name"])
            model = repository.find_by_id(session, row["id"])
            verb = "trained_model.imported" if row["origin"] is Origin.IMPORTED else "trained_model.created"
            target = Target(repository.KIND, row["id"], row["name"])
            package = row.get("package")
            signed = {} if package is None else {"fingerprint": package["key_fingerprint"]}
            record(session, actor, verb, target, architecture=row["architecture"], **signed)
        if model is None:
            raise make_not_found(row["id"])
        return model


def _check_architecture(name: str) -> None:
    known = [architecture.name for architecture in list_architectures()]
    if name not in known:
        raise make_unknown_architecture(name, known)
