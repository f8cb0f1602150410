"""`raven audit`: who did what, and the proof that nobody changed it."""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, cast

import typer

from raven_scan.app.cli.exit_codes import RUN_FAILED
from raven_scan.app.cli.output import JsonFlag, Output
from raven_scan.app.cli.session import open_raven

if TYPE_CHECKING:
    from rich.console import Console

    from raven_scan.access.audit_schemas import AuditEntryOut

_DIGEST = re.compile("[0-9a-f]{64}")
_HEAD = re.compile("[1-9][0-9]{0,17}:[0-9a-f]{64}")

app = typer.Typer(no_args_is_help=True, help="The audit trail: who did what to which object, from where.")


@app.command("list")
def list_entries(
    by: Annotated[str | None, typer.Option("--by", help="Who did it: a name, or an id.")] = None,
    action: Annotated[
        str | None, typer.Option("--action", help="How it begins, such as training_run. or user.disabled")
    ] = None,
    target_kind: Annotated[
        str | None, typer.Option("--target-kind", help="What it was done to, such as training_run.")
    ] = None,
    target_id: Annotated[str | None, typer.Option("--target-id", help="The id of that.")] = None,
    since: Annotated[
        str | None, typer.Option("--since", help="Not before that time, as 2026-01-31 or 2026-01-31T14:00.")
    ] = None,
    until: Annotated[str | None, typer.Option("--until", help="Before that time.")] = None,
    search: Annotated[
        str | None,
        typer.Option(
            "--search", help="Words, or their beginnings, in a name, an address, the action or a detail."
        ),
    ] = None,
    limit: Annotated[int | None, typer.Option("--limit", help="At most so many.")] = None,
    cursor: Annotated[str | None, typer.Option("--cursor", help="Go on from the 'next' of a list.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """List who did what, newest first."""
    from raven_scan.app.cli.run_times import parse_moment  # noqa: PLC0415

    with open_raven() as raven:
        page = raven.audit.list(
            limit=limit,
            cursor=cursor,
            by=by,
            action=action,
            target_kind=target_kind,
            target_id=target_id,
            since=parse_moment(since, "--since"),
            until=parse_moment(until, "--until"),
            q=search,
        )

    def render(console: "Console") -> None:
        from raven_scan.app.cli.tables import print_next  # noqa: PLC0415

        _print_entries(console, page.items)
        print_next(console, page.next)

    Output(as_json).show(page.model_dump(mode="json"), render)


@app.command()
def verify(
    head: Annotated[
        str | None,
        typer.Option(
            "--head",
            help="What an earlier verification told, as NUMBER:HASH, and was kept elsewhere: "
            "it shows whether entries at the end were removed, or all were written anew.",
        ),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Read the whole trail, and tell the first entry that is not what it was; exit code 1 where there is one."""
    from raven_scan.app.cli.work_progress import display_work  # noqa: PLC0415

    if head is not None and not _HEAD.fullmatch(head):
        raise typer.BadParameter(
            f"{head!r} is no head: give it whole, as a verification told it.", param_hint="--head"
        )
    output = Output(as_json)
    with open_raven() as raven, display_work(output.message_console) as progress:
        found = raven.audit.verify(head=head, on_progress=progress)

    def render(console: "Console") -> None:
        from raven_scan.app.cli.tables import print_facts  # noqa: PLC0415

        print_facts(
            console,
            {
                "Audit trail": "intact" if found.problem is None else found.problem.message,
                "Entries that fit": found.checked,
                "Head": found.head,
            },
        )
        if found.problem is None:
            output.say("Keep the head where nobody who may change the database can: --head compares with it.")
        else:
            output.say(
                "Look who may change the database. A backup has the trail as it was then: `raven backup restore` "
                "into another, empty database brings it back to compare.",
                style="yellow",
            )

    output.show(found.model_dump(mode="json"), render)
    if found.problem is not None:
        raise typer.Exit(RUN_FAILED)


def _print_entries(console: "Console", entries: "Sequence[AuditEntryOut]") -> None:
    """Two lines an entry: what happened, and from where with its details. As a table it would fit no terminal."""
    from rich.text import Text  # noqa: PLC0415

    from raven_scan.app.cli.tables import format_moment  # noqa: PLC0415

    if not entries:
        console.print(Text("There are no such entries.", style="dim"))
        return
    indent = max(len(str(each.number)) for each in entries)
    who_width = max(len(each.actor.name) for each in entries)
    action_width = max(len(each.action) for each in entries)
    for each in entries:
        what = Text(f"{each.number:>{indent}}  ", style="dim")
        what.append(f"{format_moment(each.at)}  {each.actor.name:<{who_width}}  ", style="not dim")
        what.append(f"{each.action:<{action_width}}  ", style="not dim bold")
        what.append(each.target.name or each.target.kind, style="not dim")
        console.print(what, soft_wrap=True)
        details = [f"{name}: {_describe(value)}" for name, value in each.details.items()]
        whence = " ".join(part for part in (each.actor.via, each.actor.address) if part)
        more = "; ".join(part for part in (whence, *details) if part and not part.endswith(": "))
        if more:
            console.print(Text(f"{'':{indent}}  {more}", style="dim"), soft_wrap=True)


def _describe(value: object) -> str:
    """A detail in short; empty where there is nothing to say."""
    if value is None or value in ([], {}):
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(_describe(each) for each in cast("list[object]", value))
    if isinstance(value, dict):
        pairs = cast("dict[str, object]", value)
        return ", ".join(f"{name} {_describe(each)}" for name, each in pairs.items())
    text = str(value)
    return f"{text[:12]}…" if _DIGEST.fullmatch(text) else text
