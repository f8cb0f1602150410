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
from raven_scan.web.refused import make_no_screen
from raven_scan.web.services import Services
from raven_scan.web.texts import later
from raven_scan.web.viewer import Viewer, as_refresh

_REFRESH_S = 3.0
_FRESH_S = 1.5
_NO_BOX = "display: contents"
"""What is within is laid out as if it were not."""

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
    viewer: Viewer, services: Services, liveness: Liveness, arguments: PageArguments
) -> None:
    t = viewer.texts
    ref = unquote(arguments.path_parameters["ref"])
    asked = arguments.path_parameters.get("tab", "")
    model = await viewer.ask(services.trained_models.get_model, ref)
    tabs = [tab for tab in _TABS if _is_offered(tab, viewer, model)]
    here = next((tab for tab in tabs if tab.key == asked), None)
    if here is None:
        _require_tab(asked, viewer)
        raise make_no_screen(arguments.path)
    with screen(model.name):
        ui.html(f'<div class="crumbs">{link(t("Trained models"), MODELS_PATH)}</div>', sanitize=False)
        with heading(model.name) as retitle:
            buttons = ui.element("div").style(_NO_BOX)
        stage = ui.html("", sanitize=False).classes("row-gap")
        places = [(_make_path(model, tab), t(tab.name)) for tab in tabs]
        ui.html(
            list_places(places, _make_path(model, here), t("Parts of this page")),
            sanitize=False,
        )
        shown = ui.element("div").style(_NO_BOX)

        async def show(now: TrainedModelView) -> None:
            """Anew where others have changed it, but for tabs that are typed into."""
            nonlocal model, is_shown
            if now == model and is_shown:
                return
            is_first, model, is_shown = not is_shown, now, True
            retitle(now.name)
            stage.set_content("" if now.origin is Origin.BUILTIN else mark_stage(now.stage, t))
            if here.key and not is_first:
                return
            for part in (buttons, shown):
                part.clear()
            if not here.key:
                with buttons:
                    await show_overview_buttons(viewer, services, now)
            with shown:
                await here.show(viewer, services, now, arguments)

        is_shown = False
        await show(model)
        _follow(viewer, services, liveness, model, show)


def _follow(
    viewer: Viewer,
    services: Services,
    liveness: Liveness,
    model: TrainedModelView,
    show: Callable[[TrainedModelView], Awaitable[None]],
) -> None:
    async def look() -> None:
        now = await liveness.answers.ask(
            viewer,
            ("trained model", model.id),
            lambda actor: services.trained_models.get_model(actor, str(model.id)),
            fresh_s=_FRESH_S,
        )
        await show(now)

    ui.timer(_REFRESH_S, as_refresh(viewer, look), immediate=False)


def _require_tab(key: str, viewer: Viewer) -> None:
    """Raises Forbidden where others are offered it."""
    for tab in _TABS:
        if tab.key == key and tab.claim is not None:
            viewer.actor.require(tab.claim)


def _is_offered(tab: _Tab, viewer: Viewer, model: TrainedModelView) -> bool:
    if tab.needs_weights and model.weights_digest is None:
        return False
    return tab.claim is None or viewer.may(tab.claim)


def _make_path(model: TrainedModelView, tab: _Tab) -> str:
    return f"{MODELS_PATH}/{model.id}/{tab.key}".removesuffix("/")
