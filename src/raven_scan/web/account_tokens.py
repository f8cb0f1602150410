"""One's API tokens: made with claims and an end, shown once, revoked."""

from datetime import timedelta
from html import escape
from uuid import UUID

from nicegui import ui
from nicegui.page_arguments import PageArguments

from raven_scan.access.types import GRANTABLE_CLAIMS, TokenView
from raven_scan.kernel.paging import PageRequest
from raven_scan.web.account_places import show_account_places
from raven_scan.web.claim_words import ClaimChoice, name_claim
from raven_scan.web.dialogs import Question, show_once
from raven_scan.web.frame import button, confirm, heading, screen, sheet
from raven_scan.web.live import Liveness
from raven_scan.web.page_turning import PageTurning
from raven_scan.web.rows import ShownTable, draw_row_button, draw_table, listen_to_rows
from raven_scan.web.services import Services
from raven_scan.web.texts import NONE, Texts, later
from raven_scan.web.viewer import Viewer, as_handler

_ROWS = 50
_VALIDITIES = {
    30: later("30 days"),
    90: later("90 days"),
    365: later("One year"),
    0: later("As long as it is not revoked"),
}
_USUAL_DAYS = 90
_CLAIMS_NAMED = 2


async def show_account_tokens(viewer: Viewer, services: Services, _: Liveness, __: PageArguments) -> None:
    t = viewer.texts
    with screen(t("API tokens")):
        tokens = _Tokens(viewer, services)
        with heading(t("Your account")):
            button(t("New token"), as_handler(viewer, tokens.ask_for_new), kind="primary", icon="add")
        show_account_places(viewer, "/account/tokens")
        with sheet(t("API tokens")):
            ui.label(
                t(
                    "With a token, a program or the command line acts in your name. Give it no more than it needs."
                )
            ).classes("muted")
            await tokens.show()


class _Tokens:
    def __init__(self, viewer: Viewer, services: Services) -> None:
        self._viewer = viewer
        self._services = services
        self._with_ended = False
        self._tokens: list[TokenView] = []

    async def show(self) -> None:
        self._table = ShownTable()
        listen_to_rows(self._table.element, self._viewer, {"revoke": self._revoke})

        async def choose(event: object) -> None:
            self._with_ended = bool(getattr(event, "value", False))
            self._pages.begin_anew()
            async with self._viewer.telling_errors():
                await self.refresh()

        self._pages = PageTurning(self._viewer, self.refresh)
        ui.checkbox(self._viewer.texts("Show those that have ended"), on_change=choose).props("dense")
        await self.refresh()

    async def refresh(self) -> None:
        page = await self._viewer.ask(
            self._services.tokens.list_tokens,
            PageRequest(limit=_ROWS, cursor=self._pages.cursor),
            user=str(self._viewer.actor.id),
            with_ended=self._with_ended,
        )
        self._tokens = page.items
        self._pages.show(page.next)
        self._table.show(draw_tokens(page.items, self._viewer.texts, may_revoke=True))

    async def _revoke(self, token_id: str) -> None:
        t = self._viewer.texts
        name = next((each.name for each in self._tokens if str(each.id) == token_id), "")
        if await confirm(
            self._viewer,
            t("Revoke the token {name}?", name=name),
            explanation=t("What uses it is refused at once, and for good."),
            action=t("Revoke"),
            danger=True,
        ):
            await self._viewer.ask(self._services.tokens.revoke, UUID(token_id))
            await self.refresh()

    async def ask_for_new(self) -> None:
        t = self._viewer.texts
        question = Question(self._viewer, t("New token"), action=t("Create token"))
        with question.fields():
            name = ui.input(t("Name"), placeholder=t("What it is for, such as nightly import")).props(
                "outlined dense autofocus"
            )
            days = ui.select(
                {each: t(words) for each, words in _VALIDITIES.items()},
                value=_USUAL_DAYS,
                label=t("Valid for"),
            ).props("outlined dense options-dense")
            scope = ui.radio(
                {"all": t("All that you may do"), "some": t("Only what is ticked")}, value="some"
            ).props("dense inline")
            offered = self._viewer.actor.claims & GRANTABLE_CLAIMS
            choice = ClaimChoice(t, offered)
            choice.element.bind_visibility_from(scope, "value", value="some")

        async def create() -> None:
            validity = int(days.value or 0)
            made = await self._viewer.ask(
                self._services.tokens.create,
                name=str(name.value or "").strip(),
                claims=None if scope.value == "all" else choice.chosen,
                expires_in=timedelta(days=validity) if validity else None,
            )
            await self.refresh()
            show_once(
                self._viewer,
                t("The token {name}", name=made.token.name),
                t("Copy it now: it is shown this one time, and nobody can read it again."),
                {t("Token"): made.secret.get_secret_value()},
            )

        question.open(create)


def draw_tokens(tokens: list[TokenView], t: Texts, *, may_revoke: bool) -> str:
    rows: list[str] = []
    for each in tokens:
        if each.revoked_at is not None:
            state = f'<span class="chip">{escape(t("Revoked"))}</span>'
        else:
            state = escape(t.moment(each.expires_at) if each.expires_at else t("Never"))
        revoke = ""
        if may_revoke and each.revoked_at is None:
            label = t("Revoke {name}", name=each.name)
            revoke = draw_row_button("revoke", each.id, t("Revoke"), label=label, danger=True)
        used = t.moment(each.last_used_at) if each.last_used_at else t("Never used")
        rows.append(
            f'<tr><td><b>{escape(each.name)}</b><div class="small muted mono">{escape(each.prefix)}…</div></td>'
            f"<td>{_draw_claims(each, t)}</td><td>{escape(t.moment(each.created_at))}</td>"
            f'<td>{escape(used)}</td><td>{state}</td><td class="n">{revoke}</td></tr>'
        )
    titles = [t("Name"), t("May"), t("Created"), t("Last used"), t("Ends"), ""]
    return draw_table(titles, rows, empty=t("There is no token."), caption=t("API tokens"))


def _draw_claims(token: TokenView, t: Texts) -> str:
    if token.claims is None:
        return escape(t("All that its user may"))
    named = [name_claim(claim, t) for claim in token.claims]
    if not named:
        return escape(NONE)
    shown = ", ".join(named[:_CLAIMS_NAMED])
    if len(named) > _CLAIMS_NAMED:
        shown = t("{some} and {count} more", some=shown, count=t.number(len(named) - _CLAIMS_NAMED))
    return f'<span title="{escape(", ".join(named))}">{escape(shown)}</span>'
