"""Use cases of datasets."""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

from sqlalchemy.orm import Session

from raven_scan.access.audit import Target, record
from raven_scan.access.types import Actor, Claim
from raven_scan.datasets import readiness, repository
from raven_scan.datasets.archive import unpack_archive
from raven_scan.datasets.errors import make_dataset_missing, make_version_missing
from raven_scan.datasets.types import (
    DatasetVersionView,
    DatasetView,
    ImportOptions,
    Layout,
    Notice,
    Part,
    SourceFindings,
)
from raven_scan.datasets.upload import Upload
from raven_scan.kernel.clock import Clock
from raven_scan.kernel.database import Database
from raven_scan.kernel.errors import Invalid
from raven_scan.kernel.findings import Finding
from raven_scan.kernel.ids import make_id, parse_id
from raven_scan.kernel.names import check_name
from raven_scan.kernel.paging import Page, PageRequest
from raven_scan.kernel.progress import Progress, ignore_progress
from raven_scan.kernel.settings import Settings
from raven_scan.storage.batches import BlobBatch, open_batch
from raven_scan.storage.blob_store import BlobStore
from raven_scan.storage.scratch import hold_scratch_folder

if TYPE_CHECKING:
    from raven_scan.datasets.content import VersionContent
    from raven_scan.datasets.importing import ReadDataset
    from raven_scan.wire.spec import PartSpec

# What reads images and tables of boxes is imported where it is used: most commands need neither, and it takes a
# fifth of a second.

_LONGEST_NUMBER = 9
_VERSIONS_SHOWN = 50


