"""What can be done with a run: the buttons of its page, and what they ask first."""

from collections.abc import Awaitable, Callable
from functools import partial
from html import escape
from typing import Any

from nicegui import ui

from raven_scan.access.types import Claim
from raven_scan.kernel.notes import LONGEST_NOTES
from raven_scan.training_runs.failures import needs_other_settings
from raven_scan.training_runs.types import RunStatus, TrainingRunView
from raven_scan.web.dialogs import Question
from raven_scan.web.frame import button, confirm
from raven_scan.web.marks import as_prop
from raven_scan.web.services import Services
from raven_scan.web.viewer import Viewer, as_handler

_OF_STATUS = {
    RunStatus.DRAFT: ("schedule", "dry_run"),
    RunStatus.WAITING: ("pause", "cancel"),
    RunStatus.PROCESSING: ("pause", "cancel"),
    RunStatus.PAUSED: ("resume", "cancel"),
    RunStatus.ERROR: ("retry",),
    RunStatus.CANCELLED: ("retry",),
    RunStatus.SUCCESS: ("model",),
}
_CLAIMS = {
    "model": Claim.TRAINED_MODEL_VIEW,
    "schedule": Claim.TRAINING_RUN_SCHEDULE,
    "dry_run": Claim.TRAINING_RUN_SCHEDULE,
    "pause": Claim.TRAINING_RUN_CANCEL,
    "resume": Claim.TRAINING_RUN_SCHEDULE,
    "retry": Claim.TRAINING_RUN_SCHEDULE,
    "cancel": Claim.TRAINING_RUN_CANCEL,
    "clone": Claim.TRAINING_RUN_CREATE,
    "preset": Claim.TRAINING_RUN_CREATE,
    "edit": Claim.TRAINING_RUN_EDIT,
    "delete": Claim.TRAINING_RUN_DELETE,
}


def _list_first(run: TrainingRunView) -> tuple[str, ...]:
    """What fits the run's status; the first is what helps most."""
    if run.status is RunStatus.ERROR and run.error is not None and needs_other_settings(run.error):
        return ("clone", "retry")
    return _OF_STATUS[run.status]


