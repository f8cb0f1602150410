"""`raven subscriptions`: which runs' ends you hear of, and how."""

from typing import TYPE_CHECKING, Annotated

import typer

from raven_scan.app.cli.exit_codes import EXIT_CODE_OF_KIND
from raven_scan.app.cli.output import JsonFlag, Output
from raven_scan.app.cli.session import open_raven
from raven_scan.kernel.errors import ErrorKind

if TYPE_CHECKING:
    from rich.console import Console

app = typer.Typer(
    no_args_is_help=True,
    help="Be told when runs end, by e-mail or by webhook: subscribe, list, edit, remove, test.",
)

SubscriptionId = Annotated[
    str, typer.Argument(metavar="ID", help="Of the subscription; `list` shows it.", show_default=False)
]
UserOption = Annotated[
    str | None, typer.Option("--user", help="Somebody else: name or id. Only for who may edit users.")
]
_ENDS = {"success": "every Success", "error": "every Error", "both": "every end"}


@app.command()
def add(
    every: Annotated[bool, typer.Option("--all", help="The ends of all runs, not only of your own.")] = False,
    run: Annotated[str | None, typer.Option("--run", help="The end of this run alone: name or id.")] = None,
    on: Annotated[str, typer.Option("--on", help="success, error or both.")] = "both",
    email: Annotated[
        str | None, typer.Option("--email", help="Where to. Default: the account's own address.")
    ] = None,
    webhook: Annotated[
        str | None, typer.Option("--webhook", help="An address that gets a signed POST instead of an e-mail.")
    ] = None,
    user: UserOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Be told when runs end: yours, all, or one. Shows a webhook's signing secret, this once."""
    if every and run is not None:
        raise typer.BadParameter("Say --all or --run, not both.", param_hint="--run")
    runs = "one" if run is not None else "all" if every else "mine"
    output = Output(as_json)
    with open_raven() as raven:
        made = raven.subscriptions.create(
            runs=runs, run=run, ends=on, email=email, webhook=webhook, user=user
        )

    def render(console: "Console") -> None:
        from raven_scan.app.cli.tables import print_facts  # noqa: PLC0415

        print_facts(
            console,
            {
                "Subscription": str(made.id),
                "User": made.user,
                "Runs": made.run.name if made.run else made.runs,
                "Ends": made.ends,
                "Recipient": made.recipient,
                "Signing secret": made.secret,
            },
        )

    output.show(made.model_dump(mode="json"), render)
    if made.secret is not None:
        output.say("Keep the signing secret now: it is not shown again.", style="bold yellow")


@app.command("list")
def list_subscriptions(
    user: UserOption = None,
    every: Annotated[bool, typer.Option("--all", help="Every user's. Only for who may edit users.")] = False,
    limit: Annotated[int | None, typer.Option("--limit", help="At most so many.")] = None,
    cursor: Annotated[str | None, typer.Option("--cursor", help="Go on from the 'next' of a list.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """List your subscriptions, newest first."""
    with open_raven() as raven:
        page = raven.subscriptions.list(limit=limit, cursor=cursor, user=user, of_all=every)

    def render(console: "Console") -> None:
        from raven_scan.app.cli.tables import print_next, print_table  # noqa: PLC0415

        print_table(
            console,
            ("Id", "User", "Runs", "Ends", "Recipient", "Active", "Created"),
            [
                (
                    str(each.id),
                    each.user,
                    each.run.name if each.run else each.runs,
                    each.ends,
                    each.recipient,
                    "yes" if each.is_active else "no",
                    each.created_at,
                )
                for each in page.items
            ],
            empty="No subscriptions: raven subscriptions add --help",
        )
        print_next(console, page.next)

    Output(as_json).show(page.model_dump(mode="json"), render)


@app.command()
def edit(
    subscription: SubscriptionId,
    is_active: Annotated[
        bool | None, typer.Option("--wake/--rest", help="Let it rest, or wake it up.", show_default=False)
    ] = None,
    on: Annotated[str | None, typer.Option("--on", help="success, error or both.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Let a subscription rest, wake it up, or change of which ends it tells."""
    if is_active is None and on is None:
        raise typer.BadParameter("Say what to change: --rest, --wake or --on.", param_hint="--rest")
    with open_raven() as raven:
        edited = raven.subscriptions.edit(subscription, is_active=is_active, ends=on)
    Output(as_json).show(
        edited.model_dump(mode="json"),
        lambda console: console.print(
            f"{edited.recipient} is told of {_ENDS[edited.ends]}."
            if edited.is_active
            else f"{edited.recipient} is told nothing by it, until you wake it up.",
            markup=False,
        ),
    )


@app.command()
def remove(subscription: SubscriptionId, as_json: JsonFlag = False) -> None:
    """Remove a subscription; nothing more is sent by it."""
    with open_raven() as raven:
        found = raven.subscriptions.get(subscription)
        raven.subscriptions.delete(str(found.id))
    Output(as_json).show(
        {"removed": {"id": str(found.id)}},
        lambda console: console.print(f"Nothing more is sent to {found.recipient} by it.", markup=False),
    )


@app.command("test")
def send_test(subscription: SubscriptionId, as_json: JsonFlag = False) -> None:
    """Send a test message, and tell how it fared."""
    with open_raven() as raven:
        told = raven.subscriptions.send_test(subscription)
    Output(as_json).show(
        told.model_dump(mode="json"),
        lambda console: console.print(
            f"{told.recipient}: {'sent' if told.is_sent else told.reason}", markup=False
        ),
    )
    if not told.is_sent:
        raise typer.Exit(EXIT_CODE_OF_KIND[ErrorKind.UNAVAILABLE])
