"""What a model was trained with: its parameters, and MMDetection's configuration."""

import json
from collections.abc import Mapping
from html import escape
from typing import Any

from nicegui import ui
from nicegui.page_arguments import PageArguments

from raven_scan.access.types import Actor, Claim
from raven_scan.trained_models.types import TrainedModelView
from raven_scan.web.frame import button, sheet, show_empty
from raven_scan.web.marks import as_prop, list_facts
from raven_scan.web.run_words import PARAMETER_NAMES, name_parameter, show_value
from raven_scan.web.services import Services
from raven_scan.web.texts import Texts
from raven_scan.web.viewer import Viewer

_PRE_ID = "configuration"


async def show_configuration(
    viewer: Viewer, services: Services, model: TrainedModelView, _: PageArguments
) -> None:
    t = viewer.texts

    def read(actor: Actor) -> dict[str, Any] | None:
        path = services.trained_models.open_configuration(actor, model.id)
        return None if path is None else json.loads(path.read_bytes())

    configuration = await viewer.ask(read)
    if model.parameters:
        with sheet(t("Parameters of its training")):
            ui.html(list_facts(_list_parameters(model.parameters, t)), sanitize=False)
    if configuration is None:
        if not model.parameters:
            with sheet():
                show_empty("tune", t("It was not trained here, so no configuration is kept of it."))
        return
    with sheet(t("Configuration")):
        with ui.element("div").classes("row-gap"):
            said = t("As MMDetection was given it, as JSON. It is data, and never run.")
            ui.label(said).classes("muted small")
            ui.element("div").classes("grow")
            button(t("Copy"), _do_nothing, icon="content_copy").on(
                "click",
                js_handler=f"(event) => ravenCopy(document.getElementById('{_PRE_ID}').textContent, event.target)",
            ).props(f"data-copied={as_prop(t('Copied'))}")
            if viewer.may(Claim.TRAINED_MODEL_EXPORT):
                path = f"/api/v1/trained-models/{model.id}/download?file=configuration"
                ui.html(
                    f'<a class="as-button" href="{path}" download>{escape(t("Download"))}</a>', sanitize=False
                )
        text = json.dumps(configuration, indent=2, ensure_ascii=False)
        ui.html(
            f'<pre class="log long" id="{_PRE_ID}" tabindex="0" aria-label="{escape(t("Configuration"))}">'
            f"{escape(text)}</pre>",
            sanitize=False,
        )


def _list_parameters(parameters: Mapping[str, Any], t: Texts) -> list[tuple[str, str]]:
    """As a run's page calls them, in the order of its form; then those that a model from elsewhere may have."""
    known = [name for name in PARAMETER_NAMES if name in parameters]
    others = sorted(set(parameters) - set(known))
    return [
        *((name_parameter(name, t), escape(show_value(name, parameters[name], t))) for name in known),
        *((name, _write(parameters[name])) for name in others),
    ]


def _write(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return f'<span class="mono">{escape(text)}</span>'


def _do_nothing() -> None:
    """The browser does it all."""