class RunActions:
    """The buttons in a heading.

    Args:
        viewer: whose claims choose them.
        services: that do it.
        changed: is told the run as an action has left it.
    """

    def __init__(
        self, viewer: Viewer, services: Services, changed: Callable[[TrainingRunView], Awaitable[None]]
    ) -> None:
        self._viewer = viewer
        self._services = services
        self._changed = changed
        self._run: TrainingRunView | None = None
        self._names: tuple[str, ...] = ()
        self._part = ui.element("div").classes("row-gap")

    def show(self, run: TrainingRunView) -> None:
        """Those that fit the run's status, where the viewer may."""
        self._run = run
        names = tuple(
            name
            for name in dict.fromkeys((*_list_first(run), "clone", "edit", "preset", "delete"))
            if self._viewer.may(_CLAIMS[name])
            and not (name == "pause" and run.is_pausing)
            and not (name == "delete" and run.status is RunStatus.PROCESSING)
            and not (name == "model" and run.model is None)
        )
        if names == self._names:
            return
        self._names = names
        t = self._viewer.texts
        drawn: dict[str, tuple[str, str, Callable[[], Awaitable[None]]]] = {
            "model": (t("Look at its model"), "primary", self._look_at_model),
            "schedule": (t("Schedule training run"), "primary", self._schedule),
            "dry_run": (t("Dry run"), "quiet", self._dry_run),
            "pause": (t("Pause"), "quiet", partial(self._do, self._services.run_control.pause)),
            "resume": (t("Resume"), "primary", partial(self._do, self._services.run_control.resume)),
            "retry": (t("Retry"), "primary" if names[0] == "retry" else "quiet", self._retry),
            "cancel": (t("Cancel run"), "danger", self._cancel),
            "clone": (t("Clone"), "primary" if _list_first(run)[0] == "clone" else "quiet", self._clone),
            "edit": (t("Edit"), "quiet", self._edit),
            "preset": (t("Save as preset"), "quiet", self._save_preset),
            "delete": (t("Delete"), "danger", self._delete),
        }
        self._part.clear()
        with self._part:
            for name in names:
                text, kind, act = drawn[name]
                button(text, as_handler(self._viewer, act), kind=kind)

    @property
    def _shown(self) -> TrainingRunView:
        if self._run is None:
            raise RuntimeError("buttons are shown for a run")
        return self._run

    async def _do(self, use_case: Callable[..., Any], **named: Any) -> None:
        await self._viewer.ask(use_case, str(self._shown.id), **named)
        await self._look()

    async def _look(self) -> None:
        await self._changed(await self._viewer.ask(self._services.training_runs.get_run, str(self._shown.id)))

    async def _look_at_model(self) -> None:
        if self._shown.model is not None:
            ui.navigate.to(f"/trained-models/{self._shown.model.id}")

    async def _schedule(self) -> None:
        await self._do(self._services.training_runs.schedule)

    async def _dry_run(self) -> None:
        t = self._viewer.texts
        await self._do(self._services.training_runs.schedule, dry_run=True)
        self._viewer.notify(
            t("The dry run waits for a worker."),
            t("It makes a few steps, and tells what the whole run will cost."),
        )

    async def _cancel(self) -> None:
        t = self._viewer.texts
        if await confirm(
            self._viewer,
            t("Cancel this run?"),
            explanation=t(
                "It stops within seconds. What it has learned since its last checkpoint is lost; the checkpoint is "
                "kept, so that Retry goes on from there."
            ),
            action=t("Cancel run"),
            danger=True,
        ):
            await self._do(self._services.run_control.cancel)

    async def _retry(self) -> None:
        t = self._viewer.texts
        if not self._shown.checkpoints:
            await self._do(self._services.run_control.retry)
            return
        last = self._shown.checkpoints[-1]
        with ui.dialog() as dialog, ui.card():
            ui.html(f"<h2>{escape(t('Retry from where?'))}</h2>", sanitize=False)
            ui.label(
                t(
                    "Its last checkpoint is of step {step}. From the start, all its checkpoints and metrics are lost.",
                    step=t.number(last.step),
                )
            ).classes("muted")
            with ui.element("div").classes("row-gap").style("justify-content: flex-end; width: 100%"):
                button(t("Keep as it is"), lambda: dialog.submit(""))
                button(t("From the start"), lambda: dialog.submit("start"), kind="danger")
                button(t("From its last checkpoint"), lambda: dialog.submit("checkpoint"), kind="primary")
        try:
            chosen = await dialog
        finally:
            dialog.delete()
        if chosen:
            await self._do(self._services.run_control.retry, from_start=chosen == "start")

    async def _clone(self) -> None:
        ui.navigate.to(f"/training-runs/new?clone={self._shown.id}")

    async def _delete(self) -> None:
        t, run = self._viewer.texts, self._shown
        model = t("The model that it has made stays.") if run.model else t("It has made no model.")
        if await confirm(
            self._viewer,
            t("Delete this run?"),
            explanation=t(
                "It goes to the trash with its checkpoints, metrics and log, and can be restored from there. {model}",
                model=model,
            ),
            action=t("Delete"),
            danger=True,
        ):
            await self._viewer.ask(self._services.run_stewardship.delete, str(run.id))
            self._viewer.notify(t("{name} is in the trash.", name=run.name))
            ui.navigate.to("/training-runs")

    async def _save_preset(self) -> None:
        t, run = self._viewer.texts, self._shown
        question = Question(self._viewer, t("Save as preset"), action=t("Save"))
        with question.fields():
            ui.label(
                t(
                    "The parameters of this run can then be chosen for others on {name}.",
                    name=run.architecture,
                )
            ).classes("muted")
            name = ui.input(t("Name of the preset"), value=run.name).props("outlined autofocus")

        async def save() -> None:
            await self._viewer.ask(
                self._services.presets.save, name=str(name.value or "").strip(), run=str(run.id)
            )
            self._viewer.notify(t("The preset is saved."))

        question.open(save)

    async def _edit(self) -> None:
        t, run, services = self._viewer.texts, self._shown, self._services
        kept = f"run-{run.id}-{run.revision}"
        question = Question(self._viewer, t("Edit training run"), action=t("Save"))
        with question.fields(), ui.element("div").props(f'data-keep="{kept}"').classes("stack"):
            name = ui.input(t("Name"), value=run.name).props("outlined name=name")
            notes = ui.textarea(t("Notes"), value=run.notes).props(
                f"outlined autogrow name=notes maxlength={LONGEST_NOTES}"
            )
            priority = None
            if self._viewer.may(Claim.TRAINING_RUN_SCHEDULE):
                priority = ui.number(
                    t("Priority"), value=run.options.priority, min=-1000, max=1000, precision=0
                ).props(
                    f"outlined name=priority hint={as_prop(t('Of two that wait, the higher comes first.'))}"
                )

        async def save() -> None:
            await self._viewer.ask(
                services.run_stewardship.edit,
                str(run.id),
                name=str(name.value or "").strip(),
                notes=str(notes.value or ""),
                expected=run.revision,
            )
            wanted = None if priority is None or priority.value is None else int(priority.value)
            if wanted is not None and wanted != run.options.priority:
                await self._viewer.ask(services.run_control.set_priority, str(run.id), wanted)
            ui.run_javascript(f"ravenForget('{kept}')")
            await self._look()

        question.open(save)
        ui.run_javascript(
            f"ravenWhenThere(() => document.querySelector('[data-keep=\"{kept}\"] input'), "
            "(field) => ravenKeep(field.closest('[data-keep]')))"
        )
