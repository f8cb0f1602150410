"""How a run that is waited for looks: a live bar on a terminal, plain lines elsewhere, all on stderr."""

import time
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

from raven_scan.app.cli.run_times import format_time
from raven_scan.app.cli.tables import format_duration, format_figure
from raven_scan.training_runs.schemas import TrainingRunOut
from raven_scan.training_runs.types import RunStatus

_LINE_INTERVAL_S = 10.0


class RunDisplay(Protocol):
    def show(self, run: TrainingRunOut) -> None: ...


@contextmanager
def display_run(console: Console) -> Generator[RunDisplay]:
    """Shows a run for as long as the context lasts."""
    if not console.is_terminal:
        yield _Lines(console)
        return
    progress = Progress(
        SpinnerColumn(),
        TextColumn("{task.fields[name]}", style="bold", markup=False),
        TextColumn("{task.fields[phase]}", markup=False),
        BarColumn(bar_width=None),
        TextColumn("{task.fields[figures]}", markup=False),
        console=console,
        expand=True,
        transient=True,
    )
    with progress:
        yield _Bar(progress)


class _Bar:
    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._task = progress.add_task("", name="", phase="", figures="", total=None)

    def show(self, run: TrainingRunOut) -> None:
        now = run.progress
        self._progress.update(
            self._task,
            total=now.steps or None,
            completed=now.step,
            name=run.name,
            phase=describe_phase(run),
            figures=describe_figures(run),
        )


class _Lines:
    """A line for each change of status, phase or epoch, and every few seconds in between."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._last: tuple[object, ...] = ()
        self._last_at = 0.0

    def show(self, run: TrainingRunOut) -> None:
        key = (run.status, run.progress.phase, run.epoch)
        now = time.monotonic()
        if key == self._last and now - self._last_at < _LINE_INTERVAL_S:
            return
        self._last, self._last_at = key, now
        parts = [f"{run.name}: {describe_phase(run)}", describe_figures(run)]
        self._console.print("  ".join(part for part in parts if part), markup=False, soft_wrap=True)


def describe_phase(run: TrainingRunOut) -> str:
    """What the run does now, in a word or two."""
    described = str(run.status)
    if run.status is RunStatus.PROCESSING and run.progress.phase:
        described = run.progress.phase.replace("_", " ")
    elif run.status is RunStatus.WAITING and (start := run.options.start_at) and start > datetime.now(UTC):
        described = f"Waiting until {format_time(start)}"
    if run.is_pausing:
        described += ", pausing"
    return f"dry run, {described}" if run.is_dry_run else described


def describe_figures(run: TrainingRunOut) -> str:
    """Epoch, iteration, loss, mAP and the time left, as far as they are known."""
    now = run.progress
    parts = [f"epoch {now.epoch}/{now.epochs}"]
    if now.steps:
        parts.append(f"iteration {now.step}/{now.steps}")
    if now.loss is not None:
        parts.append(f"loss {now.loss:.3f}")
    if now.map is not None:
        parts.append(f"mAP {format_figure(now.map)}")
    if now.map50 is not None:
        parts.append(f"mAP50 {format_figure(now.map50)}")
    if now.time_left_s is not None and not run.status.is_final:
        parts.append(f"{format_duration(now.time_left_s)} left")
    return "  ".join(parts)
