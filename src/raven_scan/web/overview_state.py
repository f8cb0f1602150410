"""What the overview shows, asked for in few questions, each as far as its user may see it."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from raven_scan.access.types import Actor, Claim
from raven_scan.kernel.paging import PageRequest
from raven_scan.publishing.types import PublishedNameSummary, PublishedVersionView
from raven_scan.storage.use import StorageUse
from raven_scan.training_runs.queue_types import QueueEntry, RunWorker
from raven_scan.training_runs.types import RunFilter, RunStatus, TrainingRunSummary
from raven_scan.web.services import Services

_PROCESSING = 20
_WAITING = 5
_ENDED = 6
_PUBLISHED = 12
_FAILED = 5
_FAILED_WITHIN = timedelta(days=3)
_AT_WORK = RunFilter(statuses=(RunStatus.PROCESSING,))
_OVER = RunFilter(statuses=(RunStatus.SUCCESS, RunStatus.ERROR, RunStatus.CANCELLED))


@dataclass(frozen=True, slots=True)
class AtWork:
    """`workers`: None for who may not see them."""

    processing: list[TrainingRunSummary]
    waiting: list[QueueEntry]
    has_more_waiting: bool
    workers: list[RunWorker] | None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came out, and what the platform stands on.

    Attributes:
        failed: runs that ended in Error lately.
        doubtful: versions in use that did not meet all that was asked for when they were published.
        lacks: what is missing for requests to be answered, in sentences.
    """

    ended: list[TrainingRunSummary]
    failed: list[TrainingRunSummary]
    published: list[PublishedNameSummary] = field(default_factory=list[PublishedNameSummary])
    doubtful: list[PublishedVersionView] = field(default_factory=list[PublishedVersionView])
    storage: StorageUse | None = None
    lacks: list[str] = field(default_factory=list[str])


def look_at_work(actor: Actor, services: Services) -> AtWork:
    processing: list[TrainingRunSummary] = []
    waiting: list[QueueEntry] = []
    has_more = False
    if actor.may(Claim.TRAINING_RUN_VIEW):
        processing = services.training_runs.list_runs(actor, PageRequest(limit=_PROCESSING), _AT_WORK).items
        page = services.run_queue.list_page(actor, PageRequest(limit=_WAITING))
        waiting, has_more = page.items, page.next is not None
    workers = services.run_queue.list_workers(actor) if actor.may(Claim.SYSTEM_VIEW) else None
    return AtWork(processing, waiting, has_more, workers)


def look_at_outcome(actor: Actor, services: Services) -> Outcome:
    ended: list[TrainingRunSummary] = []
    failed: list[TrainingRunSummary] = []
    published: list[PublishedNameSummary] = []
    doubtful: list[PublishedVersionView] = []
    if actor.may(Claim.TRAINING_RUN_VIEW):
        latest = PageRequest(limit=_ENDED, sort="-ended_at")
        ended = services.training_runs.list_runs(actor, latest, _OVER).items
        lately = RunFilter(statuses=(RunStatus.ERROR,), ended_since=datetime.now(UTC) - _FAILED_WITHIN)
        latest = PageRequest(limit=_FAILED, sort="-ended_at")
        failed = services.training_runs.list_runs(actor, latest, lately).items
    if actor.may(Claim.TRAINED_MODEL_VIEW):
        names = services.publishing.list_names(actor, PageRequest(limit=_PUBLISHED, sort="-changed_at")).items
        published = [name for name in names if name.number is not None]
        versions = [services.publishing.get_name(actor, str(name.id)).version for name in published]
        doubtful = [each for each in versions if each is not None and each.override_reason is not None]
    storage, lacks = None, list[str]()
    if actor.may(Claim.SYSTEM_VIEW):
        storage = services.system_health.measure_storage(actor)
        lacks = services.system_health.find_lacks(actor)
    return Outcome(ended, failed, published, doubtful, storage, lacks)
