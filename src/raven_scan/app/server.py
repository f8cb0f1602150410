"""The REST API as an ASGI application."""

from collections.abc import Callable, Sequence

from fastapi import Depends, FastAPI
from pydantic import SecretStr

import raven_scan
from raven_scan.access.audit_api import build_audit_router
from raven_scan.access.oidc_api import CALLBACK_PATH, build_oidc_router
from raven_scan.access.session_api import build_session_router
from raven_scan.access.tokens_api import build_tokens_router
from raven_scan.access.types import LOCAL_ADMINISTRATOR
from raven_scan.access.users_api import build_roles_router, build_users_router
from raven_scan.app.api_document import install_api_document
from raven_scan.app.idempotency import IdempotencyKeys
from raven_scan.app.known_queries import KnownQueries
from raven_scan.app.problems import UnexpectedErrors, install_problem_answers
from raven_scan.app.readiness import Readiness
from raven_scan.app.refusals import RefusalRecorder
from raven_scan.app.request_log import RequestLog
from raven_scan.app.sign_in import HostCheck, SignIn, get_actor, is_still_admitted
from raven_scan.app.system import build_system_router
from raven_scan.app.trash import build_trash_router
from raven_scan.app.wiring import Platform
from raven_scan.datasets.api import build_router as build_datasets_router
from raven_scan.datasets.pictures_api import build_router as build_pictures_router
from raven_scan.datasets.stewardship_api import (
    build_stewardship_router as build_datasets_stewardship_router,
)
from raven_scan.detections.api import build_router as build_detections_router
from raven_scan.evaluations.api import build_model_router as build_evaluations_of_model_router
from raven_scan.evaluations.api import build_router as build_evaluations_router
from raven_scan.notifications.api import build_router as build_notifications_router
from raven_scan.notifications.subscriptions_api import build_subscriptions_router
from raven_scan.notifications.unsubscribe_api import build_unsubscribe_router
from raven_scan.notifications.unsubscribe_links import UNSUBSCRIBE_PATH
from raven_scan.packages.api import build_keys_router, build_packages_router
from raven_scan.platform_settings.api import build_router as build_platform_settings_router
from raven_scan.publishing.api import build_policy_router, build_publishing_router
from raven_scan.trained_models.api import build_router as build_trained_models_router
from raven_scan.trained_models.stewardship_api import (
    build_stewardship_router as build_models_stewardship_router,
)
from raven_scan.trained_models.verification_api import build_verification_router
from raven_scan.training_runs.api import build_router as build_training_runs_router
from raven_scan.training_runs.artifacts_api import build_artifacts_router
from raven_scan.training_runs.comparison_api import build_comparison_router
from raven_scan.training_runs.control_api import build_control_router, build_presets_router
from raven_scan.training_runs.events_api import build_events_router
from raven_scan.training_runs.events_wakeups import RunWaker
from raven_scan.training_runs.lineage_api import build_lineage_router
from raven_scan.training_runs.logs_api import build_logs_router
from raven_scan.training_runs.metrics_api import build_metrics_router
from raven_scan.training_runs.stewardship_api import (
    build_stewardship_router as build_runs_stewardship_router,
)
from raven_scan.uploads.api import build_router as build_uploads_router


