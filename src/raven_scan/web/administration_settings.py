"""How this server is set up. Settings are changed where it is started, and nowhere else."""

from html import escape
from typing import Any

from nicegui import ui
from nicegui.page_arguments import PageArguments

from raven_scan.web.frame import heading, screen, sheet
from raven_scan.web.live import Liveness
from raven_scan.web.rows import draw_table
from raven_scan.web.services import Services, SettingShown
from raven_scan.web.texts import NONE, Texts
from raven_scan.web.viewer import Viewer

_CONTACT = "RAVEN_CONTACT"


async def show_settings(viewer: Viewer, services: Services, _: Liveness, __: PageArguments) -> None:
    t = viewer.texts
    settings = await viewer.ask(services.settings_listing.list_settings)
    contact = next((each.value for each in settings if each.name == _CONTACT), None)
    with screen(t("Settings")):
        with heading(t("Settings")):
            pass
        with sheet(t("Contact")):
            if contact:
                said = t(
                    "With errors that users cannot mend, and at the sign-in, they read: ask {contact}.",
                    contact=contact,
                )
            else:
                said = t(
                    "Nobody is named yet. Set RAVEN_CONTACT, so that users read at the sign-in, and with errors that "
                    "they cannot mend, whom to ask."
                )
            ui.label(said)
        with sheet(t("All settings")):
            ui.label(
                t(
                    "They are environment variables of the server: change them where it is started, and start it anew."
                )
            ).classes("muted")
            changed = [each for each in settings if not each.is_default]
            usual = [each for each in settings if each.is_default]
            ui.html(
                _draw(changed, t, t("Set here"), t("Nothing is set: all is as it comes.")), sanitize=False
            )
            ui.html(_draw(usual, t, t("As it comes"), ""), sanitize=False)


def _draw(settings: list[SettingShown], t: Texts, title: str, empty: str) -> str:
    rows = [
        f'<tr><th scope="row"><span class="mono">{escape(each.name)}</span></th>'
        f'<td class="mono small value">{escape(_show(each, t))}</td>'
        f'<td class="small">{escape(each.description.replace("`", ""))}</td></tr>'
        for each in settings
    ]
    table = draw_table([t("Setting"), t("Value"), t("Meaning")], rows, empty=empty, caption=title)
    return f'<h3>{escape(title)}</h3><div class="scroll settings">{table}</div>'


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
