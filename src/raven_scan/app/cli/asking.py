"""Questions to whoever sits at the terminal."""

import sys

import typer

from raven_scan.kernel.errors import Invalid


def confirm(question: str, *, yes: bool) -> None:
    """Goes on where the answer is yes, or was given before.

    Raises:
        Invalid: nobody can be asked.
        Abort: the answer is no.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise Invalid("usage", f"{question} Nobody can be asked here.", hint="Say --yes where it is meant.")
    typer.confirm(question, abort=True, err=True)