class DatasetService:
    """Imports datasets, and hands out their versions."""

    def __init__(self, database: Database, blobs: BlobStore, settings: Settings, clock: Clock) -> None:
        self._database = database
        self._blobs = blobs
        self._settings = settings
        self._clock = clock

    def import_version(
        self,
        actor: Actor,
        source: Path,
        options: ImportOptions,
        progress: Progress = ignore_progress,
    ) -> DatasetVersionView:
        """Import a folder or a zip in COCO form as the next version of the dataset `options.name`.

        Where the newest version has the same content, that one is answered, and its warnings begin with
        `dataset.unchanged`. Nothing is stored unless everything is.

        Raises:
            Forbidden: the claim is missing.
            Invalid: `dataset.refused` with all problems of the source, or the options or the archive are bad.
            Unavailable: the disk is full.
        """
        from raven_scan.datasets.class_lists import check_class_options  # noqa: PLC0415
        from raven_scan.datasets.importing import read_dataset  # noqa: PLC0415

        actor.require(Claim.DATASET_IMPORT)
        check_name("dataset", options.name)
        check_class_options(options)
        with open_batch(self._blobs) as batch, self._open_source(source, progress) as root:
            read = read_dataset(
                root,
                options,
                batch.add,
                largest_pixels=self._settings.largest_image_pixels,
                progress=progress,
            )
            return self._store(actor, options, read, batch, progress)

    def check_source(
        self,
        actor: Actor,
        source: Path,
        options: ImportOptions,
        progress: Progress = ignore_progress,
    ) -> SourceFindings:
        """Reads and checks a folder or a zip as an import does, and stores nothing.

        Raises:
            Forbidden: the claim is missing.
            Invalid: as for `import_version`.
        """
        from raven_scan.datasets.class_lists import check_class_options  # noqa: PLC0415
        from raven_scan.datasets.importing import read_dataset  # noqa: PLC0415

        actor.require(Claim.DATASET_IMPORT)
        check_class_options(options)
        with self._open_source(source, progress) as root:
            read = read_dataset(
                root,
                options,
                lambda _content, _digest: None,
                largest_pixels=self._settings.largest_image_pixels,
                progress=progress,
            )
        content = read.content
        return SourceFindings(
            classes=content.classes,
            parts=content.count_parts(),
            leaked_image_count=read.leaked_image_count,
            image_bytes=int(content.images["size_bytes"].sum()),
            warnings=read.notices,
        )

    def import_sample(
        self, actor: Actor, name: str, progress: Progress = ignore_progress
    ) -> DatasetVersionView:
        """Draws the sample dataset, and imports it under that name.

        Args:
            actor: needs `dataset:import`.
            name: of the dataset; where it is there with the same content, its version is answered.
            progress: told of both.

        Raises:
            Invalid: the name cannot be so.
            Unavailable: the disk is full.
        """
        from raven_scan.datasets.sample_scenes import make_sample_dataset  # noqa: PLC0415

        actor.require(Claim.DATASET_IMPORT)
        check_name("dataset", name)
        with hold_scratch_folder(self._settings.work_folder, "sample") as folder:
            make_sample_dataset(folder / "dataset", progress=progress)
            return self.import_version(actor, folder / "dataset", ImportOptions(name=name), progress)

    @contextmanager
    def open_upload(self, actor: Actor) -> Generator[Upload]:
        """A file to receive an archive into; gone at the end."""
        actor.require(Claim.DATASET_IMPORT)
        with (
            hold_scratch_folder(self._settings.work_folder, "upload") as folder,
            Upload(folder / "dataset.zip", self._settings.largest_archive_bytes) as upload,
        ):
            yield upload

    def list_datasets(self, actor: Actor, page: PageRequest, words: str | None = None) -> Page[DatasetView]:
        """Newest first, or as `page.sort` says (name, created_at); each with its newest version alone.

        Args:
            actor: needs `dataset:view`.
            page: which of them.
            words: only those in whose name or notes these words begin.
        """
        actor.require(Claim.DATASET_VIEW)
        with self._database.reading() as session:
            return repository.list_datasets(session, page, words)

    def get_dataset(self, actor: Actor, ref: str) -> DatasetView:
        """The dataset of that name or id, with its newest versions; of `name@number` or a version's id with that one.

        Raises:
            NotFound: there is none.
        """
        _require_view(actor, ref)
        with self._database.reading() as session:
            dataset = repository.find_dataset(session, parse_id(ref) or ref)
            if dataset is not None:
                versions = repository.list_versions(session, dataset.id, PageRequest(_VERSIONS_SHOWN)).items
                count = repository.count_versions(session, dataset.id)
                return repository.make_dataset_view(dataset, versions, count)
            version = _get_version(session, ref)
            dataset = repository.find_dataset(session, version.dataset_id)
            if dataset is None:
                raise make_dataset_missing(ref)
            count = repository.count_versions(session, dataset.id)
            return repository.make_dataset_view(dataset, [version], count)

    def list_versions(self, actor: Actor, ref: str, page: PageRequest) -> Page[DatasetVersionView]:
        """The versions of the dataset of that name or id, newest first. Raises NotFound."""
        _require_view(actor, ref)
        with self._database.reading() as session:
            dataset = repository.find_dataset(session, parse_id(ref) or ref)
            if dataset is None:
                raise make_dataset_missing(ref)
            return repository.list_versions(session, dataset.id, page)

    def get_version(self, actor: Actor, ref: str) -> DatasetVersionView:
        """A version by `name@number` or its id; the newest by the dataset's name or id. Raises NotFound."""
        _require_view(actor, ref)
        with self._database.reading() as session:
            return _get_version(session, ref)

    def keep_version(self, actor: Actor, version_id: UUID) -> None:
        """In the caller's transaction: the version cannot be deleted before that ends. Raises NotFound."""
        _require_view(actor, str(version_id))
        with self._database.transaction() as session:
            if not repository.keep_version(session, version_id):
                raise make_dataset_missing(str(version_id))

    def load_version(self, actor: Actor, ref: str) -> "tuple[DatasetVersionView, VersionContent]":
        """A version with all that is in it but the images themselves. Raises NotFound."""
        from raven_scan.datasets.content import VersionContent, decode_table  # noqa: PLC0415

        version = self.get_version(actor, ref)
        with self._database.transaction() as session:
            images, boxes = repository.get_tables(session, version.id)
        return version, VersionContent(
            classes=version.classes,
            pixel_rules=version.pixel_rules,
            images=decode_table(self._blobs.get_bytes(images)),
            boxes=decode_table(self._blobs.get_bytes(boxes)),
        )

    def lay_out(
        self, actor: Actor, version_id: UUID, folder: Path, *, fraction: float = 1.0, seed: int = 0
    ) -> Layout:
        """Write the version into `folder` as COCO, with links to its images; see `layout.py`.

        Args:
            actor: needs `dataset:view`.
            version_id: of the version.
            folder: to write to.
            fraction: of the training images, chosen as `fraction.py` says; the other parts are whole.
            seed: of that choice.

        Raises:
            NotFound: there is no such version, or one of its images is gone.
            Invalid: `dataset.bad_fraction`.
        """
        from raven_scan.datasets.fraction import take_fraction  # noqa: PLC0415
        from raven_scan.datasets.layout import lay_out_version  # noqa: PLC0415

        version, content = self.load_version(actor, str(version_id))
        chosen = {} if fraction == 1 else {"fraction": fraction, "seed": seed}
        content = take_fraction(content, fraction, seed)
        return lay_out_version(version.id, version.digest, content, self._blobs, folder, chosen=chosen)

    def lay_out_part(self, actor: Actor, version_id: UUID, part: Part, folder: Path) -> "PartSpec":
        """As `lay_out`, one part alone, into a folder of its name in `folder`.

        Args:
            actor: needs `dataset:view`.
            version_id: of the version.
            part: which.
            folder: to write to.

        Raises:
            NotFound: there is no such version, or one of its images is gone.
        """
        from raven_scan.datasets.layout import lay_out_part  # noqa: PLC0415

        version, content = self.load_version(actor, str(version_id))
        return lay_out_part(version.id, version.digest, content, part, self._blobs, folder)

    def find_readiness_problems(self, actor: Actor, version_id: UUID) -> list[Finding]:
        """What keeps the version from being trained on, and what should be known before. Raises NotFound."""
        from raven_scan.datasets.content import decode_table  # noqa: PLC0415

        version = self.get_version(actor, str(version_id))
        with self._database.reading() as session:
            tables = repository.get_tables(session, version.id)
        missing = self._blobs.find_missing(tables)
        if not missing:
            digests = decode_table(self._blobs.get_bytes(tables[0]))["digest"].unique()
            missing = self._blobs.find_missing(digests, near_is_enough=True)
        return readiness.find_problems(version, missing_blob_count=len(missing))

    def list_blob_digests(
        self, actor: Actor, *, allow_lost: bool = False, check: Callable[[], None] = lambda: None
    ) -> set[str]:
        """Blobs that versions need, those in the trash too: their tables, and the images that these name.

        Args:
            actor: needs `dataset:view`.
            allow_lost: a table that is lost names nothing; else its images would be taken for needed by nobody.
            check: called for each table; what it raises is raised.

        Raises:
            NotFound: a table is lost.
        """
        from raven_scan.datasets.content import decode_table  # noqa: PLC0415

        actor.require(Claim.DATASET_VIEW)
        with self._database.transaction() as session:
            tables = repository.list_tables(session)
        digests = {digest for pair in tables for digest in pair}
        for images in {images for images, _ in tables}:
            check()
            if not allow_lost or self._blobs.verify(images):
                digests.update(decode_table(self._blobs.get_bytes(images))["digest"].unique())
        return digests

    @contextmanager
    def _open_source(self, source: Path, progress: Progress) -> Generator[Path]:
        if source.is_dir():
            yield source
        elif source.is_file():
            with hold_scratch_folder(self._settings.work_folder, "import") as folder:
                unpack_archive(
                    source,
                    folder,
                    largest_bytes=self._settings.largest_archive_bytes,
                    largest_files=self._settings.largest_archive_files,
                    progress=progress,
                )
                yield folder
        else:
            raise Invalid(
                "dataset.source_missing",
                f"{source} is neither a folder nor a file.",
                hint="Give the path of a folder or a zip in COCO form.",
                parameters={"path": str(source)},
            )

    def _store(
        self, actor: Actor, options: ImportOptions, read: "ReadDataset", batch: BlobBatch, progress: Progress
    ) -> DatasetVersionView:
        from raven_scan.datasets.content import encode_table  # noqa: PLC0415

        content = read.content
        digest = content.make_digest()
        progress("storing", 0, 0)
        images_digest = batch.add(encode_table(content.images))
        boxes_digest = batch.add(encode_table(content.boxes))
        batch.commit()
        now = self._clock.now()
        with self._database.transaction() as session:
            dataset = repository.lock_dataset(session, make_id(), options.name, actor.name, now)
            newest = repository.find_newest_version(session, dataset.id)
            if newest is not None and newest.digest == digest:
                version = replace(newest, warnings=[_make_unchanged(newest), *read.notices])
            else:
                dataset.last_number += 1
                version = DatasetVersionView(
                    id=make_id(),
                    dataset_id=dataset.id,
                    dataset_name=options.name,
                    number=dataset.last_number,
                    digest=digest,
                    classes=content.classes,
                    parts=content.count_parts(),
                    pixel_rules=content.pixel_rules,
                    leak_allowed=options.allow_leak,
                    leaked_image_count=read.leaked_image_count,
                    image_bytes=int(content.images["size_bytes"].sum()),
                    options=options.to_json(),
                    warnings=read.notices,
                    created_at=now,
                    created_by=actor.name,
                )
                repository.insert_version(session, version, images_digest, boxes_digest)
                target = Target("dataset", dataset.id, options.name)
                record(session, actor, "dataset.imported", target, version=version.number, digest=digest)
        progress("storing", 1, 1)
        return version


def _require_view(actor: Actor, ref: str) -> None:
    """What somebody may not see is not there."""
    if not actor.may(Claim.DATASET_VIEW):
        raise make_dataset_missing(ref)


def _get_version(session: Session, ref: str) -> DatasetVersionView:
    identifier = parse_id(ref)
    version = repository.find_version_by_id(session, identifier) if identifier else None
    if version is not None:
        return version
    name, _, number = ref.partition("@")
    dataset = repository.find_dataset(session, parse_id(name) or name)
    newest = repository.find_newest_version(session, dataset.id) if dataset else None
    if newest is None:
        raise make_dataset_missing(ref)
    if "@" not in ref:
        return newest
    counted = number.isascii() and number.isdigit() and len(number) <= _LONGEST_NUMBER
    version = repository.find_version_by_number(session, newest.dataset_id, int(number)) if counted else None
    if version is None:
        raise make_version_missing(ref, newest.number)
    return version


def _make_unchanged(version: DatasetVersionView) -> Notice:
    return Notice(
        "dataset.unchanged", f"{version.full_name} has this very content already; nothing was changed."
    )
