"""The form of a new training run as HTML: the browser holds what is typed, and sends all of it at each change."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from pydantic import ValidationError

from raven_scan.architectures.catalogue import StartingWeights
from raven_scan.architectures.parameters import TrainingParameters
from raven_scan.trained_models.types import TrainedModelSummary
from raven_scan.training_runs.types import DeviceKind, RunOptions, TrainingPresetView
from raven_scan.web.marks import link
from raven_scan.web.run_words import (
    DEFAULT_REASONS,
    PARAMETER_NAMES,
    SIMPLE,
    describe_parameter,
    find_bounds,
    name_parameter,
)
from raven_scan.web.texts import Texts
from raven_scan.web.training_presets import PRESETS_PATH

Given = Mapping[str, Any]
"""What fields hold, by their names; a tick is a bool."""

_OPTION_DEFAULTS = RunOptions()


def draw_subject(t: Texts, given: Given, presets: Sequence[TrainingPresetView]) -> str:
    """What is trained. `given`: what fields hold at first."""
    chosen = "".join(
        f'<option value="{escape(each.name)}"{" selected" if given.get("preset") == each.name else ""}>'
        f"{escape(each.name)} ({escape(each.architecture)})</option>"
        for each in presets
    )
    about_presets = t("There is none yet: a run's page has Save as preset.")
    all_presets = ""
    if presets:
        about_presets = t("Parameters that were kept from a run. They can be changed below.")
        all_presets = f" {link(t('All presets'), PRESETS_PATH)}"
    what = _draw_inputs(
        given,
        (
            "name",
            t("Name"),
            'maxlength="100" autocomplete="off"',
            t("What the run, and the model that it makes, are called. Left empty, it is the suggested one."),
        ),
        (
            "dataset",
            t("Dataset version"),
            'list="datasets" autocomplete="off" required',
            t("Type to search. The newest version, where none is named."),
        ),
        (
            "base_model",
            t("Base model"),
            'list="base-models" autocomplete="off" required',
            t(
                "What it starts from: an architecture's own weights, or a model that was trained or imported. "
                "For a first run take rtmdet-lite0."
            ),
        ),
    ) + _draw_field(
        t("Preset"),
        '<select id="field-preset" name="preset" aria-describedby="hint-preset problem-preset">'
        f'<option value="">{escape(t("None"))}</option>{chosen}</select>',
        "preset",
        escape(about_presets) + all_presets,
    )
    return (
        f'<section class="sheet"><h2>{escape(t("What is trained"))}</h2>'
        f'<div class="form-fields">{what}</div></section>'
    )


def draw_parameters(t: Texts, given: Given) -> str:
    """How it is trained, the rarely changed folded up."""
    simple = "".join(_draw_parameter(t, name, given) for name in SIMPLE)
    expert = "".join(_draw_parameter(t, name, given) for name in PARAMETER_NAMES if name not in SIMPLE)
    said = t("What is left empty is decided for you, as each field shows.")
    return (
        f'<section class="sheet"><h2>{escape(t("Parameters"))}</h2><div class="muted small">{escape(said)}</div>'
        f'<div class="form-fields">{simple}</div>'
        f"<details><summary>{escape(t('Expert parameters'))}</summary>"
        f'<div class="form-fields">{expert}</div></details>'
        f"<details><summary>{escape(t('When and on what'))}</summary>"
        f'<div class="form-fields">{_draw_options(t, given)}</div></details></section>'
    )


def rank_base_model(model: TrainedModelSummary) -> tuple[bool, bool, int]:
    """Models with weights first, as they come; then architectures that have learned something, then small ones."""
    if model.weights_size_bytes is not None:
        return (False, False, 0)
    has_learned = model.starting_weights not in {None, StartingWeights.RANDOM}
    return (True, not has_learned, model.parameter_count or 0)


def describe_base_model(model: TrainedModelSummary, t: Texts) -> str:
    """What to choose by, in a line."""
    told = (
        []
        if model.parameter_count is None
        else [t("{count} parameters", count=t.short_number(model.parameter_count))]
    )
    figures = model.test or model.valid
    if figures is not None and figures.map50 is not None:
        told.insert(0, t("mAP50 {figure}", figure=t.figure(figures.map50)))
    if model.weights_size_bytes is not None:
        return " · ".join([model.architecture, *told])
    if model.starting_weights in {None, StartingWeights.RANDOM}:
        return " · ".join([t("has learned nothing yet"), *told])
    return " · ".join([t("good for a first run"), *told])


def read_parameters(given: Given) -> TrainingParameters:
    """Those that were given; others stay open. Raises ValidationError."""
    return TrainingParameters.model_validate(
        {name: value for name in PARAMETER_NAMES if (value := str(given.get(name) or "").strip())}
    )


def describe_problems(error: ValidationError, t: Texts) -> dict[str, str]:
    """What is wrong, by field."""
    problems: dict[str, str] = {}
    for each in error.errors(include_url=False):
        name = str(each["loc"][0]) if each["loc"] else ""
        bounds = find_bounds(name).describe(t) if name in PARAMETER_NAMES else ""
        problems[name] = t("Must be a number: {bounds}.", bounds=bounds) if bounds else str(each["msg"])
    return problems


def fill_fields(parameters: TrainingParameters) -> dict[str, str]:
    """A run's or a preset's parameters as fields hold them."""
    given = parameters.model_dump(mode="json")
    return {
        name: "" if value is None else f"{value:.10g}" if isinstance(value, float) else str(value)
        for name, value in given.items()
    }


def _draw_options(t: Texts, given: Given) -> str:
    kinds = {
        DeviceKind.AUTO: t("A GPU where there is one"),
        DeviceKind.CPU: t("CPU"),
        DeviceKind.CUDA: t("GPU"),
    }
    chosen = str(given.get("device_kind") or DeviceKind.AUTO)
    options = "".join(
        f'<option value="{kind}"{" selected" if kind == chosen else ""}>{escape(text)}</option>'
        for kind, text in kinds.items()
    )
    ticked = " checked" if given.get("retry_smaller_batch") else ""
    return (
        _draw_inputs(
            given,
            (
                "priority",
                t("Priority"),
                'inputmode="numeric" placeholder="0"',
                t("-1000 to 1000. Of two that wait, the higher comes first."),
            ),
            ("start_at", t("Not before"), 'type="datetime-local"', t("It waits until then.")),
            (
                "time_limit_h",
                t("Time limit, h"),
                'inputmode="decimal"',
                t("Longer than this, it ends in Error, its checkpoint kept. Empty: no limit."),
            ),
        )
        + _draw_field(
            t("Device"),
            f'<select id="field-device_kind" name="device_kind">{options}</select>',
            "device_kind",
            "",
        )
        + _draw_inputs(
            given,
            (
                "device_count",
                t("Devices"),
                'inputmode="numeric" placeholder="1"',
                t("GPUs of one machine that it trains on at once."),
            ),
        )
        + f'<div class="field"><label class="tick-label"><input type="checkbox" name="retry_smaller_batch"{ticked}> '
        f"{escape(t('Out of memory, try once more with half the batch'))}</label></div>"
    )


def _draw_parameter(t: Texts, name: str, given: Given) -> str:
    bounds = find_bounds(name)
    hints = [describe_parameter(name), _end(bounds.describe(t))]
    if name in DEFAULT_REASONS:
        hints.append(t("Left empty: {reason}.", reason=t(DEFAULT_REASONS[name])))
    hint = " ".join(each for each in hints if each)
    if bounds.choices:
        default = str(TrainingParameters.model_fields[name].default)
        chosen = str(given.get(name) or "")
        options = f'<option value="">{escape(t("{value}, the default", value=default))}</option>' + "".join(
            f'<option value="{each}"{" selected" if each == chosen else ""}>{escape(each)}</option>'
            for each in bounds.choices
        )
        control = f'<select id="field-{name}" name="{name}" aria-describedby="hint-{name}">{options}</select>'
    else:
        control = _draw_input(name, given, 'inputmode="decimal" autocomplete="off"')
    return _draw_field(name_parameter(name, t), control, name, escape(hint))


def _end(sentence: str) -> str:
    return f"{sentence}." if sentence else ""


def _draw_inputs(given: Given, *fields: tuple[str, str, str, str]) -> str:
    """Args: `fields`: name, label, attributes, and what to know about it."""
    return "".join(
        _draw_field(label, _draw_input(name, given, attributes), name, escape(hint))
        for name, label, attributes, hint in fields
    )


def _draw_input(name: str, given: Given, attributes: str) -> str:
    value = escape(str(given.get(name) or ""))
    return (
        f'<input id="field-{name}" name="{name}" value="{value}" {attributes} '
        f'aria-describedby="hint-{name} problem-{name}">'
    )


def _draw_field(label: str, control: str, name: str, hint: str) -> str:
    """Control and hint are HTML."""
    return (
        f'<div class="field"><label for="field-{name}">{escape(label)}</label>{control}'
        f'<div class="problem" id="problem-{name}"></div><div class="hint" id="hint-{name}">{hint}</div></div>'
    )
