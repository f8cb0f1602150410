"""`raven policy`: what models have to meet before they are published."""

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from raven_scan.app.cli.output import JsonFlag, Output
from raven_scan.app.cli.session import open_raven

if TYPE_CHECKING:
    from rich.console import Console

    from raven_scan.publishing.schemas import PolicyOut

app = typer.Typer(
    no_args_is_help=True,
    help="The policy: quality requirements that models have to meet before they are published.",
)

_WORDS = {"on": True, "yes": True, "off": False, "no": False, "none": None}
_CLASS_RECALL = "min_recall."


@app.command()
def show(as_json: JsonFlag = False) -> None:
    """Show every requirement with what it asks for."""
    with open_raven() as raven:
        policy = raven.policy.get()
    _show(Output(as_json), policy)


@app.command("set")
def set_requirements(
    requirements: Annotated[
        list[str],
        typer.Argument(
            metavar="KEY=VALUE...",
            help="As min_map50=0.5, min_recall.glass=0.6, require_other_reviewer=on; off asks for nothing.",
            show_default=False,
        ),
    ],
    as_json: JsonFlag = False,
) -> None:
    """Change requirements. Models that are published already stay so."""
    changes = dict(_read_requirement(each) for each in requirements)
    with open_raven() as raven:
        policy = raven.policy.change(changes)
    _show(Output(as_json), policy)


@app.command()
def unset(
    keys: Annotated[
        list[str],
        typer.Argument(metavar="KEY...", help="As min_map50, min_recall.glass.", show_default=False),
    ],
    as_json: JsonFlag = False,
) -> None:
    """Give requirements their defaults again; of a class, no recall is asked for any more."""
    with open_raven() as raven:
        policy = raven.policy.change(unset=keys)
    _show(Output(as_json), policy)


@app.command()
def history(
    limit: Annotated[int | None, typer.Option("--limit", help="At most so many.")] = None,
    cursor: Annotated[str | None, typer.Option("--cursor", help="Go on from the 'next' of a list.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """List changes of the policy, newest first: who changed what, and when."""
    with open_raven() as raven:
        page = raven.policy.list_changes(limit=limit, cursor=cursor)

    def render(console: "Console") -> None:
        from raven_scan.app.cli.tables import format_moment, print_next, print_table  # noqa: PLC0415

        rows = [
            (
                change.version,
                format_moment(change.changed_at),
                change.changed_by,
                "; ".join(
                    f"{key}: {_format(before)} -> {_format(after)}"
                    for key, (before, after) in change.changes.items()
                ),
            )
            for change in page.items
        ]
        print_table(
            console,
            ("Version", "Changed", "By", "What"),
            rows,
            empty="Nobody has changed the policy: the defaults count.",
        )
        print_next(console, page.next)

    Output(as_json).show(page.model_dump(mode="json"), render)


def _read_requirement(text: str) -> tuple[str, Any]:
    # A class may have a '=' in its name; no value of one has.
    is_class = text.startswith(_CLASS_RECALL)
    key, equals, value = text.rpartition("=") if is_class else text.partition("=")
    if not equals or not key:
        raise typer.BadParameter(f"{text!r} is no KEY=VALUE.", param_hint="KEY=VALUE")
    if value.lower() in _WORDS:
        return key, _WORDS[value.lower()]
    try:
        return key, json.loads(value)
    except ValueError:
        return key, value  # refused where all that is wrong is told at once


def _show(output: Output, policy: "PolicyOut") -> None:
    def render(console: "Console") -> None:
        from raven_scan.app.cli.tables import format_moment, print_table  # noqa: PLC0415
        from raven_scan.publishing.policy import describe_meaning  # noqa: PLC0415

        print_table(
            console,
            ("Requirement", "Asks for", "Default", "Meaning"),
            [
                (key, _format(wanted), _format(policy.defaults.get(key)), describe_meaning(key))
                for key, wanted in policy.requirements.items()
            ],
            empty="",
        )
        if policy.changed_at is None:
            console.print("Version 0: nobody has changed it yet.", style="dim")
        else:
            when = format_moment(policy.changed_at)
            console.print(
                f"Version {policy.version}, changed {when} by {policy.changed_by}.", style="dim", markup=False
            )

    output.show(policy.model_dump(mode="json"), render)


def _format(value: bool | float | None) -> str:
    if value is None or value is False:
        return "off"
    return "on" if value is True else f"{value:g}"
