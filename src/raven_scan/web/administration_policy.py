"""The publishing policy: what models have to meet before they are published."""

from html import escape
from typing import Any

from nicegui import ui
from nicegui.page_arguments import PageArguments

from raven_scan.access.types import Claim
from raven_scan.kernel.paging import PageRequest
from raven_scan.publishing.policy import CLASS_RECALL, REQUIREMENTS
from raven_scan.publishing.types import PolicyChange, PolicyView, RequirementValue
from raven_scan.web.dialogs import Question
from raven_scan.web.frame import button, confirm, heading, screen, sheet
from raven_scan.web.live import Liveness
from raven_scan.web.rows import ShownTable, draw_row_button, draw_table, listen_to_rows
from raven_scan.web.services import Services
from raven_scan.web.texts import NONE, Texts, later
from raven_scan.web.viewer import Viewer, as_handler

_CHANGES = 20
_WORDS = {
    "require_success": later("The run that trained it ended in Success"),
    "require_evaluation": later("It was evaluated here"),
    "min_test_images": later("Images in the test part, at least"),
    "min_test_boxes": later("Boxes in the test part, at least"),
    "require_unseen_test": later("Neither it nor its base models learned from images of the test part"),
    "min_map50": later("mAP50 on the test part, at least"),
    "min_recall": later("Recall on the test part, at least"),
    "max_regression": later("mAP50 that it may lose to the version in use, at most"),
    "require_other_reviewer": later("Its author does not publish it"),
}


async def show_policy(viewer: Viewer, services: Services, _: Liveness, __: PageArguments) -> None:
    t = viewer.texts
    with screen(t("Publishing policy")):
        page = _PolicyPage(viewer, services)
        with heading(t("Publishing policy")):
            if viewer.may(Claim.POLICY_EDIT):
                button(t("Ask for a class's recall"), as_handler(viewer, page.ask_for_class), icon="add")
        await page.show()


