"""`raven login`, `raven logout`, `raven whoami`."""

import os
import platform
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from raven_scan.app.cli.output import JsonFlag, Output
from raven_scan.app.cli.session import open_raven, read_settings
from raven_scan.kernel.errors import Conflict, Invalid, Unauthenticated

if TYPE_CHECKING:
    from rich.console import Console

    from raven_scan.access.schemas import WhoAmI
    from raven_scan.client import RavenClient

Server = Annotated[
    str | None,
    typer.Option("--server", help="Its address, as https://raven.example.org. Default: RAVEN_SERVER."),
]


def sign_in(
    server: Server = None,
    user: Annotated[str | None, typer.Option("--user", help="Your name. Default: you are asked.")] = None,
    expires: Annotated[
        str, typer.Option("--expires", help="How long this machine stays signed in, as 12h or 90d.")
    ] = "90d",
    as_json: JsonFlag = False,
) -> None:
    """Sign in to a server: makes a token for this machine, which later commands to that server use."""
    from raven_scan.app.cli.run_times import parse_duration  # noqa: PLC0415
    from raven_scan.app.cli.saved_tokens import SavedToken, find_saved_token, save_token  # noqa: PLC0415
    from raven_scan.client import RavenClient  # noqa: PLC0415

    output = Output(as_json)
    address = _choose_server(server)
    expires_in = parse_duration(expires, "--expires")
    earlier = find_saved_token(address)
    name = user or _ask("User name")
    with RavenClient(address) as raven:
        who = _sign_in_with_password(raven, output, name)
        minted = raven.tokens.create(name=_name_machine(), expires_in=expires_in)
        save_token(address, SavedToken(token=minted.token, id=str(minted.id), user=who.name))
        if earlier is not None and earlier.user == who.name:
            # This machine has another now.
            _revoke_quietly(raven, earlier.id)
        raven.session.sign_out()

    def render(console: "Console") -> None:
        console.print(f"Signed in to {address} as {who.name}.", markup=False)

    document = {
        "server": address,
        "user": who.name,
        "expires_at": minted.model_dump(mode="json")["expires_at"],
    }
    output.show(document, render)
    if os.environ.get("RAVEN_TOKEN"):
        output.say("RAVEN_TOKEN is set, and is used before this: unset it.", style="bold yellow")
    if read_settings().server is None:
        output.say(f"Next: export RAVEN_SERVER={address}", style="dim")


def sign_out(server: Server = None, as_json: JsonFlag = False) -> None:
    """Sign out of a server: this machine's token ends, and is forgotten."""
    from raven_scan.app.cli.saved_tokens import find_saved_token, forget_token  # noqa: PLC0415
    from raven_scan.client import RavenClient  # noqa: PLC0415

    output = Output(as_json)
    address = _choose_server(server)
    saved = find_saved_token(address)
    if saved is None:
        raise Conflict(
            "login.not_signed_in",
            f"This machine is not signed in to {address}.",
            hint="`raven login` signs in; a token in RAVEN_TOKEN ends with `raven tokens revoke`.",
        )
    try:
        with RavenClient(address, saved.token) as raven:
            raven.session.sign_out()
    except Unauthenticated:
        pass  # it has ended already
    forget_token(address)
    output.show(
        {"server": address, "user": saved.user, "signed_in": False},
        lambda console: console.print(f"Signed out of {address}.", markup=False),
    )


def show_who(as_json: JsonFlag = False) -> None:
    """Tell who you are for the server that commands talk to, and what you may do."""
    settings = read_settings()
    with open_raven() as raven:
        who = raven.session.who_am_i()

    def render(console: "Console") -> None:
        from raven_scan.app.cli.tables import format_moment, print_facts  # noqa: PLC0415

        print_facts(
            console,
            {
                "User": who.name,
                "By": who.via,
                "Server": settings.server or "none: in this process",
                "Until": None if who.expires_at is None else format_moment(who.expires_at),
                "Claims": "\n".join(who.claims) or None,
            },
        )

    document = who.model_dump(mode="json", exclude={"csrf_token"}) | {"server": settings.server}
    Output(as_json).show(document, render)


def change_password(as_json: JsonFlag = False) -> None:
    """Change your password at the server that commands talk to; you are signed out elsewhere, tokens go on."""
    output = Output(as_json)
    with open_raven() as raven:
        who = raven.session.who_am_i()
        if not who.has_account:
            raise Conflict(
                "login.no_account",
                f"You are the {who.name}, who has no password.",
                hint="Sign in with `raven login`; `raven users reset-password NAME` gives a user another.",
            )
        _choose_password(raven, output, _ask_secret(f"Current password of {who.name}"))
    output.show(
        {"user": who.name, "password": "changed"},
        lambda console: console.print(f"The password of {who.name} is changed.", markup=False),
    )


def _sign_in_with_password(raven: "RavenClient", output: Output, name: str) -> "WhoAmI":
    password = _ask_secret("Password")
    who = raven.session.sign_in(name, password)
    if not who.must_change_password:
        return who
    output.say("This is a one-time password. Choose one of your own, of 12 characters or more.")
    _choose_password(raven, output, password)
    return raven.session.who_am_i()


def _choose_password(raven: "RavenClient", output: Output, current: str) -> None:
    """Asks until it is one that the server takes."""
    while True:
        chosen = _ask_secret("New password")
        if _ask_secret("The same again") != chosen:
            output.say("These differ.", style="bold red")
            continue
        try:
            raven.session.change_password(current=current, new=chosen)
        except Invalid as error:
            if error.code != "user.bad_password" or not sys.stdin.isatty():
                raise
            output.say(f"{error.message} {error.hint}", style="bold red")
            continue
        return


def _revoke_quietly(raven: "RavenClient", token_id: str) -> None:
    from raven_scan.kernel.errors import RavenError  # noqa: PLC0415

    try:
        raven.tokens.revoke(token_id)
    except RavenError:
        return  # it has ended, or its user is gone


def _choose_server(given: str | None) -> str:
    address = given or read_settings().server
    if address is None:
        raise Invalid(
            "login.no_server",
            "No server is named. Without one, commands work in the data folder, and need no sign-in.",
            hint="Say --server https://…, or set RAVEN_SERVER.",
        )
    return address.rstrip("/")


def _name_machine() -> str:
    node = "".join(character for character in platform.node() if character.isalnum() or character in "-._")
    return f"login on {node or 'a machine'}"[:100]


def _ask(prompt: str) -> str:
    if not sys.stdin.isatty():
        raise typer.BadParameter("Nobody can be asked here: say --user.", param_hint="--user")
    return str(typer.prompt(prompt, err=True))


def _ask_secret(prompt: str) -> str:
    """From the terminal without echo; where there is none, a line of the input."""
    if sys.stdin.isatty():
        return str(typer.prompt(prompt, hide_input=True, err=True))
    line = sys.stdin.readline()
    if not line:
        raise Invalid(
            "login.no_password",
            f"{prompt}: nobody can be asked here, and the input has no line for it.",
            hint="Give a line each on the input: the password, and for a one-time password the new one twice. "
            "Programs use tokens: `raven tokens create`.",
        )
    return line.rstrip("\n")
