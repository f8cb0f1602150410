"""Imports that go on whoever looks: a page that is left, or loses its connection, finds its import again."""

import threading
from collections.abc import Callable
from contextvars import copy_context
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

import structlog

from raven_scan.access.types import Actor
from raven_scan.datasets.service import DatasetService
from raven_scan.datasets.types import DatasetVersionView, ImportOptions, SourceFindings
from raven_scan.kernel.errors import Busy, RavenError, Unavailable
from raven_scan.kernel.long_work import describe_unexpected
from raven_scan.kernel.progress import Progress
from raven_scan.uploads.service import UploadService
from raven_scan.uploads.types import UploadPurpose

SAMPLE_NAME = "sample"

_log = structlog.get_logger(__name__)


class ImportKind(StrEnum):
    CHECK = "check"
    IMPORT = "import"
    SAMPLE = "sample"


@dataclass(slots=True)
class ImportUnderWay:
    """An import of a user, as far as it is; its thread writes, pages read.

    Attributes:
        name: of the dataset.
        stage: a word for what it does now; `done` of `total`, which is 0 where unknown.
        version: what was made.
        findings: what a check found where nothing is wrong.
        error: why nothing was made.
    """

    kind: ImportKind
    name: str
    stage: str = ""
    done: int = 0
    total: int = 0
    version: DatasetVersionView | None = None
    findings: SourceFindings | None = None
    error: RavenError | None = None
    is_over: bool = False


_imports: dict[UUID, ImportUnderWay] = {}
"""The last one of each user; they are as many as users, and gone with the server, as their threads are."""

_lock = threading.Lock()


def find_import(user_id: UUID) -> ImportUnderWay | None:
    """The user's, that goes on or was not dismissed."""
    return _imports.get(user_id)


def dismiss_import(user_id: UUID) -> None:
    """Forgets one that is over."""
    with _lock:
        found = _imports.get(user_id)
        if found is not None and found.is_over:
            del _imports[user_id]


def begin_import(
    actor: Actor,
    uploads: UploadService,
    datasets: DatasetService,
    upload: str,
    options: ImportOptions,
    kind: ImportKind,
) -> ImportUnderWay:
    """Imports an upload, or checks it alone.

    Raises:
        Busy: another import of the user goes on.
    """

    def act(state: ImportUnderWay, progress: Progress) -> None:
        with uploads.use(actor, upload, UploadPurpose.DATASET) as whole:
            if kind is ImportKind.CHECK:
                state.findings = datasets.check_source(actor, whole.path, options, progress)
                return
            state.version = datasets.import_version(actor, whole.path, options, progress)
            whole.is_used_up = True

    return _begin(actor, ImportUnderWay(kind, options.name), act)


def begin_sample(actor: Actor, datasets: DatasetService) -> ImportUnderWay:
    """Draws the sample dataset, and imports it. Raises Busy where another import of the user goes on."""

    def act(state: ImportUnderWay, progress: Progress) -> None:
        state.version = datasets.import_sample(actor, SAMPLE_NAME, progress)

    return _begin(actor, ImportUnderWay(ImportKind.SAMPLE, SAMPLE_NAME), act)


def _begin(
    actor: Actor, state: ImportUnderWay, act: Callable[[ImportUnderWay, Progress], None]
) -> ImportUnderWay:
    with _lock:
        before = _imports.get(actor.id)
        if before is not None and not before.is_over:
            raise Busy(
                "dataset.import_under_way",
                f"Your import of {before.name!r} goes on.",
                hint="Wait for its end.",
            )
        _imports[actor.id] = state

    def tell(stage: str, done: int, total: int) -> None:
        state.stage, state.done, state.total = stage, done, total

    def run() -> None:
        try:
            act(state, tell)
        except RavenError as error:
            state.error = error
        except Exception as error:  # noqa: BLE001 - told to the user, and logged whole
            _log.exception("dataset_import.failed")
            described = describe_unexpected(error)
            state.error = Unavailable("internal", described["message"], hint=described["hint"])
        finally:
            state.is_over = True

    threading.Thread(target=copy_context().run, args=(run,), name="dataset-import", daemon=True).start()
    return state
