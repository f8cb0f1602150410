"""Create new training run: a form, and beside it what would become of it."""

import json
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from html import escape
from typing import Any
from urllib.parse import urlencode

from nicegui import ui
from nicegui.page_arguments import PageArguments
from pydantic import ValidationError

from raven_scan.access.types import Claim
from raven_scan.kernel.errors import Conflict, Invalid, NotFound
from raven_scan.kernel.findings import Severity
from raven_scan.kernel.ids import parse_id
from raven_scan.kernel.paging import PageRequest
from raven_scan.trained_models.types import ModelFilter
from raven_scan.training_runs.planning import RunPlan
from raven_scan.training_runs.types import DeviceKind, RunOptions, TrainingRunView
from raven_scan.web.frame import button, heading, screen
from raven_scan.web.live import Liveness
from raven_scan.web.marks import as_prop, link
from raven_scan.web.run_form import (
    describe_base_model,
    describe_problems,
    draw_parameters,
    draw_subject,
    fill_fields,
    rank_base_model,
    read_parameters,
)
from raven_scan.web.run_plan import draw_inputs, draw_plan, list_defaults
from raven_scan.web.services import Services
from raven_scan.web.viewer import Viewer

_CHOICES = PageRequest(limit=50)
_PRIORITY = 1000
_OF_NAME = frozenset({"training_run.bad_name", "training_run.name_taken"})
_SHOW_PROBLEM = "document.querySelector('[aria-invalid=true], .aside')?.scrollIntoView({block: 'center'})"


async def show_new_training_run(
    viewer: Viewer, services: Services, _: Liveness, arguments: PageArguments
) -> None:
    t = viewer.texts
    asked = dict(arguments.query_parameters)
    source = None
    if asked.get("clone"):
        source = await viewer.ask(services.training_runs.get_run, asked["clone"])
    title = t("Create new training run")
    with screen(title):
        ui.html(f'<div class="crumbs">{link(t("Training runs"), "/training-runs")}</div>', sanitize=False)
        with heading(title):
            pass
        viewer.actor.require(Claim.TRAINING_RUN_CREATE)
        asked |= await _name_asked(viewer, services, asked)
        await _NewRun(viewer, services, source, asked).build()


async def _name_asked(viewer: Viewer, services: Services, asked: Mapping[str, str]) -> dict[str, str]:
    """What an address names by id, as people name it; what is not there, or not for them, stays as it is."""
    named: dict[str, str] = {}
    with suppress(NotFound):
        if parse_id(asked.get("dataset", "")) is not None:
            version = await viewer.ask(services.datasets.get_version, asked["dataset"])
            named["dataset"] = version.full_name
    with suppress(NotFound):
        if parse_id(asked.get("base_model", "")) is not None:
            model = await viewer.ask(services.trained_models.get_model, asked["base_model"])
            named["base_model"] = model.name
    return named


