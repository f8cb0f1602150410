"""What commands of runs take: a run, and the options that set its training parameters and its execution."""

import functools
import inspect
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from raven_scan.app.cli.run_times import parse_start, parse_time_limit
from raven_scan.kernel.errors import Invalid

RunRef = Annotated[str, typer.Argument(metavar="RUN", help="Name or id of the run.", show_default=False)]
WaitFlag = Annotated[
    bool,
    typer.Option("--wait", help="Wait for its end and show progress; without a server, execute it here."),
]

_PARAMETERS: dict[str, tuple[type, str]] = {
    "epochs": (int, "Passes over the training part."),
    "batch_size": (int, "Images a forward pass, on each device."),
    "accumulation": (int, "Forward passes whose gradients are summed up before a step."),
    "image_size": (int, "Side of the square input, in pixels; a multiple of 32."),
    "learning_rate": (float, "Peak learning rate. Default: by architecture."),
    "weight_decay": (float, "Weight decay."),
    "warmup_epochs": (float, "Epochs in which the learning rate rises from near zero."),
    "schedule": (str, "How the learning rate goes after warm-up: cosine, step or constant."),
    "frozen_stages": (int, "Stages of the backbone that are not trained, from the stem."),
    "augmentation": (str, "Augmentation preset: off, light or full."),
    "seed": (int, "Seed of everything that is random."),
    "precision": (str, "Arithmetic: auto (measured at the start), float32, bfloat16 or float16."),
    "memory_format": (str, "Order of image tensors in memory: auto, contiguous or channels_last."),
    "acceleration": (str, "Faster ways to compute the same: on, or off for MMDetection's own."),
    "early_stopping_patience": (int, "Stop after so many validations without a better mAP."),
    "validation_interval": (int, "Epochs between validations."),
    "checkpoint_interval": (int, "Epochs between checkpoints."),
    "checkpoint_minutes": (float, "Minutes between checkpoints within an epoch."),
    "fraction": (float, "Part of the training images to train on, as 0.1, drawn by seed and class."),
    "loader_processes": (int, "Processes that load images. Default: by the machine."),
}
_OPTION_OF_PARAMETER = {"schedule": "--lr-schedule"}
"""Where the word is an option of the command itself."""

_OPTION_OF_FIELD = {
    "name": "--name",
    "notes": "--notes",
    "dataset": "--dataset",
    "base_model": "--base-model",
    "preset": "--preset",
    "status": "--status",
    "limit": "--limit",
    "priority": "PRIORITY",
}

_EXECUTION: dict[str, tuple[type, tuple[str, ...], str]] = {
    "priority": (int, ("--priority",), "Of two that wait, the higher comes first. Default: 0."),
    "start_at": (str, ("--start-at",), "Not before: 22:00, +2h, or a time in ISO 8601; none."),
    "time_limit": (str, ("--time-limit",), "Longest time of all attempts together: 90m, 6h, 1d; none."),
    "device_kind": (str, ("--device",), "What to train on: cpu, cuda or auto."),
    "device_count": (int, ("--devices",), "Devices of one machine to train on at once."),
    "retry_smaller_batch": (
        bool,
        ("--retry-smaller-batch/--no-retry-smaller-batch",),
        "Out of memory, try once more with half the batch and twice the accumulation.",
    ),
}


@dataclass(frozen=True, slots=True)
class RunSettings:
    """What was given of them, by the API's names; the rest is decided by the server."""

    parameters: dict[str, Any]
    options: dict[str, Any]


@contextmanager
def naming_options() -> Generator[None]:
    """What the API refuses of its fields is told of the options that were typed."""
    try:
        yield
    except Invalid as error:
        problems: list[dict[str, Any]] = error.parameters.get("problems", [])
        named = [
            {**each, "message": each["message"].replace(each["field"], _find_option(each["field"]), 1)}
            for each in problems
            if "field" in each
        ]
        if not named:
            raise
        raise Invalid(
            error.code,
            " ".join(each["message"] for each in named),
            hint="Correct what was typed; --help says what each option takes.",
            parameters={**error.parameters, "problems": named},
        ) from error


def _find_option(field: str) -> str:
    """The option that stands for a field of the API; the field where there is none."""
    group, _, name = field.partition(".")
    if group == "parameters" and name in _PARAMETERS:
        return _OPTION_OF_PARAMETER.get(name, f"--{name.replace('_', '-')}")
    if group == "options":
        execution = _EXECUTION.get(name.removesuffix("_s"), _EXECUTION.get(name))
        return field if execution is None else execution[1][0].partition("/")[0]
    return _OPTION_OF_FIELD.get(group, field)


def take_run_settings(command: Callable[..., None]) -> Callable[..., None]:
    """Gives a command an option for each of them, in the place of its parameter `settings`."""
    declared = [*_declare_parameters(), *_declare_execution()]

    @functools.wraps(command)
    def run(**given: Any) -> None:
        values = {parameter.name: given.pop(parameter.name) for parameter in declared}
        command(settings=_gather(values), **given)

    signature = inspect.signature(command)
    parameters: list[inspect.Parameter] = []
    for parameter in signature.parameters.values():
        own = parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)
        parameters += declared if parameter.name == "settings" else [own]
    vars(run)["__signature__"] = signature.replace(parameters=parameters)
    return run


def _declare_parameters() -> list[inspect.Parameter]:
    return [
        _declare(
            f"parameter_{name}",
            kind,
            (_OPTION_OF_PARAMETER.get(name, f"--{name.replace('_', '-')}"),),
            help_text,
            panel="Training parameters",
        )
        for name, (kind, help_text) in _PARAMETERS.items()
    ]


def _declare_execution() -> list[inspect.Parameter]:
    return [
        _declare(f"execution_{name}", kind, names, help_text, panel="Execution")
        for name, (kind, names, help_text) in _EXECUTION.items()
    ]


def _declare(
    name: str, kind: type, names: tuple[str, ...], help_text: str, *, panel: str
) -> inspect.Parameter:
    option = typer.Option(None, *names, help=help_text, show_default=False, rich_help_panel=panel)
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=option, annotation=kind | None)


def _gather(values: dict[str, Any]) -> RunSettings:
    given = {name: value for name, value in values.items() if value is not None}
    options = {name: given[f"execution_{name}"] for name in _EXECUTION if f"execution_{name}" in given}
    if "start_at" in options:
        start = parse_start(options["start_at"], "--start-at", now=datetime.now(UTC))
        options["start_at"] = None if start is None else start.isoformat()
    if "time_limit" in options:
        options["time_limit_s"] = parse_time_limit(options.pop("time_limit"), "--time-limit")
    parameters = {name: given[f"parameter_{name}"] for name in _PARAMETERS if f"parameter_{name}" in given}
    return RunSettings(parameters=parameters, options=options)
