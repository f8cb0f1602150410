"""Use cases of taking in a model that was packed elsewhere: verified, then stored, blobs first and the row after."""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import msgspec

from raven_scan.access.types import Actor, Claim
from raven_scan.architectures.catalogue import StartingWeights, list_architectures
from raven_scan.figures.report import EvaluationReport
from raven_scan.kernel.errors import Unavailable
from raven_scan.kernel.progress import Progress, ignore_progress
from raven_scan.kernel.settings import Settings
from raven_scan.packages import errors, manifest
from raven_scan.packages.archive import PackageArchive, open_archive
from raven_scan.packages.configuration import check_configuration
from raven_scan.packages.contents import PackedFigures, PackedLineage, summarise_report
from raven_scan.packages.keys import PackageKeys
from raven_scan.packages.lineage import MOST_STEPS
from raven_scan.packages.manifest import Manifest, PackedFile, decode_json, decode_manifest, decode_signature
from raven_scan.packages.signing import find_public_key
from raven_scan.packages.types import PackageKeyView
from raven_scan.packages.weights import check_header, check_weights
from raven_scan.storage.blob_store import BlobStore
from raven_scan.storage.scratch import hold_scratch_folder
from raven_scan.trained_models.service import TrainedModelService
from raven_scan.trained_models.types import Figures, NewPackagedModel, PackageOrigin, TrainedModelView

_LARGEST_MANIFEST_BYTES = 2 << 20
_LARGEST_SIGNATURE_BYTES = 16 << 10
_LARGEST_JSON_BYTES = 32 << 20
_LARGEST_LINEAGE_BYTES = 1 << 20
_MOST_CLASSES = 20_000
_LONGEST_CLASS_NAME = 200
_DIGEST = re.compile(r"[0-9a-f]{64}")
_READ = {
    manifest.CLASSES: _LARGEST_JSON_BYTES,
    manifest.FIGURES: _LARGEST_JSON_BYTES,
    manifest.LINEAGE: _LARGEST_LINEAGE_BYTES,
    manifest.CONFIGURATION: _LARGEST_JSON_BYTES,
}
"""Files that are read into memory, and how large they may be."""


@dataclass(frozen=True, slots=True)
class _Signed:
    """A manifest that a trusted key signed."""

    manifest: Manifest
    digest: str
    key: PackageKeyView


class PackageImports:
    """Takes packages in. What cannot be believed is refused, and nothing is stored of it."""

    def __init__(
        self,
        models: TrainedModelService,
        keys: PackageKeys,
        blobs: BlobStore,
        settings: Settings,
    ) -> None:
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
            signed = self._check_signature(actor, archive)
            packed = signed.manifest.model
            self._models.check_import(actor, architecture=packed.architecture, name=name or packed.name)
            _check_names(archive, signed.manifest)
            weights = folder / manifest.WEIGHTS
            contents = _verify_files(archive, signed.manifest, weights, progress)
            new = _Contents(signed, contents)
            check_header(weights)
            progress("checking the weights", 0, 0)
            parameter_count = check_weights(
                weights, packed.architecture, class_count=len(new.classes), folder=folder
            )
            progress("storing", 0, 0)
            configuration = contents.get(manifest.CONFIGURATION)
            return self._models.create_from_package(
                actor,
                NewPackagedModel(
                    name=name or packed.name,
                    architecture=packed.architecture,
                    classes=new.classes,
                    starting_weights=new.starting_weights,
                    weights_digest=self._blobs.adopt_file(weights),
                    configuration_digest=None
                    if configuration is None
                    else self._blobs.put_bytes(configuration),
                    parameter_count=parameter_count,
                    leak_allowed=packed.leak_allowed,
                    package=new.origin,
                ),
            )

    def _check_signature(self, actor: Actor, archive: PackageArchive) -> _Signed:
        """Whose it is, before anything in it is believed."""
        for name in (manifest.MANIFEST, manifest.SIGNATURE):
            if name not in archive.sizes:
                if manifest.MANIFEST not in archive.sizes:
                    raise errors.make_not_a_package("it has no manifest.json")
                raise errors.make_file_missing(name)
        content = archive.read(manifest.MANIFEST, _LARGEST_MANIFEST_BYTES)
        decoded = decode_manifest(content)
        told, signature = decode_signature(archive.read(manifest.SIGNATURE, _LARGEST_SIGNATURE_BYTES))
        public_key = find_public_key(told.public_key)
        if public_key is None:
            raise errors.make_bad_content(manifest.SIGNATURE, "its key is none")
        key = self._keys.check_signature(actor, content, public_key=public_key, signature=signature)
        return _Signed(decoded, hashlib.sha256(content).hexdigest(), key)


