"""The addresses of screens, and the page that they are shown in."""

import json
from collections.abc import Awaitable, Callable

from nicegui import ui
from nicegui.page_arguments import PageArguments

from raven_scan.access.types import Claim
from raven_scan.kernel.errors import RavenError, Unauthenticated
from raven_scan.web.account import show_account
from raven_scan.web.account_subscriptions import show_account_subscriptions
from raven_scan.web.account_tokens import show_account_tokens
from raven_scan.web.administration_audit import show_audit_trail
from raven_scan.web.administration_health import show_health
from raven_scan.web.administration_policy import show_policy
from raven_scan.web.administration_roles import show_roles
from raven_scan.web.administration_settings import show_settings
from raven_scan.web.administration_trash import show_trash
from raven_scan.web.administration_user import show_user
from raven_scan.web.administration_users import show_users
from raven_scan.web.dataset_import import show_dataset_import
from raven_scan.web.dataset_version import show_dataset_version
from raven_scan.web.datasets import show_datasets
from raven_scan.web.dialogs import close_questions
from raven_scan.web.frame import Frame, Place
from raven_scan.web.guide import show_guide
from raven_scan.web.guide_sections import find_guide_address
from raven_scan.web.live import Liveness
from raven_scan.web.model_comparison import show_model_comparison
from raven_scan.web.model_import import show_model_import
from raven_scan.web.new_training_run import show_new_training_run
from raven_scan.web.overview import show_overview
from raven_scan.web.queue import show_queue
from raven_scan.web.refused import make_no_screen, show_refused
from raven_scan.web.run_comparison import show_run_comparison
from raven_scan.web.services import Services
from raven_scan.web.texts import later
from raven_scan.web.trained_model import show_trained_model
from raven_scan.web.trained_models import show_trained_models
from raven_scan.web.training_presets import PRESETS_PATH, show_training_presets
from raven_scan.web.training_run import show_training_run
from raven_scan.web.training_runs import show_training_runs
from raven_scan.web.viewer import Viewer

_DELETING = (Claim.TRAINING_RUN_DELETE, Claim.TRAINED_MODEL_DELETE, Claim.DATASET_DELETE)

PLACES = (
    Place("/", later("Overview"), "space_dashboard", None),
    Place("/datasets", later("Datasets"), "photo_library", Claim.DATASET_VIEW),
    Place("/training-runs", later("Training runs"), "model_training", Claim.TRAINING_RUN_VIEW),
    Place("/trained-models", later("Trained models"), "category", Claim.TRAINED_MODEL_VIEW),
    Place("/queue", later("Queue"), "format_list_numbered", Claim.TRAINING_RUN_VIEW),
    Place(
        "/administration/policy",
        later("Publishing policy"),
        "rule",
        Claim.TRAINED_MODEL_VIEW,
        later("Administration"),
    ),
    Place("/trash", later("Trash"), "delete_outline", _DELETING, later("Administration")),
    Place("/administration/users", later("Users"), "group", Claim.USER_VIEW, later("Administration")),
    Place("/administration/roles", later("Roles"), "badge", Claim.USER_VIEW, later("Administration")),
    Place(
        "/administration/audit", later("Audit trail"), "history", Claim.AUDIT_VIEW, later("Administration")
    ),
    Place(
        "/administration/settings", later("Settings"), "tune", Claim.SETTINGS_VIEW, later("Administration")
    ),
    Place(
        "/administration/health",
        later("System health"),
        "monitor_heart",
        Claim.SETTINGS_VIEW,
        later("Administration"),
    ),
)

Screen = Callable[..., Awaitable[None]]

_SCREENS: dict[str, Screen] = {
    "/": show_overview,
    "/account": show_account,
    "/account/tokens": show_account_tokens,
    "/account/subscriptions": show_account_subscriptions,
    "/administration": show_users,
    "/administration/users": show_users,
    "/administration/users/{ref}": show_user,
    "/administration/roles": show_roles,
    "/administration/audit": show_audit_trail,
    "/administration/settings": show_settings,
    "/administration/policy": show_policy,
    "/administration/health": show_health,
    "/guide": show_guide,
    "/guide/{chapter}": show_guide,
    "/queue": show_queue,
    "/trash": show_trash,
    "/datasets": show_datasets,
    "/datasets/import": show_dataset_import,
    "/datasets/{ref}": show_dataset_version,
    "/training-runs": show_training_runs,
    "/training-runs/new": show_new_training_run,
    "/training-runs/compare": show_run_comparison,
    PRESETS_PATH: show_training_presets,
    "/training-runs/{ref}": show_training_run,
    "/trained-models": show_trained_models,
    "/trained-models/compare": show_model_comparison,
    "/trained-models/import": show_model_import,
    "/trained-models/{ref}": show_trained_model,
    "/trained-models/{ref}/{tab}": show_trained_model,
}


NEEDED = {
    "/datasets/import": Claim.DATASET_IMPORT,
    "/training-runs/new": Claim.TRAINING_RUN_CREATE,
    "/trained-models/import": Claim.TRAINED_MODEL_IMPORT,
}
"""What screens need beside what their place needs."""


def build_page(viewer: Viewer, services: Services, liveness: Liveness, path: str) -> None:
    """The frame, and in it the screen of the path; following a link changes the screen alone."""
    claims = viewer.actor.claims
    frame = Frame(viewer, PLACES, path, find_guide_address)
    ui.context.client.sub_pages_router.on_path_changed(frame.mark)
    ui.context.client.sub_pages_router.on_path_changed(lambda _: close_questions())

    def bind(show: Screen) -> Callable[..., Awaitable[None]]:
        async def build(arguments: PageArguments) -> None:
            async with viewer.telling_errors():
                try:
                    if (await viewer.recognise()).claims != claims:
                        ui.run_javascript("location.reload()")  # the navigation is another now
                        return
                    _require_place(viewer, arguments.path)
                    if arguments.remaining_path:
                        raise make_no_screen(ui.context.client.sub_pages_router.current_path)
                    await show(viewer, services, liveness, arguments)
                    _scroll_to_part()
                except RavenError as error:
                    if isinstance(error, Unauthenticated) or ui.context.slot.children:
                        raise
                    show_refused(viewer, error)

        return build

    ui.sub_pages({path: bind(show) for path, show in _SCREENS.items()}, show_404=False).classes("pages")


def _scroll_to_part() -> None:
    """NiceGUI scrolls to what an address names before an asynchronous screen is there."""
    part = ui.context.client.sub_pages_router.current_path.partition("#")[2]
    if part:
        ui.run_javascript(
            f"ravenWhenThere(() => document.getElementById({json.dumps(part)}), (part) => part.scrollIntoView())"
        )


def _require_place(viewer: Viewer, path: str) -> None:
    """Raises Forbidden where the navigation does not lead this user; the services check the same once more."""
    if path in NEEDED:
        viewer.actor.require(NEEDED[path])
    for place in PLACES:
        is_here = path == place.path or path.startswith(f"{place.path}/")
        if is_here and place.claim is not None and not place.is_for(viewer):
            viewer.actor.require(place.claim[0] if isinstance(place.claim, tuple) else place.claim)
