"""What parameters, options and ends of attempts are called on screens, with their units."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, get_args

from pydantic.fields import FieldInfo

from raven_scan.architectures.parameters import TrainingParameters
from raven_scan.training_runs.types import AttemptEnd
from raven_scan.web.texts import NONE, Texts, later

PARAMETER_NAMES = {
    "epochs": later("Epochs"),
    "batch_size": later("Batch size"),
    "image_size": later("Image size"),
    "learning_rate": later("Learning rate"),
    "augmentation": later("Augmentation"),
    "early_stopping_patience": later("Early stopping"),
    "accumulation": later("Accumulation"),
    "weight_decay": later("Weight decay"),
    "warmup_epochs": later("Warm-up"),
    "schedule": later("Learning rate schedule"),
    "frozen_stages": later("Frozen stages"),
    "precision": later("Precision"),
    "memory_format": later("Memory format"),
    "acceleration": later("Acceleration"),
    "seed": later("Seed"),
    "fraction": later("Fraction of the images"),
    "validation_interval": later("Validation interval"),
    "checkpoint_interval": later("Checkpoint interval"),
    "checkpoint_minutes": later("Checkpoint time"),
    "loader_processes": later("Loading processes"),
}
"""In the order of a form."""

SIMPLE = ("epochs", "batch_size", "image_size", "learning_rate", "augmentation", "early_stopping_patience")
"""What a first run may want to change; the rest is for experts."""

UNITS = {
    "batch_size": later("images"),
    "image_size": later("px"),
    "warmup_epochs": later("epochs"),
    "validation_interval": later("epochs"),
    "checkpoint_interval": later("epochs"),
    "checkpoint_minutes": later("min"),
    "early_stopping_patience": later("validations"),
    "accumulation": later("passes"),
}

OPTION_NAMES = {
    "priority": later("Priority"),
    "start_at": later("Not before"),
    "time_limit_s": later("Time limit"),
    "device_kind": later("Device"),
    "device_count": later("Devices"),
    "retry_smaller_batch": later("Try a smaller batch"),
}

SUBJECT_NAMES = {
    "name": later("Name"),
    "dataset": later("Dataset version"),
    "base_model": later("Base model"),
    "preset": later("Preset"),
}

INPUT_NAMES = {
    "dataset": later("Dataset"),
    "base_model": later("Base model"),
    "architecture": later("Architecture"),
    "dataset_digest": later("Dataset's content"),
    "base_weights_digest": later("Base model's weights"),
}

ENDS = {
    AttemptEnd.SUCCESS: later("Success"),
    AttemptEnd.ERROR: later("Error"),
    AttemptEnd.LOST: later("Lost: its worker was gone"),
    AttemptEnd.WORKER_STOPPED: later("Its worker was stopped"),
    AttemptEnd.PAUSED: later("Paused"),
    AttemptEnd.CANCELLED: later("Cancelled"),
    AttemptEnd.DRY_RUN: later("Dry run"),
    AttemptEnd.RETRIED_SMALLER: later("Tried again with a smaller batch"),
}

EVIDENCE_NAMES = {
    "available_bytes": later("Free memory"),
    "boxes": later("Boxes"),
    "device": later("Device"),
    "exit_code": later("Exit code"),
    "free_bytes": later("Free"),
    "image_size": later("Image size"),
    "images": later("Images"),
    "last_finite_step": later("Last good step"),
    "memory_kills": later("Processes killed for want of memory"),
    "path": later("Folder"),
    "rank": later("Process"),
    "requested_bytes": later("Asked for"),
    "signal": later("Signal"),
    "silent_s": later("Silent for"),
    "step": later("Step"),
    "time_limit_s": later("Time limit"),
    "total_bytes": later("In all"),
    "worker": later("Worker"),
}
"""By what the cause of an error was seen."""

_LONGEST_EVIDENCE = 300

DEFAULT_REASONS = {
    "image_size": later("as the architecture has it"),
    "learning_rate": later("by architecture, batch size and what it starts from"),
    "weight_decay": later("as the architecture has it"),
    "frozen_stages": later("by what it starts from and how many images there are"),
    "loader_processes": later("by the machine"),
    "early_stopping_patience": later("never"),
}
"""Why a parameter that is left open becomes what it becomes."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a parameter may be. `choices`: of an enumeration, else empty."""

    low: float | None
    is_low_left_out: bool
    high: float | None
    multiple_of: float | None
    choices: tuple[str, ...]

    def describe(self, t: Texts) -> str:
        if self.choices or self.high is None or self.low is None:
            return ""
        low, high = _format(self.low), _format(self.high)
        said = (
            t("Above {low}, to {high}", low=low, high=high)
            if self.is_low_left_out
            else t("{low} to {high}", low=low, high=high)
        )
        return (
            t("{bounds}, in steps of {step}", bounds=said, step=_format(self.multiple_of))
            if self.multiple_of
            else said
        )


