"""`raven roles`: claims under a name."""

from typing import TYPE_CHECKING, Annotated

import typer

from raven_scan.app.cli.asking import confirm
from raven_scan.app.cli.output import JsonFlag, Output
from raven_scan.app.cli.session import open_raven

if TYPE_CHECKING:
    from rich.console import Console

    from raven_scan.access.schemas import RoleOut

app = typer.Typer(no_args_is_help=True, help="Roles: what users may do, bundled under a name.")

RoleRef = Annotated[str, typer.Argument(metavar="ROLE", help="Name or id of the role.", show_default=False)]
_CLAIM_HELP = "A claim, as dataset:view; several times for several. `raven roles show Admin` names all."


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="Of the new role.", show_default=False)],
    claim: Annotated[list[str], typer.Option("--claim", help=_CLAIM_HELP, show_default=False)],
    description: Annotated[str, typer.Option("--description", help="What it is for.")] = "",
    as_json: JsonFlag = False,
) -> None:
    """Create a role of claims that you have yourself."""
    with open_raven() as raven:
        role = raven.roles.create(name=name, claims=claim, description=description)
    _show_role(Output(as_json), role)


@app.command("list")
def list_roles(
    search: Annotated[str | None, typer.Option("--search", help="Part of the name.")] = None,
    limit: Annotated[int | None, typer.Option("--limit", help="At most so many.")] = None,
    cursor: Annotated[str | None, typer.Option("--cursor", help="Go on from the 'next' of a list.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """List roles."""
    with open_raven() as raven:
        page = raven.roles.list(limit=limit, cursor=cursor, q=search)

    def render(console: "Console") -> None:
        from raven_scan.app.cli.tables import print_next, print_table  # noqa: PLC0415

        print_table(
            console,
            ("Name", "Users", "Claims", "Kind", "Description"),
            [
                (
                    role.name,
                    role.user_count,
                    len(role.claims),
                    "built in" if role.is_builtin else "own",
                    role.description or None,
                )
                for role in page.items
            ],
            empty="There are no such roles.",
        )
        print_next(console, page.next)

    Output(as_json).show(page.model_dump(mode="json"), render)


@app.command()
def show(role: RoleRef, as_json: JsonFlag = False) -> None:
    """Show a role with its claims."""
    with open_raven() as raven:
        found = raven.roles.get(role)
    _show_role(Output(as_json), found)


@app.command()
def edit(
    role: RoleRef,
    name: Annotated[str | None, typer.Option("--name", help="Another name.")] = None,
    description: Annotated[str | None, typer.Option("--description", help="Another description.")] = None,
    claim: Annotated[
        list[str] | None, typer.Option("--claim", help="All claims that it is to have, one each time.")
    ] = None,
    add_claim: Annotated[list[str] | None, typer.Option("--add-claim", help="One more claim.")] = None,
    remove_claim: Annotated[list[str] | None, typer.Option("--remove-claim", help="One claim less.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Change a role that is not built in. It counts from its users' next requests on."""
    if claim and (add_claim or remove_claim):
        raise typer.BadParameter("Say either all claims, or those to add and remove.", param_hint="--claim")
    with open_raven() as raven:
        found = raven.roles.get(role)
        claims = claim
        if add_claim or remove_claim:
            missing = set(remove_claim or []) - set(found.claims)
            if missing:
                raise typer.BadParameter(
                    f"{found.name} does not have {', '.join(sorted(missing))}.", param_hint="--remove-claim"
                )
            kept = [str(each) for each in found.claims if each not in set(remove_claim or [])]
            claims = [*kept, *(each for each in add_claim or [] if each not in kept)]
        changed = raven.roles.edit(
            str(found.id), name=name, claims=claims, description=description, revision=found.revision
        )
    _show_role(Output(as_json), changed)


@app.command()
def delete(
    role: RoleRef,
    force: Annotated[bool, typer.Option("--force", help="Also where users have it; they lose it.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Delete a role that is not built in."""
    with open_raven() as raven:
        found = raven.roles.get(role)
        confirm(f"Delete the role {found.name!r}?", yes=yes)
        raven.roles.delete(str(found.id), force=force)
    Output(as_json).show(
        {"deleted": {"id": str(found.id), "name": found.name}},
        lambda console: console.print(f"The role {found.name!r} is deleted.", markup=False),
    )


def _show_role(output: Output, role: "RoleOut") -> None:
    def render(console: "Console") -> None:
        from raven_scan.app.cli.tables import print_facts  # noqa: PLC0415

        print_facts(
            console,
            {
                "Role": role.name,
                "Description": role.description or None,
                "Kind": "built in" if role.is_builtin else "own",
                "Users": role.user_count,
                "Claims": "\n".join(role.claims) or None,
            },
        )

    output.show(role.model_dump(mode="json"), render)
