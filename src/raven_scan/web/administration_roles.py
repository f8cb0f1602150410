"""Roles, and which claims each gives: a matrix; own roles are made and changed here."""

from html import escape
from urllib.parse import urlencode

from nicegui import ui
from nicegui.page_arguments import PageArguments

from raven_scan.access.types import Claim, RoleView
from raven_scan.kernel.paging import LARGEST_LIMIT, PageRequest
from raven_scan.web.administration_users import PATH
from raven_scan.web.claim_words import CLAIM_GROUPS, ClaimChoice
from raven_scan.web.dialogs import Question
from raven_scan.web.frame import button, confirm, heading, screen, sheet
from raven_scan.web.live import Liveness
from raven_scan.web.marks import link
from raven_scan.web.rows import ShownTable, draw_row_button, draw_table, listen_to_rows
from raven_scan.web.services import Services
from raven_scan.web.texts import Texts
from raven_scan.web.viewer import Viewer, as_handler


async def show_roles(viewer: Viewer, services: Services, _: Liveness, __: PageArguments) -> None:
    t = viewer.texts
    with screen(t("Roles")):
        page = _RolesPage(viewer, services)
        with heading(t("Roles")):
            if viewer.may(Claim.ROLE_EDIT):
                button(t("New role"), as_handler(viewer, page.ask_for_new), kind="primary", icon="add")
        await page.show()


class _RolesPage:
    def __init__(self, viewer: Viewer, services: Services) -> None:
        self._viewer = viewer
        self._service = services.roles
        self._may_edit = viewer.may(Claim.ROLE_EDIT)
        self._roles: list[RoleView] = []

    async def show(self) -> None:
        t = self._viewer.texts
        with sheet(t("Roles")):
            self._list = ShownTable()
            listen_to_rows(self._list.element, self._viewer, {"edit": self._edit, "delete": self._delete})
        with sheet(t("What each role may do")):
            self._matrix = ShownTable()
        await self._refresh()

    async def _refresh(self) -> None:
        t = self._viewer.texts
        page = await self._viewer.ask(self._service.list_roles, PageRequest(limit=LARGEST_LIMIT))
        self._roles = sorted(page.items, key=lambda role: (not role.is_builtin, role.name.casefold()))
        self._list.show(self._draw_list())
        self._matrix.show(_draw_matrix(self._roles, t))

    def _find(self, role_id: str) -> RoleView | None:
        return next((role for role in self._roles if str(role.id) == role_id), None)

    def _draw_list(self) -> str:
        t = self._viewer.texts
        rows: list[str] = []
        for role in self._roles:
            users = t.number(role.user_count)
            if role.user_count:
                users = link(users, f"{PATH}?{urlencode({'role': role.name})}")
            buttons = ""
            if role.is_builtin:
                buttons = f'<span class="muted small">{escape(t("Built in"))}</span>'
            elif self._may_edit:
                label = t("Edit {name}", name=role.name)
                buttons = draw_row_button("edit", role.id, t("Edit"), label=label)
                label = t("Delete {name}", name=role.name)
                buttons += draw_row_button("delete", role.id, t("Delete"), label=label, danger=True)
            rows.append(
                f"<tr><td><b>{escape(role.name)}</b></td><td>{escape(role.description)}</td>"
                f'<td class="n">{users}</td><td class="n">{buttons}</td></tr>'
            )
        return draw_table(
            [t("Name"), t("Description"), f"#{t('Users')}", ""], rows, empty="", caption=t("Roles")
        )

    async def ask_for_new(self) -> None:
        await self._ask(None)

    async def _edit(self, role_id: str) -> None:
        role = self._find(role_id)
        if role is not None:
            await self._ask(role)

    async def _ask(self, role: RoleView | None) -> None:
        viewer, t = self._viewer, self._viewer.texts
        title = t("New role") if role is None else t("Edit {name}", name=role.name)
        question = Question(viewer, title, action=t("Save"))
        with question.fields():
            name = ui.input(t("Name"), value=role.name if role else "").props("outlined dense autofocus")
            description = ui.input(t("Description"), value=role.description if role else "").props(
                "outlined dense"
            )
            # Nobody gives what they have not.
            choice = ClaimChoice(t, viewer.actor.claims, role.claims if role else ())

        async def save() -> None:
            name_, words = str(name.value or "").strip(), str(description.value or "").strip()
            if role is None:
                await viewer.ask(self._service.create, name=name_, claims=choice.chosen, description=words)
            else:
                await viewer.ask(
                    self._service.edit,
                    str(role.id),
                    name=name_,
                    claims=choice.chosen,
                    description=words,
                    expected_revision=role.revision,
                )
            await self._refresh()

        question.open(save)

    async def _delete(self, role_id: str) -> None:
        role, t = self._find(role_id), self._viewer.texts
        if role is None:
            return
        explanation = t("Nobody has it.")
        if role.user_count:
            explanation = t(
                "It is taken from the users who have it: {count}. They may not do any more what it alone let them do.",
                count=t.number(role.user_count),
            )
        if await confirm(
            self._viewer,
            t("Delete the role {name}?", name=role.name),
            explanation=explanation,
            action=t("Delete"),
            danger=True,
        ):
            await self._viewer.ask(
                self._service.delete,
                role_id,
                even_if_in_use=role.user_count > 0,
                expected_revision=role.revision,
            )
            await self._refresh()


def _draw_matrix(roles: list[RoleView], t: Texts) -> str:
    heads = "".join(f'<th scope="col" class="given">{escape(role.name)}</th>' for role in roles)
    lines: list[str] = []
    yes, no = escape(t("Yes")), escape(t("No"))
    for name, group in CLAIM_GROUPS.items():
        lines.append(
            f'<tr class="group"><th scope="rowgroup" colspan="{len(roles) + 1}">{escape(t(name))}</th></tr>'
        )
        for claim, words in group.items():
            ticks = "".join(
                f'<td class="given"><span aria-hidden="true">{"✓" if claim in role.claims else "·"}</span>'
                f'<span class="visually-hidden">{yes if claim in role.claims else no}</span></td>'
                for role in roles
            )
            lines.append(
                f'<tr><th scope="row">{escape(t(words))}<div class="small muted mono">{claim}</div></th>{ticks}</tr>'
            )
    return (
        f'<table class="list matrix"><thead><tr><th scope="col">{escape(t("Claim"))}</th>{heads}</tr></thead>'
        f"<tbody>{''.join(lines)}</tbody></table>"
    )