def build_app(
    platform: Platform,
    *,
    token: SecretStr | None,
    allow_server_paths: bool,
    host_names: Sequence[str] | None = None,
    has_worker: Callable[[], bool] = lambda: False,
) -> FastAPI:
    """Puts the slices' routers under one roof.

    Args:
        platform: the services.
        token: whoever shows it is the local administrator; None inside the caller's own process.
        allow_server_paths: whether a request may name files of this machine; only for its owner's own process.
        host_names: names that this server goes by; None: any.
        has_worker: tells whether a worker runs beside the application.
    """
    app = FastAPI(
        title="Raven Scan",
        version=raven_scan.__version__,
        openapi_url="/api/v1/openapi.json",
        # Their pages load scripts from a CDN: no use offline, and foreign code beside a token.
        docs_url=None,
        redoc_url=None,
        dependencies=[Depends(KnownQueries(frozenset({CALLBACK_PATH, UNSUBSCRIBE_PATH})))],
    )
    install_problem_answers(app)
    readiness = Readiness(platform.database, platform.blobs)
    app.include_router(
        build_system_router(readiness, platform.run_queue, platform.settings_listing, has_worker, get_actor)
    )
    app.include_router(build_platform_settings_router(platform.platform_settings, get_actor))
    app.include_router(
        build_datasets_router(
            platform.datasets, get_actor, uploads=platform.uploads, allow_server_paths=allow_server_paths
        )
    )
    app.include_router(
        build_trained_models_router(
            platform.trained_models,
            get_actor,
            uploads=platform.uploads,
            allow_server_paths=allow_server_paths,
        )
    )
    app.include_router(
        build_datasets_stewardship_router(
            platform.datasets,
            platform.dataset_stewardship,
            platform.version_stewardship,
            platform.dataset_exports,
            get_actor,
        )
    )
    app.include_router(build_pictures_router(platform.dataset_pictures, get_actor))
    app.include_router(build_models_stewardship_router(platform.model_stewardship, get_actor))
    app.include_router(build_publishing_router(platform.publishing, get_actor))
    app.include_router(build_policy_router(platform.policy, get_actor))
    app.include_router(
        build_packages_router(
            platform.package_exports,
            platform.package_imports,
            get_actor,
            uploads=platform.uploads,
            allow_server_paths=allow_server_paths,
        )
    )
    app.include_router(build_keys_router(platform.package_keys, get_actor))
    app.include_router(
        build_detections_router(platform.detections, get_actor, allow_server_paths=allow_server_paths)
    )
    app.include_router(build_lineage_router(platform.lineage, get_actor))
    app.include_router(
        build_verification_router(platform.model_verification, platform.trained_models, get_actor)
    )
    app.include_router(build_evaluations_router(platform.evaluations, platform.evaluation_review, get_actor))
    app.include_router(build_evaluations_of_model_router(platform.evaluations, get_actor))
    app.include_router(build_trash_router(platform.trash, get_actor))
    app.include_router(build_training_runs_router(platform.training_runs, get_actor))
    app.include_router(build_artifacts_router(platform.run_artifacts, get_actor))
    app.include_router(
        build_comparison_router(platform.run_comparisons, platform.run_reproductions, get_actor)
    )
    app.include_router(build_runs_stewardship_router(platform.run_stewardship, get_actor))
    app.include_router(build_control_router(platform.run_control, platform.run_queue, get_actor))
    app.include_router(build_presets_router(platform.presets, get_actor))
    app.include_router(build_metrics_router(platform.run_metrics, get_actor))
    app.include_router(build_logs_router(platform.training_runs, platform.run_logs, get_actor))
    app.state.run_waker = RunWaker(platform.database)
    app.include_router(
        build_events_router(platform.run_events, app.state.run_waker, get_actor, is_still_admitted)
    )
    app.include_router(build_notifications_router(platform.notifications, get_actor))
    app.include_router(build_subscriptions_router(platform.subscriptions, get_actor))
    app.include_router(build_unsubscribe_router(platform.unsubscribing))
    app.include_router(build_users_router(platform.users, get_actor))
    app.include_router(build_roles_router(platform.roles, get_actor))
    app.include_router(build_tokens_router(platform.tokens, get_actor))
    app.include_router(build_session_router(platform.sessions, platform.authentication, get_actor))
    app.include_router(build_oidc_router(platform.oidc, public_url=platform.settings.public_url))
    app.include_router(build_audit_router(platform.audit, get_actor))
    app.include_router(build_uploads_router(platform.uploads, get_actor))
    install_api_document(app)
    # The last one added is the outermost.
    app.add_middleware(IdempotencyKeys, database=platform.database)
    app.add_middleware(
        SignIn,
        token=token,
        authentication=platform.authentication,
        local_via=LOCAL_ADMINISTRATOR.via if platform.settings.token is None else "RAVEN_TOKEN",
        public_url=platform.settings.public_url,
    )
    app.add_middleware(HostCheck, names=host_names)
    app.add_middleware(RefusalRecorder, database=platform.database)
    app.add_middleware(UnexpectedErrors)
    app.add_middleware(RequestLog)
    return app
