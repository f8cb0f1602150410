"""Packing a model, to be taken elsewhere."""

from html import escape

from nicegui import ui
from nicegui.page_arguments import PageArguments

from raven_scan.access.types import Actor
from raven_scan.packages.types import MadePackage
from raven_scan.trained_models.types import TrainedModelView
from raven_scan.web.frame import button, sheet
from raven_scan.web.marks import list_facts
from raven_scan.web.rows import ShownTable
from raven_scan.web.services import Services
from raven_scan.web.texts import Texts
from raven_scan.web.viewer import Viewer, as_handler
from raven_scan.web.work_under_way import Work, WorkUnderWay, draw_work

_LOOK_S = 0.4
_PACKAGES = WorkUnderWay[MadePackage]()


async def show_package(viewer: Viewer, services: Services, model: TrainedModelView, _: PageArguments) -> None:
    t = viewer.texts
    with sheet(t("Take it elsewhere")):
        said = t(
            "A package is a signed zip with weights, classes, figures, lineage and a model card. Another platform "
            "that trusts this one's key imports it as it is; others can read it without Raven Scan."
        )
        ui.label(said).classes("muted")
        onnx = ui.checkbox(t("With the model as ONNX too"))
        ui.label(t("It takes longer: the converted model is compared with the original on images.")).classes(
            "muted small"
        )

        async def make() -> None:
            await viewer.ask(_begin, services, model, onnx=bool(onnx.value))
            look()

        def look() -> None:
            """Shows how far it is, which goes on without this page."""
            found = _PACKAGES.find(viewer.actor.id)
            pack.set_enabled(found is None or found.is_over)
            if found is None or (found.is_over and found.name != model.name):
                made.show("")
            elif found.error is not None:
                made.show(viewer.draw_error(found.error, kind="bad"))
            else:
                made.show(draw_work(found, t) if found.result is None else _draw_made(found.result, t))

        with ui.element("div").classes("row-gap"):
            pack = button(t("Make a package"), as_handler(viewer, make), kind="primary", icon="inventory_2")
        made = ShownTable()
        made.element.props('aria-live="polite"')
        look()
        ui.timer(_LOOK_S, look, immediate=False)
    with sheet(t("The weights alone")):
        path = f"/api/v1/trained-models/{model.id}/download?file=weights"
        size = "" if model.weights_size_bytes is None else f" ({t.size(model.weights_size_bytes)})"
        name = t("Download the weights as safetensors")
        ui.html(
            f'<div><a class="as-button" href="{path}" download>{escape(name + size)}</a></div>',
            sanitize=False,
        )


def _begin(actor: Actor, services: Services, model: TrainedModelView, *, onnx: bool) -> Work[MadePackage]:
    return _PACKAGES.begin(
        actor,
        model.name,
        lambda progress: services.package_exports.make(actor, str(model.id), onnx=onnx, progress=progress),
    )


def _draw_made(package: MadePackage, t: Texts) -> str:
    path = f"/api/v1/trained-models/{package.model_id}/package/{package.digest}"
    facts = [
        (t("File"), escape(package.file_name)),
        (t("Size"), escape(t.size(package.size_bytes))),
        (t("SHA-256"), f'<span class="mono small">{package.digest}</span>'),
        (t("Signed with"), f'<span class="mono small">{escape(package.key_fingerprint)}</span>'),
        (t("What is in it"), escape(", ".join(package.files))),
    ]
    said = t("It can be downloaded for a day.")
    return (
        f'<div class="made"><div class="row-gap"><a class="as-button primary" href="{path}" download>'
        f'{escape(t("Download the package"))}</a><span class="muted small">{escape(said)}</span></div>'
        f"{list_facts(facts)}</div>"
    )
