"""Builds the platform: every service, once, from the settings."""

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

from pydantic import SecretStr
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from raven_scan.access.audit_service import AuditService
from raven_scan.access.authentication import Authentication
from raven_scan.access.directory import AccountDirectory
from raven_scan.access.oidc import OidcSignIn
from raven_scan.access.passwords import PasswordKeeper
from raven_scan.access.roles import RoleService
from raven_scan.access.sessions import SessionService
from raven_scan.access.signing import ServerSigner
from raven_scan.access.throttling import SignInThrottling
from raven_scan.access.tokens import TokenService
from raven_scan.access.types import WORKER, Actor
from raven_scan.access.users import UserService
from raven_scan.app.housekeeping.trash import Trash, list_bins
from raven_scan.app.settings_listing import SettingsListing
from raven_scan.app.system_health import SystemHealth
from raven_scan.app.upkeep_trail import upgrade_tables
from raven_scan.datasets.browsing import VersionBrowsing
from raven_scan.datasets.export import DatasetExports
from raven_scan.datasets.pictures import VersionPictures
from raven_scan.datasets.service import DatasetService
from raven_scan.datasets.stewardship import DatasetStewardship
from raven_scan.datasets.thumbnails import Thumbnails
from raven_scan.datasets.verification import VersionVerification
from raven_scan.datasets.version_images import VersionImages
from raven_scan.datasets.version_records import VersionRecords
from raven_scan.datasets.version_stewardship import VersionStewardship
from raven_scan.detections.model_choice import ModelChoice
from raven_scan.detections.service import DetectionService
from raven_scan.evaluations.dependents import EvaluationsOnModels, EvaluationsOnVersions
from raven_scan.evaluations.execution import EvaluationExecution
from raven_scan.evaluations.review import EvaluationReview
from raven_scan.evaluations.service import EvaluationService
from raven_scan.jobs.devices import choose_devices
from raven_scan.jobs.queue import JobQueue
from raven_scan.jobs.registry import WorkerRegistry
from raven_scan.kernel.clock import Clock, SystemClock
from raven_scan.kernel.database import Database
from raven_scan.kernel.embedded_postgres.server import EmbeddedPostgres, Holding
from raven_scan.kernel.embedded_postgres.state_folder import prepare_home
from raven_scan.kernel.errors import Invalid, Unavailable
from raven_scan.kernel.schema import is_schema_current
from raven_scan.kernel.settings import Settings
from raven_scan.notifications.service import NotificationService
from raven_scan.notifications.subscribers import Subscribers
from raven_scan.notifications.subscriptions import SubscriptionService
from raven_scan.notifications.types import NamedRun
from raven_scan.notifications.unsubscribe_links import UnsubscribeLinks
from raven_scan.notifications.unsubscribing import Unsubscribing
from raven_scan.packages.export import PackageExports
from raven_scan.packages.importing import PackageImports
from raven_scan.packages.keys import PackageKeys
from raven_scan.packages.onnx_export import OnnxExport
from raven_scan.platform_settings.contact import CurrentContact
from raven_scan.platform_settings.service import PlatformSettingService
from raven_scan.publishing.checking import PublicationChecks
from raven_scan.publishing.dependents import PublicationsOfModels, PublicationsOnVersions
from raven_scan.publishing.evidence import EvidenceGathering
from raven_scan.publishing.exposure import TestExposures
from raven_scan.publishing.policy_service import PolicyService
from raven_scan.publishing.service import PublishingService
from raven_scan.storage.blob_store import BlobStore
from raven_scan.storage.opening import open_blob_store
from raven_scan.trained_models.checkpoint_reading import LARGEST_CHECKPOINT_BYTES
from raven_scan.trained_models.lineage import ModelFamilies
from raven_scan.trained_models.service import TrainedModelService
from raven_scan.trained_models.staging import ModelStaging
from raven_scan.trained_models.stewardship import ModelsOnVersions, ModelStewardship
from raven_scan.trained_models.verification import ModelVerification
from raven_scan.training_runs.announcements import RunAnnouncer
from raven_scan.training_runs.artifacts import RunArtifacts
from raven_scan.training_runs.comparison import RunComparisons
from raven_scan.training_runs.control import TrainingRunControl
from raven_scan.training_runs.dependents import RUNS_ON_MODELS, RUNS_ON_VERSIONS
from raven_scan.training_runs.events import TrainingRunEvents
from raven_scan.training_runs.execution import TrainingRunExecution
from raven_scan.training_runs.lineage import LineageService
from raven_scan.training_runs.log_reading import TrainingRunLogs
from raven_scan.training_runs.metric_history import TrainingRunMetrics
from raven_scan.training_runs.outcomes import RunOutcomes
from raven_scan.training_runs.planning import RunPlanning
from raven_scan.training_runs.preflight import PreflightChecks
from raven_scan.training_runs.presets import TrainingPresetService
from raven_scan.training_runs.queue import TrainingRunQueue
from raven_scan.training_runs.record_reading import find_written_down
from raven_scan.training_runs.recovery import TrainingRunRecovery
from raven_scan.training_runs.reproduction import RunReproductions
from raven_scan.training_runs.service import TrainingRunService
from raven_scan.training_runs.stewardship import RunStewardship
from raven_scan.uploads.service import UploadService
from raven_scan.uploads.types import UploadPurpose

