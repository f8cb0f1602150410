"""Proves that a version of a dataset is what it was when it was imported."""

from collections import defaultdict
from typing import TYPE_CHECKING
from uuid import UUID

from raven_scan.access.types import Actor, Claim
from raven_scan.datasets import repository
from raven_scan.datasets.errors import make_dataset_missing
from raven_scan.datasets.models import DatasetVersion
from raven_scan.kernel.database import Database
from raven_scan.kernel.progress import Progress, ignore_progress
from raven_scan.kernel.verification import Verdict, VerifiedItem
from raven_scan.pixels.rules import PixelRules
from raven_scan.storage.blob_store import BlobStore
from raven_scan.storage.proof import prove_blob

if TYPE_CHECKING:
    import polars as pl

_NAMED = 100
_HINT = "Restore it from a backup; or import the dataset again, which stores what is missing."
_WORDS = {Verdict.DAMAGED: "not what was stored", Verdict.MISSING: "not in the storage"}


class VersionVerification:
    """Reads versions again, with all their images."""

    def __init__(self, database: Database, blobs: BlobStore) -> None:
        self._database = database
        self._blobs = blobs

    def verify_version(
        self,
        actor: Actor,
        version_id: UUID,
        *,
        expected_digest: str | None = None,
        progress: Progress = ignore_progress,
    ) -> list[VerifiedItem]:
        """A verdict each of the table of images, the annotations, the content's digest, and the images.

        Args:
            actor: needs `dataset:view`, without which there is no such version.
            version_id: of a version, in the trash too.
            expected_digest: what somebody wrote down of its content; None: what is stored with it.
            progress: told of images.

        Raises:
            NotFound: there is no such version.
        """
        if not actor.may(Claim.DATASET_VIEW):
            raise make_dataset_missing(str(version_id))
        with self._database.reading() as session:
            found = repository.find_version_in_any_state(session, version_id)
        if found is None:
            raise make_dataset_missing(str(version_id))
        name, row = found
        tables = {"images table": row.images_digest, "annotations": row.boxes_digest}
        verdicts = {item: prove_blob(self._blobs, digest) for item, digest in tables.items()}
        items = [_judge_table(name, item, verdicts[item], digest) for item, digest in tables.items()]
        if verdicts["images table"] is not Verdict.GOOD:
            message = f"The images of {name} cannot be looked at, since their table is lost."
            return [*items, VerifiedItem(item="images", verdict=Verdict.NOT_CHECKED, message=message)]
        if verdicts["annotations"] is Verdict.GOOD:
            items.append(self._judge_content(name, row, expected_digest))
        return [*items, *self._judge_images(name, row.images_digest, progress)]

    def _read_table(self, digest: str) -> "pl.DataFrame":
        from raven_scan.datasets.content import decode_table  # noqa: PLC0415 - it needs polars

        return decode_table(self._blobs.get_bytes(digest))

    def _judge_content(self, name: str, row: DatasetVersion, expected_digest: str | None) -> VerifiedItem:
        """Whether classes, images and boxes together have the digest that was written down."""
        from raven_scan.datasets.content import VersionContent  # noqa: PLC0415

        content = VersionContent(
            classes=list(row.classes),
            pixel_rules=PixelRules.from_json(row.pixel_rules),
            images=self._read_table(row.images_digest),
            boxes=self._read_table(row.boxes_digest),
        )
        expected = expected_digest or row.digest
        is_good = content.make_digest() == expected == row.digest
        return VerifiedItem(
            item="dataset version",
            verdict=Verdict.GOOD if is_good else Verdict.DAMAGED,
            message=f"Classes, split, images and boxes of {name} are those that were imported."
            if is_good
            else f"Classes, split, images or boxes of {name} are not what was written down of them.",
            digest=expected,
            hint="" if is_good else _HINT,
        )

    def _judge_images(self, name: str, table: str, progress: Progress) -> list[VerifiedItem]:
        files: dict[str, list[str]] = defaultdict(list)
        for digest, part, file_name in self._read_table(table).select("digest", "part", "file_name").rows():
            files[digest].append(f"{part}/{file_name}")
        bad: list[VerifiedItem] = []
        bad_count = 0
        progress("images", 0, len(files))
        for done, (digest, names) in enumerate(files.items(), 1):
            verdict = prove_blob(self._blobs, digest)
            if verdict is not Verdict.GOOD:
                bad_count += 1
                if len(bad) < _NAMED:
                    bad.append(
                        VerifiedItem(
                            item=f"image {names[0]}",
                            verdict=verdict,
                            message=f"{' and '.join(names)} of {name}: {_WORDS[verdict]}.",
                            digest=digest,
                            count=len(names),
                            hint=_HINT,
                        )
                    )
            progress("images", done, len(files))
        is_good = bad_count == 0
        missing_only = all(item.verdict is Verdict.MISSING for item in bad)
        whole = VerifiedItem(
            item="images",
            verdict=Verdict.GOOD if is_good else Verdict.MISSING if missing_only else Verdict.DAMAGED,
            message=f"All {len(files)} images of {name} are what was imported."
            if is_good
            else f"{bad_count} of {len(files)} images of {name} are damaged or missing.",
            count=len(files),
            hint="" if is_good else _HINT,
        )
        return [whole, *bad]


def _judge_table(name: str, item: str, verdict: Verdict, digest: str) -> VerifiedItem:
    is_good = verdict is Verdict.GOOD
    return VerifiedItem(
        item=item,
        verdict=verdict,
        message=f"The {item} of {name}: {'what was stored' if is_good else _WORDS[verdict]}.",
        digest=digest,
        hint="" if is_good else _HINT,
    )
