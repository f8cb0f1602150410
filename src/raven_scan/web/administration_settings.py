"""How this server is set up: the contact, which is changed here, and what is changed where the server is started."""

from html import escape
from typing import Any

from nicegui import ui
from nicegui.page_arguments import PageArguments

from raven_scan.access.types import Claim
from raven_scan.platform_settings.types import PlatformSettingName, PlatformSettingView, SettingSource
from raven_scan.web.dialogs import Question
from raven_scan.web.frame import button, confirm, heading, screen, sheet
from raven_scan.web.live import Liveness
from raven_scan.web.marks import as_prop
from raven_scan.web.rows import draw_table
from raven_scan.web.services import Services, SettingShown
from raven_scan.web.texts import NONE, Texts
from raven_scan.web.viewer import Viewer, as_handler

_CONTACT = PlatformSettingName.CONTACT.value


async def show_settings(viewer: Viewer, services: Services, _: Liveness, __: PageArguments) -> None:
    t = viewer.texts
    with screen(t("Settings")):
        with heading(t("Settings")):
            pass
        page = _SettingsPage(viewer, services)
        with sheet(t("Contact")):
            page.contact = ui.column().classes("contact")
        with sheet(t("All settings")):
            ui.label(
                t(
                    "But for the contact, they are environment variables of the server: change them where it is "
                    "started, and start it anew."
                )
            ).classes("muted")
            page.settings = ui.html("", sanitize=False)
        await page.refresh()


class _SettingsPage:
    contact: ui.column
    settings: ui.html

    def __init__(self, viewer: Viewer, services: Services) -> None:
        self._viewer = viewer
        self._services = services

    async def refresh(self) -> None:
        viewer, t = self._viewer, self._viewer.texts
        contact = await viewer.ask(self._services.platform_settings.get_setting, _CONTACT)
        settings = await viewer.ask(self._services.settings_listing.list_settings)
        self.contact.clear()
        with self.contact:
            self._show_contact(contact)
        changed = [each for each in settings if not each.is_default]
        usual = [each for each in settings if each.is_default]
        self.settings.set_content(
            _draw(changed, t, t("Set here"), t("Nothing is set: all is as it comes."))
            + _draw(usual, t, t("As it comes"), "")
        )

    def _show_contact(self, contact: PlatformSettingView) -> None:
        t = self._viewer.texts
        ui.label(_describe_contact(contact, t)).classes("written")
        ui.label(_describe_source(contact, t)).classes("muted small written")
        if not self._viewer.may(Claim.SETTINGS_EDIT):
            return

        async def edit() -> None:
            self._ask_for_contact(contact)

        async def unset() -> None:
            await self._unset(contact)

        with ui.element("div").classes("row-gap"):
            button(t("Edit"), as_handler(self._viewer, edit), icon="edit")
            if contact.source is SettingSource.PLATFORM:
                button(t("Unset"), as_handler(self._viewer, unset))

    def _ask_for_contact(self, contact: PlatformSettingView) -> None:
        t = self._viewer.texts
        question = Question(self._viewer, t("Contact"), action=t("Save"))
        with question.fields():
            field = ui.input(t("Whom users ask"), value=contact.value or "").props(
                f"outlined dense autofocus hint={as_prop(t('As it@example.org, ext. 42'))}"
            )

        async def save() -> None:
            await self._change(str(field.value or ""), contact)

        question.open(save)

    async def _unset(self, contact: PlatformSettingView) -> None:
        t = self._viewer.texts
        then = (
            t("Users read what RAVEN_CONTACT says again: {contact}.", contact=contact.variable_value)
            if contact.variable_value
            else t("Nobody is named to users any more: RAVEN_CONTACT is not set.")
        )
        if await confirm(
            self._viewer, t("Unset the contact?"), explanation=then, action=t("Unset"), danger=True
        ):
            await self._change(None, contact)

    async def _change(self, value: str | None, contact: PlatformSettingView) -> None:
        change = self._services.platform_settings.change
        await self._viewer.ask(change, _CONTACT, value, expected=contact.revision)
        await self.refresh()


def _describe_contact(contact: PlatformSettingView, t: Texts) -> str:
    if contact.value is None:
        return t(
            "Nobody is named yet. Name whom to ask, so that users read it at the sign-in, and with errors that they "
            "cannot mend."
        )
    return t(
        "With errors that users cannot mend, and at the sign-in, they read: ask {contact}.",
        contact=contact.value,
    )


def _describe_source(contact: PlatformSettingView, t: Texts) -> str:
    if contact.source is SettingSource.ENVIRONMENT:
        return t("RAVEN_CONTACT says so; what is set here counts before it.")
    if contact.source is SettingSource.DEFAULT or contact.changed_at is None:
        return t("RAVEN_CONTACT is not set either.")
    said = t(
        "Set here by {name}, {moment}.", name=contact.changed_by or NONE, moment=t.moment(contact.changed_at)
    )
    if contact.variable_value is None:
        return said
    return f"{said} {t('RAVEN_CONTACT says {contact}; it does not count meanwhile.', contact=contact.variable_value)}"


def _draw(settings: list[SettingShown], t: Texts, title: str, empty: str) -> str:
    rows = [
        f'<tr><th scope="row"><span class="mono">{escape(each.name)}</span>{_mark(each, t)}</th>'
        f'<td class="mono small value">{escape(_show(each, t))}</td>'
        f'<td class="small">{escape(each.description.replace("`", ""))}</td></tr>'
        for each in settings
    ]
    table = draw_table([t("Setting"), t("Value"), t("Meaning")], rows, empty=empty, caption=title)
    return f'<h3>{escape(title)}</h3><div class="scroll settings">{table}</div>'


def _mark(setting: SettingShown, t: Texts) -> str:
    if setting.source is not SettingSource.PLATFORM:
        return ""
    return f' <span class="chip busy">{escape(t("Changed above"))}</span>'


def _show(setting: SettingShown, t: Texts) -> str:
    value: Any = setting.value
    if isinstance(value, int | float) and not isinstance(value, bool):
        if setting.name.endswith("_BYTES"):
            return t.size(value)
        return f"{t.number(value, 3)}{' s' if setting.name.endswith('_S') else ''}"
    if value is None or value in ([], {}):
        return NONE
    if isinstance(value, list):
        return ", ".join(str(each) for each in value)  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    return str(value)
