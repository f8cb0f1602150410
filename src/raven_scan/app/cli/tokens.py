"""`raven tokens`: what programs sign in with."""

from typing import TYPE_CHECKING, Annotated

import typer

from raven_scan.app.cli.output import JsonFlag, Output
from raven_scan.app.cli.session import open_raven
from raven_scan.kernel.errors import Conflict, NotFound

if TYPE_CHECKING:
    from rich.console import Console

    from raven_scan.access.schemas import TokenOut
    from raven_scan.client import RavenClient

app = typer.Typer(no_args_is_help=True, help="API tokens: what programs sign in with.")

_MOST_LISTED = 500


@app.command()
def create(
    user: Annotated[str | None, typer.Option("--user", help="Whose it is. Default: your own.")] = None,
    name: Annotated[str, typer.Option("--name", help="Tells it from others.")] = "token",
    claim: Annotated[
        list[str] | None,
        typer.Option(
            "--claim", help="A claim that it has at most; several times. Default: all of its user's."
        ),
    ] = None,
    expires: Annotated[
        str | None,
        typer.Option("--expires", help="How long it is valid, as 30d or 12h. Default: until revoked."),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Make a token; it is shown this once. Give it to a program as RAVEN_TOKEN."""
    from raven_scan.app.cli.run_times import parse_duration  # noqa: PLC0415

    expires_in = None if expires is None else parse_duration(expires, "--expires")
    output = Output(as_json)
    with open_raven() as raven:
        minted = raven.tokens.create(name=name, user=user, claims=claim, expires_in=expires_in)

    def render(console: "Console") -> None:
        _print_token(console, minted)
        console.print(f"Token: {minted.token}", markup=False, soft_wrap=True)

    output.show(minted.model_dump(mode="json"), render)
    output.say("It is not shown again.", style="dim")


@app.command("list")
def list_tokens(
    user: Annotated[str | None, typer.Option("--user", help="Only this user's.")] = None,
    ended: Annotated[
        bool, typer.Option("--all", help="Those too that have expired or were revoked.")
    ] = False,
    limit: Annotated[int | None, typer.Option("--limit", help="At most so many.")] = None,
    cursor: Annotated[str | None, typer.Option("--cursor", help="Go on from the 'next' of a list.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """List tokens, newest first: your own, and those of others where you may see users."""
    with open_raven() as raven:
        page = raven.tokens.list(limit=limit, cursor=cursor, user=user, ended=ended)

    def render(console: "Console") -> None:
        from raven_scan.app.cli.tables import print_next, print_table  # noqa: PLC0415

        print_table(
            console,
            ("Token", "Name", "User", "Claims", "Expires", "Last used", "State"),
            [
                (
                    f"{token.prefix}…",
                    token.name,
                    token.user,
                    "all of the user" if token.claims is None else ", ".join(token.claims),
                    token.expires_at,
                    token.last_used_at,
                    _tell_state(token),
                )
                for token in page.items
            ],
            empty="There are no tokens: raven tokens create --help",
        )
        print_next(console, page.next)

    Output(as_json).show(page.model_dump(mode="json"), render)


@app.command()
def revoke(
    token: Annotated[
        str,
        typer.Argument(
            metavar="TOKEN", help="Its beginning as listed, its name, or its id.", show_default=False
        ),
    ],
    user: Annotated[str | None, typer.Option("--user", help="Whose it is.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """End a token at once, and for good."""
    with open_raven() as raven:
        found = _find_token(raven, token, user)
        raven.tokens.revoke(str(found.id))
        revoked = raven.tokens.get(str(found.id))
    Output(as_json).show(revoked.model_dump(mode="json"), lambda console: _print_token(console, revoked))


def _find_token(raven: "RavenClient", ref: str, user: str | None) -> "TokenOut":
    from raven_scan.kernel.ids import parse_id  # noqa: PLC0415

    if parse_id(ref) is not None:
        return raven.tokens.get(ref)
    ref = ref.removesuffix("…")
    cursor: str | None = None
    found: list[TokenOut] = []
    while True:
        page = raven.tokens.list(user=user, limit=_MOST_LISTED, cursor=cursor)
        found += [each for each in page.items if ref in {each.prefix, each.name}]
        cursor = page.next
        if cursor is None:
            break
    if not found:
        raise NotFound(
            "token.not_found",
            f"There is no token {ref!r} that is valid.",
            hint="`raven tokens list` shows them.",
            parameters={"ref": ref},
        )
    if len(found) > 1:
        raise Conflict(
            "token.ambiguous",
            f"{len(found)} tokens go by {ref!r}.",
            hint="Name one by its id: `raven tokens list --json` shows them.",
            parameters={"ids": [str(each.id) for each in found]},
        )
    return found[0]


def _print_token(console: "Console", token: "TokenOut") -> None:
    from raven_scan.app.cli.tables import format_moment, print_facts  # noqa: PLC0415

    print_facts(
        console,
        {
            "Token of": token.user,
            "Name": token.name,
            "Begins with": token.prefix,
            "Claims": "all that the user has" if token.claims is None else ", ".join(token.claims),
            "State": _tell_state(token),
            "Expires": None if token.expires_at is None else format_moment(token.expires_at),
            "Created": format_moment(token.created_at) + f" by {token.created_by}",
        },
    )


def _tell_state(token: "TokenOut") -> str:
    from datetime import UTC, datetime  # noqa: PLC0415

    if token.revoked_at is not None:
        return "revoked"
    is_over = token.expires_at is not None and token.expires_at <= datetime.now(UTC)
    return "expired" if is_over else "valid"
