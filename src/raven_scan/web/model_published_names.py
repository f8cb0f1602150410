"""A name that models are published as: its versions, what became of them, going back and taking out of use."""

from html import escape

from nicegui import ui

from raven_scan.access.types import Claim
from raven_scan.kernel.paging import PageRequest
from raven_scan.publishing.types import HistoryEntry, PublishedVersionView, PublishingEvent, VersionState
from raven_scan.web.dialogs import Question
from raven_scan.web.frame import sheet
from raven_scan.web.marks import link
from raven_scan.web.model_words import MODELS_PATH, mark_version
from raven_scan.web.rows import draw_row_button, draw_table, listen_to_rows
from raven_scan.web.services import Services
from raven_scan.web.viewer import Viewer

_SHOWN = 50


class PublishedNamePart:
    """The versions of one name, with what can be done with each, and its history."""

    def __init__(self, viewer: Viewer, services: Services, name: str) -> None:
        self._viewer = viewer
        self._publishing = services.publishing
        self._name = name

    async def build(self) -> None:
        t, page = self._viewer.texts, PageRequest.parse(_SHOWN)
        versions = await self._viewer.ask(self._publishing.list_versions, self._name, page)
        history = await self._viewer.ask(self._publishing.list_history, self._name, page)
        with sheet(t("Versions of {name}", name=self._name)):
            table = ui.html(self._draw_versions(versions.items), sanitize=False).classes("scroll")
            acts = {"rollback": self._ask_to_roll_back, "withdraw": self._ask_to_withdraw}
            listen_to_rows(table, self._viewer, acts)
        with sheet(t("History of {name}", name=self._name)):
            ui.html(self._draw_history(history.items), sanitize=False)

    def _draw_versions(self, versions: list[PublishedVersionView]) -> str:
        t = self._viewer.texts
        titles = [t("Version"), t("Model"), t("Published"), t("Notes"), ""]
        return draw_table(titles, [self._draw_version(version) for version in versions], empty="")

    def _draw_version(self, version: PublishedVersionView) -> str:
        t = self._viewer.texts
        said = [version.notes] if version.notes else []
        if version.override_reason:
            said.append(t("Published despite requirements: {reason}", reason=version.override_reason))
        if version.withdrawal_reason:
            said.append(t("Withdrawn: {reason}", reason=version.withdrawal_reason))
        judged = ""
        if version.dataset_version_name:
            told = t("judged on {dataset}", dataset=version.dataset_version_name)
            judged = f'<div class="small muted">{escape(told)}</div>'
        acts = ""
        if self._viewer.may(Claim.TRAINED_MODEL_PUBLISH):
            if version.state is VersionState.REPLACED:
                acts += _draw_button("rollback", version, t("Roll back to this"))
            if version.state is not VersionState.WITHDRAWN:
                acts += _draw_button("withdraw", version, t("Withdraw"), danger=True)
        return (
            f'<tr><td class="unbroken"><b>{version.number}</b> '
            f"{mark_version(version.state, t)}</td>"
            f'<td class="named">{link(version.model, f"{MODELS_PATH}/{version.model_id}")}{judged}</td>'
            f'<td class="muted">{escape(t.moment(version.published_at))}<br>{escape(version.published_by)}</td>'
            f'<td class="small noted">{escape(chr(10).join(said))}</td>'
            f'<td><div class="acts">{acts}</div></td></tr>'
        )

    def _draw_history(self, history: list[HistoryEntry]) -> str:
        t = self._viewer.texts
        rows = "".join(
            f'<li><span class="muted small">{escape(t.moment(entry.at))}</span> {escape(self._tell(entry))}'
            + (f'<div class="small muted noted">{escape(entry.reason)}</div>' if entry.reason else "")
            + "</li>"
            for entry in history
        )
        return f'<ol class="plain history">{rows}</ol>'

    def _tell(self, entry: HistoryEntry) -> str:
        t, version = self._viewer.texts, f"{self._name}@{entry.number}"
        match entry.event:
            case PublishingEvent.PUBLISHED if entry.is_override:
                said = t("{who} published {model} as {version}, despite requirements that were not passed.")
            case PublishingEvent.PUBLISHED:
                said = t("{who} published {model} as {version}.")
            case PublishingEvent.WITHDRAWN:
                said = t("{who} withdrew {version}, which is {model}.")
            case PublishingEvent.ROLLED_BACK:
                said = t("{who} rolled back to {version}, which is {model}.")
        return said.format(who=entry.by, model=entry.model, version=version)

    async def _ask_to_roll_back(self, number: str) -> None:
        t, version = self._viewer.texts, f"{self._name}@{number}"
        question = Question(
            self._viewer, t("Roll back to {version}?", version=version), action=t("Roll back")
        )
        with question.fields():
            ui.label(
                t(
                    "Detection with {name} uses it from then on; what is in use now stays as a replaced version.",
                    name=self._name,
                )
            ).classes("muted")
            reason = ui.textarea(t("Reason")).props("outlined dense autogrow")

        async def roll_back() -> None:
            said = str(reason.value or "").strip()
            await self._viewer.ask(self._publishing.roll_back, self._name, to=int(number), reason=said)
            self._viewer.notify(t("{version} is in use.", version=version))
            await ui.context.client.sub_pages_router.refresh()

        question.open(roll_back)

    async def _ask_to_withdraw(self, number: str) -> None:
        t, version = self._viewer.texts, f"{self._name}@{number}"
        question = Question(
            self._viewer, t("Withdraw {version}?", version=version), action=t("Withdraw"), kind="danger"
        )
        with question.fields():
            ui.label(
                t("It is out of use for good, and cannot be rolled back to. Whoever asks for it is told why.")
            ).classes("muted")
            reason = ui.textarea(t("Reason")).props("outlined dense autogrow")

        async def withdraw() -> None:
            said = str(reason.value or "").strip()
            await self._viewer.ask(self._publishing.withdraw, version, reason=said)
            self._viewer.notify(t("{version} is withdrawn.", version=version))
            await ui.context.client.sub_pages_router.refresh()

        question.open(withdraw)


def _draw_button(act: str, version: PublishedVersionView, text: str, *, danger: bool = False) -> str:
    return draw_row_button(act, version.number, text, label=f"{text}: {version.full_name}", danger=danger)
