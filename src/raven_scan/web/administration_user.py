"""One account: its roles, its password, where it is signed in, its tokens."""

from collections.abc import Awaitable, Callable
from html import escape
from uuid import UUID

from nicegui import ui
from nicegui.page_arguments import PageArguments

from raven_scan.access.types import Claim, UserView
from raven_scan.access.users import UserChanges
from raven_scan.kernel.paging import PageRequest
from raven_scan.web.account import draw_sessions
from raven_scan.web.account_tokens import draw_tokens
from raven_scan.web.administration_users import PATH, RoleChoice, list_role_names, mark_user, show_password
from raven_scan.web.claim_words import draw_claims
from raven_scan.web.dialogs import Question
from raven_scan.web.frame import button, confirm, heading, screen, sheet
from raven_scan.web.live import Liveness
from raven_scan.web.marks import link, list_facts
from raven_scan.web.page_turning import PageTurning
from raven_scan.web.rows import ShownTable, listen_to_rows
from raven_scan.web.services import Services
from raven_scan.web.texts import NONE
from raven_scan.web.viewer import Viewer, as_handler

_TOKENS = 50


async def show_user(viewer: Viewer, services: Services, _: Liveness, arguments: PageArguments) -> None:
    user = await viewer.ask(services.users.get_user, arguments.path_parameters["ref"])
    with screen(user.name):
        await _UserPage(viewer, services, user).show()


class _UserPage:
    def __init__(self, viewer: Viewer, services: Services, user: UserView) -> None:
        self._viewer = viewer
        self._services = services
        self._user = user
        self._may_edit = viewer.may(Claim.USER_EDIT)

    async def show(self) -> None:
        t = self._viewer.texts
        ui.html(f'<div class="crumbs">{link(t("Users"), PATH)}</div>', sanitize=False)
        with heading(self._user.name):
            self._buttons = ui.element("div").classes("row-gap")
        with sheet(t("Account")):
            self._facts = ui.html("", sanitize=False)
        with sheet(t("May, by its roles")):
            self._claims = ui.html("", sanitize=False)
        with sheet(t("Signed in")):
            self._sessions = ShownTable()
            listen_to_rows(self._sessions.element, self._viewer, {"end": self._end_session})
        with sheet(t("API tokens")):
            self._tokens = ShownTable()
            listen_to_rows(self._tokens.element, self._viewer, {"revoke": self._revoke})
            self._pages = PageTurning(self._viewer, self._draw)
        await self._draw()

    async def _refresh(self) -> None:
        self._user = await self._viewer.ask(self._services.users.get_user, str(self._user.id))
        await self._draw()

    async def _draw(self) -> None:
        viewer, user, t = self._viewer, self._user, self._viewer.texts
        facts = [
            (t("State"), mark_user(user, t)),
            (t("E-mail"), escape(user.email or NONE)),
            (t("Roles"), escape(", ".join(user.roles) or NONE)),
            (t("Signs in with"), escape(self._describe_sign_in())),
            (t("Last sign-in"), escape(t.moment(user.last_sign_in_at))),
            (t("Created"), escape(f"{t.moment(user.created_at)}, {user.created_by}")),
        ]
        self._facts.set_content(list_facts(facts))
        self._claims.set_content(draw_claims(user.claims, t))
        sessions = await viewer.ask(self._services.sessions.list_sessions, str(user.id))
        self._sessions.show(draw_sessions(sessions, t, may_end=self._may_edit))
        request = PageRequest(limit=_TOKENS, cursor=self._pages.cursor)
        tokens = await viewer.ask(self._services.tokens.list_tokens, request, user=str(user.id))
        self._pages.show(tokens.next)
        self._tokens.show(draw_tokens(tokens.items, t, may_revoke=self._may_edit))
        self._draw_buttons()

    def _describe_sign_in(self) -> str:
        t, user = self._viewer.texts, self._user
        ways = [
            *([t("A password")] if user.has_password else []),
            *([t("OpenID Connect")] if user.oidc is not None else []),
        ]
        return ", ".join(ways) or t("Tokens alone")

    def _draw_buttons(self) -> None:
        self._buttons.clear()
        if not self._may_edit:
            return
        t, user = self._viewer.texts, self._user
        is_own = user.id == self._viewer.actor.id
        acts: list[tuple[str, str, Callable[[], Awaitable[object]]]] = [(t("Edit"), "quiet", self._edit)]
        if not is_own:
            acts.append((t("Reset password"), "quiet", self._reset_password))
            if user.disabled_at is not None:
                acts.append((t("Enable"), "primary", self._enable))
            else:
                acts.append((t("Disable"), "danger", self._disable))
            acts.append((t("Delete"), "danger", self._delete))
        with self._buttons:
            for text, kind, act in acts:
                button(text, as_handler(self._viewer, act), kind=kind)

    async def _edit(self) -> None:
        viewer, user, t = self._viewer, self._user, self._viewer.texts
        roles = await list_role_names(viewer, self._services)
        question = Question(viewer, t("Edit {name}", name=user.name), action=t("Save"))
        with question.fields():
            name = ui.input(t("Name"), value=user.name).props("outlined dense autocomplete=off")
            email = ui.input(t("E-mail"), value=user.email or "").props("outlined dense type=email")
            chosen = RoleChoice(t, roles, list(user.roles))

        async def save() -> None:
            changes = UserChanges(
                name=str(name.value or "").strip(), email=str(email.value or "").strip(), roles=chosen.names
            )
            self._user = await viewer.ask(
                self._services.users.edit, str(user.id), changes, expected_revision=user.revision
            )
            await self._draw()

        question.open(save)

    async def _reset_password(self) -> None:
        t = self._viewer.texts
        if await confirm(
            self._viewer,
            t("Reset the password of {name}?", name=self._user.name),
            explanation=t(
                "The account gets a one-time password, and is signed out everywhere. Its tokens stay."
            ),
            action=t("Reset password"),
            danger=True,
        ):
            made = await self._viewer.ask(self._services.users.reset_password, str(self._user.id))
            await self._refresh()
            show_password(self._viewer, made)

    async def _disable(self) -> None:
        t = self._viewer.texts
        if await confirm(
            self._viewer,
            t("Disable {name}?", name=self._user.name),
            explanation=t(
                "Sessions and tokens end at once, and stay ended when the account is enabled again. "
                "What it has made stays."
            ),
            action=t("Disable"),
            danger=True,
        ):
            await self._viewer.ask(self._services.users.disable, str(self._user.id))
            await self._refresh()

    async def _enable(self) -> None:
        await self._viewer.ask(self._services.users.enable, str(self._user.id))
        await self._refresh()

    async def _delete(self) -> None:
        t = self._viewer.texts
        if await confirm(
            self._viewer,
            t("Delete {name} for good?", name=self._user.name),
            explanation=t(
                "The account goes with its sessions and tokens, and cannot be restored. What it has made stays, "
                "under its name."
            ),
            action=t("Delete for good"),
            danger=True,
        ):
            await self._viewer.ask(self._services.users.delete, str(self._user.id))
            ui.navigate.to(PATH)

    async def _end_session(self, session_id: str) -> None:
        await self._viewer.ask(self._services.sessions.end_session, UUID(session_id))
        await self._refresh()

    async def _revoke(self, token_id: str) -> None:
        t = self._viewer.texts
        if await confirm(
            self._viewer,
            t("Revoke this token?"),
            explanation=t("What uses it is refused at once, and for good."),
            action=t("Revoke"),
            danger=True,
        ):
            await self._viewer.ask(self._services.tokens.revoke, UUID(token_id))
            await self._refresh()
