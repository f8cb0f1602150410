"""The accounts: a list that is searched, and new ones."""

from collections.abc import Mapping
from html import escape

from nicegui import ui
from nicegui.page_arguments import PageArguments

from raven_scan.access.types import Claim, UserView, UserWithPassword
from raven_scan.kernel.paging import LARGEST_LIMIT, Page, PageRequest
from raven_scan.web.dialogs import Question, show_once
from raven_scan.web.frame import button, heading, screen, sheet
from raven_scan.web.lists import Choice, Column, SearchedList
from raven_scan.web.live import Liveness
from raven_scan.web.marks import link
from raven_scan.web.services import Services
from raven_scan.web.texts import NONE, Texts, later
from raven_scan.web.viewer import Viewer, as_handler

PATH = "/administration/users"
_STATES = {"": later("Enabled and disabled"), "enabled": later("Enabled"), "disabled": later("Disabled")}


async def show_users(viewer: Viewer, services: Services, _: Liveness, arguments: PageArguments) -> None:
    t = viewer.texts
    roles = await list_role_names(viewer, services)

    async def fetch(request: PageRequest, wanted: Mapping[str, str]) -> Page[UserView]:
        state = wanted["state"]
        return await viewer.ask(
            services.users.list_users,
            request,
            q=wanted["q"] or None,
            role=wanted["role"] or None,
            is_disabled=None if not state else state == "disabled",
        )

    async def ask_for_new() -> None:
        question = Question(viewer, t("New user"), action=t("Create user"))
        with question.fields():
            name = ui.input(t("Name")).props("outlined dense autofocus autocomplete=off")
            email = ui.input(t("E-mail")).props("outlined dense type=email autocomplete=off")
            chosen = RoleChoice(t, roles, ["Viewer"])

        async def create() -> None:
            made = await viewer.ask(
                services.users.create,
                name=str(name.value or "").strip(),
                email=str(email.value or "").strip() or None,
                roles=chosen.names,
            )
            await users.refresh()
            show_password(viewer, made)

        question.open(create)

    with screen(t("Users")):
        with heading(t("Users")):
            if viewer.may(Claim.USER_EDIT):
                button(t("New user"), as_handler(viewer, ask_for_new), kind="primary", icon="add")
        with sheet():
            users = SearchedList[UserView](
                viewer,
                PATH,
                arguments.query_parameters,
                columns=[
                    Column(t("Name"), "name"),
                    Column(t("E-mail")),
                    Column(t("Roles")),
                    Column(t("State")),
                    Column(t("Last sign-in")),
                    Column(t("Created"), "created_at"),
                ],
                fetch=fetch,
                draw_row=lambda user: _draw_row(user, t),
                search=t("Search users"),
                choices=[
                    Choice("role", t("Role"), {"": t("Any role"), **{name: name for name in roles}}),
                    Choice("state", t("State"), {value: t(words) for value, words in _STATES.items()}),
                ],
                default_sort="name",
                empty=f'<div class="empty">{escape(t("No user is like that."))}</div>',
            )
            await users.show()


async def list_role_names(viewer: Viewer, services: Services) -> list[str]:
    page = await viewer.ask(services.roles.list_roles, PageRequest(limit=LARGEST_LIMIT))
    return [role.name for role in page.items]


class RoleChoice:
    """Boxes to tick, one for each role."""

    def __init__(self, t: Texts, roles: list[str], chosen: list[str]) -> None:
        with ui.element("fieldset").classes("plain"):
            ui.html(f"<legend>{escape(t('Roles'))}</legend>", sanitize=False)
            self._boxes = {name: ui.checkbox(name, value=name in chosen).props("dense") for name in roles}

    @property
    def names(self) -> list[str]:
        return [name for name, box in self._boxes.items() if box.value]


def show_password(viewer: Viewer, made: UserWithPassword) -> None:
    """Once, after an account was made or its password was reset."""
    if made.one_time_password is None:
        return
    t = viewer.texts
    show_once(
        viewer,
        t("The one-time password of {name}", name=made.user.name),
        t("Hand it over now: it is shown this one time, and is changed at the first sign-in."),
        {t("One-time password"): made.one_time_password.get_secret_value()},
    )


def mark_user(user: UserView, t: Texts) -> str:
    if user.disabled_at is not None:
        return f'<span class="chip">{escape(t("Disabled"))}</span>'
    if user.must_change_password:
        return f'<span class="chip warn">{escape(t("Has a one-time password"))}</span>'
    return f'<span class="chip good">{escape(t("Enabled"))}</span>'


def _draw_row(user: UserView, t: Texts) -> str:
    seen = t.moment(user.last_sign_in_at) if user.last_sign_in_at else t("Never")
    return (
        f"<tr><td>{link(user.name, f'{PATH}/{user.id}')}</td><td>{escape(user.email or NONE)}</td>"
        f"<td>{escape(', '.join(user.roles) or NONE)}</td><td>{mark_user(user, t)}</td>"
        f'<td>{escape(seen)}</td><td class="muted">{escape(t.moment(user.created_at))}</td></tr>'
    )