_CONNECT_TIMEOUT_S = 10


@dataclass(frozen=True, slots=True)
class Platform:
    """All that the front doors stand on.

    Attributes:
        holding: keeps the embedded server running; None where an external database is set.
    """

    settings: Settings
    settings_listing: SettingsListing
    platform_settings: PlatformSettingService
    contact: CurrentContact
    system_health: SystemHealth
    clock: Clock
    database: Database
    holding: Holding | None
    blobs: BlobStore
    users: UserService
    roles: RoleService
    tokens: TokenService
    sessions: SessionService
    oidc: OidcSignIn
    authentication: Authentication
    datasets: DatasetService
    dataset_stewardship: DatasetStewardship
    version_stewardship: VersionStewardship
    dataset_exports: DatasetExports
    dataset_pictures: VersionPictures
    dataset_browsing: VersionBrowsing
    trained_models: TrainedModelService
    model_stewardship: ModelStewardship
    model_verification: ModelVerification
    lineage: LineageService
    evaluations: EvaluationService
    evaluation_review: EvaluationReview
    evaluation_execution: EvaluationExecution
    publishing: PublishingService
    package_keys: PackageKeys
    package_exports: PackageExports
    package_imports: PackageImports
    policy: PolicyService
    detections: DetectionService
    training_runs: TrainingRunService
    run_stewardship: RunStewardship
    run_control: TrainingRunControl
    run_queue: TrainingRunQueue
    run_events: TrainingRunEvents
    run_metrics: TrainingRunMetrics
    run_logs: TrainingRunLogs
    run_artifacts: RunArtifacts
    run_comparisons: RunComparisons
    run_planning: RunPlanning
    run_reproductions: RunReproductions
    presets: TrainingPresetService
    checks: PreflightChecks
    workers: WorkerRegistry
    execution: TrainingRunExecution
    recovery: TrainingRunRecovery
    notifications: NotificationService
    subscriptions: SubscriptionService
    unsubscribing: Unsubscribing
    uploads: UploadService
    audit: AuditService

    @property
    def trash(self) -> Trash:
        return Trash(list_bins(self), days=self.settings.trash_days)


@contextmanager
def build_platform(settings: Settings) -> Generator[Platform]:
    """The platform, for as long as the context lasts; it holds the embedded database while it does.

    Raises:
        Unavailable: the database cannot be had, or an external one waits for `raven db upgrade`.
    """
    with hold_database(settings) as (database, holding):
        if holding is not None:
            upgrade_tables(database)
        elif not is_schema_current(database.engine):
            raise Unavailable(
                "database.not_upgraded",
                "The database has not the schema of this release.",
                hint="Make a backup, then run `raven db upgrade`.",
            )
        platform = build_services(settings, database, holding)
        # Where no worker runs, nobody else would notice that one was killed.
        platform.recovery.adopt_earlier_logs(WORKER)
        platform.recovery.recover_lost_runs(WORKER)
        platform.evaluation_execution.recover_lost(WORKER)
        try:
            yield platform
        finally:
            platform.detections.close()


