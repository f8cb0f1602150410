"""`raven notifications`: list what was sent, and try whether it arrives."""

from typing import TYPE_CHECKING, Annotated

import typer

from raven_scan.app.cli.exit_codes import EXIT_CODE_OF_KIND
from raven_scan.app.cli.output import JsonFlag, Output
from raven_scan.app.cli.session import open_raven
from raven_scan.kernel.errors import ErrorKind

if TYPE_CHECKING:
    from rich.console import Console

app = typer.Typer(
    no_args_is_help=True, help="E-mails and webhooks about runs that ended: list them, test them."
)


@app.command("list")
def list_notifications(
    state: Annotated[str | None, typer.Option("--state", help="Only these: waiting, sent or failed.")] = None,
    limit: Annotated[int | None, typer.Option("--limit", help="At most so many.")] = None,
    cursor: Annotated[str | None, typer.Option("--cursor", help="Go on from the 'next' of a list.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """List notifications, newest first, with their state and why the last try failed."""
    with open_raven() as raven:
        page = raven.notifications.list(limit=limit, cursor=cursor, state=state)

    def render(console: "Console") -> None:
        from raven_scan.app.cli.tables import print_next, print_table  # noqa: PLC0415

        print_table(
            console,
            ("Run", "Event", "Recipient", "State", "Tries", "Reason", "Created"),
            [
                (
                    each.subject,
                    each.event,
                    each.recipient,
                    each.state,
                    each.tries,
                    each.reason or None,
                    each.created_at,
                )
                for each in page.items
            ],
            empty="No notifications.",
        )
        print_next(console, page.next)

    Output(as_json).show(page.model_dump(mode="json"), render)


@app.command("test")
def send_test(as_json: JsonFlag = False) -> None:
    """Send every recipient of the settings a test message, and tell how each fared."""
    with open_raven() as raven:
        told = raven.notifications.send_test()

    def render(console: "Console") -> None:
        from raven_scan.app.cli.tables import print_table  # noqa: PLC0415

        print_table(
            console,
            ("Recipient", "Channel", "Result"),
            [(each.recipient, each.channel, "sent" if each.is_sent else each.reason) for each in told.items],
            empty="Nobody is to be notified.",
        )

    Output(as_json).show(told.model_dump(mode="json"), render)
    if not all(each.is_sent for each in told.items):
        raise typer.Exit(EXIT_CODE_OF_KIND[ErrorKind.UNAVAILABLE])
