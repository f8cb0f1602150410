"""`raven users`: accounts, their roles and passwords."""

from typing import TYPE_CHECKING, Annotated

import typer

from raven_scan.app.cli.asking import confirm
from raven_scan.app.cli.output import JsonFlag, Output
from raven_scan.app.cli.session import open_raven

if TYPE_CHECKING:
    from rich.console import Console

    from raven_scan.access.schemas import UserOut, UserWithPasswordOut

app = typer.Typer(no_args_is_help=True, help="Users: who may sign in, and with which roles.")

UserRef = Annotated[str, typer.Argument(metavar="USER", help="Name or id of the user.", show_default=False)]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


@app.command()
def create(
    name: Annotated[
        str,
        typer.Argument(
            help="Letters, digits and . _ - + @; case does not tell users apart.", show_default=False
        ),
    ],
    role: Annotated[
        list[str] | None, typer.Option("--role", help="A role; several times for several. Default: Viewer.")
    ] = None,
    email: Annotated[str | None, typer.Option("--email", help="Where the user is reached.")] = None,
    no_password: Annotated[
        bool, typer.Option("--no-password", help="For programs, which use tokens: nobody signs in to it.")
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Create an account. Its one-time password is shown this once; its user changes it at the first sign-in."""
    output = Output(as_json)
    with open_raven() as raven:
        created = raven.users.create(name=name, roles=role or [], email=email, has_password=not no_password)
    _show_with_password(output, created)
    if created.one_time_password is None:
        output.say(f"Next: raven tokens create --user {created.user.name}", style="dim")


@app.command("list")
def list_users(
    search: Annotated[
        str | None, typer.Option("--search", help="Part of the name or e-mail address.")
    ] = None,
    role: Annotated[str | None, typer.Option("--role", help="Only those who have this role.")] = None,
    disabled: Annotated[
        bool | None, typer.Option("--disabled/--active", help="Only those who are disabled, or are not.")
    ] = None,
    sort: Annotated[
        str | None,
        typer.Option("--sort", help="name, created_at or last_sign_in_at; with - before it, downwards."),
    ] = None,
    limit: Annotated[int | None, typer.Option("--limit", help="At most so many.")] = None,
    cursor: Annotated[str | None, typer.Option("--cursor", help="Go on from the 'next' of a list.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """List users."""
    with open_raven() as raven:
        page = raven.users.list(limit=limit, cursor=cursor, sort=sort, q=search, role=role, disabled=disabled)

    def render(console: "Console") -> None:
        from raven_scan.app.cli.tables import print_next, print_table  # noqa: PLC0415

        print_table(
            console,
            ("Name", "Roles", "E-mail", "State", "Last sign-in"),
            [
                (
                    user.name,
                    ", ".join(user.roles) or None,
                    user.email,
                    _tell_state(user),
                    user.last_sign_in_at,
                )
                for user in page.items
            ],
            empty="There are no such users: raven users create --help",
        )
        print_next(console, page.next)

    Output(as_json).show(page.model_dump(mode="json"), render)


@app.command()
def show(user: UserRef, as_json: JsonFlag = False) -> None:
    """Show a user with roles and claims."""
    with open_raven() as raven:
        found = raven.users.get(user)
    _show_user(Output(as_json), found)


@app.command()
def edit(
    user: UserRef,
    name: Annotated[str | None, typer.Option("--name", help="Another name.")] = None,
    email: Annotated[
        str | None, typer.Option("--email", help="Another e-mail address; empty for none.")
    ] = None,
    role: Annotated[
        list[str] | None, typer.Option("--role", help="All roles that the user is to have, one each time.")
    ] = None,
    add_role: Annotated[list[str] | None, typer.Option("--add-role", help="One more role.")] = None,
    remove_role: Annotated[list[str] | None, typer.Option("--remove-role", help="One role less.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Change a user's name, e-mail address or roles. Roles count from the user's next request on."""
    if role and (add_role or remove_role):
        raise typer.BadParameter("Say either all roles, or those to add and remove.", param_hint="--role")
    with open_raven() as raven:
        found = raven.users.get(user)
        roles = role
        if add_role or remove_role:
            less = {each.casefold() for each in remove_role or []}
            missing = less - {each.casefold() for each in found.roles}
            if missing:
                raise typer.BadParameter(
                    f"{found.name} does not have the role {', '.join(sorted(missing))}.",
                    param_hint="--remove-role",
                )
            roles = [*(each for each in found.roles if each.casefold() not in less), *(add_role or [])]
        changed = raven.users.edit(
            str(found.id), name=name, email=email, roles=roles, revision=found.revision
        )
    _show_user(Output(as_json), changed)


@app.command()
def disable(user: UserRef, as_json: JsonFlag = False) -> None:
    """Disable an account: its sessions and tokens end at once, and for good."""
    with open_raven() as raven:
        changed = raven.users.disable(user)
    _show_user(Output(as_json), changed)


@app.command()
def enable(user: UserRef, as_json: JsonFlag = False) -> None:
    """Let a disabled user sign in again; tokens have to be made anew."""
    with open_raven() as raven:
        changed = raven.users.enable(user)
    _show_user(Output(as_json), changed)


@app.command("reset-password")
def reset_password(
    user: UserRef,
    revoke_tokens: Annotated[
        bool, typer.Option("--revoke-tokens", help="End the account's tokens too, as after a theft.")
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Give an account a one-time password, shown this once; its sessions end."""
    with open_raven() as raven:
        changed = raven.users.reset_password(user, revoke_tokens=revoke_tokens)
    _show_with_password(Output(as_json), changed)


@app.command()
def delete(user: UserRef, yes: Yes = False, as_json: JsonFlag = False) -> None:
    """Delete an account for good. What it has made stays; to keep somebody out for a while, disable it."""
    with open_raven() as raven:
        found = raven.users.get(user)
        confirm(f"Delete the user {found.name!r} for good?", yes=yes)
        raven.users.delete(str(found.id))
    Output(as_json).show(
        {"deleted": {"id": str(found.id), "name": found.name}},
        lambda console: console.print(f"The user {found.name!r} is deleted.", markup=False),
    )


def _show_user(output: Output, user: "UserOut") -> None:
    output.show(user.model_dump(mode="json"), lambda console: _print_user(console, user))


def _show_with_password(output: Output, created: "UserWithPasswordOut") -> None:
    def render(console: "Console") -> None:
        _print_user(console, created.user)
        if created.one_time_password is not None:
            console.print(f"One-time password: {created.one_time_password}", markup=False)

    document = created.user.model_dump(mode="json") | {"one_time_password": created.one_time_password}
    output.show(document, render)
    if created.one_time_password is not None:
        output.say("It is not shown again, and has to be changed at the first sign-in.", style="dim")


def _print_user(console: "Console", user: "UserOut") -> None:
    from raven_scan.app.cli.tables import format_moment, print_facts  # noqa: PLC0415

    print_facts(
        console,
        {
            "User": user.name,
            "E-mail": user.email,
            "Roles": ", ".join(user.roles) or None,
            "Claims": ", ".join(user.claims) or None,
            "State": _tell_state(user),
            "Signs in at": None if user.oidc is None else user.oidc.issuer,
            "Last sign-in": None if user.last_sign_in_at is None else format_moment(user.last_sign_in_at),
            "Created": format_moment(user.created_at) + f" by {user.created_by}",
        },
    )


def _tell_state(user: "UserOut") -> str:
    if user.disabled_at is not None:
        return "disabled"
    if user.must_change_password:
        return "has a one-time password"
    return "active" if user.has_password or user.oidc is not None else "active, without a password"
