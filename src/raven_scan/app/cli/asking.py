"""Questions to whoever sits at the terminal."""

import sys

import typer


def confirm(question: str, *, yes: bool) -> None:
    """Goes on where the answer is yes, or was given before.

    Raises:
        BadParameter: nobody can be asked.
        Abort: the answer is no.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise typer.BadParameter("Nobody can be asked here: say --yes.", param_hint="--yes")
    typer.confirm(question, abort=True, err=True)
