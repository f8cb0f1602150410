"""Publishing a model: what is required and what was found, then the question; and what became of its names."""

from html import escape

from nicegui import ui
from nicegui.page_arguments import PageArguments

from raven_scan.access.types import Claim
from raven_scan.kernel.errors import Conflict, Invalid, NotFound, RavenError
from raven_scan.kernel.paging import PageRequest
from raven_scan.publishing.types import PublicationCheck, PublishedVersionView
from raven_scan.trained_models.types import TrainedModelView
from raven_scan.web.frame import button, confirm, sheet
from raven_scan.web.model_published_names import PublishedNamePart
from raven_scan.web.model_requirements import draw_requirements, say_unmet
from raven_scan.web.model_words import mark_version
from raven_scan.web.services import Services
from raven_scan.web.viewer import Viewer, as_handler, as_refresh

_MOST_NAMES = 200
_REFRESH_S = 3.0


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
        self._check: PublicationCheck | None = None
        self._versions: list[PublishedVersionView] = []

    async def build(self) -> None:
        viewer, t = self._viewer, self._viewer.texts
        versions = await viewer.ask(self._services.publishing.list_versions_of_model, self._model.id)
        with sheet(t("Published as")):
            self._published = ui.html("", sanitize=False).classes("stack")
        has_form = viewer.may(Claim.TRAINED_MODEL_PUBLISH) or viewer.may(Claim.TRAINED_MODEL_REVIEW)
        if has_form:
            await self._build_form(versions)
        self._names = ui.element("div").style("display: contents")
        await self._show_versions(versions)

        async def look_again() -> None:
            """Others publish and withdraw, too."""
            versions = await viewer.ask(self._services.publishing.list_versions_of_model, self._model.id)
            if versions != self._versions:
                await self._show_versions(versions)
                if has_form:
                    await self._look()

        ui.timer(_REFRESH_S, as_refresh(viewer, look_again), immediate=False)

    async def _show_versions(self, versions: list[PublishedVersionView]) -> None:
        self._versions = versions
        self._published.set_content(self._draw_versions(versions))
        self._names.clear()
        with self._names:
            for name in dict.fromkeys(version.name for version in versions):
                await PublishedNamePart(self._viewer, self._services, name).build()

    def _draw_versions(self, versions: list[PublishedVersionView]) -> str:
        t = self._viewer.texts
        if not versions:
            said = t("It is not published: detection cannot ask for it by name yet.")
            return f'<p class="muted">{escape(said)}</p>'
        rows = "".join(
            f"<li>{mark_version(version.state, t)} <b>{escape(version.full_name)}</b> "
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
            self._build_publication()
            await self._look()

    def _build_publication(self) -> None:
        """What is filled in to publish it, once it may be published under the name."""
        t = self._viewer.texts
        with ui.element("div").classes("form").props(f'data-keep="{self._kept}"') as self._form:
            self._notes = ui.input(t("Notes on this version")).props("outlined dense name=notes")
            with ui.element("div").classes("form") as self._despite:
                said = t(
                    "You may publish it all the same, with a reason, which the history and the audit trail keep."
                )
                ui.label(said).classes("muted")
                self._reason = ui.textarea(t("Why it is published although not all is passed")).props(
                    "outlined dense autogrow name=reason"
                )
            with ui.element("div").classes("row-gap"):
                self._publish = button(
                    t("Publish model"), as_handler(self._viewer, self._ask_to_publish), kind="primary"
                )
                self._override = button(
                    t("Publish despite the requirements"),
                    as_handler(self._viewer, self._ask_to_publish),
                    kind="danger",
                )
        self._refused = ui.label(t("It cannot be published before every requirement is passed.")).classes(
            "muted"
        )
        ui.run_javascript(f"ravenWhenThere(() => getHtmlElement({self._form.id}), ravenKeep)")

    async def _look(self) -> None:
        """Judges the model anew, for the name that is asked for."""
        viewer, name = self._viewer, str(self._name.value or "").strip()
        check, refusal = None, ""
        try:
            check = await viewer.ask(self._services.publishing.check, str(self._model.id), name=name)
        except (Conflict, Invalid, NotFound) as error:
            refusal = self._draw_refusal(error)
        if name != str(self._name.value or "").strip():
            return  # somebody typed on; what is typed now is judged by itself
        self._check = check
        self._found.set_content(refusal if check is None else draw_requirements(check, viewer.texts))
        may_publish = check is not None and viewer.may(Claim.TRAINED_MODEL_PUBLISH)
        passes = check is not None and check.passes
        may_override = viewer.may(Claim.TRAINED_MODEL_OVERRIDE)
        self._form.set_visibility(may_publish and (passes or may_override))
        self._refused.set_visibility(may_publish and not passes and not may_override)
        self._publish.set_visibility(passes)
        self._despite.set_visibility(not passes)
        self._override.set_visibility(not passes)

    async def _ask_to_publish(self) -> None:
        viewer, t, check = self._viewer, self._viewer.texts, self._check
        if check is None:
            return
        reason = None if check.passes else str(self._reason.value or "").strip()
        full_name = f"{check.name}@{check.number}"
        effect = (
            t("Detection with {name} uses it from then on.", name=check.name)
            if check.in_use is None
            else t("It replaces {version}, which stays and can be rolled back to.", version=check.in_use)
        )
        if reason == "":
            viewer.notify(t("Say why it is published all the same."), kind="warning")
            return
        if not await confirm(
            viewer,
            t("Publish {model} as {name}?", model=check.model, name=full_name),
            explanation=effect if check.passes else f"{say_unmet(check, t)} {effect}",
            action=t("Publish model"),
            danger=reason is not None,
        ):
            return
        published = await viewer.ask(
            self._services.publishing.publish,
            str(self._model.id),
            name=check.name,
            notes=str(self._notes.value or ""),
            override=reason,
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
        return self._viewer.draw_error(error)