class _NewRun:
    def __init__(
        self, viewer: Viewer, services: Services, source: TrainingRunView | None, asked: Mapping[str, str]
    ) -> None:
        self._viewer = viewer
        self._services = services
        self._source = source
        self._asked = asked
        # Who comes with a dataset or a model in mind gets that, and not what was half typed for another.
        self._kept = f"new-run?{urlencode(sorted(asked.items()))}" if asked else "new-run"
        self._preset = ""
        self._looks = 0
        self._refused_name: tuple[str, str] | None = None
        self._is_busy = False

    async def build(self) -> None:
        t, viewer = self._viewer.texts, self._viewer
        presets = await viewer.ask(self._services.presets.list_presets)
        self._presets = {each.name: each for each in presets}
        if self._source is not None:
            said = t("With the settings of {name}; change what you like.", name=self._source.name)
            ui.html(f'<div class="notice">{escape(said)}</div>', sanitize=False)
        with ui.element("div").classes("with-aside"):
            form = ui.element("div").classes("run-form").props(f'data-keep="{self._kept}"')
            form.on("input", self._take_change, js_handler=_TELL_FORM)
            given = self._fill()
            with form:
                ui.html(draw_subject(t, given, presets), sanitize=False)
                self._inputs = ui.html("", sanitize=False).props('aria-live="polite"')
                ui.html(draw_parameters(t, given), sanitize=False)
            with ui.element("aside").classes("aside").props(f"aria-label={as_prop(t('What it will be'))}"):
                self._plan = ui.html(draw_plan(None, {}, viewer), sanitize=False).classes("stack")
                self._plan.props('aria-live="polite"')
                with ui.element("div").classes("row-gap"):
                    if viewer.may(Claim.TRAINING_RUN_SCHEDULE):
                        self._add_button(t("Schedule training run"), "schedule", kind="primary")
                        self._add_button(t("Dry run"), "dry_run")
                    self._add_button(t("Save as draft"), "draft")
                ui.label(
                    t("A dry run makes a few steps, and measures time and memory of the whole run.")
                ).classes("muted small")
        self._lists = ui.html("", sanitize=False)
        await self._list_choices("", "")
        ui.run_javascript(
            "ravenWhenThere(() => document.querySelector('.run-form'), (form) => { ravenKeep(form); "
            "form.dispatchEvent(new Event('input', { bubbles: true })); })"
        )

    def _add_button(self, text: str, purpose: str, kind: str = "quiet") -> None:
        made = button(text, lambda: None, kind=kind)
        made.on(
            "click",
            self._submit,
            js_handler=f"() => emit({{purpose: '{purpose}', ...ravenReadForm()}})",
        )

    def _fill(self) -> dict[str, Any]:
        source = self._source
        if source is None:
            return {name: self._asked.get(name, "") for name in ("dataset", "base_model", "preset")}
        options = source.options
        return {
            **fill_fields(source.parameters),
            "dataset": source.dataset_version.name,
            "base_model": source.base_model.name,
            "priority": options.priority or "",
            "time_limit_h": "" if options.time_limit_s is None else f"{options.time_limit_s / 3600:g}",
            "device_kind": str(options.device_kind),
            "device_count": options.device_count if options.device_count > 1 else "",
            "retry_smaller_batch": options.retry_smaller_batch,
        }

    async def _take_change(self, event: object) -> None:
        async with self._viewer.telling_errors():
            await self._change(_read_event(event))

    async def _change(self, given: Mapping[str, Any]) -> None:
        preset = str(given.get("preset") or "")
        if preset != self._preset:
            self._preset = preset
            if preset in self._presets and given.get("changed") == "preset":
                fields = fill_fields(self._presets[preset].parameters)
                ui.run_javascript(f"ravenFillForm({json.dumps(fields)})")
                given = {**given, **fields}
        if given.get("changed") in {"dataset", "base_model"}:
            await self._list_choices(str(given.get("dataset") or ""), str(given.get("base_model") or ""))
        await self._look(given)

    async def _look(self, given: Mapping[str, Any]) -> RunPlan | None:
        """Shows what would become of it; None where it cannot be told."""
        viewer, t = self._viewer, self._viewer.texts
        problems: dict[str, str] = {}
        plan: RunPlan | None = None
        self._looks += 1
        look = self._looks
        try:
            parameters, options = read_parameters(given), self._read_options(given)
        except ValidationError as error:
            problems = describe_problems(error, t)
        except Invalid as error:
            problems = {str(error.parameters["field"]): error.message}
        else:
            try:
                plan = await self._ask_plan(given, parameters, options, problems)
            except NotFound as error:
                missing = "dataset" if error.code.startswith("dataset") else "base_model"
                problems[missing] = error.message
            except (Conflict, Invalid) as error:
                problems["preset"] = f"{error.message} {viewer.describe_hint(error)}"
        name = str(given.get("name") or "").strip()
        if self._refused_name is not None and self._refused_name[0] == name:
            problems["name"] = self._refused_name[1]
        if look == self._looks:  # else the form has changed meanwhile, and another look shows what it is now
            self._plan.set_content(draw_plan(plan, problems, viewer))
            self._inputs.set_content(draw_inputs(plan, viewer) if plan else "")
            defaults = list_defaults(plan, t) if plan else {}
            ui.run_javascript(f"ravenMarkForm({json.dumps(problems)}, {json.dumps(defaults)})")
        return None if problems else plan

    async def _ask_plan(
        self, given: Mapping[str, Any], parameters: Any, options: RunOptions, problems: dict[str, str]
    ) -> RunPlan | None:
        t = self._viewer.texts
        dataset, base_model = (str(given.get(name) or "").strip() for name in ("dataset", "base_model"))
        if not dataset or not base_model:
            return None
        preset = str(given.get("preset") or "") or None
        if preset is not None and preset not in self._presets:
            problems["preset"] = t("There is no such preset any more.")
            return None
        return await self._viewer.ask(
            self._services.run_planning.plan,
            dataset=dataset,
            base_model=base_model,
            parameters=parameters,
            options=options,
            preset=preset,
        )

    def _read_options(self, given: Mapping[str, Any]) -> RunOptions:
        t = self._viewer.texts
        priority = _read_number(given, "priority", -_PRIORITY, _PRIORITY, t("-1000 to 1000."))
        hours = _read_number(given, "time_limit_h", 1 / 60, 24 * 365, t("A minute at least, in hours."))
        devices = _read_number(given, "device_count", 1, 64, t("1 to 64."))
        start_at = None
        if text := str(given.get("start_at") or ""):
            try:
                start_at = datetime.fromisoformat(text).replace(tzinfo=t.timezone)
            except ValueError:
                raise _make_bad_option("start_at", t("A day and a time.")) from None
        return RunOptions(
            priority=int(priority or 0),
            start_at=start_at,
            time_limit_s=None if hours is None else round(hours * 3600),
            device_kind=DeviceKind(str(given.get("device_kind") or DeviceKind.AUTO)),
            device_count=int(devices or 1),
            retry_smaller_batch=given.get("retry_smaller_batch") in {True, "true"},
        )

    async def _submit(self, event: object) -> None:
        if self._is_busy:  # a second click: the first is at work
            return
        self._is_busy = True
        try:
            async with self._viewer.telling_errors():
                await self._create(_read_event(event))
        finally:
            self._is_busy = False

    async def _create(self, given: Mapping[str, Any]) -> None:
        t, services = self._viewer.texts, self._services
        purpose = str(given.get("purpose"))
        self._refused_name = None  # it may be free by now
        ui.run_javascript("ravenCloseRefusals()")
        plan = await self._look(given)
        errors = [each for each in plan.findings if each.severity is Severity.ERROR] if plan else []
        if plan is None or (errors and purpose != "draft"):
            first = errors[0].message if errors else t("Some fields are not filled in as they have to be.")
            self._viewer.notify(first, errors[0].hint if errors else "", kind="negative")
            ui.run_javascript(_SHOW_PROBLEM)
            return
        parameters, options = read_parameters(given), self._read_options(given)
        name = str(given.get("name") or "").strip()
        try:
            run = await self._viewer.ask(
                services.training_runs.create,
                name=name or plan.suggested_name,
                dataset=str(plan.dataset_version.id),
                base_model=str(plan.base_model.id),
                parameters=parameters,
                options=options,
                preset=str(given.get("preset") or "") or None,
                cloned_from=self._source.name if self._source else None,
            )
        except (Conflict, Invalid) as error:
            if error.code not in _OF_NAME:
                raise
            self._refused_name = name, f"{error.message} {self._viewer.describe_hint(error)}"
            await self._look(given)
            ui.run_javascript(_SHOW_PROBLEM)
            return
        ui.run_javascript(f"ravenForget({json.dumps(self._kept)})")
        try:
            if purpose != "draft":
                await self._viewer.ask(
                    services.training_runs.schedule, str(run.id), dry_run=purpose == "dry_run"
                )
        finally:
            # It is there as a Draft, whatever came of scheduling it.
            ui.navigate.to(f"/training-runs/{run.id}")

    async def _list_choices(self, dataset: str, base_model: str) -> None:
        """What the two fields suggest: what matches what is typed, the newest first."""
        t, datasets, models = self._viewer.texts, "", ""
        if self._viewer.may(Claim.DATASET_VIEW):
            words = dataset.partition("@")[0]
            found = await self._viewer.ask(self._services.datasets.list_datasets, _CHOICES, words or None)
            datasets = "".join(
                f'<option value="{escape(version.full_name)}">{escape(self._tell_images(version.parts))}</option>'
                for each in found.items
                for version in each.versions
            )
        if self._viewer.may(Claim.TRAINED_MODEL_VIEW):
            of_models = await self._viewer.ask(
                self._services.trained_models.list_models, _CHOICES, ModelFilter(words=base_model or None)
            )
            models = "".join(
                f'<option value="{escape(each.name)}">{escape(describe_base_model(each, t))}</option>'
                for each in sorted(of_models.items, key=rank_base_model)
            )
        self._lists.set_content(
            f'<datalist id="datasets">{datasets}</datalist><datalist id="base-models">{models}</datalist>'
        )

    def _tell_images(self, parts: Mapping[str, Any]) -> str:
        t = self._viewer.texts
        return t("{count} images", count=t.number(sum(part.image_count for part in parts.values())))


_TELL_FORM = "(event) => ravenTellForm(event, emit)"


def _read_event(event: object) -> Mapping[str, Any]:
    told = getattr(event, "args", None)
    return told if isinstance(told, dict) else {}  # pyright: ignore[reportUnknownVariableType]


def _read_number(
    given: Mapping[str, Any], name: str, low: float, high: float, explanation: str
) -> float | None:
    text = str(given.get(name) or "").strip()
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        value = high + 1
    if not low <= value <= high:
        raise _make_bad_option(name, explanation)
    return value


def _make_bad_option(name: str, explanation: str) -> Invalid:
    return Invalid("training_run.bad_option", explanation, parameters={"field": name})
