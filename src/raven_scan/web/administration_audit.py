"""The audit trail: who did what, searched and proved."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from html import escape

from nicegui import ui
from nicegui.page_arguments import PageArguments

from raven_scan.access.audit_types import AuditEntry, EntryFilter, Head
from raven_scan.kernel.paging import Page, PageRequest
from raven_scan.web.audit_words import describe_details, name_action, name_kind
from raven_scan.web.dialogs import Question
from raven_scan.web.frame import button, heading, screen, sheet
from raven_scan.web.lists import Choice, Column, SearchedList
from raven_scan.web.live import Liveness
from raven_scan.web.services import Services
from raven_scan.web.texts import Texts, later
from raven_scan.web.viewer import Viewer, as_handler

_PATH = "/administration/audit"
_KINDS = {
    "": later("All actions"),
    "session.": later("Sessions"),
    "user.": later("Users"),
    "role.": later("Roles"),
    "token.": later("API tokens"),
    "dataset": later("Datasets"),
    "training_run.": later("Training runs"),
    "trained_model.": later("Trained models"),
    "published_model.": later("Publishing"),
    "policy.": later("Publishing policy"),
    "access.": later("Refusals"),
}
_PERIODS = {
    "": later("At any time"),
    "1": later("Last 24 hours"),
    "7": later("Last 7 days"),
    "30": later("Last 30 days"),
}


async def show_audit_trail(viewer: Viewer, services: Services, _: Liveness, arguments: PageArguments) -> None:
    t = viewer.texts

    async def fetch(request: PageRequest, wanted: Mapping[str, str]) -> Page[AuditEntry]:
        days = wanted["days"]
        chosen = EntryFilter(
            search=wanted["q"] or None,
            action=wanted["action"] or None,
            since=datetime.now(t.timezone) - timedelta(days=int(days)) if days else None,
        )
        return await viewer.ask(services.audit.list_entries, request, chosen)

    with screen(t("Audit trail")):
        with heading(t("Audit trail")):
            verification = _Verification(viewer, services)
            button(t("Verify"), as_handler(viewer, verification.ask), icon="verified_user")
        verification.place()
        with sheet():
            await SearchedList[AuditEntry](
                viewer,
                _PATH,
                arguments.query_parameters,
                columns=[
                    Column("#", is_number=True),
                    Column(t("When")),
                    Column(t("Who")),
                    Column(t("Did what, to what")),
                    Column(t("Details")),
                ],
                fetch=fetch,
                draw_row=lambda entry: _draw_row(entry, t),
                search=t("Search the audit trail"),
                choices=[
                    Choice("action", t("Actions"), {value: t(words) for value, words in _KINDS.items()}),
                    Choice("days", t("Period"), {value: t(words) for value, words in _PERIODS.items()}),
                ],
                default_sort="",
                empty=f'<div class="empty">{escape(t("No entry is like that."))}</div>',
            ).show()


class _Verification:
    """Reads the whole trail, and compares it with a head that was kept elsewhere."""

    def __init__(self, viewer: Viewer, services: Services) -> None:
        self._viewer = viewer
        self._service = services.audit

    def place(self) -> None:
        self._result = ui.html("", sanitize=False).props('role="status"')

    async def ask(self) -> None:
        t = self._viewer.texts
        question = Question(self._viewer, t("Verify the audit trail"), action=t("Verify"))
        with question.fields():
            ui.label(
                t(
                    "Every entry's hash is computed anew. Only with an entry that you noted elsewhere is a trail found "
                    "out that was cut off, or written anew from its beginning."
                )
            ).classes("muted")
            number = ui.number(t("Number of an entry that you noted (optional)"), min=1, format="%d").props(
                "outlined dense"
            )
            hash_ = ui.input(t("Its hash (optional)")).props("outlined dense")

        async def verify() -> None:
            known = None
            if number.value and hash_.value:
                known = Head(int(number.value), str(hash_.value).strip().lower())
            self._result.set_content(f'<div class="notice">{escape(t("Reading the audit trail …"))}</div>')
            found = await self._viewer.ask(self._service.verify, known_head=known)
            if found.problem is not None:
                content = f"<b>{escape(t('The audit trail is not what it was.'))}</b> {escape(found.problem.message)}"
                self._result.set_content(f'<div class="notice bad">{content}</div>')
                return
            said = t("All {count} entries are what they were.", count=t.number(found.checked_count))
            head = ""
            if found.head is not None:
                kept = t("Note the last one elsewhere: entry {number}, hash", number=found.head.number)
                head = f'<div class="small">{escape(kept)} <span class="mono">{escape(found.head.hash)}</span></div>'
            self._result.set_content(f'<div class="notice"><b>{escape(said)}</b>{head}</div>')

        question.open(verify)


def _draw_row(entry: AuditEntry, t: Texts) -> str:
    how = ", ".join(each for each in (entry.actor_via, entry.actor_address) if each)
    details = describe_details(entry.details, t)
    return (
        f'<tr><td class="n muted">{entry.number}</td><td class="nowrap">{escape(t.moment(entry.at))}</td>'
        f'<td>{escape(entry.actor_name)}<div class="small muted">{escape(how)}</div></td>'
        f"<td>{escape(name_action(entry.action, t))}"
        f'<div class="target">{escape(entry.target.name)} '
        f'<span class="small muted">{escape(name_kind(entry.target.kind, t))}</span></div>'
        f'<div class="mono small muted unbroken">{escape(entry.action)}</div></td>'
        f'<td class="small details" title="{escape(details)}"><div>{escape(details)}</div></td></tr>'
    )