@contextmanager
def hold_database(settings: Settings) -> Generator[tuple[Database, Holding | None]]:
    """The database alone, as it is."""
    prepare_home(settings.home)
    if settings.database_url is not None:
        database = Database(
            _read_url(settings.database_url), connect_args={"connect_timeout": _CONNECT_TIMEOUT_S}
        )
        try:
            yield database, None
        finally:
            database.close()
        return
    with EmbeddedPostgres(settings.home).hold() as holding:
        database = Database(holding.url)
        try:
            yield database, holding
        finally:
            database.close()


def _read_url(given: SecretStr) -> str:
    try:
        url = make_url(given.get_secret_value()).set(drivername="postgresql+psycopg")
    except ArgumentError:
        # The address itself stays unsaid: it may hold a password.
        raise Invalid(
            "settings.invalid",
            "RAVEN_DATABASE_URL is no address of a database.",
            hint="Write it as postgresql://user:password@host/name.",
        ) from None
    return url.render_as_string(hide_password=False)


def build_services(settings: Settings, database: Database, holding: Holding | None) -> Platform:
    settings.work_folder.mkdir(exist_ok=True, mode=0o700)
    clock = SystemClock()
    blobs = open_blob_store(settings)
    roles = RoleService(database)
    roles.ensure_builtins()
    passwords, throttling = PasswordKeeper(), SignInThrottling(database, clock)
    signer = ServerSigner(database)
    users = UserService(database, clock, passwords, throttling)
    sessions = SessionService(database, clock, passwords, signer, throttling)
    datasets = DatasetService(database, blobs, settings, clock)
    trained_models = TrainedModelService(database, blobs, settings, clock)
    trained_models.ensure_builtins()
    users_of_versions = [
        ModelsOnVersions(),
        EvaluationsOnVersions(),
        PublicationsOnVersions(),
        RUNS_ON_VERSIONS,
    ]
    checks = PreflightChecks(datasets, trained_models, blobs, device=choose_devices(settings.device)[0])
    presets = TrainingPresetService(database)
    notifications = NotificationService(database, JobQueue(), settings, clock)
    announcer = RunAnnouncer(notifications)
    training_runs = TrainingRunService(database, datasets, trained_models, presets, checks)
    workers = WorkerRegistry(database, lease_timeout_s=settings.lease_timeout_s)
    users_of_models = [EvaluationsOnModels(), PublicationsOfModels(), RUNS_ON_MODELS]
    model_stewardship = ModelStewardship(database, trained_models, blobs, clock, dependents=users_of_models)
    evaluations = EvaluationService(database, datasets, trained_models, blobs, clock)
    evaluation_execution = EvaluationExecution(
        database, trained_models, lease_timeout_s=settings.lease_timeout_s
    )
    package_keys = PackageKeys(database, clock)
    staging, outcomes = ModelStaging(database), RunOutcomes(database)
    families = ModelFamilies(database, trained_models)
    exposures = TestExposures(families, VersionImages(database, blobs))
    evidence = EvidenceGathering(evaluations, datasets, staging, exposures, outcomes.find_maker)
    publication_checks = PublicationChecks(
        database, trained_models, staging, evidence, find_run=outcomes.find
    )
    publishing = PublishingService(database, staging, publication_checks, clock)
    model_choice = ModelChoice(publishing, trained_models, datasets, evaluations)
    run_metrics, run_logs = TrainingRunMetrics(database), TrainingRunLogs(database)
    run_comparisons = RunComparisons(database, trained_models, run_metrics)
    contact = CurrentContact(database, settings.contact)
    platform_settings = PlatformSettingService(database, settings, clock, contact)
    return Platform(
        settings=settings,
        settings_listing=SettingsListing(settings, platform_settings),
        platform_settings=platform_settings,
        contact=contact,
        system_health=SystemHealth(settings, database, blobs, is_embedded=holding is not None),
        clock=clock,
        database=database,
        holding=holding,
        blobs=blobs,
        users=users,
        roles=roles,
        tokens=TokenService(database, clock),
        sessions=sessions,
        oidc=OidcSignIn(database, settings, clock, accounts=users, sessions=sessions, signer=signer),
        authentication=Authentication(database, clock, signer),
        datasets=datasets,
        dataset_stewardship=DatasetStewardship(database, datasets, clock, dependents=users_of_versions),
        version_stewardship=VersionStewardship(database, datasets, clock, dependents=users_of_versions),
        dataset_exports=DatasetExports(database, datasets, blobs),
        dataset_pictures=VersionPictures(database, datasets, blobs, Thumbnails(settings.thumbnails_folder)),
        dataset_browsing=VersionBrowsing(database, datasets, blobs),
        trained_models=trained_models,
        model_stewardship=model_stewardship,
        model_verification=ModelVerification(
            trained_models,
            VersionVerification(database, blobs),
            blobs,
            find_written_down=partial(find_written_down, database),
        ),
        lineage=LineageService(database, families, VersionRecords(database)),
        evaluations=evaluations,
        package_keys=package_keys,
        package_exports=PackageExports(
            database,
            trained_models,
            datasets,
            evaluations,
            package_keys,
            OnnxExport(trained_models, datasets),
            blobs,
            settings,
            clock,
        ),
        package_imports=PackageImports(database, trained_models, package_keys, blobs, settings),
        evaluation_review=EvaluationReview(evaluations, trained_models, datasets),
        publishing=publishing,
        policy=PolicyService(database, clock),
        detections=DetectionService(database, model_choice, settings),
        evaluation_execution=evaluation_execution,
        training_runs=training_runs,
        run_stewardship=RunStewardship(database, trained_models, clock),
        run_control=TrainingRunControl(database, blobs, clock),
        run_queue=TrainingRunQueue(database, workers, evaluation_execution, clock),
        run_events=TrainingRunEvents(database),
        run_metrics=run_metrics,
        run_logs=run_logs,
        run_artifacts=RunArtifacts(database, trained_models, model_stewardship, run_logs, run_metrics, blobs),
        run_comparisons=run_comparisons,
        run_planning=RunPlanning(training_runs, datasets, trained_models, presets, checks),
        run_reproductions=RunReproductions(
            database, training_runs, datasets, trained_models, run_comparisons, blobs
        ),
        presets=presets,
        checks=checks,
        workers=workers,
        execution=TrainingRunExecution(
            database,
            trained_models,
            evaluations,
            blobs,
            announcer,
            largest_log_bytes=settings.largest_log_bytes,
        ),
        recovery=TrainingRunRecovery(database, settings, clock, announcer),
        notifications=notifications,
        subscriptions=SubscriptionService(
            database,
            settings,
            clock,
            users=users,
            subscribers=Subscribers(AccountDirectory(database), settings),
            find_run=partial(_find_run, training_runs),
        ),
        unsubscribing=Unsubscribing(database, UnsubscribeLinks(signer, settings.public_url)),
        uploads=UploadService(
            database,
            settings.uploads_folder,
            {
                UploadPurpose.DATASET: settings.largest_archive_bytes,
                UploadPurpose.CHECKPOINT: LARGEST_CHECKPOINT_BYTES,
                UploadPurpose.PACKAGE: LARGEST_CHECKPOINT_BYTES,
            },
            clock,
        ),
        audit=AuditService(database),
    )


def _find_run(training_runs: TrainingRunService, actor: Actor, ref: str) -> NamedRun:
    run = training_runs.get_run(actor, ref)
    return NamedRun(run.id, run.name)
