"""What one is told of when runs end, and how."""

from html import escape
from uuid import UUID

from nicegui import ui
from nicegui.page_arguments import PageArguments
from pydantic import SecretStr

from raven_scan.kernel.paging import PageRequest
from raven_scan.notifications.subscriptions import Wish
from raven_scan.notifications.types import Channel, SubscribedEnds, SubscribedRuns, SubscriptionView
from raven_scan.web.account_places import show_account_places
from raven_scan.web.dialogs import Question, show_once
from raven_scan.web.frame import button, confirm, heading, screen, sheet
from raven_scan.web.live import Liveness
from raven_scan.web.marks import link
from raven_scan.web.page_turning import PageTurning
from raven_scan.web.rows import ShownTable, draw_row_button, draw_table, listen_to_rows
from raven_scan.web.services import Services
from raven_scan.web.texts import Texts, later
from raven_scan.web.viewer import Viewer, as_handler

_ROWS = 50
_RUNS = {
    SubscribedRuns.MINE: later("Runs that I create"),
    SubscribedRuns.ALL: later("All runs"),
    SubscribedRuns.ONE: later("One run"),
}
_ENDS = {
    SubscribedEnds.BOTH: later("Success and Error"),
    SubscribedEnds.SUCCESS: later("Success only"),
    SubscribedEnds.ERROR: later("Error only"),
}
_WAYS = {
    "own": later("E-mail to my address"),
    "email": later("E-mail to another address"),
    "webhook": later("Webhook (a signed POST)"),
}


async def show_account_subscriptions(
    viewer: Viewer, services: Services, _: Liveness, __: PageArguments
) -> None:
    t = viewer.texts
    with screen(t("Subscriptions")):
        subscriptions = _Subscriptions(viewer, services)
        with heading(t("Your account")):
            button(
                t("New subscription"),
                as_handler(viewer, subscriptions.ask_for_new),
                kind="primary",
                icon="add",
            )
        show_account_places(viewer, "/account/subscriptions")
        with sheet(t("Subscriptions")):
            ui.label(t("You are told when training runs end, while no browser is open.")).classes("muted")
            await subscriptions.show()


class _Subscriptions:
    def __init__(self, viewer: Viewer, services: Services) -> None:
        self._viewer = viewer
        self._service = services.subscriptions

    async def show(self) -> None:
        self._table = ShownTable()
        listen_to_rows(
            self._table.element,
            self._viewer,
            {"rest": self._rest, "wake": self._wake, "test": self._test, "remove": self._remove},
        )
        self._pages = PageTurning(self._viewer, self._refresh)
        await self._refresh()

    async def _refresh(self) -> None:
        request = PageRequest(limit=_ROWS, cursor=self._pages.cursor)
        page = await self._viewer.ask(self._service.list_subscriptions, request)
        self._pages.show(page.next)
        self._table.show(_draw(page.items, self._viewer.texts))

    async def _rest(self, id_: str) -> None:
        await self._viewer.ask(self._service.edit, UUID(id_), is_active=False)
        await self._refresh()

    async def _wake(self, id_: str) -> None:
        await self._viewer.ask(self._service.edit, UUID(id_), is_active=True)
        await self._refresh()

    async def _test(self, id_: str) -> None:
        t = self._viewer.texts
        self._viewer.notify(t("A test message is being sent."), kind="info")
        result = await self._viewer.ask(self._service.send_test, UUID(id_))
        if result.is_sent:
            self._viewer.notify(t("The test message was sent to {recipient}.", recipient=result.recipient))
        else:
            self._viewer.notify(t("The test message was not sent."), result.reason, kind="negative")

    async def _remove(self, id_: str) -> None:
        t = self._viewer.texts
        if await confirm(
            self._viewer,
            t("End this subscription?"),
            explanation=t("Nothing more is sent by it, not even what waits already."),
            action=t("End subscription"),
            danger=True,
        ):
            await self._viewer.ask(self._service.unsubscribe, UUID(id_))
            await self._refresh()

    async def ask_for_new(self) -> None:
        t = self._viewer.texts
        question = Question(self._viewer, t("New subscription"), action=t("Subscribe"))
        with question.fields():
            runs = ui.select(
                {each: t(words) for each, words in _RUNS.items()},
                value=SubscribedRuns.MINE,
                label=t("Of which runs"),
            ).props("outlined dense options-dense")
            run = ui.input(t("Name of the run")).props("outlined dense")
            run.bind_visibility_from(runs, "value", value=SubscribedRuns.ONE)
            ends = ui.select(
                {each: t(words) for each, words in _ENDS.items()},
                value=SubscribedEnds.BOTH,
                label=t("Which ends"),
            ).props("outlined dense options-dense")
            way = ui.select(
                {each: t(words) for each, words in _WAYS.items()}, value="own", label=t("How")
            ).props("outlined dense options-dense")
            email = ui.input(t("E-mail address")).props("outlined dense type=email")
            email.bind_visibility_from(way, "value", value="email")
            address = ui.input(t("Webhook's address"), placeholder="https://").props(
                "outlined dense type=url"
            )
            address.bind_visibility_from(way, "value", value="webhook")

        async def subscribe() -> None:
            is_one = runs.value == SubscribedRuns.ONE
            wish = Wish(
                runs=SubscribedRuns(runs.value),
                run=str(run.value or "").strip() if is_one else None,
                ends=SubscribedEnds(ends.value),
                email=str(email.value or "").strip() if way.value == "email" else None,
                webhook=SecretStr(str(address.value or "").strip()) if way.value == "webhook" else None,
            )
            made = await self._viewer.ask(self._service.subscribe, wish)
            await self._refresh()
            if made.secret is not None:
                show_once(
                    self._viewer,
                    t("The webhook's secret"),
                    t("The receiver checks signatures with it. It is shown this one time."),
                    {t("Secret"): made.secret.get_secret_value()},
                )

        question.open(subscribe)


def _draw(subscriptions: list[SubscriptionView], t: Texts) -> str:
    rows: list[str] = []
    for each in subscriptions:
        runs = escape(t(_RUNS[each.runs]))
        if each.run is not None:
            runs = link(each.run.name, f"/training-runs/{each.run.id}")
        way = t("E-mail") if each.channel is Channel.EMAIL else t("Webhook")
        recipient = t("your address") if each.is_own_email else each.recipient
        state = (
            f'<span class="chip good">{escape(t("Active"))}</span>'
            if each.is_active
            else f'<span class="chip">{escape(t("At rest"))}</span>'
        )
        buttons = (
            draw_row_button("rest", each.id, t("Let rest"))
            if each.is_active
            else draw_row_button("wake", each.id, t("Wake up"))
        )
        buttons += draw_row_button("test", each.id, t("Test"))
        buttons += draw_row_button("remove", each.id, t("End"), danger=True)
        rows.append(
            f"<tr><td>{runs}</td><td>{escape(t(_ENDS[each.ends]))}</td>"
            f'<td>{escape(way)}<div class="small muted">{escape(recipient)}</div></td>'
            f'<td>{state}</td><td class="n">{buttons}</td></tr>'
        )
    titles = [t("Runs"), t("Ends"), t("How"), t("State"), ""]
    empty = t(
        "You are told of nothing yet. A subscription sends an e-mail, or calls a webhook, when a run ends."
    )
    return draw_table(titles, rows, empty=empty, caption=t("Subscriptions"))
