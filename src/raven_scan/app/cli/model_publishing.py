"""`raven models publish`, `withdraw`, `rollback` and `published`."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from raven_scan.app.cli.asking import confirm
from raven_scan.app.cli.exit_codes import EXIT_CODE_OF_KIND
from raven_scan.app.cli.model_upkeep import ModelRef
from raven_scan.app.cli.output import JsonFlag, Output
from raven_scan.app.cli.session import open_raven
from raven_scan.kernel.errors import Conflict, ErrorKind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console
    from rich.text import Text

    from raven_scan.publishing.schemas import (
        JudgementOut,
        PublicationCheckOut,
        PublishedNameOut,
        PublishedVersionOut,
    )

_STYLE_OF_VERDICT = {"passed": "green", "failed": "bold red"}
_SHOWN_ENTRIES = 20
_COUNTED = "require_unseen_test"
"""A requirement whose value is how many images were seen."""

NameRef = Annotated[
    str, typer.Argument(metavar="NAME", help="A published name, or NAME@N.", show_default=False)
]
YesFlag = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


def publish(
    model: ModelRef,
    name: Annotated[
        str | None,
        typer.Option("--as", metavar="NAME", help="What it is published as. Default: its own name."),
    ] = None,
    notes: Annotated[str, typer.Option("--notes", help="What is to be known of this version.")] = "",
    dataset: Annotated[
        str | None,
        typer.Option(
            "--dataset",
            metavar="NAME@N",
            help="Whose test part it is judged on. Default: the one that is frozen for the version in use.",
        ),
    ] = None,
    override: Annotated[
        str | None,
        typer.Option(
            "--override",
            metavar="REASON",
            help="Publish it although it does not meet the policy, and say why.",
        ),
    ] = None,
    check: Annotated[bool, typer.Option("--check", help="Only show what would be found.")] = False,
    yes: YesFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """Publish a model for detection, as the next version of a name, once it meets the policy.

    Every requirement is shown with what it asks for, what the model has, and the verdict.
    """
    output = Output(as_json)
    with open_raven() as raven:
        found = raven.published.check(model, name=name, dataset=dataset)
        if check:
            _show_check(output, found)
            if not found.passes:
                raise typer.Exit(EXIT_CODE_OF_KIND[ErrorKind.CONFLICT])
            return
        if found.passes or override is not None:
            if not as_json:
                _render_check(output.message_console, found)
            instead = f" in place of {found.in_use}" if found.in_use else ""
            anyway = "" if found.passes else " although it does not meet the policy"
            confirm(f"Publish {found.model!r} as {found.name}@{found.number}{instead}{anyway}?", yes=yes)
        elif not as_json:
            _render_requirements(output.message_console, found.requirements)
        try:
            version = raven.published.publish(
                str(found.model_id), name=found.name, notes=notes, dataset=dataset, override=override
            )
        except Conflict as error:
            if not as_json and not found.passes:
                error.parameters.pop("problems", None)  # they are in the table
            raise

    def render(console: "Console") -> None:
        console.print(f"{version.model!r} is published as {version.name}@{version.number}.", markup=False)

    output.show(version.model_dump(mode="json"), render)


def withdraw(
    ref: NameRef,
    reason: Annotated[
        str, typer.Option("--reason", help="Why; whoever asks for it is told.", show_default=False)
    ],
    yes: YesFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """Withdraw a version for good: the one in use by NAME, or NAME@N. What is withdrawn detects nothing."""
    with open_raven() as raven:
        found = raven.published.get(ref.partition("@")[0])
        full_name = ref if "@" in ref or found.number is None else f"{found.name}@{found.number}"
        confirm(f"Withdraw {full_name} for good?", yes=yes)
        left = raven.published.withdraw(full_name, reason=reason)
    _show_standing(Output(as_json), left, f"{full_name} is withdrawn.")


def rollback(
    name: NameRef,
    to: Annotated[
        int | None, typer.Option("--to", metavar="N", help="The version. Default: the one before.")
    ] = None,
    reason: Annotated[str, typer.Option("--reason", help="For the history.")] = "",
    recheck: Annotated[
        bool,
        typer.Option("--recheck", help="Only where it meets today's policy (max_regression left out)."),
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Take an earlier version of a name into use again."""
    with open_raven() as raven:
        found = raven.published.roll_back(name, to=to, reason=reason, recheck=recheck)
    _show_standing(Output(as_json), found, f"{found.name}@{found.number} is in use again.")


