"""What imports datasets, one at a time for each user, or checks an archive alone."""

from raven_scan.access.types import Actor
from raven_scan.datasets.service import DatasetService
from raven_scan.datasets.types import DatasetVersionView, ImportOptions, SourceFindings
from raven_scan.kernel.progress import Progress
from raven_scan.uploads.service import UploadService
from raven_scan.uploads.types import UploadPurpose
from raven_scan.web.work_under_way import Work, WorkUnderWay

_SAMPLE_NAME = "sample"

ImportWork = Work[DatasetVersionView | SourceFindings]
"""It ends with the version that was made; with findings, where an archive was checked alone."""

DATASET_IMPORTS = WorkUnderWay[DatasetVersionView | SourceFindings]()


def begin_import(
    actor: Actor,
    uploads: UploadService,
    datasets: DatasetService,
    upload: str,
    options: ImportOptions,
    *,
    only_check: bool,
) -> ImportWork:
    """Raises Busy where another import of the user goes on."""

    def act(progress: Progress) -> DatasetVersionView | SourceFindings:
        with uploads.use(actor, upload, UploadPurpose.DATASET) as whole:
            if only_check:
                return datasets.check_source(actor, whole.path, options, progress)
            version = datasets.import_version(actor, whole.path, options, progress)
            whole.is_used_up = True
            return version

    return DATASET_IMPORTS.begin(actor, options.name, act)


def begin_sample(actor: Actor, datasets: DatasetService) -> ImportWork:
    """Draws the sample dataset, and imports it. Raises Busy where another import of the user goes on."""
    return DATASET_IMPORTS.begin(
        actor, _SAMPLE_NAME, lambda progress: datasets.import_sample(actor, _SAMPLE_NAME, progress)
    )
