"""`raven audit`: who did what, and the proof that nobody changed it."""

from typing import TYPE_CHECKING, Annotated

import typer

from raven_scan.app.cli.exit_codes import RUN_FAILED
from raven_scan.app.cli.output import JsonFlag, Output
from raven_scan.app.cli.session import open_raven

if TYPE_CHECKING:
    from rich.console import Console

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
        from raven_scan.app.cli.tables import print_next, print_table  # noqa: PLC0415

        print_table(
            console,
            ("Number", "Time", "Who", "From", "Action", "To", "Details"),
            [
                (
                    each.number,
                    each.at.astimezone().strftime("%Y-%m-%d %H:%M:%S"),
                    each.actor.name,
                    " ".join(part for part in (each.actor.via, each.actor.address) if part) or None,
                    each.action,
                    each.target.name or each.target.kind,
                    ", ".join(f"{name}={value}" for name, value in each.details.items()) or None,
                )
                for each in page.items
            ],
            empty="There are no such entries.",
        )
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

    output.show(found.model_dump(mode="json"), render)
    if found.problem is not None:
        raise typer.Exit(RUN_FAILED)
