"""What is looked at before a version is trained on."""

from raven_scan.datasets.types import DatasetVersionView, Part
from raven_scan.kernel.findings import Finding, Severity


def find_problems(version: DatasetVersionView, *, missing_blob_count: int) -> list[Finding]:
    findings = [
        Finding(
            "dataset.part_without_boxes",
            Severity.ERROR,
            f"The part {part} of {version.full_name} has no boxes"
            f" ({version.parts[part].image_count} images).",
            "Import a version whose train, valid and test parts each have boxes.",
        )
        for part in Part
        if version.parts[part].box_count == 0
    ]
    if missing_blob_count:
        findings.append(
            Finding(
                "dataset.files_missing",
                Severity.ERROR,
                f"{missing_blob_count} files of {version.full_name} are gone from the storage.",
                "Import the dataset again, or restore the data folder from a backup.",
            )
        )
    if version.leaked_image_count:
        findings.append(
            Finding(
                "dataset.leak",
                Severity.WARNING,
                f"{version.leaked_image_count} images of {version.full_name} are in several parts: figures on"
                " its test part will be too good.",
                "Remove the doubles, and import again without --allow-leak.",
            )
        )
    trained = version.parts[Part.TRAIN].boxes_by_class
    unlearned = [
        name
        for name in version.classes
        if not trained[name] and any(version.parts[part].boxes_by_class[name] for part in Part)
    ]
    if unlearned:
        findings.append(
            Finding(
                "dataset.class_not_in_train",
                Severity.WARNING,
                f"The train part of {version.full_name} has no box of {', '.join(unlearned)}.",
                "These classes cannot be learned.",
            )
        )
    return findings
