"""Writes docs/cli.md and docs/settings.md from the code; a test says when they are out of date."""  # noqa: INP001

import sys
from pathlib import Path

import typer
from typer.cli import get_docs_for_click

from raven_scan.app.cli import app
from raven_scan.app.cli.exit_codes import MEANINGS
from raven_scan.kernel.settings import Settings

FOLDER = Path(__file__).resolve().parent

_CLI_START = """\
# The command line

Results go to stdout; progress, warnings and errors go to stderr. Wherever a thing is named, its name or its id
will do; a dataset also goes by `name@version`, which means that version for ever.

`--json` (after the sub-command, or `RAVEN_JSON=1` for all) prints exactly one JSON document on stdout and nothing
else there. Lists are `{"items": […], "next": …}`; give the value of `next` to `--cursor` for the next page. An error
is `{"error": {"code", "message", "hint", "parameters"}}`; its code is stable.

Commands talk to the server that `RAVEN_SERVER` names, with the token in `RAVEN_TOKEN`. Without `RAVEN_SERVER` they
do the same work in their own process on the data folder `RAVEN_HOME`, and execute runs themselves while they wait.

| exit code | meaning |
|---|---|
"""

_SETTINGS_START = """\
# Settings

Every setting is an environment variable. The contact may be set while the server runs too, which counts before
`RAVEN_CONTACT`: `raven settings set`, or Administration > Settings.

| variable | default | meaning |
|---|---|---|
"""

_SETTINGS_END = """
`RAVEN_JSON=1` is the flag `--json` for every command of the command line.
"""


def make_cli_reference() -> str:
    """docs/cli.md, from the commands themselves."""
    exit_codes = "".join(f"| {code} | {meaning} |\n" for code, meaning in MEANINGS.items())
    command = typer.main.get_command(app)
    reference = get_docs_for_click(obj=command, ctx=typer.Context(command), name="raven", title="Commands")
    # One document, one heading of the first rank.
    lines = [f"#{line}" if line.startswith("#") else line for line in reference.splitlines()]
    return _CLI_START + exit_codes + "\n" + "\n".join(line.rstrip() for line in lines).strip() + "\n"


def make_settings_reference() -> str:
    """docs/settings.md, from the settings' own descriptions."""
    rows: list[str] = []
    for name, field in Settings.model_fields.items():
        if field.default_factory is not None:
            default = "the user's data directory"
        else:
            default = "none" if field.default in (None, ()) else f"`{field.default}`"
        rows.append(f"| `RAVEN_{name.upper()}` | {default} | {field.description} |\n")
    return _SETTINGS_START + "".join(rows) + _SETTINGS_END


REFERENCES = {"cli.md": make_cli_reference, "settings.md": make_settings_reference}


def main() -> None:
    for name, make in REFERENCES.items():
        (FOLDER / name).write_text(make(), encoding="utf-8")
        sys.stderr.write(f"docs/{name}\n")


if __name__ == "__main__":
    main()