class _Contents:
    """What the verified files of a package say, and whether it goes together."""

    def __init__(self, signed: _Signed, contents: dict[str, bytes]) -> None:
        packed = signed.manifest.model
        self.classes: list[str] = decode_json(contents[manifest.CLASSES], list[str], manifest.CLASSES)
        if self.classes != packed.classes:
            raise errors.make_bad_content(manifest.CLASSES, "it is not the list of the manifest")
        _check_classes(self.classes)
        try:
            self.starting_weights = (
                None if packed.starting_weights is None else StartingWeights(packed.starting_weights)
            )
        except ValueError:
            raise errors.make_bad_content(manifest.MANIFEST, "it has unknown starting weights") from None
        configuration = contents.get(manifest.CONFIGURATION)
        if configuration is not None:
            check_configuration(configuration, class_count=len(self.classes))
        lineage: PackedLineage = decode_json(contents[manifest.LINEAGE], PackedLineage, manifest.LINEAGE)
        if not 1 <= len(lineage.models) <= MOST_STEPS or lineage.models[0].id != packed.id:
            raise errors.make_bad_content(manifest.LINEAGE, "it is of another model")
        if not _is_printable(msgspec.to_builtins([signed.manifest, lineage])):
            raise errors.make_bad_content(manifest.LINEAGE, "it has text that cannot be shown")
        valid, test = _read_figures(contents[manifest.FIGURES])
        named = [name for figures in (valid, test) if figures is not None for name in figures.by_class]
        if not set(named) <= set(self.classes):
            raise errors.make_bad_content(manifest.FIGURES, "it is of other classes")
        self.origin = PackageOrigin(
            key_name=signed.key.name,
            key_fingerprint=signed.key.fingerprint,
            manifest_digest=signed.digest,
            platform_version=signed.manifest.platform_version[:100],
            models=lineage.models,
            valid=valid,
            test=test,
        )


def _read_figures(content: bytes) -> tuple[Figures | None, Figures | None]:
    """Of the valid and the test part; where it was tested after its training alone, from that."""
    figures: PackedFigures = decode_json(content, PackedFigures, manifest.FIGURES)
    test = figures.test
    if test is None and figures.evaluation is not None and figures.evaluation.part == "test":
        report: EvaluationReport = decode_json(
            manifest.encode_json(figures.evaluation.report), EvaluationReport, manifest.FIGURES
        )
        test = summarise_report(report)
    return figures.valid, test


def _check_names(archive: PackageArchive, told: Manifest) -> None:
    """That there is every file that was signed, and no other."""
    names = [file.name for file in told.files]
    if len(set(names)) != len(names):
        raise errors.make_bad_content(manifest.MANIFEST, "it names a file twice")
    for name in (*manifest.REQUIRED, *names):
        if name not in archive.sizes:
            raise errors.make_file_missing(name)
    for name in archive.sizes:
        if name not in names and name not in (manifest.MANIFEST, manifest.SIGNATURE):
            raise errors.make_file_unexpected(name)


def _verify_files(
    archive: PackageArchive, told: Manifest, weights: Path, progress: Progress
) -> dict[str, bytes]:
    """Reads every file and compares its digest; the weights go to a file, what is needed of the others is returned."""
    total = sum(file.size_bytes for file in told.files)
    done = 0
    contents: dict[str, bytes] = {}
    for file in told.files:
        if archive.sizes[file.name] != file.size_bytes or not _DIGEST.fullmatch(file.sha256):
            raise errors.make_file_changed(file.name)
        limit = _READ.get(file.name)
        if limit is not None and file.size_bytes > limit:
            raise errors.make_too_large(file.name, limit)
        kept = _verify(archive, file, weights)
        if kept is not None:
            contents[file.name] = kept
        done += file.size_bytes
        progress("verifying", done, total)
    return contents


def _verify(archive: PackageArchive, file: PackedFile, weights: Path) -> bytes | None:
    digest = hashlib.sha256()
    kept = bytearray() if file.name in _READ else None
    target = weights.open("xb") if file.name == manifest.WEIGHTS else None
    try:
        for chunk in archive.stream(file.name):
            digest.update(chunk)
            if kept is not None:
                kept += chunk
            if target is not None:
                target.write(chunk)
    except OSError as error:
        raise _make_not_stored(error) from error
    finally:
        if target is not None:
            target.close()
    if digest.hexdigest() != file.sha256:
        raise errors.make_file_changed(file.name)
    return None if kept is None else bytes(kept)


def _check_classes(classes: list[str]) -> None:
    if not 1 <= len(classes) <= _MOST_CLASSES or len(set(classes)) != len(classes):
        raise errors.make_bad_content(manifest.CLASSES, "it is empty, too long, or names a class twice")
    for name in classes:
        if not name.strip() or not name.isprintable() or len(name) > _LONGEST_CLASS_NAME:
            raise errors.make_bad_content(manifest.CLASSES, f"{name[:100]!a} is no name of a class")


def _is_printable(value: object) -> bool:
    """Whether all text can be shown on a terminal as it is."""
    if isinstance(value, str):
        return value.isprintable()
    if isinstance(value, dict):
        return all(map(_is_printable, cast("dict[object, object]", value).items()))
    if isinstance(value, list | tuple):
        return all(map(_is_printable, cast("list[object]", value)))
    return True


def _make_not_stored(error: OSError) -> Unavailable:
    return Unavailable(
        "storage.write_failed",
        f"The package could not be unpacked: {error.strerror or error}.",
        hint="Free some space.",
    )
