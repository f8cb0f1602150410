"""What a command says: results on stdout, everything else on stderr; with `--json` one document and no more."""

import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:  # Rich takes a fifth of a quick command's time; who prints JSON does without
    from rich.console import Console

_TRUE_WORDS = frozenset({"1", "true", "t", "yes", "y", "on"})

JsonFlag = Annotated[
    bool,
    typer.Option("--json", envvar="RAVEN_JSON", help="One JSON document on stdout, and nothing else there."),
]
"""The last parameter of every command."""

SHOWN_PROBLEMS = 20
_WIDTH = 160


def wants_json(arguments: Sequence[str]) -> bool:
    """Whether an error of these arguments is to be told as JSON; also where they cannot be parsed."""
    return "--json" in arguments or os.environ.get("RAVEN_JSON", "").lower() in _TRUE_WORDS


class Output:
    def __init__(self, as_json: bool) -> None:
        self.as_json = as_json

    @cached_property
    def result_console(self) -> "Console":
        from rich.console import Console  # noqa: PLC0415

        # Where nobody looks at it at once, nothing has to be folded to the width of a terminal.
        return Console(highlight=False, width=None if sys.stdout.isatty() else _WIDTH)

    @cached_property
    def message_console(self) -> "Console":
        from rich.console import Console  # noqa: PLC0415

        return Console(stderr=True, highlight=False)

    def show(self, document: Any, render: Callable[["Console"], None]) -> None:
        """Tells the result, the one time a command does.

        Args:
            document: JSON-able.
            render: draws it for people.
        """
        if self.as_json:
            print_json(document)
        else:
            render(self.result_console)

    def say(self, text: str, *, style: str | None = None) -> None:
        """Tells people how it goes. `text` is no markup: it may hold names."""
        self.message_console.print(text, style=style, markup=False, soft_wrap=True)

    def show_error(self, description: Mapping[str, Any]) -> None:
        """Tells an error.

        Args:
            description: code, message, hint and parameters; `problems` of these are listed.
        """
        if self.as_json:
            keys = ("code", "message", "hint", "parameters")
            print_json({"error": {key: description[key] for key in keys}})
            return
        self.say(description["message"], style="bold red")
        problems = [_describe_problem(problem) for problem in description["parameters"].get("problems", [])]
        if all(problem in description["message"] for problem in problems):
            problems = []
        for problem in problems[:SHOWN_PROBLEMS]:
            self.say(f"  - {problem}")
        if len(problems) > SHOWN_PROBLEMS:
            self.say(f"  … and {len(problems) - SHOWN_PROBLEMS} more; --json shows all.")
        if description["hint"]:
            self.say(description["hint"], style="yellow")


def _describe_problem(problem: Mapping[str, Any]) -> str:
    """A problem of a dataset says its file and record; one of a request has its field in the sentence."""
    where = ", ".join(problem[key] for key in ("file", "record") if problem.get(key))
    return f"{where}: {problem['message']}" if where else str(problem["message"])


def print_json(document: Any) -> None:
    # What a lone surrogate of a file's name cannot be in UTF-8, it can be in ASCII.
    sys.stdout.write(json.dumps(document, indent=2, ensure_ascii=True, allow_nan=False) + "\n")
    sys.stdout.flush()
