"""`raven sessions`: where you are signed in with a browser, and how to sign out there."""

from typing import TYPE_CHECKING, Annotated

import typer

from raven_scan.app.cli.output import JsonFlag, Output
from raven_scan.app.cli.session import open_raven

if TYPE_CHECKING:
    from rich.console import Console

app = typer.Typer(
    no_args_is_help=True,
    help="See where you are signed in, and sign out there. Programs have tokens instead: `raven tokens`.",
)

UserOption = Annotated[
    str | None, typer.Option("--user", help="Somebody else: name or id. Only for who may see users.")
]


@app.command("list")
def list_sessions(user: UserOption = None, as_json: JsonFlag = False) -> None:
    """List where you are signed in: from where, since when, when it was last used; the last used first."""
    with open_raven() as raven:
        page = raven.session.list_sessions(user=user)

    def render(console: "Console") -> None:
        from raven_scan.app.cli.tables import print_table  # noqa: PLC0415

        print_table(
            console,
            ("Id", "From", "With", "By", "Signed in", "Last used", "Ends", "This one"),
            [
                (
                    str(each.id),
                    each.address or "this machine",
                    each.user_agent,
                    each.method,
                    each.created_at,
                    each.last_seen_at,
                    each.expires_at,
                    "yes" if each.is_current else "",
                )
                for each in page.items
            ],
            empty="Nobody is signed in: commands use a token, which `raven tokens list` shows.",
        )

    Output(as_json).show(page.model_dump(mode="json"), render)


@app.command()
def end(
    session: Annotated[
        str | None,
        typer.Argument(metavar="ID", help="Of the session; `list` shows it.", show_default=False),
    ] = None,
    others: Annotated[
        bool, typer.Option("--others", help="All but the one that asks; with --user, all of that user.")
    ] = False,
    user: UserOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Sign out there, at once: one session, or all others."""
    if (session is None) is not others:
        raise typer.BadParameter("Name one session by its id, or say --others.", param_hint="ID")
    if session is not None and user is not None:
        raise typer.BadParameter("An id says whose session it is: leave --user out.", param_hint="--user")
    with open_raven() as raven:
        if session is None:
            ended = raven.session.end_sessions(user=user)
        else:
            raven.session.end_session(session)
            ended = 1
    Output(as_json).show(
        {"ended": ended},
        lambda console: console.print(f"{ended} {'session' if ended == 1 else 'sessions'} ended."),
    )
