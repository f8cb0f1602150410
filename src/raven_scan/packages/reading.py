"""Reads a package: whose it is, before anything in it is believed; then every file, by its digest."""

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import msgspec

from raven_scan.architectures.catalogue import StartingWeights
from raven_scan.figures.report import EvaluationReport
from raven_scan.kernel.errors import Unavailable
from raven_scan.kernel.progress import Progress
from raven_scan.packages import errors, manifest
from raven_scan.packages.archive import PackageArchive
from raven_scan.packages.configuration import check_configuration
from raven_scan.packages.contents import PackedFigures, PackedLineage, summarise_report
from raven_scan.packages.lineage import MOST_STEPS
from raven_scan.packages.manifest import Manifest, PackedFile, decode_json, decode_manifest, decode_signature
from raven_scan.packages.signing import find_public_key
from raven_scan.packages.types import PackageKeyView
from raven_scan.trained_models.types import FIGURE_NAMES, Figures, PackageOrigin

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
class SignedManifest:
    """A manifest that a trusted key signed. `digest`: its sha256."""

    manifest: Manifest
    digest: str
    key: PackageKeyView


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageContents:
    """What the files of a package say, each of which is what was signed.

    Attributes:
        configuration: as JSON, harmless; None where the model has none.
    """

    classes: list[str]
    starting_weights: StartingWeights | None
    configuration: bytes | None
    origin: PackageOrigin


def read_signed(
    archive: PackageArchive, check_signature: Callable[[bytes, bytes, bytes], PackageKeyView]
) -> SignedManifest:
    """The manifest.

    Args:
        archive: the package.
        check_signature: takes what was signed, the public key and the signature, and refuses what is not trusted.

    Raises:
        Invalid: it is no package, of a newer format, or nonsense.
        Damaged: it lacks its signature.
    """
    if manifest.MANIFEST not in archive.sizes:
        raise errors.make_not_a_package(f"it has no {manifest.MANIFEST}")
    if manifest.SIGNATURE not in archive.sizes:
        raise errors.make_file_missing(manifest.SIGNATURE)
    content = archive.read(manifest.MANIFEST, _LARGEST_MANIFEST_BYTES)
    decoded = decode_manifest(content)
    told, signature = decode_signature(archive.read(manifest.SIGNATURE, _LARGEST_SIGNATURE_BYTES))
    public_key = find_public_key(told.public_key)
    if public_key is None:
        raise errors.make_bad_content(manifest.SIGNATURE, "its key is none")
    key = check_signature(content, public_key, signature)
    return SignedManifest(decoded, hashlib.sha256(content).hexdigest(), key)


def read_contents(
    archive: PackageArchive, signed: SignedManifest, weights: Path, progress: Progress
) -> PackageContents:
    """Reads and verifies all files; the weights are written to the path `weights`.

    Raises:
        Damaged: a file is missing, was changed, or was not signed.
        Invalid: `package.bad_content`, `package.too_large`.
        Unavailable: the disk is full.
    """
    _check_names(archive, signed.manifest)
    contents = _verify_files(archive, signed.manifest, weights, progress)
    packed = signed.manifest.model
    classes: list[str] = decode_json(contents[manifest.CLASSES], list[str], manifest.CLASSES)
    if classes != packed.classes:
        raise errors.make_bad_content(manifest.CLASSES, "it is not the list of the manifest")
    _check_classes(classes)
    configuration = contents.get(manifest.CONFIGURATION)
    if configuration is not None:
        check_configuration(configuration, class_count=len(classes))
    lineage: PackedLineage = decode_json(contents[manifest.LINEAGE], PackedLineage, manifest.LINEAGE)
    if not 1 <= len(lineage.models) <= MOST_STEPS or lineage.models[0].id != packed.id:
        raise errors.make_bad_content(manifest.LINEAGE, "it is of another model")
    if len({(step.platform, step.id) for step in lineage.models}) < len(lineage.models):
        raise errors.make_bad_content(manifest.LINEAGE, "a model in it comes from itself")
    if not _is_printable(msgspec.to_builtins([signed.manifest, lineage])):
        raise errors.make_bad_content(manifest.LINEAGE, "it has text that cannot be shown")
    valid, test = _read_figures(contents[manifest.FIGURES], classes)
    return PackageContents(
        classes=classes,
        starting_weights=_read_starting_weights(packed.starting_weights),
        configuration=configuration,
        origin=PackageOrigin(
            key_name=signed.key.name,
            key_fingerprint=signed.key.fingerprint,
            manifest_digest=signed.digest,
            platform_version=signed.manifest.platform_version[:100],
            models=lineage.models,
            valid=valid,
            test=test,
        ),
    )


def _read_starting_weights(name: str | None) -> StartingWeights | None:
    try:
        return None if name is None else StartingWeights(name)
    except ValueError:
        raise errors.make_bad_content(manifest.MANIFEST, "it has unknown starting weights") from None


def _read_figures(content: bytes, classes: list[str]) -> tuple[Figures | None, Figures | None]:
    """Of the valid and the test part; where it was tested after its training alone, from that."""
    figures: PackedFigures = decode_json(content, PackedFigures, manifest.FIGURES)
    test = figures.test
    if test is None and figures.evaluation is not None and figures.evaluation.part == "test":
        report: EvaluationReport = decode_json(
            manifest.encode_json(figures.evaluation.report), EvaluationReport, manifest.FIGURES
        )
        test = summarise_report(report)
    named = [name for each in (figures.valid, test) if each is not None for name in each.by_class]
    if not set(named) <= set(classes):
        raise errors.make_bad_content(manifest.FIGURES, "it is of other classes")
    if not all(_is_plausible(each) for each in (figures.valid, test) if each is not None):
        raise errors.make_bad_content(manifest.FIGURES, "a figure in it is not between 0 and 1")
    return figures.valid, test


def _is_plausible(figures: Figures) -> bool:
    """Whether all figures are known by name, and shares of one."""
    of_classes = figures.by_class.values()
    if any(name not in FIGURE_NAMES for values in of_classes for name in values):
        return False
    of_all = {name: getattr(figures, name) for name in FIGURE_NAMES}
    return all(
        value is None or 0 <= value <= 1 for values in (of_all, *of_classes) for value in values.values()
    )


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
