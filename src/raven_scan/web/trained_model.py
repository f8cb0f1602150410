"""A trained model's page: its tabs have addresses of their own, which can be shared."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from urllib.parse import unquote

from nicegui import ui
from nicegui.page_arguments import PageArguments

from raven_scan.access.types import Claim
from raven_scan.trained_models.types import Origin, TrainedModelView
from raven_scan.web.frame import heading, screen
from raven_scan.web.live import Liveness
from raven_scan.web.marks import link, list_places
from raven_scan.web.model_configuration import show_configuration
from raven_scan.web.model_lineage import show_lineage
from raven_scan.web.model_overview import show_overview, show_overview_buttons
from raven_scan.web.model_package import show_package
from raven_scan.web.model_publishing import show_publishing
from raven_scan.web.model_review import show_review
from raven_scan.web.model_trial import show_trial
from raven_scan.web.model_words import MODELS_PATH, mark_stage
from raven_scan.web.services import Services
from raven_scan.web.texts import later
from raven_scan.web.viewer import Viewer

ShowTab = Callable[[Viewer, Services, TrainedModelView, PageArguments], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class _Tab:
    """A part of the page.

    Attributes:
        key: in the address.
        name: in English.
        show: builds it.
        claim: without which it is not offered.
        needs_weights: it says nothing of a builtin model.
    """

    key: str
    name: str
    show: ShowTab
    claim: Claim | None = None
    needs_weights: bool = True


_TABS = (
    _Tab("", later("Overview"), show_overview, needs_weights=False),
    _Tab("review", later("Review"), show_review),
    _Tab("lineage", later("Lineage"), show_lineage, needs_weights=False),
    _Tab("configuration", later("Configuration"), show_configuration, needs_weights=False),
    _Tab("package", later("Package"), show_package, Claim.TRAINED_MODEL_EXPORT),
    _Tab("publishing", later("Publishing"), show_publishing),
    _Tab("try", later("Try it"), show_trial, Claim.DETECTION_CREATE),
)


async def show_trained_model(
    viewer: Viewer, services: Services, _: Liveness, arguments: PageArguments
) -> None:
    t = viewer.texts
    ref = unquote(arguments.path_parameters["ref"])
    asked = arguments.path_parameters.get("tab", "")
    model = await viewer.ask(services.trained_models.get_model, ref)
    tabs = [tab for tab in _TABS if _is_offered(tab, viewer, model)]
    here = next((tab for tab in tabs if tab.key == asked), tabs[0])
    with screen(model.name):
        ui.html(f'<div class="crumbs">{link(t("Trained models"), MODELS_PATH)}</div>', sanitize=False)
        with heading(model.name):
            if not here.key:
                await show_overview_buttons(viewer, services, model)
        if model.origin is not Origin.BUILTIN:
            ui.html(f'<div class="row-gap">{mark_stage(model.stage, t)}</div>', sanitize=False)
        places = [(_make_path(model, tab), t(tab.name)) for tab in tabs]
        ui.html(
            list_places(places, _make_path(model, here), t("Parts of this page")),
            sanitize=False,
        )
        await here.show(viewer, services, model, arguments)


def _is_offered(tab: _Tab, viewer: Viewer, model: TrainedModelView) -> bool:
    if tab.needs_weights and model.weights_digest is None:
        return False
    return tab.claim is None or viewer.may(tab.claim)


def _make_path(model: TrainedModelView, tab: _Tab) -> str:
    return f"{MODELS_PATH}/{model.id}/{tab.key}".removesuffix("/")