class _PolicyPage:
    def __init__(self, viewer: Viewer, services: Services) -> None:
        self._viewer = viewer
        self._service = services.policy
        self._may_edit = viewer.may(Claim.POLICY_EDIT)

    async def show(self) -> None:
        t = self._viewer.texts
        with sheet(t("What a model has to meet")):
            ui.label(
                t("Models that are published already stay so; their requirements are kept with each version.")
            ).classes("muted")
            self._requirements = ShownTable()
            acts = {"edit": self._edit, "turn": self._turn, "unset": self._unset}
            listen_to_rows(self._requirements.element, self._viewer, acts)
        with sheet(t("Changes")):
            self._changes = ShownTable()
        await self._refresh()

    async def _refresh(self) -> None:
        viewer, t = self._viewer, self._viewer.texts
        self._policy: PolicyView = await viewer.ask(self._service.get_policy)
        self._requirements.show(self._draw())
        changes = await viewer.ask(self._service.list_changes, PageRequest(limit=_CHANGES))
        self._changes.show(_draw_changes(changes.items, t))

    async def _change(self, changes: dict[str, Any], *unset: str) -> None:
        await self._viewer.ask(self._service.change, changes, unset=unset, expected=self._policy.version)
        await self._refresh()

    def _draw(self) -> str:
        t = self._viewer.texts
        rows: list[str] = []
        for key, value in self._policy.requirements.items():
            default = self._policy.defaults.get(key)
            is_usual = key in self._policy.defaults and value == default
            buttons = ""
            if self._may_edit:
                words = name_requirement(key, t)
                if _is_switch(key):
                    act = t("Do not require") if value else t("Require")
                    buttons = draw_row_button("turn", key, act, label=f"{act}: {words}")
                else:
                    buttons = draw_row_button("edit", key, t("Change"), label=t("Change: {name}", name=words))
                if not is_usual:
                    act = t("As it comes") if key in self._policy.defaults else t("Remove")
                    buttons += draw_row_button("unset", key, act, label=f"{act}: {words}")
            chip = "" if is_usual else f' <span class="chip busy">{escape(t("Changed"))}</span>'
            usual = show_value(default, t, key) if key in self._policy.defaults else NONE
            rows.append(
                f'<tr><td>{escape(name_requirement(key, t))}<div class="small muted mono">{escape(key)}</div></td>'
                f"<td><b>{escape(show_value(value, t, key))}</b>{chip}</td>"
                f'<td class="muted">{escape(usual)}</td><td class="n">{buttons}</td></tr>'
            )
        titles = [t("Requirement"), t("Asked for"), t("As it comes"), ""]
        return draw_table(titles, rows, empty="", caption=t("Publishing policy"))

    async def _turn(self, key: str) -> None:
        value = self._policy.requirements.get(key)
        t = self._viewer.texts
        if value and not await confirm(
            self._viewer,
            t("Not require this any more?"),
            explanation=t(
                "{name}: models are published from now on whether it is so or not.",
                name=name_requirement(key, t),
            ),
            action=t("Do not require"),
            danger=True,
        ):
            return
        await self._change({key: not value})

    async def _edit(self, key: str) -> None:
        t = self._viewer.texts
        value = self._policy.requirements.get(key)
        is_count = key in REQUIREMENTS and REQUIREMENTS[key].kind is int
        question = Question(self._viewer, name_requirement(key, t), action=t("Save"))
        with question.fields():
            asked = ui.checkbox(t("Asked for"), value=value is not None)
            label = t("Number, from 1") if is_count else t("Percent, from 0 to 100")
            shown = None if value is None else (value if is_count else round(100 * float(value), 3))
            field = ui.number(
                label, value=shown, min=1 if is_count else 0, max=None if is_count else 100
            ).props("outlined dense")
            field.bind_enabled_from(asked, "value")

        async def save() -> None:
            told = field.value
            new: RequirementValue = None
            if asked.value:
                new = None if told is None else (round(told) if is_count else round(told / 100, 6))
            await self._change({key: new})

        question.open(save)

    async def _unset(self, key: str) -> None:
        await self._change({}, key)

    async def ask_for_class(self) -> None:
        t = self._viewer.texts
        question = Question(self._viewer, t("Recall of a class"), action=t("Save"))
        with question.fields():
            name = ui.input(t("Class")).props("outlined dense autofocus")
            field = ui.number(t("Percent, from 0 to 100"), value=50, min=0, max=100).props("outlined dense")

        async def save() -> None:
            await self._change({f"{CLASS_RECALL}{str(name.value or '').strip()}": (field.value or 0) / 100})

        question.open(save)


def name_requirement(key: str, t: Texts) -> str:
    if key.startswith(CLASS_RECALL):
        return t("Recall of {name}, at least", name=key.removeprefix(CLASS_RECALL))
    return t(_WORDS.get(key, key))


def _is_switch(key: str) -> bool:
    return key in REQUIREMENTS and REQUIREMENTS[key].kind is bool


def show_value(value: RequirementValue, t: Texts, key: str) -> str:
    if isinstance(value, bool):
        return t("Required") if value else t("Not required")
    if value is None:
        return t("Not asked for")
    is_count = key in REQUIREMENTS and REQUIREMENTS[key].kind is int
    return t.number(value) if is_count else t.percent(float(value), 1)


def _draw_changes(changes: list[PolicyChange], t: Texts) -> str:
    rows: list[str] = []
    for each in changes:
        said = "<br>".join(
            escape(f"{name_requirement(key, t)}: {show_value(before, t, key)} → {show_value(after, t, key)}")
            for key, (before, after) in each.changes.items()
        )
        rows.append(
            f'<tr><td class="n">{each.version}</td><td>{escape(t.moment(each.changed_at))}</td>'
            f"<td>{escape(each.changed_by)}</td><td>{said}</td></tr>"
        )
    titles = [f"#{t('Version')}", t("When"), t("Who"), t("What")]
    return draw_table(titles, rows, empty=t("Nobody has changed it yet."), caption=t("Changes of the policy"))
