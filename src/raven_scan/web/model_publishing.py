"""Publishing a model: what is required and what was found, then the question; and what became of its names."""

from collections.abc import Callable
from functools import partial
from html import escape
from typing import Any

from nicegui import ui
from nicegui.page_arguments import PageArguments

from raven_scan.access.types import Claim
from raven_scan.kernel.errors import Conflict, Invalid, NotFound, RavenError
from raven_scan.kernel.paging import PageRequest
from raven_scan.publishing.types import PublicationCheck, PublishedVersionView, VersionState
from raven_scan.trained_models.types import TrainedModelView
from raven_scan.web.frame import button, confirm, sheet
from raven_scan.web.model_published_names import PublishedNamePart
from raven_scan.web.model_requirements import draw_requirements
from raven_scan.web.model_words import mark
from raven_scan.web.services import Services
from raven_scan.web.viewer import Viewer, as_handler

_MOST_NAMES = 200


async def show_publishing(
    viewer: Viewer, services: Services, model: TrainedModelView, _: PageArguments
) -> None:
    await _PublishingTab(viewer, services, model).build()


class _PublishingTab:
    """The form to publish, and the names that the model is or was published as."""

    def __init__(self, viewer: Viewer, services: Services, model: TrainedModelView) -> None:
        self._viewer = viewer
        self._services = services
        self._model = model
        self._kept = f"publish {model.id}"

    async def build(self) -> None:
        viewer, t = self._viewer, self._viewer.texts
        versions = await viewer.ask(self._services.publishing.list_versions_of_model, self._model.id)
        with sheet(t("Published as")):
            ui.html(self._draw_versions(versions), sanitize=False).classes("stack")
        if viewer.may(Claim.TRAINED_MODEL_PUBLISH) or viewer.may(Claim.TRAINED_MODEL_REVIEW):
            await self._build_form(versions)
        for name in dict.fromkeys(version.name for version in versions):
            await PublishedNamePart(viewer, self._services, name).build()

    def _draw_versions(self, versions: list[PublishedVersionView]) -> str:
        t = self._viewer.texts
        if not versions:
            said = t("It is not published: detection cannot ask for it by name yet.")
            return f'<p class="muted">{escape(said)}</p>'
        kinds = {
            VersionState.IN_USE: "good",
            VersionState.REPLACED: "warn",
            VersionState.WITHDRAWN: "bad",
        }
        rows = "".join(
            f"<li>{mark(t(str(version.state)), kinds[version.state])} <b>{escape(version.full_name)}</b> "
            f'<span class="muted">{escape(f"{t.moment(version.published_at)}, {version.published_by}")}</span></li>'
            for version in versions
        )
        return f'<ul class="plain">{rows}</ul>'

    async def _build_form(self, versions: list[PublishedVersionView]) -> None:
        viewer, t = self._viewer, self._viewer.texts
        names = await viewer.ask(self._services.publishing.list_names, PageRequest.parse(_MOST_NAMES))
        with sheet(t("Publish model")):
            said = t(
                "Detection asks for a name: the model becomes its next version, and what was in use is replaced."
            )
            ui.label(said).classes("muted")
            with ui.element("div").classes("row-gap"):
                self._name = (
                    ui.input(
                        t("Name to publish it as"),
                        value=versions[0].name if versions else self._model.name,
                        autocomplete=[each.name for each in names.items],
                    )
                    .props("outlined dense debounce=400")
                    .style("width: min(100%, 420px)")
                )
                self._name.on_value_change(as_handler(viewer, self._look))
            self._found = ui.html("", sanitize=False).props('aria-live="polite"').classes("scroll stack")
            self._buttons = ui.element("div").classes("form").props(f'data-keep="{self._kept}"')
            await self._look()

    async def _look(self, *_: object) -> None:
        """Judges the model anew, for the name that is asked for."""
        t, name = self._viewer.texts, str(self._name.value or "").strip()
        self._buttons.clear()
        try:
            check = await self._viewer.ask(self._services.publishing.check, str(self._model.id), name=name)
        except (Conflict, Invalid, NotFound) as error:
            self._found.set_content(self._draw_refusal(error))
            return
        if name != str(self._name.value or "").strip():
            return  # somebody typed on; what is typed now is judged by itself
        self._found.set_content(draw_requirements(check, t))
        if self._viewer.may(Claim.TRAINED_MODEL_PUBLISH):
            with self._buttons:
                self._build_buttons(check)
            ui.run_javascript(
                f"ravenWhenThere(() => getHtmlElement({self._buttons.id})?.querySelector('[name=notes]'), "
                "(field) => ravenKeep(field.closest('[data-keep]')))"
            )

    def _build_buttons(self, check: PublicationCheck) -> None:
        t = self._viewer.texts
        notes = ui.input(t("Notes on this version")).props("outlined dense name=notes")
        if check.passes:
            with ui.element("div").classes("row-gap"):
                self._add(t("Publish model"), "primary", partial(self._publish, check, notes, None))
            return
        if not self._viewer.may(Claim.TRAINED_MODEL_OVERRIDE):
            said = t("It cannot be published before every requirement is passed.")
            ui.label(said).classes("muted")
            notes.delete()
            return
        said = t(
            "You may publish it all the same, with a reason, which the history and the audit trail keep."
        )
        ui.label(said).classes("muted")
        reason = ui.textarea(t("Why it is published although not all is passed")).props(
            "outlined dense autogrow name=reason"
        )
        with ui.element("div").classes("row-gap"):
            self._add(
                t("Publish despite the requirements"), "danger", partial(self._publish, check, notes, reason)
            )

    def _add(self, text: str, kind: str, act: Callable[[], Any]) -> None:
        button(text, as_handler(self._viewer, act), kind=kind)

    async def _publish(self, check: PublicationCheck, notes: ui.input, reason: ui.textarea | None) -> None:
        viewer, t = self._viewer, self._viewer.texts
        full_name = f"{check.name}@{check.number}"
        effect = (
            t("Detection with {name} uses it from then on.", name=check.name)
            if check.in_use is None
            else t("It replaces {version}, which stays and can be rolled back to.", version=check.in_use)
        )
        if reason is not None and not str(reason.value or "").strip():
            viewer.notify(t("Say why it is published all the same."), kind="warning")
            return
        if not await confirm(
            viewer,
            t("Publish {model} as {name}?", model=check.model, name=full_name),
            explanation=effect,
            action=t("Publish model"),
            danger=reason is not None,
        ):
            return
        published = await viewer.ask(
            self._services.publishing.publish,
            str(self._model.id),
            name=check.name,
            notes=str(notes.value or ""),
            override=None if reason is None else str(reason.value),
        )
        ui.run_javascript(f"ravenForget('{self._kept}')")
        viewer.notify(t("Published as {name}.", name=published.full_name))
        await ui.context.client.sub_pages_router.refresh()

    def _draw_refusal(self, error: RavenError) -> str:
        if error.code == "published_model.already_published":
            said = self._viewer.texts(
                "It is in use under this name. Under another name it can be published too."
            )
            return f'<div class="notice">{escape(said)}</div>'
        return f'<div class="notice warn"><b>{escape(error.message)}</b><br>{escape(error.hint)}</div>'
