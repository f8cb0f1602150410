"""What can be done with a dataset and one of its versions: export, edit, delete, and a next version."""

from html import escape
from urllib.parse import quote

from nicegui import ui

from raven_scan.access.types import Claim
from raven_scan.datasets.types import DatasetVersionView, DatasetView
from raven_scan.web.dialogs import Question
from raven_scan.web.frame import button, confirm, show_link_button
from raven_scan.web.marks import as_prop
from raven_scan.web.services import Services
from raven_scan.web.viewer import Viewer, as_handler


def show_actions(
    viewer: Viewer, services: Services, dataset: DatasetView, version: DatasetVersionView
) -> None:
    """The buttons that the viewer may press."""
    t = viewer.texts
    actions = _Actions(viewer, services, dataset, version)
    if viewer.may(Claim.TRAINING_RUN_CREATE):
        show_link_button(t("Train on it"), f"/training-runs/new?dataset={version.id}", kind="primary")
    if viewer.may(Claim.DATASET_EXPORT):
        title = escape(t("A zip in COCO form, with the images"))
        ui.html(
            f'<a class="as-button" href="/api/v1/datasets/{version.id}/export" download title="{title}">'
            f"{escape(t('Export'))}</a>",
            sanitize=False,
        )
    if viewer.may(Claim.DATASET_EDIT):
        button(t("Edit"), as_handler(viewer, actions.edit))
    may_import, may_delete = viewer.may(Claim.DATASET_IMPORT), viewer.may(Claim.DATASET_DELETE)
    if not (may_import or may_delete):
        return
    with (
        ui.button(icon="more_vert", color=None).props(
            f"flat round dense aria-label={as_prop(t('More actions'))}"
        ),
        ui.menu(),
    ):
        if may_import:
            ui.menu_item(
                t("Import a next version"),
                on_click=lambda: ui.navigate.to(f"/datasets/import?name={quote(dataset.name)}"),
            )
        if may_delete and dataset.version_count > 1:
            ui.menu_item(
                t("Delete version {number}", number=version.number),
                on_click=as_handler(viewer, actions.delete_version),
            )
        if may_delete:
            ui.menu_item(t("Delete the dataset"), on_click=as_handler(viewer, actions.delete_dataset))


class _Actions:
    def __init__(
        self, viewer: Viewer, services: Services, dataset: DatasetView, version: DatasetVersionView
    ) -> None:
        self._viewer = viewer
        self._services = services
        self._dataset = dataset
        self._version = version

    async def edit(self) -> None:
        t, dataset = self._viewer.texts, self._dataset
        question = Question(self._viewer, t("Edit the dataset"), action=t("Save"))
        with question.fields():
            name = ui.input(t("Name"), value=dataset.name).props("outlined dense autofocus maxlength=100")
            notes = ui.textarea(t("Notes"), value=dataset.notes).props("outlined autogrow")

        async def save() -> None:
            await self._viewer.ask(
                self._services.dataset_stewardship.edit,
                str(dataset.id),
                name=(name.value or "").strip(),
                notes=notes.value or "",
                expected=dataset.revision,
            )
            self._viewer.notify(t("Saved."))
            await self._show_anew()

        question.open(save)

    async def _show_anew(self) -> None:
        """Under an address that holds whatever the dataset is called now."""
        path, router = f"/datasets/{self._version.id}", ui.context.client.sub_pages_router
        if router.current_path.partition("?")[0] == path:
            await router.refresh()
        else:
            ui.navigate.to(path)

    async def delete_version(self) -> None:
        t, version = self._viewer.texts, self._version
        if await confirm(
            self._viewer,
            t("Delete {name}?", name=version.full_name),
            explanation=self._describe_trash(t("Its number is given to no other version.")),
            action=t("Delete version {number}", number=version.number),
            danger=True,
        ):
            await self._viewer.ask(self._services.version_stewardship.delete, str(version.id))
            self._viewer.notify(t("{name} is in the trash.", name=version.full_name))
            ui.navigate.to(f"/datasets/{self._dataset.id}")

    async def delete_dataset(self) -> None:
        t, dataset = self._viewer.texts, self._dataset
        count = dataset.version_count
        lost = (
            t("Its only version goes with it.")
            if count == 1
            else t("All of its {count} versions go with it.", count=t.number(count))
        )
        if await confirm(
            self._viewer,
            t("Delete the dataset {name}?", name=dataset.name),
            explanation=self._describe_trash(lost),
            action=t("Delete the dataset"),
            danger=True,
        ):
            await self._viewer.ask(self._services.dataset_stewardship.delete, str(dataset.id))
            self._viewer.notify(t("{name} is in the trash.", name=dataset.name))
            ui.navigate.to("/datasets")

    def _describe_trash(self, lost: str) -> str:
        t = self._viewer.texts
        return t(
            "It goes to the trash, from where it can be restored for {days} days. {lost} "
            "It is not deleted while something needs it.",
            days=t.number(self._services.settings.trash_days),
            lost=lost,
        )
