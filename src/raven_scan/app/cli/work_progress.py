"""How long work looks: a live bar on a terminal, a line a stage elsewhere, all on stderr."""

from collections.abc import Generator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from raven_scan.app.cli.tables import format_size
from raven_scan.kernel import progress

_COUNTED_IN_BYTES = frozenset({"uploading", "verifying the upload", "downloading", "exporting"})


@contextmanager
def display_work(console: Console) -> Generator[progress.Progress]:
    """A progress to call, for as long as the context lasts."""
    if not console.is_terminal:
        yield _Lines(console)
        return
    bar = Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=None),
        TaskProgressColumn(show_speed=True),
        TimeRemainingColumn(),
        console=console,
        expand=True,
        transient=True,
    )
    with bar:
        yield _Bars(bar)


class _Bars:
    def __init__(self, bar: Progress) -> None:
        self._bar = bar
        self._stage: str | None = None
        self._task = bar.add_task("", total=None)

    def __call__(self, stage: str, done: int, total: int) -> None:
        if stage != self._stage:
            self._stage = stage
            self._bar.reset(self._task, description=stage, total=total or None)
        self._bar.update(self._task, completed=done, total=total or None)


class _Lines:
    def __init__(self, console: Console) -> None:
        self._console = console
        self._stage: str | None = None

    def __call__(self, stage: str, done: int, total: int) -> None:
        del done
        if stage != self._stage:
            self._stage = stage
            amount = format_size(total) if stage in _COUNTED_IN_BYTES else str(total)
            self._console.print(f"{stage}: {amount}" if total else stage, markup=False, soft_wrap=True)
