"""How results look on a terminal."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

STYLE_OF_STATUS = {
    "Success": "green",
    "Error": "bold red",
    "Processing": "cyan",
    "Waiting": "yellow",
    "Paused": "magenta",
    "Cancelled": "dim",
    "Draft": "dim",
}


def print_table(
    console: Console, columns: Sequence[str], rows: Sequence[Sequence[Any]], *, empty: str
) -> None:
    """Prints rows under their columns; `empty` is said where there are none."""
    if not rows:
        console.print(Text(empty, style="dim"))
        return
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for index, column in enumerate(columns):
        table.add_column(column, overflow="fold", no_wrap=index == 0)
    for row in rows:
        table.add_row(*(make_cell(value) for value in row))
    console.print(table)


def print_facts(console: Console, facts: Mapping[str, Any]) -> None:
    """Prints names with their values, one a line."""
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="dim")
    table.add_column(overflow="fold")
    for name, value in facts.items():
        table.add_row(name, make_cell(value))
    console.print(table)


def make_cell(value: Any) -> Text:
    """A value as text; never as markup, for names may hold brackets."""
    if isinstance(value, Text):
        return value
    if value is None:
        return Text("-", style="dim")
    if isinstance(value, float):
        return Text(f"{value:.4g}")
    if isinstance(value, datetime):
        return Text(value.astimezone().strftime("%Y-%m-%d"))
    return Text(str(value))


def make_status(status: str) -> Text:
    return Text(status, style=STYLE_OF_STATUS.get(status, ""))


def format_moment(moment: datetime) -> str:
    """In this machine's zone, to the second."""
    return moment.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def format_figure(value: float | None) -> str:
    """A figure in 0-1, with three digits; nothing where it cannot be had."""
    return "-" if value is None else f"{value:.3f}"


def format_size(size_bytes: int | None) -> str:
    if size_bytes is None:
        return "-"
    size = float(size_bytes)
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


def format_duration(duration_s: float | None) -> str:
    """Hours, minutes and seconds, the largest two of them."""
    if duration_s is None:
        return "-"
    minutes, seconds = divmod(round(duration_s), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {seconds:02d} s" if minutes else f"{seconds} s"


def format_energy(energy_wh: float | None) -> str:
    """Such as `0.42 Wh` or `1.3 kWh`."""
    if energy_wh is None:
        return "-"
    return f"{energy_wh / 1000:.3g} kWh" if energy_wh >= 999.5 else f"{energy_wh:.3g} Wh"


def format_co2(co2_g: float | None) -> str:
    """Such as `0.2 g` or `1.3 kg`."""
    if co2_g is None:
        return "-"
    return f"{co2_g / 1000:.3g} kg" if co2_g >= 999.5 else f"{co2_g:.3g} g"


def print_next(console: Console, cursor: str | None) -> None:
    """Says how the list goes on, where it does."""
    if cursor is not None:
        # On one line, however long: it is to be copied.
        console.print(Text(f"More: --cursor {cursor}", style="dim"), soft_wrap=True)
