"""One's own account: who one is, what one may do, the password, and where one is signed in."""

from html import escape
from uuid import UUID

from nicegui import ui
from nicegui.page_arguments import PageArguments

from raven_scan.access.passwords import SHORTEST_PASSWORD
from raven_scan.access.types import SessionView
from raven_scan.web.account_places import show_account_places
from raven_scan.web.claim_words import draw_claims
from raven_scan.web.frame import button, confirm, heading, screen, sheet
from raven_scan.web.live import Liveness
from raven_scan.web.marks import list_facts
from raven_scan.web.rows import ShownTable, draw_row_button, draw_table, listen_to_rows
from raven_scan.web.services import Services
from raven_scan.web.texts import NONE, Texts
from raven_scan.web.user_agents import name_browser
from raven_scan.web.viewer import Viewer, as_handler


async def show_account(viewer: Viewer, services: Services, _: Liveness, __: PageArguments) -> None:
    t = viewer.texts
    user = await viewer.ask(services.users.get_user, str(viewer.actor.id))
    with screen(t("Your account")):
        with heading(t("Your account")):
            pass
        show_account_places(viewer, "/account")
        with ui.element("div").classes("grid"):
            with sheet(t("Who you are")):
                facts = [
                    (t("Name"), escape(user.name)),
                    (t("E-mail"), escape(user.email or NONE)),
                    (t("Roles"), escape(", ".join(user.roles) or NONE)),
                    (t("Signs in with"), escape(_describe_sign_in(t, has_password=user.has_password))),
                    (t("Member since"), escape(t.moment(user.created_at))),
                    (t("Language and times"), escape(f"{t.language_name}, {t.timezone}")),
                ]
                ui.html(list_facts(facts), sanitize=False)
                ui.label(
                    t(
                        "Language and time zone are your browser's. Name, e-mail and roles an administrator changes."
                    )
                ).classes("muted small")
            if user.has_password:
                with sheet(t("Password")):
                    ui.html(_draw_password_form(t, user.name), sanitize=False)
        with sheet(t("What you may do")):
            ui.html(draw_claims(viewer.actor.claims, t), sanitize=False)
        with sheet(t("Where you are signed in")):
            await _Sessions(viewer, services).show()


def _describe_sign_in(t: Texts, *, has_password: bool) -> str:
    return t("A password") if has_password else t("Your organisation's sign-in")


def _draw_password_form(t: Texts, name: str) -> str:
    """The browser sends it to the API by itself: no password passes through the screen's connection."""

    def draw(field: str, label: str, complete: str) -> str:
        return (
            f'<label for="own-{field}">{escape(label)}</label>'
            f'<input id="own-{field}" name="{field}" type="password" autocomplete="{complete}" required>'
        )

    about = t("At least {count} characters; several words are easy to keep in mind.", count=SHORTEST_PASSWORD)
    return (
        '<form class="plain-form" onsubmit="ravenChangePassword(event)"'
        f' data-differ="{escape(t("The two new passwords differ."))}"'
        f' data-done="{escape(t("Your password is changed; you are signed out elsewhere."))}">'
        f'<input type="text" name="name" value="{escape(name)}" autocomplete="username" hidden>'
        + draw("current", t("Current password"), "current-password")
        + draw("new", t("New password"), "new-password")
        + f'<div class="muted small">{escape(about)}</div>'
        + draw("again", t("New password again"), "new-password")
        + f'<div><button class="plain-button">{escape(t("Change password"))}</button></div>'
        '<div class="said" role="status"></div></form>'
    )


class _Sessions:
    def __init__(self, viewer: Viewer, services: Services) -> None:
        self._viewer = viewer
        self._services = services

    async def show(self) -> None:
        self._table = ShownTable()
        listen_to_rows(self._table.element, self._viewer, {"end": self._end})
        with ui.element("div"):
            self._others = button(
                self._viewer.texts("Sign out everywhere else"), as_handler(self._viewer, self._end_others)
            )
        await self._refresh()

    async def _refresh(self) -> None:
        sessions = await self._viewer.ask(self._services.sessions.list_sessions)
        self._table.show(draw_sessions(sessions, self._viewer.texts, may_end=True))
        self._others.set_visibility(len(sessions) > 1)

    async def _end(self, session_id: str) -> None:
        await self._viewer.ask(self._services.sessions.end_session, UUID(session_id))
        await self._refresh()

    async def _end_others(self) -> None:
        t = self._viewer.texts
        if await confirm(
            self._viewer,
            t("Sign out everywhere else?"),
            explanation=t(
                "All other browsers in which you are signed in have to sign in again. Tokens stay."
            ),
            action=t("Sign out elsewhere"),
        ):
            await self._viewer.ask(self._services.sessions.end_other_sessions)
            await self._refresh()


def draw_sessions(sessions: list[SessionView], t: Texts, *, may_end: bool) -> str:
    rows: list[str] = []
    for each in sessions:
        browser = name_browser(each.user_agent, t)
        if each.is_current:
            end = f'<span class="chip good">{escape(t("This browser"))}</span>'
        elif may_end:
            end = draw_row_button("end", each.id, t("Sign out"), label=t("Sign out {name}", name=browser))
        else:
            end = ""
        rows.append(
            f"<tr><td>{escape(browser)}</td><td>{escape(each.address or NONE)}</td>"
            f"<td>{escape(t.moment(each.created_at))}</td><td>{escape(t.moment(each.last_seen_at))}</td>"
            f'<td>{escape(t.moment(each.expires_at))}</td><td class="n">{end}</td></tr>'
        )
    titles = [t("Browser"), t("Address"), t("Signed in"), t("Last used"), t("Ends"), ""]
    return draw_table(titles, rows, empty=t("Signed in nowhere."), caption=t("Sessions"))
