"""Use cases of taking in a model that was packed elsewhere: verified, then stored, blobs first and the row after."""

from pathlib import Path

from raven_scan.access.types import Actor, Claim
from raven_scan.architectures.catalogue import list_architectures
from raven_scan.kernel.database import Database
from raven_scan.kernel.progress import Progress, ignore_progress
from raven_scan.kernel.settings import Settings
from raven_scan.packages.archive import open_archive
from raven_scan.packages.keys import PackageKeys
from raven_scan.packages.manifest import WEIGHTS
from raven_scan.packages.reading import read_contents, read_signed
from raven_scan.packages.types import PackageKeyView
from raven_scan.packages.weights import check_header, check_weights
from raven_scan.storage.blob_store import BlobStore
from raven_scan.storage.scratch import hold_scratch_folder
from raven_scan.trained_models.service import TrainedModelService
from raven_scan.trained_models.types import NewPackagedModel, TrainedModelView


class PackageImports:
    """Takes packages in. What cannot be believed is refused, and nothing is stored of it."""

    def __init__(
        self,
        database: Database,
        models: TrainedModelService,
        keys: PackageKeys,
        blobs: BlobStore,
        settings: Settings,
    ) -> None:
        self._database = database
        self._models = models
        self._keys = keys
        self._blobs = blobs
        self._settings = settings

    def check(self, actor: Actor, *, name: str | None) -> None:
        """Raises what an import of this name would raise before it looks at the file."""
        actor.require(Claim.TRAINED_MODEL_IMPORT)
        if name is not None:
            self._models.check_import(actor, architecture=list_architectures()[0].name, name=name)

    def import_package(
        self, actor: Actor, path: Path, *, name: str | None = None, progress: Progress = ignore_progress
    ) -> TrainedModelView:
        """Adds the model of a package.

        Args:
            actor: needs `trained_model:import`.
            path: of the zip; nothing in it is executed or unpickled.
            name: of the model; None: the name that it had.
            progress: told of stages.

        Raises:
            Invalid: `package.not_a_package`, `package.damaged_archive`, `package.unsafe_archive`,
                `package.too_large`, `package.newer_format`, `package.bad_content`; or the architecture is unknown here.
            Forbidden: `package.unknown_signer`, `package.key_revoked`.
            Damaged: `package.signature_wrong`, `package.file_missing`, `package.file_unexpected`,
                `package.file_changed`.
            Conflict: `trained_model.name_taken`.
            Unavailable: the child process failed, or the disk is full.
        """
        self.check(actor, name=name)
        with (
            hold_scratch_folder(self._settings.work_folder, "package-import") as folder,
            open_archive(path) as archive,
        ):

            def check_signature(content: bytes, public_key: bytes, signature: bytes) -> PackageKeyView:
                return self._keys.check_signature(actor, content, public_key=public_key, signature=signature)

            signed = read_signed(archive, check_signature)
            packed = signed.manifest.model
            name = name or packed.name
            self._models.check_import(actor, architecture=packed.architecture, name=name)
            weights = folder / WEIGHTS
            contents = read_contents(archive, signed, weights, progress)
            check_header(weights)
            progress("checking the weights", 0, 0)
            parameter_count = check_weights(
                weights, packed.architecture, class_count=len(contents.classes), folder=folder
            )
            progress("storing", 0, 0)
            configuration = contents.configuration
            new = NewPackagedModel(
                name=name,
                architecture=packed.architecture,
                classes=contents.classes,
                starting_weights=contents.starting_weights,
                weights_digest=self._blobs.adopt_file(weights),
                configuration_digest=None if configuration is None else self._blobs.put_bytes(configuration),
                parameter_count=parameter_count,
                leak_allowed=packed.leak_allowed,
                package=contents.origin,
            )
            with self._database.transaction():
                # Verifying takes minutes, in which somebody may have revoked it.
                self._keys.keep_trusted(actor, signed.key)
                return self._models.create_from_package(actor, new)