def list_published(
    name: Annotated[
        str | None,
        typer.Argument(metavar="[NAME]", help="Only this one, with its history.", show_default=False),
    ] = None,
    limit: Annotated[int | None, typer.Option("--limit", help="At most so many.")] = None,
    cursor: Annotated[str | None, typer.Option("--cursor", help="Go on from the 'next' of a list.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """List published names with their versions in use; of one name, its versions and what became of it."""
    output = Output(as_json)
    with open_raven() as raven:
        if name is not None:
            found = raven.published.get(name)
            ref = str(found.id)
            versions = raven.published.list_versions(ref, limit=limit or _SHOWN_ENTRIES, cursor=cursor)
            history = raven.published.list_history(ref, limit=limit or _SHOWN_ENTRIES)
        else:
            page = raven.published.list(limit=limit, cursor=cursor)
            _show_names(output, page)
            return

    def render(console: "Console") -> None:
        from raven_scan.app.cli.tables import format_moment, print_next, print_table  # noqa: PLC0415

        in_use = "no version is in use" if found.number is None else f"version {found.number} is in use"
        console.print(f"{found.name}: {in_use}", style="bold", markup=False)
        print_table(
            console,
            ("Version", "State", "Model", "Accepted on", "Published", "By", "Notes"),
            [
                (
                    f"{each.name}@{each.number}",
                    each.state,
                    each.model,
                    each.dataset_version_name,
                    format_moment(each.published_at),
                    each.published_by,
                    _describe_notes(each),
                )
                for each in versions.items
            ],
            empty="No versions.",
        )
        print_next(console, versions.next)
        print_table(
            console,
            ("When", "What", "Version", "Before", "By", "Why"),
            [
                (
                    format_moment(each.at),
                    each.event + (", overriding the policy" if each.is_override else ""),
                    each.number,
                    each.from_number,
                    each.by,
                    each.reason or None,
                )
                for each in history.items
            ],
            empty="No history.",
        )

    document = {
        **found.model_dump(mode="json"),
        "versions": versions.model_dump(mode="json"),
        "history": history.model_dump(mode="json"),
    }
    output.show(document, render)


def _show_names(output: Output, page: Any) -> None:
    def render(console: "Console") -> None:
        from raven_scan.app.cli.tables import format_moment, print_next, print_table  # noqa: PLC0415

        print_table(
            console,
            ("Name", "In use", "Model", "Versions", "Changed"),
            [
                (
                    each.name,
                    "withdrawn" if each.number is None else f"{each.name}@{each.number}",
                    each.model,
                    each.last_number,
                    format_moment(each.changed_at),
                )
                for each in page.items
            ],
            empty="Nothing is published yet: raven models publish --help",
        )
        print_next(console, page.next)

    output.show(page.model_dump(mode="json"), render)


def _describe_notes(version: "PublishedVersionOut") -> str | None:
    said = (
        version.withdrawal_reason and f"withdrawn: {version.withdrawal_reason}",
        version.override_reason and f"overriding the policy: {version.override_reason}",
        version.notes,
    )
    return "; ".join(each for each in said if each) or None


def _show_standing(output: Output, found: "PublishedNameOut", told: str) -> None:
    def render(console: "Console") -> None:
        console.print(told, markup=False)
        if found.number is None:
            console.print(
                f"{found.name} stands for nothing now. Next: raven models rollback {found.name}, or publish another.",
                style="dim",
                markup=False,
            )

    output.show(found.model_dump(mode="json"), render)


def _show_check(output: Output, found: "PublicationCheckOut") -> None:
    output.show(found.model_dump(mode="json"), lambda console: _render_check(console, found))


def _render_check(console: "Console", found: "PublicationCheckOut") -> None:
    _render_requirements(console, found.requirements)
    full_name = f"{found.name}@{found.number}"
    told = f"{found.model!r} may be published as {full_name}."
    if not found.passes:
        told = f"{found.model!r} does not meet the policy to be published as {full_name}."
    console.print(told, style="green" if found.passes else "bold red", markup=False)


def _render_requirements(console: "Console", requirements: "Sequence[JudgementOut]") -> None:
    from raven_scan.app.cli.tables import print_table  # noqa: PLC0415

    print_table(
        console,
        ("Requirement", "Wanted", "Found", "Verdict", "Why"),
        [
            (
                each.requirement,
                _format(each.wanted),
                f"{each.value} seen"
                if each.requirement == _COUNTED and each.value is not None
                else _format(each.value),
                _style(each.verdict),
                f"{each.explanation} {each.hint}".strip(),
            )
            for each in requirements
        ],
        empty="The policy asks for nothing.",
    )


def _format(value: bool | float | str | None) -> str | None:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.4g}" if isinstance(value, float) else None if value is None else str(value)


def _style(verdict: str) -> "Text":
    from rich.text import Text  # noqa: PLC0415

    return Text(verdict, style=_STYLE_OF_VERDICT.get(verdict, "yellow"))