def find_bounds(name: str) -> Bounds:
    """Of a training parameter."""
    field = TrainingParameters.model_fields[name]
    low, above = _find(field, "ge"), _find(field, "gt")
    return Bounds(
        low=above if low is None else low,
        is_low_left_out=low is None and above is not None,
        high=_find(field, "le"),
        multiple_of=_find(field, "multiple_of"),
        choices=tuple(str(each) for each in _list_choices(field)),
    )


def name_parameter(name: str, t: Texts) -> str:
    """Such as `Image size, px`."""
    shown = t(PARAMETER_NAMES[name])
    return f"{shown}, {t(UNITS[name])}" if name in UNITS else shown


def name_field(name: str, t: Texts) -> str:
    """Of the form of a new run, without its unit."""
    option = OPTION_NAMES.get("time_limit_s" if name == "time_limit_h" else name, "")
    return t(PARAMETER_NAMES.get(name) or SUBJECT_NAMES.get(name) or option or name)


def describe_parameter(name: str) -> str:
    """What it does, in English."""
    description = TrainingParameters.model_fields[name].description or ""
    return description.partition(" Default:")[0].partition(" None:")[0]


def show_value(name: str, value: Any, t: Texts) -> str:
    """A parameter's or option's value; its unit is in its name."""
    if value is None or value == "":
        return NONE
    if isinstance(value, bool):
        shown = t("Yes") if value else t("No")
    elif name == "time_limit_s":
        shown = t.duration(float(value))
    elif name == "fraction":
        shown = t.percent(float(value), 0 if float(value) * 100 % 1 == 0 else 1)
    elif isinstance(value, int | float):
        shown = _format(value)
    else:
        shown = str(value)
    return shown


def describe_evidence(name: str, value: Any, t: Texts) -> str:
    """Such as `Last good step: 12`; what nobody foresaw is named as the trainer does."""
    named = t(EVIDENCE_NAMES[name]) if name in EVIDENCE_NAMES else name.replace("_", " ")
    match value:
        case int() | float() if name.endswith("_bytes"):
            shown = t.size(value)
        case int() | float() if name.endswith("_s"):
            shown = t.duration(value)
        case int() if name == "image_size":
            shown = f"{value} {t('px')}"
        case list():
            shown = ", ".join(map(str, value)) or NONE  # pyright: ignore[reportUnknownArgumentType]
        case _:
            shown = show_value(name, value, t)
    return f"{named}: {shown if len(shown) <= _LONGEST_EVIDENCE else f'{shown[:_LONGEST_EVIDENCE]}…'}"


def _find(field: FieldInfo, name: str) -> float | None:
    """A bound among what annotates the field."""
    found = [bound for each in field.metadata if (bound := getattr(each, name, None)) is not None]
    return float(found[0]) if found else None


def _list_choices(field: FieldInfo) -> list[StrEnum]:
    kinds = [field.annotation, *get_args(field.annotation)]
    return [each for kind in kinds if isinstance(kind, type) and issubclass(kind, StrEnum) for each in kind]


def _format(value: float | None) -> str:
    return "" if value is None else f"{value:.10g}"
